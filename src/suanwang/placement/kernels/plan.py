"""Walking an ordered queue through a calendar."""

from __future__ import annotations

import numpy as np
from numba import njit

from suanwang.placement.kernels import steps
from suanwang.placement.terms_of_time import NEVER

STRICT, EASY, PAIR, CONSERVATIVE = range(4)


@njit(cache=True)
def with_spare(times, free, count, rows):
    """A copy of a staircase with room for so many more rows."""
    more_times = np.empty(count + rows, np.int64)
    more_free = np.empty((count + rows, free.shape[1]), np.int64)
    more_times[:count] = times[:count]
    more_free[:count] = free[:count]
    return more_times, more_free


@njit(cache=True)
def plan(times, free, count, amounts, seconds, now, backfill, estimate):
    """The start of each job of the ordered queue; NEVER if unknown or impossible.

    The staircase needs two spare rows per job and is used up. Without ``estimate`` only what
    starts now is told for sure, which lets the walk stop when nothing is free.
    """
    n = seconds.size
    starts = np.full(n, NEVER, np.int64)
    promised = np.zeros(n, np.bool_)
    not_before = now
    reserved = 0
    most = n
    if backfill in (EASY, PAIR):
        most = 1 if backfill == EASY else 2
    for j in range(n):
        if reserved >= most:
            if steps.fits(times, free, count, amounts[j], now, seconds[j]):
                start = now
            else:
                continue
        else:
            start = steps.earliest(times, free, count, amounts[j], seconds[j], not_before)
            if start == NEVER:
                continue
        count = steps.add(times, free, count, amounts[j], -1, start, seconds[j])
        starts[j] = start
        promised[j] = True
        if start > now:
            reserved += 1
            if backfill == STRICT:
                not_before = start
                if not estimate:
                    break
        elif not estimate and free[steps.step_at(times, count, now)].max() <= 0:
            break
    if estimate and backfill in (EASY, PAIR):
        for j in range(n):
            if not promised[j]:
                start = steps.earliest(times, free, count, amounts[j], seconds[j], now)
                if start != NEVER:
                    count = steps.add(times, free, count, amounts[j], -1, start, seconds[j])
                    starts[j] = start
    return starts
