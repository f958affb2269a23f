"""Use over the first or last day is split by metered time, and not a fen is lost (A2, A3)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang import policy
from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import Refused
from suanwang.policy.validity import Deadlines, deadlines, split_use

BAODING = policy.load(Path(__file__).parents[2] / "policies" / "baoding-2024")
DAY = date(2026, 7, 20)
MIDNIGHT = datetime(2027, 1, 25, tzinfo=CITY_ZONE)
OPENS = datetime(2024, 1, 25, tzinfo=CITY_ZONE)


def test_a_job_over_the_last_midnight_counts_up_to_it() -> None:
    hour = timedelta(hours=1)
    split = split_use(BAODING, 30_001, starts=MIDNIGHT - 2 * hour, ends=MIDNIGHT + hour, on=DAY)
    assert (split.before_fen, split.inside_fen, split.after_fen) == (0, 20_000, 10_001)
    assert (split.first_day, split.last_day) == (date(2027, 1, 24), date(2027, 1, 24))
    assert (split.reading.decision, split.reading.status) == ("A3", "default")


def test_a_contract_from_before_the_first_day_counts_from_it() -> None:
    starts, ends = OPENS - timedelta(days=3), OPENS + timedelta(days=1)
    split = split_use(BAODING, 1_000, starts=starts, ends=ends, on=DAY)
    assert (split.before_fen, split.inside_fen, split.after_fen) == (750, 250, 0)
    assert split.first_day == date(2024, 1, 25)


@pytest.mark.parametrize(
    ("starts", "inside_fen"),
    [
        (OPENS - timedelta(microseconds=1), 0),
        (OPENS, 700),
        (MIDNIGHT - timedelta(microseconds=1), 700),
        (MIDNIGHT, 0),
    ],
)
def test_what_is_used_in_an_instant_counts_by_that_instant(
    starts: datetime, inside_fen: int
) -> None:
    split = split_use(BAODING, 700, starts=starts, ends=starts, on=DAY)
    assert split.inside_fen == inside_fen
    assert (split.first_day is not None) == (inside_fen > 0)


def test_read_as_a_whole_a_fee_over_an_edge_does_not_count() -> None:
    whole = BAODING.assuming({"validity.straddling_use": "whole_contract"})
    over = split_use(
        whole, 900, starts=MIDNIGHT - timedelta(1), ends=MIDNIGHT + timedelta(1), on=DAY
    )
    assert (over.inside_fen, over.after_fen, over.first_day) == (0, 900, None)
    early = split_use(whole, 900, starts=OPENS - timedelta(1), ends=OPENS + timedelta(1), on=DAY)
    assert (early.before_fen, early.inside_fen) == (900, 0)
    within = split_use(whole, 900, starts=MIDNIGHT - timedelta(1), ends=MIDNIGHT, on=DAY)
    assert within.inside_fen == 900


@given(st.integers(0, 10**14), st.integers(-9, 10**9), st.integers(0, 10**9))
def test_the_parts_add_up_and_the_inside_is_the_exact_share(
    fee_fen: int, begins: int, lasts: int
) -> None:
    starts = OPENS + timedelta(seconds=begins - 10**7)
    ends = starts + timedelta(seconds=lasts)
    split = split_use(BAODING, fee_fen, starts=starts, ends=ends, on=DAY)
    parts = (split.before_fen, split.inside_fen, split.after_fen)
    assert sum(parts) == fee_fen
    assert min(parts) >= 0
    if lasts:
        inside = max(timedelta(0), min(ends, MIDNIGHT) - max(starts, OPENS))
        exact = fee_fen * Fraction(inside // timedelta(seconds=1), lasts)
        assert 0 <= exact - split.inside_fen < 1


def test_the_tail_has_three_last_days() -> None:
    assert deadlines(BAODING, DAY) == Deadlines(
        service=date(2027, 1, 24), payment=date(2027, 2, 23), filing=date(2027, 4, 24)
    )


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(Refused, match="policy_use_reversed"):
        split_use(BAODING, 1, starts=MIDNIGHT, ends=OPENS, on=DAY)
    with pytest.raises(Refused, match="policy_amount_negative"):
        split_use(BAODING, -1, starts=OPENS, ends=MIDNIGHT, on=DAY)
