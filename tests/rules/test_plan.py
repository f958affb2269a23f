"""Plans of an ordered queue: nothing overfilled, nobody put off who was promised."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang.placement.calendar import NEVER, Calendar
from suanwang.placement.plan import BACKFILLS, plan

WHOLE = (8, 8)
jobs = st.lists(
    st.tuples(st.integers(1, 8), st.integers(0, 8), st.integers(1, 30)), min_size=1, max_size=14
)
running = st.lists(st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 40)), max_size=4)


def busy(held) -> Calendar:
    calendar = Calendar(WHOLE)
    for one, two, seconds in held:
        calendar.hold((one, two), 0, seconds)
    return calendar


def planned(held, asked, backfill):
    return plan(busy(held), [j[:2] for j in asked], [j[2] for j in asked], 0, backfill).tolist()


@pytest.mark.parametrize("backfill", BACKFILLS)
@given(held=running, asked=jobs)
@settings(max_examples=80, deadline=None)
def test_nothing_is_ever_overfilled_and_everyone_has_a_start(backfill, held, asked):
    calendar = busy(held)
    for (one, two, seconds), start in zip(asked, planned(held, asked, backfill), strict=True):
        assert start >= 0
        calendar.hold((one, two), start, seconds)
    assert (calendar.steps()[1] >= 0).all()


@given(held=running, asked=jobs)
@settings(max_examples=150, deadline=None)
def test_easy_never_puts_off_the_first_that_waits(held, asked):
    starts = planned(held, asked, "easy")
    head = next((k for k, start in enumerate(starts) if start > 0), None)
    if head is None:
        return
    alone = planned(held, asked[: head + 1], "easy")
    assert starts[head] == alone[head]
    calendar = busy(held)
    for k, (one, two, seconds) in enumerate(asked):
        if k != head and starts[k] == 0:
            calendar.hold((one, two), 0, seconds)
    assert calendar.earliest(asked[head][:2], asked[head][2], 0) <= starts[head]


@given(held=running, asked=jobs)
@settings(max_examples=150, deadline=None)
def test_pair_puts_off_neither_of_the_first_two_that_wait(held, asked):
    starts = planned(held, asked, "pair")
    heads = [k for k, start in enumerate(starts) if start > 0][:2]
    for head in heads:
        assert starts[head] == planned(held, asked[: head + 1], "conservative")[head]
    calendar = busy(held)
    for k, (one, two, seconds) in enumerate(asked):
        if k in heads or starts[k] == 0:
            calendar.hold((one, two), starts[k], seconds)
    assert (calendar.steps()[1] >= 0).all()


@given(held=running, asked=jobs, cut=st.integers(1, 14))
@settings(max_examples=150, deadline=None)
def test_conservative_puts_off_nobody_for_who_is_behind(held, asked, cut):
    assert planned(held, asked[:cut], "conservative") == planned(held, asked, "conservative")[:cut]


@given(held=running, asked=jobs)
@settings(max_examples=100, deadline=None)
def test_strict_starts_nobody_before_one_ahead(held, asked):
    starts = planned(held, asked, "strict")
    assert starts == sorted(starts)


def test_what_never_fits_holds_up_nobody():
    starts = plan(Calendar([4]), [[5], [4]], [10, 10], 0)
    assert starts.tolist() == [NEVER, 0]


def test_the_calendar_is_left_as_it_was():
    calendar = busy([(2, 2, 10)])
    before = [part.tolist() for part in calendar.steps()]
    plan(calendar, np.array([[8, 8]]), [5], 0)
    assert [part.tolist() for part in calendar.steps()] == before
