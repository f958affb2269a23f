"""Every refusal is a problem with a stable code and words in the language of the request."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import OperationalError, connection

from suanwang.people.models import Organisation
from suanwang.people.roles import OrganisationKind, Role

from .people_setting import PASSWORD, Caller, active, credit_code, divisions, office, register

pytestmark = pytest.mark.django_db

GOOD: dict[str, Any] = {"name": "虚构", "kind": "enterprise", "uscc": None, "division": "990001"}


def test_a_problem_has_all_its_parts() -> None:
    answer = Caller().get("/organisations", **{"X-Request-Id": "my-request-1"})
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["X-Request-Id"] == "my-request-1"
    assert answer.json() == {
        "type": "urn:suanwang:problem:sign_in_needed",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Please sign in first.",
        "code": "sign_in_needed",
        "facts": {},
        "errors": [],
        "request_id": "my-request-1",
    }


@pytest.mark.parametrize(
    ("asked", "language"),
    [("zh-CN", "zh"), ("en-GB", "en"), ("fr", "zh"), ("", "zh"), ("en", "en")],
)
def test_words_are_in_the_language_asked_for(asked: str, language: str) -> None:
    answer = Caller(language=asked).get("/organisations")
    chinese = bool(re.search(r"[\u4e00-\u9fff]", answer.json()["detail"]))
    assert chinese == (language == "zh")
    assert answer["Content-Language"] == ("zh-CN" if language == "zh" else "en")


def test_without_a_wish_a_person_is_answered_in_their_own_language() -> None:
    member = active()
    member.person.language = "en"
    member.person.save()
    caller = Caller()
    caller.client.force_login(member.person)
    del caller.headers["Accept-Language"]
    answer = caller.get("/organisations/00000000-0000-4000-8000-000000000000")
    assert answer.json()["detail"].startswith("There is no such organisation")


def test_every_wrong_field_is_pointed_at_and_explained() -> None:
    answer = Caller().post(
        "/organisations",
        {"kind": "bakery", "division": "1234567", "x": 1, "first_person": {"username": "u"}},
    )
    assert answer.status_code == 422
    said = {one["pointer"]: one for one in answer.json()["errors"]}
    assert {pointer: one["code"] for pointer, one in said.items()} == {
        "/name": "field_missing",
        "/kind": "field_not_a_choice",
        "/division": "field_too_long",
        "/x": "field_unknown",
        "/first_person/password": "field_missing",
    }
    assert said["/division"]["message"] == '"division" is too long; at most 6.'
    assert all(one["place"] == "body" for one in said.values())


def test_a_wrong_query_is_pointed_at_too() -> None:
    answer = Caller().get("/api-keys?limit=1000")
    [error] = answer.json()["errors"]
    assert (error["place"], error["pointer"], error["code"]) == (
        "query",
        "/limit",
        "field_too_large",
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "body_unreadable"),
        (b"\xff\xfe", 400, "body_unreadable"),
        (b'{"name": "a\\u0000b"}', 400, "body_unreadable"),
        (b'{"name": "\\ud800"}', 400, "body_unreadable"),
        (b"[" * 100_000, 400, "body_unreadable"),
        (b'"text"', 422, "payload_not_valid"),
        (b"", 422, "payload_not_valid"),
        (b"x" * (1024 * 1024 + 1), 413, "body_too_large"),
    ],
)
def test_a_body_that_cannot_be_taken_is_refused(body: bytes, status: int, code: str) -> None:
    answer = Caller().send("POST", "/organisations", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_another_kind_of_body_is_refused() -> None:
    answer = Caller().client.post(
        "/api/v1/organisations", b"x", content_type="text/plain", headers={"Idempotency-Key": "k"}
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "content_type_not_taken")


@pytest.mark.parametrize(
    "path", ["/nothing", "/organisations/no-uuid", "/organisations/", "/me%00"]
)
def test_an_unknown_address_is_a_problem(path: str) -> None:
    answer = Caller().get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "address_unknown")


def test_a_method_not_offered_is_a_problem_that_names_those_offered() -> None:
    answer = Caller().send("DELETE", "/me")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_offered")
    assert "GET" in answer["Allow"]


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer sw_a_b", "sw_a_b", "Bearer 中"])
def test_a_wrong_authorization_is_a_problem_also_where_a_stranger_is_welcome(value: str) -> None:
    answer = Caller().get("/divisions", Authorization=value)
    assert answer.status_code == 401
    assert answer.json()["code"] in ("authorization_unreadable", "api_key_not_accepted")


def test_a_number_beyond_the_database_is_a_problem_not_a_failure() -> None:
    caller = Caller(office(OrganisationKind.OPERATOR, Role.OPERATOR))
    answer = caller.send("DELETE", f"/members/{2**70}")
    assert answer.status_code in (403, 404, 422)


class Broken:
    """A database that fails a statement some times."""

    def __init__(self, start: str, error: Exception, times: int) -> None:
        self.start, self.error, self.times, self.met = start, error, times, 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(self.start):
            self.met += 1
            if self.met <= self.times:
                raise self.error
        return execute(sql, params, many, context)


class Deadlock(Exception):
    sqlstate = "40P01"


def maker() -> dict[str, Any]:
    divisions()
    person = {"username": "first.person", "password": PASSWORD}
    return GOOD | {"kind": "maker", "first_person": person}


def test_a_failure_of_ours_is_a_problem_that_tells_nothing() -> None:
    caller = Caller()
    caller.client.force_login(register().person)
    caller.client.raise_request_exception = False
    with connection.execute_wrapper(
        Broken('SELECT "people_member"', RuntimeError("secret detail"), 99)
    ):
        answer = caller.get("/me")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.content.decode()


def test_a_write_broken_off_by_a_deadlock_is_tried_again() -> None:
    """The whole write begins anew; the caller sees one answer."""
    error = OperationalError("deadlock detected")
    error.__cause__ = Deadlock()
    said, broken = maker(), Broken('INSERT INTO "people_organisation"', error, 2)
    with connection.execute_wrapper(broken):
        answer = Caller().post("/organisations", said)
    assert answer.status_code == 201, answer.content
    assert (broken.met, Organisation.objects.count()) == (3, 1)


def test_a_database_that_stays_away_is_named_and_nothing_is_kept() -> None:
    said = maker()
    away = Broken('INSERT INTO "people_organisation"', OperationalError("gone"), 99)
    with connection.execute_wrapper(away):
        answer = Caller().post("/organisations", said, key="k")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert answer["Retry-After"]
    assert Caller().post("/organisations", said, key="k").status_code == 201


def test_a_wrong_check_character_is_a_warning_in_the_answer() -> None:
    divisions()
    said = GOOD | {
        "uscc": credit_code(valid=False),
        "first_person": {"username": "first.person", "password": PASSWORD},
    }
    answer = Caller().post("/organisations", said)
    assert answer.status_code == 201
    assert [one["code"] for one in answer.json()["warnings"]] == ["uscc_check_failed"]


def test_the_description_is_served_to_anybody() -> None:
    answer = Caller().get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["openapi"] == "3.1.0"


def test_what_is_pending_reads_but_does_not_act() -> None:
    member = register()
    caller = Caller()
    caller.client.force_login(member.person)
    answer = caller.post(
        f"/organisations/{member.organisation_id}/members",
        {"username": "new.one", "role": "member"},
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "organisation_not_active")
