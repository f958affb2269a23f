"""Best, highest, not twice; and only the questions that still matter are asked."""

from __future__ import annotations

from datetime import date
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang import policy
from suanwang.core.errors import Refused
from suanwang.policy.cases import read_cases
from suanwang.policy.finder import find, questions
from suanwang.policy.language import INTEGERS
from suanwang.policy.overlap import Offer, best_combination, payments
from suanwang.policy.reader import Mistakes

ROOT = Path(__file__).parents[2] / "policies"
BAODING = policy.load(ROOT / "baoding-2024")
DATA_AI = policy.load(ROOT / "baoding-2025")
DAY = date(2026, 7, 20)
USE: dict[str, object] = {
    "applicant_kind": "enterprise",
    "division_code": "130606",
    "platform_is_local": True,
    "service_start": "2026-03-01",
    "service_end": "2026-06-30",
    "paid_on": "2026-07-10",
    "filed_on": "2026-07-20",
    "unit_year_used_fen": 0,
    "voucher_available_fen": 100_000_000,
}
RENTAL: dict[str, object] = {
    "applicant_kind": "enterprise",
    "fee_item": "compute",
    "spend_year_fen": 300_000_000,
    "service_end": "2026-06-30",
    "unit_year_used_fen": 0,
    "pool_used_fen": 0,
}


def offers(available_fen: int = 100_000_000) -> list[Offer]:
    use = {**USE, "voucher_available_fen": available_fen}
    return [Offer(BAODING, "5c", use), Offer(DATA_AI, "data-ai", RENTAL)]


@given(st.lists(st.integers(0, 10**14), min_size=1, max_size=5))
def test_of_overlapping_awards_exactly_the_highest_is_paid(awards: list[int]) -> None:
    paid = payments(awards, INTEGERS)
    assert sum(paid) == max(awards)
    assert sum(part > 0 for part in paid) <= 1


def test_two_policies_share_the_fee_lines_so_that_the_total_is_highest() -> None:
    """Half back is better than three tenths, until the voucher is used up."""
    fees = {"march": 60_000_000, "april": 40_000_000, "may": 50_000_000}
    found = best_combination(offers(available_fen=50_000_000), fees, DAY)
    assert found.exact
    assert found.lines["may"] == "baoding-2025/data-ai"
    assert found.awards == {"baoding-2024/5c": 50_000_000, "baoding-2025/data-ai": 15_000_000}
    assert found.total_fen == 65_000_000


def test_no_line_is_supported_twice_and_a_line_without_use_costs_nothing() -> None:
    fees = {"only": 10_000_000}
    found = best_combination(offers(), fees, DAY)
    assert found.lines == {"only": "baoding-2024/5c"}
    assert found.awards == {"baoding-2024/5c": 5_000_000, "baoding-2025/data-ai": 0}
    assert best_combination(offers(), {}, DAY).total_fen == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 80_000_000), min_size=1, max_size=6), st.integers(0, 100_000_000))
def test_no_other_combination_gives_more(amounts: list[int], available_fen: int) -> None:
    fees = {str(number): fee for number, fee in enumerate(amounts)}
    found = best_combination(offers(available_fen), fees, DAY)
    use, rental = offers(available_fen)
    for dealing in product((0, 1), repeat=len(amounts)):
        here = sum(fee for fee, at in zip(amounts, dealing, strict=True) if at == 0)
        there = sum(amounts) - here
        assert use.award(here, DAY) + rental.award(there, DAY) <= found.total_fen


def test_many_lines_are_moved_one_by_one_and_said_to_be_so() -> None:
    fees = {str(number): 7_000_000 for number in range(40)}
    found = best_combination(offers(available_fen=50_000_000), fees, DAY)
    assert not found.exact
    assert found.total_fen >= 50_000_000 + 30_000_000 - 2_100_000


def test_a_measure_that_is_out_asks_nothing_more() -> None:
    findings = {one.measure.name: one for one in find(BAODING, {"applicant_kind": "bureau"}, DAY)}
    assert findings["5c"].state == "out"
    assert findings["5c"].asks == ()
    assert [condition.name for condition in findings["5c"].failed] == ["applicant_is_listed"]
    assert findings["2"].state == "open"


def test_the_first_question_is_the_one_that_matters_most() -> None:
    asked = questions(find(BAODING, {}, DAY))
    assert asked[0] == "applicant_kind" or asked[0] in {"is_selected", "terms_are_minuted"}
    for name in asked:
        assert name in BAODING.facts


def test_amounts_are_asked_for_only_once_the_conditions_hold() -> None:
    known = {name: value for name, value in USE.items() if not name.endswith("_fen")}
    five_c = next(one for one in find(BAODING, known, DAY) if one.measure.name == "5c")
    assert set(five_c.asks) == {"paid_fee_fen", "unit_year_used_fen", "voucher_available_fen"}
    unsure = {name: value for name, value in known.items() if name != "platform_is_local"}
    five_c = next(one for one in find(BAODING, unsure, DAY) if one.measure.name == "5c")
    assert five_c.asks == ("platform_is_local",)


def test_with_all_facts_the_finder_says_what_deciding_says() -> None:
    for case in read_cases(BAODING, Mistakes({})):
        if case.assumed:
            continue
        found = next(
            one for one in find(BAODING, case.facts, case.on) if one.measure.name == case.measure
        )
        decision = BAODING.decide(case.measure, case.facts, case.on)
        assert (found.state == "applies") == decision.eligible, case.name
        if found.decision is not None:
            assert found.decision.amount_fen == decision.amount_fen


def test_a_wrong_fact_is_refused_by_the_finder_too() -> None:
    with pytest.raises(Refused, match="policy_fact_wrong"):
        find(BAODING, {"applicant_kind": "dragon"}, DAY)
