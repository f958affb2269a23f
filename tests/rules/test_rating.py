"""Rating is exact: parts are fractions, a record is rounded once, nothing unpriced becomes zero."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from suanwang.metering.rules import (
    Billed,
    Rate,
    Rated,
    Unpriced,
    billed,
    doubt,
    rate,
)

T0 = datetime(2026, 3, 1, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)


def price(fen: int, per: int = 3600, starts: datetime | None = None, ends: datetime | None = None):
    return Rate(f"{fen}/{per}", fen, per, starts, ends)


def test_a_core_hour_at_fifteen_fen_costs_fifteen_fen():
    assert rate(Billed(3600, T0, T0 + HOUR), [price(15)]) == Rated(
        15, (rate(Billed(3600, T0, T0 + HOUR), [price(15)]).parts)
    )


def test_half_a_fen_rounds_up_and_less_rounds_down():
    one_second = T0 + timedelta(seconds=1)
    assert rate(Billed(1, T0, one_second), [price(1, 2)]).amount_fen == 1
    assert rate(Billed(1, T0, one_second), [price(499, 1000)]).amount_fen == 0


def test_a_period_over_a_price_change_is_split_at_the_change_and_rounded_once():
    change = T0 + HOUR / 3
    rates = [price(1, 2, ends=change), price(1, 4, starts=change)]
    result = rate(Billed(3, T0, T0 + HOUR), rates)
    assert isinstance(result, Rated)
    assert [part.quantity for part in result.parts] == [Fraction(1), Fraction(2)]
    assert [part.amount_fen for part in result.parts] == [Fraction(1, 2), Fraction(1, 2)]
    assert result.amount_fen == 1, "each half rounded up alone would have made two"


def test_a_gap_in_the_prices_leaves_the_whole_record_unpriced():
    rates = [price(5, ends=T0 + HOUR / 4), price(5, starts=T0 + HOUR / 2)]
    assert rate(Billed(3600, T0, T0 + HOUR), rates) == Unpriced(T0 + HOUR / 4)
    assert rate(Billed(3600, T0, T0 + HOUR), []) == Unpriced(T0)


def test_a_price_begins_at_its_start_and_no_longer_holds_at_its_end():
    rates = [price(1, 1, ends=T0), price(2, 1, starts=T0)]
    assert rate(Billed(1, T0, T0), rates).amount_fen == 2


def test_nothing_used_costs_nothing_even_without_a_price():
    assert rate(Billed(0, T0, T0 + HOUR), []) == Rated(0, ())


def test_seconds_past_the_walltime_are_not_billed():
    cut = billed(4 * 3700, 4, 3600, starts=T0, ends=T0 + timedelta(seconds=3700))
    assert cut == Billed(4 * 3600, T0, T0 + HOUR)
    kept = billed(4 * 3600, 4, 3600, starts=T0, ends=T0 + HOUR)
    assert kept == Billed(4 * 3600, T0, T0 + HOUR)


@given(
    quantity=st.integers(0, 10**12),
    fen=st.integers(0, 10**7),
    per=st.integers(1, 10**7),
    seconds=st.integers(1, 10**6),
    cuts=st.lists(st.integers(1, 10**6), max_size=4, unique=True),
)
def test_splitting_at_changes_that_keep_the_price_never_changes_the_amount(
    quantity: int, fen: int, per: int, seconds: int, cuts: list[int]
):
    edges = [None, *(T0 + timedelta(seconds=cut) for cut in sorted(cuts)), None]
    rates = [price(fen, per, a, b) for a, b in itertools.pairwise(edges)]
    usage = Billed(quantity, T0, T0 + timedelta(seconds=seconds))
    split, whole = rate(usage, rates), rate(usage, [price(fen, per)])
    assert isinstance(split, Rated)
    assert isinstance(whole, Rated)
    assert split.amount_fen == whole.amount_fen
    assert sum((part.quantity for part in split.parts), Fraction(0)) == quantity


def test_a_record_that_cannot_be_true_is_doubted_by_name():
    def of(quantity=3600, starts=T0, ends=T0 + HOUR, allocation=1, now=T0 + 2 * HOUR):
        return doubt(quantity, allocation, starts=starts, ends=ends, leased_at=T0, received_at=now)

    assert of() is None
    assert of(3601) == "usage_more_than_allocated"
    assert of(7200, allocation=2) is None
    assert of(-1) == "usage_more_than_allocated"
    assert of(starts=T0 + HOUR, ends=T0) == "usage_period_backwards"
    assert of(starts=T0 - HOUR) == "usage_before_lease"
    assert of(now=T0) == "usage_in_the_future"
    assert of(2, ends=T0 + timedelta(seconds=1, milliseconds=1)) is None, "a begun second counts"
