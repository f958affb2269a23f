"""A write is done once, however often it is sent; a refusal changes nothing."""

from __future__ import annotations

import hashlib
import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from suanwang.api import idempotency
from suanwang.api.models import StoredAnswer
from suanwang.people.models import ApiKey, Organisation
from suanwang.site import clock

from .people_setting import AT, PASSWORD, Caller, active, credit_code, divisions, viewer

pytestmark = pytest.mark.django_db


def body(**over: Any) -> dict[str, Any]:
    person = {"username": f"u{uuid.uuid4().hex[:12]}", "password": PASSWORD}
    facts = {"name": "虚构有限公司", "kind": "enterprise", "division": "990001"}
    return facts | {"uscc": credit_code(), "first_person": person} | over


def test_a_write_without_a_key_is_refused_and_changes_nothing() -> None:
    divisions()
    answer = Caller().post("/organisations", body(), key=None)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    assert not Organisation.objects.exists()


def test_a_repeated_write_gets_the_stored_answer() -> None:
    divisions()
    said = body()
    first = Caller().post("/organisations", said, key="k-1")
    second = Caller().post("/organisations", said, key="k-1")
    assert first.status_code == second.status_code == 201, first.content
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    assert Organisation.objects.count() == 1


def test_the_same_key_with_another_body_is_refused() -> None:
    divisions()
    Caller().post("/organisations", body(), key="k-1")
    answer = Caller().post("/organisations", body(), key="k-1")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    assert Organisation.objects.count() == 1


def test_the_same_key_of_another_caller_is_another_key() -> None:
    divisions()
    one, two = active(), active()
    expires = (clock.now() + timedelta(days=3)).isoformat()
    # Keys make no keys, so these are sent in sessions.
    made = []
    for member in (one, two):
        caller = Caller()
        caller.client.force_login(member.person)
        made.append(
            caller.post("/api-keys", {"title": "t", "expires_at": expires}, key="same").json()
        )
    assert made[0]["token"] != made[1]["token"]


def test_a_refusal_is_not_stored_so_that_a_corrected_world_answers_anew() -> None:
    said = body()
    refused = Caller().post("/organisations", said, key="k-1")
    assert (refused.status_code, refused.json()["code"]) == (409, "division_unknown")
    divisions()
    assert Caller().post("/organisations", said, key="k-1").status_code == 201


def test_a_stored_answer_holds_no_secret_in_clear() -> None:
    member = active()
    caller = Caller()
    caller.client.force_login(member.person)
    expires = (clock.now() + timedelta(days=3)).isoformat()
    said = {"title": "t", "expires_at": expires}
    token = caller.post("/api-keys", said, key="k-1").json()["token"]
    stored = StoredAnswer.objects.get()
    assert token.encode() not in bytes(stored.content)
    assert caller.post("/api-keys", said, key="k-1").json()["token"] == token
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "中"])
def test_an_unusable_key_is_refused(key: str) -> None:
    caller = Caller()
    answer = caller.client.post(
        "/api/v1/organisations",
        b"{}",
        content_type="application/json",
        headers={"Idempotency-Key": key},
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == "idempotency_key_not_usable"


def test_keys_are_forgotten_after_48_hours() -> None:
    divisions()
    Caller().post("/organisations", body(), key="k-1")
    at = StoredAnswer.objects.get().at
    assert idempotency.forget_old_answers(at=at + timedelta(hours=48)) == 0
    assert idempotency.forget_old_answers(at=at + timedelta(hours=48, seconds=1)) == 1


@pytest.mark.django_db(transaction=True)
def test_of_concurrent_twins_one_is_done_and_all_get_its_answer() -> None:
    divisions()
    said, answers = body(), []
    start = threading.Barrier(6)

    def send() -> None:
        try:
            start.wait(timeout=10)
            answers.append(Caller().post("/organisations", said, key="twin"))
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [answer.status_code for answer in answers] == [201] * 6
    assert len({answer.content for answer in answers}) == 1
    assert Organisation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_twin_that_waited_too_long_is_told_so_and_may_ask_again(monkeypatch: Any) -> None:
    divisions()
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 1)
    said, answers = body(), []
    first = {"caller": "stranger", "key_hash": hashlib.sha256(b"twin").hexdigest()}

    def send() -> None:
        try:
            answers.append(Caller().post("/organisations", said, key="twin"))
        finally:
            connection.close()

    with transaction.atomic():  # the first twin is still at work, and then comes to nothing
        StoredAnswer.objects.create(**first, fingerprint="", at=AT)
        thread = threading.Thread(target=send)
        thread.start()
        thread.join(timeout=30)
        transaction.set_rollback(True)
    assert (answers[0].status_code, answers[0].json()["code"]) == (409, "request_in_progress")
    assert Caller().post("/organisations", said, key="twin").status_code == 201


def test_pages_of_a_list_have_every_row_once_and_a_forged_cursor_is_refused() -> None:
    from suanwang.people import services

    member = active()
    for number in range(7):
        services.create_api_key(
            f"key {number}", expires_at=AT + timedelta(days=9), actor=viewer(member), at=AT
        )
    caller = Caller()
    caller.client.force_login(member.person)
    seen: list[str] = []
    cursor = ""
    while True:
        answer = caller.get(f"/api-keys?limit=3{cursor}").json()
        seen += [item["id"] for item in answer["items"]]
        if answer["next_cursor"] is None:
            break
        cursor = f"&cursor={answer['next_cursor']}"
    assert len(seen) == len(set(seen)) == 7
    forged = caller.get("/api-keys?cursor=WyIyMDI2Il0:forged")
    assert (forged.status_code, forged.json()["code"]) == (422, "cursor_not_valid")
