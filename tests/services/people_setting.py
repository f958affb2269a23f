"""A small setting for tests: divisions, organisations of every kind, people, calls."""

from __future__ import annotations

import itertools
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client

from suanwang.core import uscc
from suanwang.people import services
from suanwang.people.models import Member, Organisation
from suanwang.people.roles import OrganisationKind, Role
from suanwang.people.scope import Viewer
from suanwang.people.services.organisations import FirstPerson, Registration
from suanwang.people.sign_in import viewer_for
from suanwang.registry.models import Division

AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DIVISION = "990001"
OTHER_DIVISION = "990002"
PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


def credit_code(*, valid: bool = True) -> str:
    """A fresh code of a plainly fictional division."""
    first = f"91{DIVISION}MA0{next(_numbers):05d}"[:17].ljust(17, "A")
    right = uscc.check_character(first)
    return first + (right if valid else uscc.ALPHABET[(uscc.ALPHABET.index(right) + 1) % 31])


def divisions() -> None:
    for code, name in ((DIVISION, "虚构区"), (OTHER_DIVISION, "虚构县")):
        Division.objects.get_or_create(
            code=code,
            defaults={"name": name, "name_en": name, "kind": "district", "in_scope": True},
        )


def registration(kind: OrganisationKind = OrganisationKind.ENTERPRISE, **over: Any) -> Registration:
    facts: dict[str, Any] = {
        "name": f"虚构公司{next(_numbers)}",
        "kind": kind,
        "division": DIVISION,
        "uscc": credit_code(),
    }
    return Registration(**(facts | over))


def register(kind: OrganisationKind = OrganisationKind.ENTERPRISE, **over: Any) -> Member:
    """A pending organisation and its first member."""
    divisions()
    username = f"first{next(_numbers)}"
    return services.register_organisation(
        registration(kind, **over), FirstPerson(username, PASSWORD), at=AT
    )


def office(kind: OrganisationKind, role: Role, **over: Any) -> Viewer:
    """Somebody of an office of the city, in a role."""
    divisions()
    organisation = services.found_organisation(registration(kind, **({"uscc": None} | over)), at=AT)
    return colleague(organisation, role)


def colleague(organisation: Organisation, role: Role) -> Viewer:
    member = services.enlist(
        organisation, role, username=f"p{next(_numbers)}-{role}", password=PASSWORD, at=AT
    )
    return viewer_for(member.person, organisation.pk, role)


def active(kind: OrganisationKind = OrganisationKind.ENTERPRISE, **over: Any) -> Member:
    """An approved organisation and its first member."""
    member = register(kind, **over)
    operator = office(OrganisationKind.OPERATOR, Role.OPERATOR)
    member.organisation = services.approve_organisation(member.organisation, actor=operator, at=AT)
    return member


def viewer(member: Member) -> Viewer:
    return viewer_for(member.person, member.organisation_id, Role(member.role))


class Caller:
    """A program that calls the API, with or without a key."""

    def __init__(self, of: Viewer | None = None, *, language: str = "en", **headers: str) -> None:
        self.client = Client()
        self.headers = {"Accept-Language": language} | headers
        if of is not None:
            _, token = services.create_api_key(
                "test", expires_at=datetime.now(UTC) + timedelta(days=1), actor=of, at=AT
            )
            self.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"/api/v1{path}", headers=self.headers | headers)

    def send(
        self, method: str, path: str, body: Any = None, *, key: str | None = "", **headers: str
    ) -> Any:
        """A write; with a fresh ``Idempotency-Key`` unless one is given, or None for none."""
        given = {} if key is None else {"Idempotency-Key": key or uuid.uuid4().hex}
        return self.client.generic(
            method,
            f"/api/v1{path}",
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body),
            content_type="application/json",
            headers=self.headers | given | headers,
        )

    def post(self, path: str, body: Any = None, *, key: str | None = "", **headers: str) -> Any:
        return self.send("POST", path, body, key=key, **headers)
