"""The policy over HTTP and in the calculator: anyone may ask, in both languages."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from suanwang import policy
from suanwang.people.roles import OrganisationKind, Role
from suanwang.policy.simulate import synthetic
from suanwang.policy.what_if import SEED, what_if
from suanwang.site.settings import settings

from .people_setting import Caller, active, office, viewer

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


@pytest.fixture
def official() -> Caller:
    return Caller(office(OrganisationKind.BUREAU, Role.REVIEWER))


def test_anybody_may_ask_whether_a_package_is_without_mistakes() -> None:
    answer = Caller().get("/policy/baoding-2024/check").json()
    assert answer == {
        "package": "baoding-2024", "hash": BAODING.content_hash, "clean": True, "mistakes": [],
    }  # fmt: skip


def test_a_mistake_is_told_with_file_line_and_words_in_the_language_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(settings().policies / "wuhu-2024", tmp_path / "wuhu-2024")
    text = (tmp_path / "wuhu-2024" / "cases.yaml").read_text(encoding="utf-8")
    with (tmp_path / "wuhu-2024" / "cases.yaml").open("w", encoding="utf-8") as file:
        file.write(re.sub(r"^(\s*)facts:", r"\1fax:", text, count=1, flags=re.MULTILINE))
    monkeypatch.setenv("SUANWANG_POLICIES_DIR", str(tmp_path))
    settings.cache_clear()
    try:
        said = {
            tongue: Client()
            .get("/api/v1/policy/wuhu-2024/check", headers={"Accept-Language": tongue})
            .json()
            for tongue in ("zh", "en")
        }
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert not said["en"]["clean"]
    mistakes = {one["code"]: one for one in said["en"]["mistakes"]}
    assert mistakes["policy_entry_unknown"]["place"].startswith("wuhu-2024/cases.yaml:")
    assert "means nothing here" in mistakes["policy_entry_unknown"]["message"]
    assert any("没有含义" in one["message"] for one in said["zh"]["mistakes"])


def test_the_promises_are_proved_over_http(official: Caller) -> None:
    answer = official.get("/policy/wuhu-2024/proofs").json()
    assert answer["complete"]
    assert {one["verdict"] for one in answer["proofs"]} == {"holds"}


def test_every_slip_is_reached_part_by_part_and_caught(official: Caller) -> None:
    first, seen, caught = 0, [], 0
    while first is not None:
        answer = official.get(f"/policy/wuhu-2024/slips?first={first}").json()
        assert len(answer["slips"]) <= 60
        seen += [(one["place"], one["before"], one["after"]) for one in answer["slips"]]
        caught += sum(bool(one["caught_by"]) for one in answer["slips"])
        first = answer["next"]
    assert len(seen) == answer["total"] > 0
    assert caught > 0


def test_a_what_if_is_what_the_engine_finds(official: Caller) -> None:
    body = {"synthetic": 500, "changes": {"voucher.use_ratio": "0.4"}, "on": "2026-07-20"}
    answer = official.post("/policy/baoding-2024/simulation", body).json()
    day = date(2026, 7, 20)
    found = what_if(BAODING, {"voucher.use_ratio": "0.4"}, synthetic(BAODING, 500, SEED, day), day)
    assert (answer["gains"], answer["loses"]) == (found.comparison.gains, found.comparison.loses)
    assert [row["after_fen"] for row in answer["rows"]] == [row.after_fen for row in found.rows]
    assert answer["before"]["pools"]["voucher"]["money_fen"] == 1_000_000_000


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "payload_not_valid"),
        ({"synthetic": 5, "csv": "score\n1"}, 422, "payload_not_valid"),
        ({"synthetic": 100_001}, 422, "payload_not_valid"),
        ({"synthetic": 5, "changes": {str(n): 1 for n in range(41)}}, 422, "payload_not_valid"),
        ({"synthetic": 5, "changes": {"voucher.use_ratio": "much"}}, 409, "policy_value_wrong"),
        ({"synthetic": 5, "changes": {"voucher.use_ratio": 0.4}}, 409, "policy_value_wrong"),
        ({"synthetic": 5, "changes": {"no.such": 1}}, 404, "policy_parameter_unknown"),
        ({"csv": "colour\nred"}, 409, "policy_population_unreadable"),
        ({"csv": "score\n" + "9" * 61}, 409, "policy_population_too_large"),
        ({"csv": "score\n" + "9\n" * 20_001}, 409, "policy_population_too_large"),
        ({"csv": "score\nmuch"}, 409, "policy_fact_wrong"),
        ({"synthetic": 5, "on": "1999-01-01"}, 409, "policy_not_in_force"),
    ],
)
def test_a_wrong_what_if_gives_a_named_problem_and_no_number(
    official: Caller, body: dict[str, Any], status: int, code: str
) -> None:
    answer = official.post("/policy/baoding-2024/simulation", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content


def test_what_costs_a_processor_is_for_the_operator_and_the_bureaus_alone() -> None:
    company = Caller(viewer(active()))
    for caller, status in ((Caller(), 401), (company, 403)):
        for address in ("proofs", "slips"):
            assert caller.get(f"/policy/wuhu-2024/{address}").status_code == status
        answer = caller.post("/policy/wuhu-2024/simulation", {"synthetic": 5})
        assert answer.status_code == status


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
