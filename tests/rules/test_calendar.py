"""The calendar of a group of machines, against one that looks at every second."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang.placement.calendar import FOREVER, NEVER, Calendar

SPAN = 60
amounts = st.tuples(st.integers(0, 6), st.integers(0, 6))
holds = st.lists(st.tuples(amounts, st.integers(0, 40), st.integers(0, 19)), max_size=12)


class EverySecond:
    """Free amounts second by second; the slow calendar that cannot be wrong."""

    def __init__(self, capacity: tuple[int, int]) -> None:
        self.free = np.tile(np.array(capacity), (SPAN, 1))

    def hold(self, amount: tuple[int, int], start: int, seconds: int) -> None:
        self.free[start : start + seconds] -= amount

    def fits(self, amount: tuple[int, int], start: int, seconds: int) -> bool:
        return bool((self.free[start : max(start + seconds, start + 1)] >= amount).all())

    def earliest(self, amount: tuple[int, int], seconds: int, not_before: int) -> int:
        for start in range(not_before, SPAN):
            if self.fits(amount, start, seconds):
                return start
        return NEVER


@given(holds, amounts, st.integers(0, 30), st.integers(0, 40))
@settings(max_examples=300, deadline=None)
def test_it_answers_as_one_that_looks_at_every_second(held, amount, seconds, not_before):
    quick, slow = Calendar((8, 8)), EverySecond((8, 8))
    for what, start, length in held:
        quick.hold(what, start, length)
        slow.hold(what, start, length)
    for second in range(SPAN):
        assert quick.free_at(second).tolist() == slow.free[second].tolist()
    assert quick.fits(amount, not_before, seconds) == slow.fits(amount, not_before, seconds)
    assert quick.earliest(amount, seconds, not_before) == slow.earliest(amount, seconds, not_before)


@given(holds)
@settings(max_examples=100, deadline=None)
def test_what_is_given_back_leaves_no_trace(held):
    calendar = Calendar((8, 8))
    for what, start, length in held:
        calendar.hold(what, start, length)
    for what, start, length in reversed(held):
        calendar.give_back(what, start, length)
    times, free = calendar.steps()
    assert times.tolist() == [0]
    assert free.tolist() == [[8, 8]]


def test_a_hold_for_ever_never_ends():
    calendar = Calendar([4], begins_at=100)
    calendar.hold([3], 150, FOREVER)
    assert calendar.earliest([2], 50, 0) == 100
    assert calendar.earliest([2], 51, 0) == NEVER
    assert calendar.earliest([1], FOREVER, 0) == 100


def test_more_than_there_is_never_starts():
    assert Calendar([4]).earliest([5], 1, 0) == NEVER


def test_a_clone_goes_its_own_way():
    calendar = Calendar([4])
    twin = calendar.clone()
    twin.hold([4], 0, 10)
    assert calendar.fits([4], 0, 10)
    assert not twin.fits([1], 0, 1)


def test_the_past_is_forgotten_and_the_future_kept():
    calendar = Calendar([4])
    for start in range(100):
        calendar.hold([1 + start % 3], 10 * start, 10)
    calendar.forget_before(505)
    assert calendar.begins_at == 505
    assert calendar.free_at(505).tolist() == [1]
    assert calendar.free_at(515).tolist() == [3]
    assert calendar.free_at(1000).tolist() == [4]
