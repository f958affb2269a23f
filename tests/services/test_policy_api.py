"""The policy over HTTP and in the calculator: anyone may ask, in both languages."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from suanwang import policy
from suanwang.site.settings import settings

from .people_setting import Caller

pytestmark = pytest.mark.django_db

BAODING = policy.load(settings().policies / "baoding-2024")
PAID: dict[str, Any] = {
    "applicant_kind": "enterprise",
    "division_code": "130606",
    "paid_fee_fen": 30_000_001,
    "platform_is_local": True,
    "service_start": "2026-03-01",
    "service_end": "2026-06-30",
    "paid_on": "2026-07-10",
    "filed_on": "2026-07-20",
    "unit_year_used_fen": 0,
    "voucher_available_fen": 50_000_000,
}


def decide(facts: dict[str, Any]) -> Any:
    body = {"measure": "5c", "on": "2026-07-20", "facts": facts}
    return Caller().post("/policy/baoding-2024/decision", body)


def test_a_stranger_can_decide_a_case_and_gets_what_the_engine_gives() -> None:
    answer = decide(PAID)
    assert answer.status_code == 200, answer.content
    from datetime import date

    assert answer.json() == BAODING.decide("5c", PAID, date(2026, 7, 20)).as_json()


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({}, "policy_facts_missing"),
        ({**PAID, "paid_fee_fen": 1.5}, "policy_fact_wrong"),
        ({**PAID, "applicant_kind": ["x"]}, "policy_fact_wrong"),
        ({**PAID, "colour": "red"}, "policy_fact_unknown"),
        ({**PAID, "paid_fee_fen": 10**30}, "policy_fact_out_of_range"),
    ],
)
def test_a_wrong_fact_gives_a_named_problem_and_no_number(facts: dict[str, Any], code: str) -> None:
    answer = decide(facts)
    assert answer.status_code == 409, answer.content
    assert answer.json()["code"] == code
    assert "amount_fen" not in answer.json()


def test_what_still_matters_is_asked() -> None:
    body = {"on": "2026-07-20", "facts": {"applicant_kind": "bureau"}}
    answer = Caller().post("/policy/baoding-2024/finding", body).json()
    states = {one["measure"]: one["state"] for one in answer["measures"]}
    assert states["5c"] == "out"
    assert "platform_is_local" not in answer["questions"]


def test_a_no_says_what_would_turn_it_into_a_yes_and_a_settled_amount_needs_no_more() -> None:
    known = {name: value for name, value in PAID.items() if name != "paid_fee_fen"}
    facts = {**known, "voucher_available_fen": 0, "rack_count": 999}
    answer = Caller().post("/policy/baoding-2024/finding", {"on": "2026-07-20", "facts": facts})
    found = {one["measure"]: one for one in answer.json()["measures"]}
    assert (found["5c"]["state"], found["5c"]["amount_fen"]) == ("applies", 0)
    assert found["5c"]["decision"] is None
    [unmet] = found["2"]["unmet"]
    assert unmet["article"]["en"] == "Measure 2"
    [gap] = unmet["gaps"]
    assert (gap["has_value"], gap["sign"], gap["needs"], gap["by"]) == (999, ">=", 1000, 1)


def test_every_measure_of_baoding_that_is_asked_for_names_its_papers() -> None:
    for measure in BAODING.measures.values():
        assert measure.evidence or not measure.is_award, measure.name


def test_the_package_can_be_read_as_data_and_in_words() -> None:
    client = Client()
    names = {one["name"] for one in client.get("/api/v1/policy").json()}
    assert {"baoding-2024", "baoding-2025"} <= names
    published = client.get("/api/v1/policy/baoding-2024")
    assert published.json()["hash"] == BAODING.content_hash
    assert policy.load_published(published.content.decode()).content_hash == BAODING.content_hash
    said = client.get("/api/v1/policy/baoding-2024/measures/5c", headers={"Accept-Language": "en"})
    assert "Half of the fees back" in said.json()["sentence"]
    schema = client.get("/api/v1/policy/baoding-2024/measures/5c/facts").json()
    assert schema["examples"][0]["applicant_kind"] == "enterprise"


@pytest.mark.parametrize("name", ["nowhere", "..", "%2e%2e", ".git"])
def test_an_unknown_package_is_not_found(name: str) -> None:
    assert Client().get(f"/api/v1/policy/{name}").status_code == 404


@pytest.mark.parametrize(
    ("language", "applies", "amount"),
    [("zh-hans", "使用本地算力，费用返还一半", "¥150,000.00"),
     ("en", "Half of the fees back for using local compute", "¥150,000.00")],
)  # fmt: skip
def test_the_calculator_gives_the_measure_the_amount_the_article_and_the_papers(
    language: str, applies: str, amount: str
) -> None:
    client = Client()
    client.cookies["django_language"] = language
    said = {
        **{name: str(value) for name, value in PAID.items() if not name.endswith("_fen")},
        "platform_is_local": "yes",
        "paid_fee_fen": "300000.00",
        "unit_year_used_fen": "0",
        "voucher_available_fen": "500000",
    }
    page = client.get("/calculator", said).content.decode()
    assert applies in page
    assert amount in page
    assert {"zh-hans": "发票", "en": "Invoice"}[language] in page


def test_the_calculator_says_what_is_wrong_beside_the_question() -> None:
    page = Client().get("/calculator", {"paid_fee_fen": "many"}).content.decode()
    assert 'id="e-paid_fee_fen"' in page


def test_the_calculator_stops_asking_about_what_is_out() -> None:
    page = Client().get("/calculator", {"applicant_kind": "bureau"}).content.decode()
    assert "q-voucher_available_fen" not in page
