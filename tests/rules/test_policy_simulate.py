"""What if: exact money over a population, the pool in the order of arrival, who gains and loses."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from suanwang import policy
from suanwang.cli import what_if
from suanwang.core.errors import Refused
from suanwang.policy.population import read_csv
from suanwang.policy.simulate import by_group, by_level, compare, simulate, synthetic
from suanwang.policy.vector import Table, tabulate_facts
from suanwang.policy.what_if import changes_of, csv_text
from suanwang.policy.what_if import what_if as found_for

BAODING = policy.load(Path(__file__).parents[2] / "policies" / "baoding-2024")
DAY = date(2026, 7, 20)
FEES = [30_000_001, 190_000_000, 0, 40_000_000]


def units(fees: list[int]) -> Table:
    rows = len(fees)
    same = {
        "applicant_kind": "enterprise", "division_code": "130606", "platform_is_local": True,
        "service_start": "2026-03-01", "service_end": "2026-06-30", "paid_on": "2026-07-10",
        "filed_on": "2026-07-20", "unit_year_used_fen": 0, "voucher_available_fen": 100_000_000,
    }  # fmt: skip
    columns = {name: [value] * rows for name, value in same.items()} | {"paid_fee_fen": fees}
    return tabulate_facts(BAODING, list(columns), columns)


def test_each_unit_gets_what_deciding_it_gives() -> None:
    outcome = simulate(BAODING, units(FEES), DAY)
    assert outcome.awards["5c"].tolist() == [15_000_000, 95_000_000, 0, 20_000_000]
    assert outcome.dry_after is None


def test_the_pool_runs_dry_in_the_order_of_arrival() -> None:
    outcome = simulate(BAODING, units([200_000_000] * 9 + [190_000_000] * 2), DAY)
    assert outcome.awards["5c"].tolist() == [100_000_000] * 9 + [95_000_000, 5_000_000]
    assert outcome.dry_after == 10
    assert int(outcome.total.sum()) == 1_000_000_000


def test_a_lower_ratio_takes_from_those_it_concerns_and_from_no_other() -> None:
    compared = compare(BAODING, {"voucher.use_ratio": "0.4"}, units(FEES), DAY)
    assert compared.after.awards["5c"].tolist() == [12_000_000, 76_000_000, 0, 16_000_000]
    assert (compared.gains, compared.loses) == (0, 3)


def test_shares_and_groups_add_up_to_all_the_money() -> None:
    population = synthetic(BAODING, 20_000, seed=5)
    outcome = simulate(BAODING, population, DAY)
    everything = int(outcome.total.sum())
    codes = population.columns["division_code"]
    assert sum(by_level(BAODING, outcome, codes, DAY).values()) == everything
    for fact in ("division_code", "applicant_kind"):
        groups = by_group(outcome, BAODING.facts[fact], population.columns[fact])
        assert sum(groups.values()) == everything


def test_the_same_seed_gives_the_same_units_in_their_declared_ranges() -> None:
    one, two = (synthetic(BAODING, 1_000, seed=9) for _ in range(2))
    for name, column in one.columns.items():
        assert np.array_equal(column, two.columns[name])
        if column.dtype != np.bool:
            least, most = BAODING.facts[name].limits
            assert least <= column.min() <= column.max() <= most, name


def test_fees_are_never_supported_by_two_ratios_at_once() -> None:
    outcome = simulate(BAODING, synthetic(BAODING, 20_000, seed=5), DAY)
    assert not ((outcome.awards["5b"] > 0) & (outcome.awards["5c"] > 0)).any()


def test_a_population_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "units.csv"
    file.write_text("is_selected,score\ntrue,92\nfalse,92\ntrue,86.5\n", encoding="utf-8")
    outcome = simulate(BAODING, what_if.population_of(BAODING, str(file)), DAY)
    assert outcome.awards["9a"].tolist() == [50_000_000, 0, 35_000_000]


@pytest.mark.parametrize("told", ["synthetic:", "synthetic:-3", "nowhere.csv"])
def test_an_unreadable_population_is_refused(told: str) -> None:
    with pytest.raises(Refused, match="policy_population_unreadable"):
        what_if.population_of(BAODING, told)


def test_changes_can_be_named_by_measure() -> None:
    assert changes_of(BAODING, ["5c.ratio=0.4"]) == {"voucher.use_ratio": "0.4"}
    with pytest.raises(Refused, match="policy_change_unreadable"):
        changes_of(BAODING, ["5c.ratio"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("voucher.use_ratio", "much"), ("voucher.unit_year_cap_fen", "1/3"),
     ("award.rounding", "sideways"), ("voucher.landing_in_cap", "yes")],
)  # fmt: skip
def test_a_wrong_assumption_never_yields_a_number(name: str, value: str) -> None:
    with pytest.raises(Refused, match="policy_value_wrong"):
        BAODING.assuming({name: value})


def test_a_file_with_more_than_is_read_is_refused_before_it_costs_anything(tmp_path: Path) -> None:
    for text in ("score\n" + "1" * 61, ",".join(["score"] * 201) + "\n1", "score\n1\n1\n1\n"):
        with pytest.raises(Refused, match="policy_population_too_large"):
            read_csv(BAODING, text.splitlines(), found="units.csv", rows_max=2)


def test_a_sum_that_would_pass_64_bits_is_refused_and_never_wraps() -> None:
    changes = {"voucher.use_ratio": "1000", "voucher.unit_year_cap_fen": 10**18}
    most = BAODING.facts["voucher_available_fen"].limits[1]
    rows = 2**63 // most + 2
    few = units([BAODING.facts["paid_fee_fen"].limits[1]])
    many = {name: np.repeat(column, rows) for name, column in few.columns.items()}
    rich = Table({**many, "voucher_available_fen": np.full(rows, most)})
    with pytest.raises(Refused, match="policy_numbers_too_large"):
        compare(BAODING, changes, rich, DAY)


def test_what_is_gained_and_lost_adds_up_by_everything_it_is_told_apart_by() -> None:
    assert found_for(BAODING, {"voucher.use_ratio": "0.4"}, units(FEES), DAY).lost_fen == 26_000_000
    population = synthetic(BAODING, 5_000, 5, DAY)
    found = found_for(BAODING, {"voucher.use_ratio": "0.4"}, population, DAY)
    change = found.gained_fen - found.lost_fen
    for group in ("measure", "level", "division_code", "applicant_kind"):
        assert sum(row.change_fen for row in found.rows_by(group)) == change, group
    for group in ("division_code", "applicant_kind"):
        rows = found.rows_by(group)
        assert sum(row.gains or 0 for row in rows) == found.comparison.gains
        assert sum(row.loses or 0 for row in rows) == found.comparison.loses
    assert csv_text(found).count("\n") == len(found.rows) + 1


def test_made_up_units_of_a_day_file_in_its_year_and_the_pool_has_a_course() -> None:
    population = synthetic(BAODING, 5_000, 5, DAY)
    days = [date.fromordinal(int(day)) for day in population.columns["filed_on"]]
    assert {day.year for day in days} == {2026}
    pool = simulate(BAODING, population, DAY).pools["voucher"]
    left = [fen for _, fen in pool.course]
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert pool.dry_on is not None
    after = [day for day, fen in pool.course if fen == 0]
    assert min(after) >= pool.dry_on
