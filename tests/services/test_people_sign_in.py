"""Signing in: guessing is slowed, nothing is told to who guesses, sessions end when they should."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from suanwang.core.clock import SimulatedClock
from suanwang.core.errors import SuanwangError
from suanwang.people import services
from suanwang.people.models import Member, SignInFailure
from suanwang.people.roles import Role
from suanwang.site import clock

from .people_setting import AT, PASSWORD, Caller, active, register

pytestmark = pytest.mark.django_db


def try_sign_in(username: str, password: str, *, at: Any = AT, address: str = "192.0.2.1") -> str:
    try:
        services.check_sign_in(username, password, address=address, at=at)
    except SuanwangError as error:
        return error.code
    return "in"


def test_a_fresh_owner_signs_in_at_once_and_sees_their_organisation() -> None:
    member = register()
    caller = Caller()
    answer = caller.post(
        "/sign-in", {"username": member.person.username.upper(), "password": PASSWORD}, key=None
    )
    assert answer.status_code == 200, answer.content
    assert answer.json()["organisation_active"] is False
    seen = caller.get("/organisations").json()["items"]
    assert [item["id"] for item in seen] == [str(member.organisation_id)]


def test_a_wrong_password_and_an_unknown_name_are_told_alike() -> None:
    member = register()
    answers = [
        Caller().post("/sign-in", {"username": name, "password": "wrong password"}, key=None)
        for name in (member.person.username, "nobody-here")
    ]
    said = [{k: v for k, v in answer.json().items() if k != "request_id"} for answer in answers]
    assert said[0] == said[1]
    assert answers[0].status_code == 401
    assert answers[0]["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("known", [True, False])
def test_five_failures_lock_a_name_for_a_quarter_of_an_hour(known: bool) -> None:
    name = register().person.username if known else "nobody-here"
    assert [try_sign_in(name, "wrong") for _ in range(6)] == ["sign_in_failed"] * 5 + [
        "sign_in_locked"
    ]
    assert try_sign_in(name, PASSWORD) == "sign_in_locked"
    later = AT + timedelta(minutes=15, seconds=1)
    assert try_sign_in(name, PASSWORD, at=later) == ("in" if known else "sign_in_failed")


def test_success_forgets_the_failures_before_it() -> None:
    name = register().person.username
    for _ in range(3):
        assert [try_sign_in(name, "wrong") for _ in range(4)] == ["sign_in_failed"] * 4
        assert try_sign_in(name, PASSWORD) == "in"


def test_an_address_that_tries_many_names_is_locked() -> None:
    name = register().person.username
    for number in range(30):
        try_sign_in(f"guess{number}", "wrong")
    assert try_sign_in(name, PASSWORD) == "sign_in_locked"
    assert try_sign_in(name, PASSWORD, address="192.0.2.2") == "in"


@pytest.mark.django_db(transaction=True)
def test_parallel_guesses_are_counted_one_by_one() -> None:
    name = register().person.username
    outcomes: list[str] = []

    def guess() -> None:
        try:
            outcomes.append(try_sign_in(name, "wrong"))
        finally:
            connection.close()

    threads = [threading.Thread(target=guess) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(outcomes) == ["sign_in_failed"] * 5 + ["sign_in_locked"] * 3


def test_old_failures_are_forgotten() -> None:
    try_sign_in("nobody", "wrong")
    assert services.forget_old_failures(at=AT + timedelta(minutes=31)) == 1
    assert not SignInFailure.objects.exists()


def test_a_name_typed_with_a_nul_is_just_wrong() -> None:
    answer = Caller().post("/sign-in", {"username": "a\x00b", "password": "x"}, key=None)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_unreadable")


def test_signing_out_ends_the_session() -> None:
    member = register()
    caller = Caller()
    caller.post("/sign-in", {"username": member.person.username, "password": PASSWORD}, key=None)
    assert caller.post("/sign-out", key=None).status_code == 204
    assert caller.get("/organisations").json()["code"] == "sign_in_needed"


def test_who_acts_for_two_organisations_switches_between_them() -> None:
    one, two = active(), active()
    place = services.enlist(
        two.organisation, Role.BILLING, username=one.person.username, password="", at=AT
    )
    caller = Caller()
    caller.post("/sign-in", {"username": one.person.username, "password": PASSWORD}, key=None)
    assert caller.get("/me").json()["role"] == "owner"
    switched = caller.post("/me/acting", {"member_id": place.pk}).json()
    assert (switched["organisation_id"], switched["role"]) == (str(two.organisation_id), "billing")
    seen = caller.get("/organisations").json()["items"]
    assert [item["id"] for item in seen] == [str(two.organisation_id)]
    foreign = Member.objects.get(person=two.person)
    refused = caller.post("/me/acting", {"member_id": foreign.pk})
    assert (refused.status_code, refused.json()["code"]) == (404, "member_not_found")


def test_a_new_password_ends_every_other_session_and_keeps_this_one() -> None:
    member = active()
    here, there = Caller(), Caller()
    for caller in (here, there):
        caller.post(
            "/sign-in", {"username": member.person.username, "password": PASSWORD}, key=None
        )
    new = "another horse battery"
    wrong = here.post("/me/password", {"current": "not it", "new": new})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "password_wrong")
    assert here.post("/me/password", {"current": PASSWORD, "new": new}).status_code == 204
    assert here.get("/organisations").status_code == 200
    assert there.get("/organisations").json()["code"] == "sign_in_needed"
    assert try_sign_in(member.person.username, PASSWORD, at=clock.now()) == "sign_in_failed"
    assert try_sign_in(member.person.username, new, at=clock.now()) == "in"


def test_a_session_signs_no_page_of_another_site() -> None:
    member = active()
    caller = Caller()
    caller.client.force_login(member.person)
    answer = caller.post("/me/language", {"language": "en"}, Origin="https://evil.example")
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
    same = caller.post("/me/language", {"language": "en"}, Origin="http://testserver")
    assert same.status_code == 200


def test_locks_run_on_the_city_clock() -> None:
    name = register().person.username
    city = SimulatedClock(AT)
    said = {"username": name, "password": "wrong password"}
    with clock.using(city):
        codes = [Caller().post("/sign-in", said, key=None).json()["code"] for _ in range(6)]
        assert codes[-1] == "sign_in_locked"
        city.advance(timedelta(minutes=16))
        said["password"] = PASSWORD
        assert Caller().post("/sign-in", said, key=None).status_code == 200
