"""The calculator asks what still matters, all of it and nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang import policy
from suanwang.policy import Package
from suanwang.policy.finder import Finding, find, questions
from suanwang.policy.parts import Fact

ROOT = Path(__file__).parents[2] / "policies"
DAY = date(2026, 7, 20)
PACKAGES = {folder.name: policy.load(folder) for folder in policy.packages(ROOT)}
BAODING = PACKAGES["baoding-2024"]
NEAR = (0, 1, 1_000, 30_000_000, 50_000_000, 100_000_000, 1_000_000_000)
USE: dict[str, object] = {
    "applicant_kind": "enterprise",
    "division_code": "130606",
    "platform_is_local": True,
    "service_start": "2026-03-01",
    "service_end": "2026-06-30",
    "paid_on": "2026-07-10",
    "filed_on": "2026-07-20",
}


def answer(package: Package, fact: Fact, dice: Random) -> Any:
    """Any answer the fact allows, those near what rules speak of most often."""
    least, most = fact.limits
    match fact.type.kind:
        case "bool":
            return dice.random() < 0.7
        case "choice":
            return dice.choice(fact.type.choices)
        case "division":
            return dice.choice([*package.divisions, "110000", "000000"])
        case "date":
            if dice.random() < 0.8:
                return DAY + timedelta(days=dice.randint(-90, 60))
            return date.fromordinal(dice.randint(least, most))
    near = [value for value in NEAR if least <= value <= most]
    return Fraction(
        dice.choice([*near, dice.randint(least, most)]), 10 ** (fact.type.decimals or 0)
    )


def somebody(name: str, seed: int) -> tuple[Package, dict[str, Any], Random]:
    """All facts of somebody, and the dice they were thrown with."""
    dice, package = Random(seed), PACKAGES[name]
    return (
        package,
        {fact: answer(package, about, dice) for fact, about in package.facts.items()},
        dice,
    )


def some(everything: dict[str, Any], dice: Random) -> dict[str, Any]:
    """What is known of it so far."""
    return dict(dice.sample(sorted(everything.items()), dice.randint(0, len(everything))))


def inside(package: Package) -> date:
    """The day of these tests, or the last on which the policy was in force."""
    return min(DAY, package.valid_to)


def standing(found: list[Finding]) -> dict[str, tuple[str, int | None]]:
    return {one.measure.name: (one.state, one.amount_fen) for one in found}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(PACKAGES)), st.integers(0, 2**32))
def test_answering_what_is_not_asked_never_changes_the_result(name: str, seed: int) -> None:
    package, everything, dice = somebody(name, seed)
    on = inside(package)
    known = some(everything, dice)
    before = find(package, known, on)
    asked = set(questions(before))
    beside = {name: value for name, value in everything.items() if name not in asked}
    assert standing(find(package, known | beside, on)) == standing(before)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(PACKAGES)), st.integers(0, 2**32))
def test_answering_only_what_is_asked_ends_where_knowing_everything_ends(
    name: str, seed: int
) -> None:
    package, everything, _ = somebody(name, seed)
    on = inside(package)
    known: dict[str, Any] = {}
    while asked := questions(find(package, known, on)):
        assert asked[0] not in known
        known[asked[0]] = everything[asked[0]]
    found = find(package, known, on)
    assert standing(found) == standing(find(package, everything, on))
    for one in found:
        own = {name: everything[name] for name in one.measure.facts}
        decision = package.decide(one.measure.name, own, on)
        assert (one.state == "applies") == decision.eligible
        assert (one.amount_fen or 0) == decision.amount_fen


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(PACKAGES)), st.integers(0, 2**32))
def test_every_question_can_move_some_measure_on(name: str, seed: int) -> None:
    """Tried of truths and choices, whose answers can be gone through."""
    package, everything, dice = somebody(name, seed)
    on = inside(package)
    known = some(everything, dice)
    before = find(package, known, on)
    for question in questions(before):
        fact = package.facts[question]
        options = {"bool": (True, False), "choice": fact.type.choices}.get(fact.type.kind, ())
        moved = [find(package, {**known, question: option}, on) for option in options]
        seen = {tuple((one.state, one.amount_fen, one.asks) for one in found) for found in moved}
        now = tuple((one.state, one.amount_fen, one.asks) for one in before)
        assert not options or seen != {now}, question


def use(**known: object) -> Finding:
    found = find(BAODING, USE | known, DAY)
    return next(one for one in found if one.measure.name == "5c")


@pytest.mark.parametrize(
    ("known", "asks", "amount"),
    [
        # Used up in the year: nothing, whatever the fees and the voucher are.
        ({"unit_year_used_fen": 99_999_999}, ("paid_fee_fen", "voucher_available_fen"), None),
        ({"unit_year_used_fen": 100_000_000}, (), 0),
        ({"unit_year_used_fen": 100_000_001}, (), 0),
        ({"voucher_available_fen": 0}, (), 0),
        ({"paid_fee_fen": 1}, (), 0),
        ({"paid_fee_fen": 2}, ("unit_year_used_fen", "voucher_available_fen"), None),
        # Half the fees are below what the voucher still holds: only the year can cut it.
        ({"paid_fee_fen": 200, "voucher_available_fen": 100}, ("unit_year_used_fen",), None),
    ],
)  # fmt: skip
def test_a_cap_that_settles_the_amount_ends_the_questions(
    known: dict[str, object], asks: tuple[str, ...], amount: int | None
) -> None:
    found = use(**known)
    assert (found.asks, found.amount_fen) == (asks, amount)


def test_what_would_turn_a_no_into_a_yes_is_told_with_its_distance() -> None:
    known = {"compute_share": "0.70", "rack_count": 900, "measured_pue": "1.25"}
    found = next(one for one in find(BAODING, known, DAY) if one.measure.name == "2")
    told = {gap.has: (gap.sign, gap.needs, gap.by) for one in found.failed for gap in one.gaps}
    assert told["rack_count"] == (">=", 1000, 100)
    assert told["compute_share"] == (">", "0.7", 0)
    assert told["measured_pue"] == ("<", "1.25", 0)


def test_of_a_condition_of_two_parts_only_the_known_one_is_told() -> None:
    known = find(BAODING, {"service_start": "2023-03-01"}, DAY)
    found = next(one for one in known if one.measure.name == "5c")
    assert [one.name for one in found.failed] == ["used_inside_the_validity"]
    assert [gap.has for one in found.failed for gap in one.gaps] == ["validity.first_day"]
