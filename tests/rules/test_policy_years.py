"""What a year of the policy is comes from the package, to the day."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang import policy
from suanwang.core.errors import Refused
from suanwang.policy.years import BASIS, year_of

BAODING = policy.load(Path(__file__).parents[2] / "policies" / "baoding-2024")
OWN_YEARS = BAODING.assuming({BASIS: "policy_year"})


@pytest.mark.parametrize(
    ("on", "number", "ends"),
    [
        ("2024-01-25", 2024, "2025-01-24"),
        ("2025-01-24", 2024, "2025-01-24"),
        ("2025-01-25", 2025, "2026-01-24"),
        ("2027-01-24", 2026, "2027-01-24"),
    ],
)
def test_a_policy_year_begins_on_the_day_of_coming_into_force(
    on: str, number: int, ends: str
) -> None:
    year = year_of(OWN_YEARS, date.fromisoformat(on))
    assert (year.number, year.last_day) == (number, date.fromisoformat(ends))


def test_the_calendar_year_is_the_answer_nobody_has_confirmed_yet() -> None:
    year = year_of(BAODING, date(2026, 12, 31))
    assert (year.number, year.first_day, year.last_day) == (
        2026, date(2026, 1, 1), date(2026, 12, 31),
    )  # fmt: skip
    assert BAODING.parameter(BASIS, date(2026, 12, 31)).status == "default"


@given(st.dates(date(2023, 1, 1), date(2030, 12, 31)), st.sampled_from([BAODING, OWN_YEARS]))
def test_every_day_lies_in_one_year_and_the_next_begins_the_day_after(
    on: date, package: policy.Package
) -> None:
    year = year_of(package, on)
    assert year.first_day <= on <= year.last_day
    after = year_of(package, year.last_day + timedelta(days=1))
    assert (after.number, after.first_day) == (year.number + 1, year.last_day + timedelta(days=1))


def test_months_that_roll_are_refused_by_name() -> None:
    with pytest.raises(Refused, match="policy_year_has_no_number"):
        year_of(BAODING.assuming({BASIS: "rolling"}), date(2026, 7, 20))
