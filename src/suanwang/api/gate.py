"""The one door of the API: request id, size and kind of body, origin, and writes done once."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from suanwang.api import problems
from suanwang.api.http import viewer_of
from suanwang.api.idempotency import answer_once
from suanwang.core.errors import NotAllowed, SuanwangError, Unavailable
from suanwang.site import clock

BASE = "/api/v1/"
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
WITHOUT_KEY = (f"{BASE}agent/", f"{BASE}sign-in", f"{BASE}sign-out")
"""Agents sign and number what they send; signing in twice harms nobody."""

MIB = 1024 * 1024
BODY_MAX = {f"{BASE}agent/files/": 33 * MIB, f"{BASE}agent/": 4 * MIB, f"{BASE}jobs": 33 * MIB}
BODY_MAX_ELSEWHERE = MIB
BODY_KINDS = frozenset({"application/json", "multipart/form-data", "application/octet-stream", ""})

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_Respond = Callable[[HttpRequest], HttpResponse]


class RequestId:
    """Outermost: every answer names its request; under ``/api/`` every failure is a problem."""

    def __init__(self, get_response: _Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        asked = request.headers.get("X-Request-Id", "")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else uuid.uuid4().hex
        request.suanwang_request_id = request_id  # type: ignore[attr-defined]
        if "\x00" in request.path or "\x00" in unquote(request.META.get("QUERY_STRING", "")):
            # PostgreSQL keeps no NUL in a text; no address of ours has one.
            response = problems.of_status(request, 404)
        else:
            response = self.get_response(request)
        if (
            request.path.startswith("/api/")
            and response.status_code >= 400
            and response.get("Content-Type") != problems.MEDIA_TYPE
        ):
            allow = response.get("Allow")
            response = problems.of_status(request, response.status_code)
            if allow:
                response["Allow"] = allow
        response["X-Request-Id"] = request_id
        return response


class Gate:
    """Innermost: what holds for every request under ``/api/v1/``."""

    def __init__(self, get_response: _Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(BASE):
            return self.get_response(request)
        try:
            return self._answer(request)
        except SuanwangError as error:
            return problems.problem(request, error, status=_STATUS.get(error.code))
        except (OperationalError, InterfaceError):
            # The database went away before a view was reached, or while its answer was kept.
            return problems.problem(request, Unavailable("database_unavailable"))

    def _answer(self, request: HttpRequest) -> HttpResponse:
        writes = request.method in WRITES
        if writes:
            _check_body(request)
        if not request.path.startswith(f"{BASE}agent/"):
            viewer = viewer_of(request)
            if writes:
                _check_origin(request)
        if not writes or request.path.startswith(WITHOUT_KEY):
            response = self.get_response(request)
        else:
            key = request.headers.get("Idempotency-Key")
            if key is None:
                raise SuanwangError("idempotency_key_missing")
            if _KEY.fullmatch(key) is None:
                raise SuanwangError("idempotency_key_not_usable")
            caller = f"{viewer.person.pk}:{viewer.organisation_id}" if viewer.person else "stranger"
            response = answer_once(
                request, self.get_response, key=key, caller=caller, at=clock.now()
            )
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def _check_body(request: HttpRequest) -> None:
    limit = next(
        (size for start, size in BODY_MAX.items() if request.path.startswith(start)),
        BODY_MAX_ELSEWHERE,
    )
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if length > limit:
        raise SuanwangError("body_too_large", limit_bytes=limit)
    if length and request.content_type not in BODY_KINDS:
        raise SuanwangError("content_type_not_taken")


def _check_origin(request: HttpRequest) -> None:
    """A page of another site cannot write with this browser's session.

    It could not send ``Idempotency-Key`` either without asking first, and nobody answers that.
    """
    origin = request.headers.get("Origin")
    if origin and urlsplit(origin).netloc != request.get_host():
        raise NotAllowed("cross_site_request")


_STATUS = {
    "idempotency_key_missing": 400,
    "idempotency_key_not_usable": 400,
    "body_too_large": 413,
    "content_type_not_taken": 415,
}
