"""Every refusal as problem+json (RFC 9457): a stable code, its facts, words in both languages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Schema

from suanwang.api.http import language_of
from suanwang.core.errors import Malformed, SuanwangError
from suanwang.core.refusals import catalogue, explain

MEDIA_TYPE = "application/problem+json"


class FieldProblem(Schema):
    """One wrong field: where (a JSON pointer into the named place), the code and the words."""

    place: str
    pointer: str
    code: str
    message: str


class Problem(Schema):
    """Why a request was not done (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    facts: dict[str, Any] = {}
    errors: list[FieldProblem] = []
    request_id: str = ""


def problem(
    request: HttpRequest,
    error: SuanwangError,
    *,
    status: int | None = None,
    errors: Sequence[Mapping[str, str]] = (),
) -> HttpResponse:
    """A refusal as an answer, worded in the language of the request."""
    status = status or error.status
    body = {
        "type": f"urn:suanwang:problem:{error.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": explain(error, language_of(request)),
        "code": error.code,
        "facts": {name: _plain(value) for name, value in error.facts.items()},
        "errors": list(errors),
        "request_id": getattr(request, "suanwang_request_id", ""),
    }
    response = HttpResponse(
        json.dumps(body, ensure_ascii=False), status=status, content_type=MEDIA_TYPE
    )
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = "2"
    response["Content-Language"] = "en" if language_of(request) == "en" else "zh-CN"
    return response


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    return str(value)


_CODES = {
    "missing": "field_missing",
    "extra_forbidden": "field_unknown",
    "string_too_short": "field_too_short",
    "too_short": "field_too_short",
    "string_too_long": "field_too_long",
    "too_long": "field_too_long",
    "greater_than": "field_too_small",
    "greater_than_equal": "field_too_small",
    "less_than": "field_too_large",
    "less_than_equal": "field_too_large",
    "enum": "field_not_a_choice",
    "literal_error": "field_not_a_choice",
    "string_pattern_mismatch": "field_wrong_form",
}
_LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length")


def field_problems(
    request: HttpRequest, entries: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """The wrong fields a validation found; a code of a room's own catalogue keeps its name."""
    found = []
    for entry in entries:
        kind = str(entry["type"])
        code = kind if kind in catalogue() else _CODES.get(kind, "field_wrong")
        place, *path = entry["loc"]
        facts = {
            "limit" if name in _LIMITS else name: value
            for name, value in dict(entry.get("ctx", {})).items()
        }
        facts["field"] = ".".join(str(step) for step in path) or str(place)
        found.append(
            {
                "place": str(place),
                "pointer": "".join(
                    "/" + str(step).replace("~", "~0").replace("/", "~1") for step in path
                ),
                "code": code,
                "message": explain(Malformed(code, **facts), language_of(request)),
            }
        )
    return found


def of_refusal(request: HttpRequest, error: Any) -> HttpResponse:
    """Handler of the whole error tree."""
    return problem(request, error)


def of_validation(request: HttpRequest, error: Any) -> HttpResponse:
    """Handler of a payload that does not fit its schema."""
    return problem(
        request, Malformed("payload_not_valid"), errors=field_problems(request, error.errors)
    )


def of_http_error(request: HttpRequest, error: Any) -> HttpResponse:
    """Handler of what the framework itself refuses."""
    return of_status(request, error.status_code)


def of_status(request: HttpRequest, status: int) -> HttpResponse:
    """A problem for a bare status: an unknown address, a wrong method, a failure of ours."""
    return problem(request, SuanwangError(_BY_STATUS.get(status, "request_refused")), status=status)


_BY_STATUS = {
    400: "body_unreadable",
    401: "sign_in_needed",
    403: "request_refused",
    404: "address_unknown",
    405: "method_not_offered",
    413: "body_too_large",
    415: "content_type_not_taken",
    429: "too_many_requests",
    500: "internal_error",
    503: "database_unavailable",
}
