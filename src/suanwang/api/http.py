"""What every room's API shares: who calls, in which language, and lists by pages."""

from __future__ import annotations

import json
from typing import Any, Generic, Literal, TypeVar, cast

from django.core import signing
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import get_language_from_request
from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field

from suanwang.core.errors import Malformed, NotSignedIn
from suanwang.people.scope import Viewer
from suanwang.people.sign_in import viewer_of_key, viewer_of_session
from suanwang.site import clock

T = TypeVar("T")
Row = TypeVar("Row", bound=Model)
_VIEWER = "suanwang_viewer"


class In(BaseModel):
    """What a request carries. A field nobody knows is a typing error, not something to drop.

    Not Ninja's ``Schema``: that reads rows as well, and where unknown fields are forbidden it reads
    each level of what is nested twice, a node's cards eight times.
    """

    model_config = ConfigDict(extra="forbid")


class Page(Schema, Generic[T]):
    """A part of a list; ``next_cursor`` leads to the next part and is null at the end."""

    items: list[T]
    next_cursor: str | None = None


class Paging(Schema):
    """Which part of a list: after which cursor, and at most how many."""

    cursor: str | None = Field(None, max_length=1000)
    limit: int = Field(50, ge=1, le=200)


def viewer_of(request: HttpRequest) -> Viewer:
    """Who calls: by API key, else by session, else a stranger.

    Refuses ``api_key_not_accepted``, ``authorization_unreadable``.
    """
    known = getattr(request, _VIEWER, None)
    if known is None:
        known = _viewer_of(request)
        setattr(request, _VIEWER, known)
    return cast(Viewer, known)


def forget_viewer(request: HttpRequest) -> None:
    """Look again who calls: they have just signed in, out, or acted as someone else."""
    if hasattr(request, _VIEWER):
        delattr(request, _VIEWER)


def _viewer_of(request: HttpRequest) -> Viewer:
    authorization = request.headers.get("Authorization")
    if authorization is None:
        return viewer_of_session(request)
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotSignedIn("authorization_unreadable")
    return viewer_of_key(token.strip(), at=clock.now())


def language_of(request: HttpRequest) -> Literal["zh", "en"]:
    """The language to answer in: asked for, else the person's own, else Chinese."""
    asked = "Accept-Language" in request.headers or request.COOKIES.get("django_language")
    viewer: Viewer | None = getattr(request, _VIEWER, None)
    if not asked and viewer is not None and viewer.person is not None:
        chosen = viewer.person.language
    else:
        chosen = get_language_from_request(request)
    return "en" if chosen.startswith("en") else "zh"


def address_of(request: HttpRequest) -> str:
    """The network address that calls. Behind a proxy the server sets it, never a header here."""
    return str(request.META.get("REMOTE_ADDR") or "")


def page(
    queryset: QuerySet[Row],
    *,
    cursor: str | None,
    limit: int,
    order: tuple[str, ...] = ("pk",),
) -> Page[Any]:
    """The rows after a cursor, in a total order (``pk`` is added last), by keyset.

    ``order`` names fields without nulls, ``-`` for descending. A cursor is signed and good for
    this list in this order alone. Refuses ``cursor_not_valid``.
    """
    fields = order if order[-1].lstrip("-") == "pk" else (*order, "pk")
    salt = f"cursor:{queryset.model._meta.label}:{','.join(fields)}"
    if cursor is not None:
        queryset = queryset.filter(_after(queryset.model, fields, _open(cursor, salt, fields)))
    rows = list(queryset.order_by(*fields)[: limit + 1])
    more = len(rows) > limit
    rows = rows[:limit]
    return Page[Any].model_construct(
        items=rows, next_cursor=_seal(rows[-1], fields, salt) if more else None
    )


def _seal(row: Model, fields: tuple[str, ...], salt: str) -> str:
    values = []
    for field in fields:
        value: Any = row
        for step in field.lstrip("-").split("__"):
            value = getattr(value, step)
        values.append(value.isoformat() if hasattr(value, "isoformat") else str(value))
    return signing.Signer(salt=salt).sign_object(values, compress=False)


def _open(cursor: str, salt: str, fields: tuple[str, ...]) -> list[str]:
    try:
        values: list[str] = signing.Signer(salt=salt).unsign_object(cursor)
    except (signing.BadSignature, ValueError, json.JSONDecodeError):
        raise Malformed("cursor_not_valid") from None
    if len(values) != len(fields):
        raise Malformed("cursor_not_valid")
    return values


def _after(model: type[Model], fields: tuple[str, ...], values: list[str]) -> Q:
    """Rows behind the given one: first field further on, or equal and the second further on…"""
    after, equal = Q(pk__in=[]), Q()
    for field, value in zip(fields, values, strict=True):
        name = field.lstrip("-")
        comparison = "lt" if field.startswith("-") else "gt"
        after |= equal & Q(**{f"{name}__{comparison}": value})
        equal &= Q(**{name: value})
    return after
