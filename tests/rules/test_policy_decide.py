"""Deciding a case: exact money, every reason, and no number from a wrong fact."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from suanwang import policy
from suanwang.core.errors import NotFound, Refused

FOLDER = Path(__file__).parents[2] / "policies" / "baoding-2024"
DAY = date(2026, 7, 20)
PAID: dict[str, object] = {
    "applicant_kind": "enterprise",
    "division_code": "130606",
    "paid_fee_fen": 30_000_001,
    "platform_is_local": True,
    "service_start": date(2026, 3, 1),
    "service_end": date(2026, 6, 30),
    "paid_on": date(2026, 7, 10),
    "filed_on": DAY,
    "unit_year_used_fen": 0,
    "voucher_available_fen": 50_000_000,
}


@pytest.fixture(scope="module")
def package() -> policy.Package:
    return policy.load(FOLDER)


def test_half_of_the_fees_is_paid_back_and_the_odd_fen_is_dropped(package: policy.Package) -> None:
    decision = package.decide("5c", PAID, on=DAY)
    assert decision.eligible
    assert decision.amount_fen == 15_000_000
    (step,) = decision.steps
    assert step.inputs == {"paid_fee_fen": 30_000_001, "voucher.use_ratio": "0.5"}
    assert step.article == "5"
    assert set(step.label) == {"zh", "en"}


@pytest.mark.parametrize(
    ("used_fen", "available_fen", "amount_fen"),
    [
        (85_000_000, 50_000_000, 15_000_000),
        (85_000_001, 50_000_000, 14_999_999),
        (100_000_000, 50_000_000, 0),
        (100_000_001, 50_000_000, 0),
        (0, 14_999_999, 14_999_999),
        (0, 0, 0),
    ],
)
def test_the_yearly_cap_and_the_voucher_cut_to_the_fen(
    package: policy.Package, used_fen: int, available_fen: int, amount_fen: int
) -> None:
    facts = {**PAID, "unit_year_used_fen": used_fen, "voucher_available_fen": available_fen}
    decision = package.decide("5c", facts, on=DAY)
    assert decision.amount_fen == amount_fen
    assert decision.amount_fen == 15_000_000 - sum(cap.cut_fen for cap in decision.caps)


def test_a_no_says_what_is_missing_and_by_how_much(package: policy.Package) -> None:
    facts = {**PAID, "service_end": date(2027, 1, 25), "filed_on": date(2027, 2, 1)}
    decision = package.decide("5c", facts, on=date(2027, 2, 1))
    assert not decision.eligible
    assert decision.amount_fen == 0
    assert decision.amount_if_eligible_fen == 15_000_000
    (unmet,) = [condition for condition in decision.conditions if not condition.met]
    (gap,) = unmet.gaps
    assert (gap.has, gap.sign, gap.needs, gap.by, gap.unit) == (
        "service_end", "<=", "2027-01-24", 1, "day",
    )  # fmt: skip


def test_defaults_nobody_confirmed_are_named_in_the_decision(package: policy.Package) -> None:
    decision = package.decide("5c", PAID, on=DAY)
    names = {parameter.name for parameter in decision.unconfirmed}
    assert {"validity.last_day", "voucher.registered_in_city_only", "award.rounding"} <= names
    assert "voucher.use_ratio" not in names


def test_a_decision_is_plain_data_with_the_hash_of_its_package(package: policy.Package) -> None:
    plain = package.decide("5c", PAID, on=DAY).as_json()
    assert plain["package_hash"] == package.content_hash
    assert plain["facts"]["service_start"] == "2026-03-01"
    assert plain["articles"]["5"]["zh"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"paid_fee_fen": None}, "policy_facts_missing"),
        ({"paid_fee_fen": 1.5}, "policy_fact_wrong"),
        ({"paid_fee_fen": True}, "policy_fact_wrong"),
        ({"paid_fee_fen": "many"}, "policy_fact_wrong"),
        ({"paid_fee_fen": "1e999999999"}, "policy_fact_wrong"),
        ({"paid_fee_fen": "1/3"}, "policy_fact_wrong"),
        ({"paid_fee_fen": Decimal("1e999999999")}, "policy_fact_wrong"),
        ({"paid_fee_fen": Decimal("NaN")}, "policy_fact_wrong"),
        ({"paid_fee_fen": Decimal("1.5")}, "policy_fact_too_fine"),
        ({"paid_fee_fen": "٣"}, "policy_fact_wrong"),
        ({"paid_fee_fen": -1}, "policy_fact_out_of_range"),
        ({"paid_fee_fen": 10**14 + 1}, "policy_fact_out_of_range"),
        ({"paid_fee_fen": Fraction(1, 2)}, "policy_fact_too_fine"),
        ({"applicant_kind": "dragon"}, "policy_fact_wrong"),
        ({"division_code": "1306"}, "policy_fact_wrong"),
        ({"platform_is_local": 1}, "policy_fact_wrong"),
        ({"paid_on": "yesterday"}, "policy_fact_wrong"),
        ({"paid_on": date(1900, 1, 1)}, "policy_fact_out_of_range"),
        ({"shoe_size": 42}, "policy_fact_unknown"),
    ],
)
def test_a_wrong_fact_is_refused_by_name(
    package: policy.Package, change: dict[str, object], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        package.decide("5c", {**PAID, **change}, on=DAY)
    assert refused.value.code == code
    assert next(iter(change)) in str(refused.value.facts.values())


@pytest.mark.parametrize("day", [date(2024, 1, 24), date(2027, 4, 25)])
def test_outside_the_validity_and_its_tail_nothing_is_decided(
    package: policy.Package, day: date
) -> None:
    with pytest.raises(Refused, match="policy_not_in_force"):
        package.decide("5c", PAID, on=day)


def test_an_unknown_measure_or_parameter_is_not_found(package: policy.Package) -> None:
    with pytest.raises(NotFound, match="policy_measure_unknown"):
        package.decide("99", PAID, on=DAY)
    with pytest.raises(NotFound, match="policy_parameter_unknown"):
        package.parameter("voucher.colour", on=DAY)


def test_an_expired_figure_is_no_figure(package: policy.Package) -> None:
    with pytest.raises(Refused, match="policy_parameter_no_value"):
        package.parameter("voucher.use_ratio", on=date(2024, 1, 24))


def test_parameters_carry_their_source_and_status(package: policy.Package) -> None:
    cap = package.parameter("voucher.unit_year_cap_fen", on=DAY)
    assert (cap.value, cap.unit, cap.status) == (100_000_000, "fen", "confirmed")
    assert package.parameter("voucher.pool_year_fen", on=DAY).value == 1_000_000_000
    assert package.parameter("validity.last_day", on=DAY).status == "default"


def test_city_and_district_shares_add_up_and_the_city_bears_the_odd_fen(
    package: policy.Package,
) -> None:
    split = package.split("130606", 15_000_001, on=DAY)
    assert split.status == "confirmed"
    assert [(s.level, s.division, s.amount_fen) for s in split.shares] == [
        ("city", "130600", 7_500_001),
        ("county", "130606", 7_500_000),
    ]


@pytest.mark.parametrize("code", ["130623", "130671", "130672", "130681"])
def test_an_unconfirmed_split_has_no_shares(package: policy.Package, code: str) -> None:
    split = package.split(code, 100, on=DAY)
    assert (split.shares, split.status) == ((), "to_confirm")


def test_places_outside_the_policy_have_no_split(package: policy.Package) -> None:
    with pytest.raises(Refused, match="policy_division_not_in_scope"):
        package.split("130682", 100, on=DAY)
    with pytest.raises(NotFound, match="policy_division_unknown"):
        package.split("110108", 100, on=DAY)


def test_the_policy_reaches_the_city_and_twenty_two_units(package: policy.Package) -> None:
    units = [row for row in package.divisions.values() if row.in_scope and row.kind != "city"]
    assert len(units) == 22
    rules = {row.code: row.funding_on(DAY) for row in units}
    confirmed = {code for code, rule in rules.items() if rule and rule.status == "confirmed"}
    assert confirmed == {"130602", "130606", "130607", "130608", "130609"}
