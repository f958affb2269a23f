"""Forms: refused in the reader's language beside the field, and nothing typed is lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from suanwang.jobs.models import Job
from suanwang.people.models import Organisation, Person

from .console_city import DIVISION, PASSWORD, QUICK, found_city

pytestmark = pytest.mark.django_db

RIGHT = {
    "name": "示例新材料公司",
    "name_en": "Sample Materials",
    "kind": "enterprise",
    "uscc": "91130606MA0CNB003H",
    "division": DIVISION,
    "username": "newcomer",
    "display_name": "新人",
    "password": "a-long-enough-passphrase",
}


@pytest.fixture(autouse=True)
def city(settings: Any) -> None:
    settings.PASSWORD_HASHERS = QUICK
    found_city()


def client_of(language: str, role: str | None = None) -> Client:
    client = Client()
    client.cookies["django_language"] = language
    if role is not None:
        client.post("/sign-in", {"username": role, "password": PASSWORD})
    return client


@pytest.mark.parametrize(
    ("field", "value", "zh", "en"),
    [
        ("uscc", "9113", "18 位", "18 characters"),
        ("password", "short", "密码", "password"),
        ("username", "owner", "用户名", "name"),
    ],
)
def test_a_refused_registration_names_the_field_and_keeps_what_was_typed(
    field: str, value: str, zh: str, en: str
) -> None:
    for language, words in (("zh-hans", zh), ("en", en)):
        page = client_of(language).post("/register", RIGHT | {field: value}).content.decode()
        assert Organisation.objects.filter(name=RIGHT["name"]).count() == 0
        assert f'href="#id_{field}"' in page
        beside = page.split(f'id="id_{field}"')[1].split("</div>")[0]
        assert 'class="error"' in beside and words in beside
        for name in ("name", "name_en", "display_name"):
            assert RIGHT[name] in page


def test_a_missing_field_is_named() -> None:
    page = client_of("en").post("/register", RIGHT | {"name": ""}).content.decode()
    assert 'href="#id_name"' in page
    assert not Person.objects.filter(username="newcomer").exists()


def test_signing_in_wrongly_says_so_and_opens_nothing() -> None:
    for language, words in (("zh-hans", "用户名或密码不正确"), ("en", "not right")):
        client = client_of(language)
        page = client.post("/sign-in", {"username": "owner", "password": "wrong"})
        assert words in page.content.decode()
        assert client.get("/overview").status_code == 302


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"script": ""}, "script"),
        ({"walltime": "soon"}, "walltime"),
        ({"cores": "0"}, "cores"),
        ({"memory_mib": "1"}, "memory_mib"),
        ({"environment": "not a name=1"}, "environment"),
        ({"files_out": "../secret"}, "files_out"),
        ({"script": "#SBATCH --time=soon\ntrue"}, "script"),
        ({"centre": "no-such-centre"}, "centre"),
        ({"image": "-v=/:/host"}, "image"),
        ({"image": "a; reboot"}, "image"),
        ({"image": "a" * 301}, "image"),
        ({"latency_ms": "5"}, "near"),
        ({"price_max": "cheap"}, "price_max"),
        ({"tiers": ["moon"]}, "tiers"),
        ({"card_percent": "101"}, "card_percent"),
    ],
)
def test_an_impossible_job_is_refused_beside_its_field(changes: dict[str, Any], field: str) -> None:
    asked = {"name": "kept-name", "script": "echo kept-script", "goal": "balanced"} | changes
    for language in ("zh-hans", "en"):
        page = client_of(language, "member").post("/jobs/new", asked)
        text = page.content.decode()
        assert page.status_code == 422
        assert f'href="#id_{field}"' in text, text[text.find("notice error") :][:600]
        assert "kept-name" in text
    assert Job.objects.count() == 0


def test_a_job_no_node_can_run_is_refused_with_what_would_fit() -> None:
    asked = {"name": "big", "script": "true", "cores": "4000", "goal": "balanced"}
    page = client_of("en", "member").post("/jobs/new", asked)
    assert page.status_code == 409
    assert "What would fit" in page.content.decode()


def post_reason(client: Client, organisation: Organisation, reason: str) -> Any:
    return client.post(f"/organisations/{organisation.pk}/override", {"reason": reason})


def test_a_wrong_code_warns_and_is_let_pass_only_with_a_reason() -> None:
    newcomer = client_of("en")
    spoilt = RIGHT["uscc"][:-1] + "0"
    answer = newcomer.post("/register", RIGHT | {"uscc": spoilt}, follow=True)
    assert "check character" in answer.content.decode()
    organisation = Organisation.objects.get(name=RIGHT["name"])
    operator, reviewer = client_of("en", "operator"), client_of("en", "reviewer")
    operator.post(f"/organisations/{organisation.pk}/approve")
    organisation.refresh_from_db()
    assert organisation.status == "pending"
    assert 'href="#id_reason"' in post_reason(reviewer, organisation, "").content.decode()
    post_reason(reviewer, organisation, "the licence was seen")
    operator.post(f"/organisations/{organisation.pk}/approve")
    organisation.refresh_from_db()
    assert organisation.status == "active"


def test_a_key_is_shown_once_and_never_again() -> None:
    client = client_of("en", "owner")
    page = client.post("/api-keys", {"title": "ci", "days": "30"}).content.decode()
    token = page.split('class="secret">')[1].split("<")[0]
    assert token.startswith("sw_")
    again = client.get("/api-keys").content.decode()
    assert token not in again and token[:15] in again


def test_a_password_is_changed_by_who_knows_it_and_other_sessions_end() -> None:
    here, elsewhere = client_of("en", "owner"), client_of("en", "owner")
    new = "an entirely different phrase"
    refused = here.post("/password", {"current": "wrong", "new": new}).content.decode()
    assert 'href="#id_current"' in refused and new not in refused
    answer = here.post("/password", {"current": PASSWORD, "new": new})
    assert answer.headers["Location"] == "/overview"
    assert here.get("/overview").status_code == 200
    assert elsewhere.get("/overview").status_code == 302


def test_an_unreadable_amount_is_refused_beside_it() -> None:
    company = Organisation.objects.get(kind="enterprise")
    page = client_of("zh-hans", "operator").post(
        f"/organisations/{company.pk}/credit", {"limit": "一万"}
    )
    assert page.status_code == 409
    assert "一万" in page.content.decode() and 'href="#id_limit"' in page.content.decode()
