"""What is free over time, as a staircase in two arrays; the loops under ``calendar.Calendar``.

``times`` int64[n] rises strictly; ``free`` int64[n, r] is what is free from ``times[i]`` until
``times[i + 1]``, the last row for ever. Only the first ``count`` rows are in use.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from suanwang.placement.terms_of_time import FOREVER, NEVER


@njit(cache=True)
def end_of(start, seconds):
    """The instant an interval is over, at most FOREVER."""
    return FOREVER if seconds >= FOREVER - start else start + seconds


@njit(cache=True)
def step_at(times, count, when):
    """The row in force at ``when``; the first one for what lies before it."""
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        if times[middle] <= when:
            low = middle
        else:
            high = middle
    return low


@njit(cache=True)
def holds(free, row, amount):
    """Whether ``amount`` fits into a row."""
    for r in range(amount.size):  # noqa: SIM110 - a compiled loop
        if free[row, r] < amount[r]:
            return False
    return True


@njit(cache=True)
def fits(times, free, count, amount, start, seconds):
    """Whether ``amount`` is free all the time from ``start`` for ``seconds``."""
    end = end_of(start, seconds)
    row = step_at(times, count, start)
    while True:
        if not holds(free, row, amount):
            return False
        row += 1
        if row >= count or times[row] >= end:
            return True


@njit(cache=True)
def earliest(times, free, count, amount, seconds, not_before):
    """The first instant from ``not_before`` on with ``amount`` free for ``seconds``; or NEVER."""
    row = step_at(times, count, not_before)
    start = max(not_before, times[0])
    while row < count:
        if not holds(free, row, amount):
            row += 1
            if row < count:
                start = times[row]
            continue
        end = end_of(start, seconds)
        row += 1
        while row < count and times[row] < end and holds(free, row, amount):
            row += 1
        if row >= count or times[row] >= end:
            return start
    return NEVER


@njit(cache=True)
def split(times, free, count, when):
    """Make a step begin at ``when``. Returns its row and the new count; needs a spare row."""
    row = step_at(times, count, when)
    if times[row] >= when:
        return row, count
    for i in range(count, row + 1, -1):
        times[i] = times[i - 1]
        free[i] = free[i - 1]
    times[row + 1] = when
    free[row + 1] = free[row]
    return row + 1, count + 1


@njit(cache=True)
def join(times, free, count, row):
    """Drop the row if it says what the one before it says. Returns the new count."""
    if row <= 0 or row >= count:
        return count
    for r in range(free.shape[1]):
        if free[row, r] != free[row - 1, r]:
            return count
    for i in range(row, count - 1):
        times[i] = times[i + 1]
        free[i] = free[i + 1]
    return count - 1


@njit(cache=True)
def add(times, free, count, amount, sign, start, seconds):
    """Add ``sign * amount`` from ``start`` for ``seconds``. Returns the new count.

    Needs two spare rows. What lies before the first step is cut off.
    """
    end = end_of(start, seconds)
    if end <= max(start, times[0]):
        return count
    first, count = split(times, free, count, start)
    last = count
    if end < FOREVER:
        last, count = split(times, free, count, end)
    for row in range(first, last):
        for r in range(amount.size):
            free[row, r] += sign * amount[r]
    if end < FOREVER:
        count = join(times, free, count, last)
    return join(times, free, count, first)


@njit(cache=True)
def forget(times, free, count, now):
    """Let the staircase begin at ``now``. Returns the new count."""
    row = step_at(times, count, now)
    for i in range(row, count):
        times[i - row] = times[i]
        free[i - row] = free[i]
    times[0] = max(times[0], now)
    return count - row


@njit(cache=True)
def grown(times, free, count):
    """The same staircase in arrays twice as long."""
    more_times = np.empty(2 * times.size, np.int64)
    more_free = np.empty((2 * times.size, free.shape[1]), np.int64)
    more_times[:count] = times[:count]
    more_free[:count] = free[:count]
    return more_times, more_free
