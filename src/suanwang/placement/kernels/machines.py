"""Loops over machines: who has room now, and who will have it when.

``free_cores``, ``free_memory`` int64[machines]; ``free_cards`` int64[machines, width]: milli-cards
free of each card. ``owed`` int64[machines, 2 + width]: by how much each of these is less than
nothing, where others use what ours hold; no rows where that is nowhere. ``slots`` int64[n,
COLUMNS]: what runs on a machine; the slots of one machine are a list from ``head[machine]`` on.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from suanwang.placement.terms_of_time import FOREVER

MACHINE, ENDS, EXPECTED, CORES, MEMORY, MILLI, NEXT, GROUP, TOTAL = range(9)
"""The columns of a slot (``slots``); MACHINE is -1 where nothing runs, MILLI is of
each of its cards, TOTAL of all of them."""
COLUMNS = 9


@njit(cache=True)
def room_for(machine, free_cores, free_memory, free_cards, cores, memory, cards, milli):
    """Whether so much is free on a machine."""
    if free_cores[machine] < cores or free_memory[machine] < memory:
        return False
    if cards == 0:
        return True
    left = cards
    for card in range(free_cards.shape[1]):
        if free_cards[machine, card] >= milli:
            left -= 1
            if left == 0:
                return True
    return False


@njit(cache=True)
def with_room(members, free_cores, free_memory, free_cards, cores, memory, cards, milli):
    """Which of some machines have room: bool[members]."""
    found = np.zeros(members.size, np.bool_)
    for i in range(members.size):
        found[i] = room_for(
            members[i], free_cores, free_memory, free_cards, cores, memory, cards, milli
        )
    return found


KEPT_NEXT, KEPT_START, KEPT_END, KEPT_CORES, KEPT_MEMORY, KEPT_MILLI = range(6)
"""The columns of a start that is kept for a waiting job on one machine (``kept``)."""
KEPT_COLUMNS = 6
ENDED, BEGUN, LEFT = range(3)
"""What happens at an instant: a running job ends, a kept one begins, or leaves again."""


@njit(cache=True)
def happenings(machine, slots, head, column, kept, kept_head, now):
    """What is known to happen on a machine, in order: instants, kinds and rows.

    What should have ended already is taken to end in a second.
    """
    count = 0
    slot = head[machine]
    while slot >= 0:
        count += 1
        slot = slots[slot, NEXT]
    row = kept_head[machine]
    while row >= 0:
        count += 2
        row = kept[row, KEPT_NEXT]
    times = np.empty(count, np.int64)
    what = np.empty((count, 2), np.int64)
    n = 0
    slot = head[machine]
    while slot >= 0:
        times[n], what[n, 0], what[n, 1] = max(slots[slot, column], now + 1), ENDED, slot
        n += 1
        slot = slots[slot, NEXT]
    row = kept_head[machine]
    while row >= 0:
        times[n], what[n, 0], what[n, 1] = kept[row, KEPT_START], BEGUN, row
        times[n + 1], what[n + 1, 0], what[n + 1, 1] = kept[row, KEPT_END], LEFT, row
        n += 2
        row = kept[row, KEPT_NEXT]
    order = np.argsort(times)
    return times[order], what[order]


@njit(cache=True)
def happen(kind, row, left, slots, slot_cards, kept, kept_cards):
    """Let it happen to what is left: cores, memory, and each card."""
    if kind == ENDED:
        left[0] += slots[row, CORES]
        left[1] += slots[row, MEMORY]
        for card in range(slot_cards.shape[1]):
            if slot_cards[row, card]:
                left[2 + card] += slots[row, MILLI]
        return
    sign = 1 if kind == LEFT else -1
    left[0] += sign * kept[row, KEPT_CORES]
    left[1] += sign * kept[row, KEPT_MEMORY]
    for card in range(kept_cards.shape[1]):
        if kept_cards[row, card]:
            left[2 + card] += sign * kept[row, KEPT_MILLI]


@njit(cache=True)
def left_of(machine, free_cores, free_memory, free_cards, owed):
    """What is free of a machine now, in one array: cores, memory, each card; below zero where
    somebody must end before anybody may start."""
    width = free_cards.shape[1]
    left = np.empty(2 + width, np.int64)
    left[0], left[1] = free_cores[machine], free_memory[machine]
    for card in range(width):
        left[2 + card] = free_cards[machine, card]
    if owed.shape[0]:
        for part in range(2 + width):
            left[part] -= owed[machine, part]
    return left


@njit(cache=True)
def earliest(
    members,
    free_cores,
    free_memory,
    free_cards,
    owed,
    slots,
    slot_cards,
    head,
    kept,
    kept_cards,
    kept_head,
    column,
    now,
    seconds,
    cores,
    memory,
    cards,
    milli,
):
    """The instant from which each of some machines has room for so long: int64[members].

    If what runs there ends when the column says, what is kept is taken, and nothing else starts;
    the same cards all the time. FOREVER where that never is.
    """
    when = np.full(members.size, FOREVER, np.int64)
    width = free_cards.shape[1]
    same = np.zeros(width, np.bool_)
    for i in range(members.size):
        machine = members[i]
        if kept_head[machine] < 0 and room_for(
            machine, free_cores, free_memory, free_cards, cores, memory, cards, milli
        ):
            when[i] = now
            continue
        left = left_of(machine, free_cores, free_memory, free_cards, owed)
        times, what = happenings(machine, slots, head, column, kept, kept_head, now)
        at, n, start = now, 0, FOREVER
        while True:
            enough = left[0] >= cores and left[1] >= memory
            fitting = 0
            if enough and start != FOREVER:
                for card in range(width):
                    same[card] = same[card] and left[2 + card] >= milli
                    fitting += same[card]
            if start == FOREVER or not enough or fitting < cards:
                start, fitting = at, 0
                for card in range(width):
                    same[card] = left[2 + card] >= milli
                    fitting += same[card]
                if not enough or fitting < cards:
                    start = FOREVER
            if n == times.size or (start != FOREVER and times[n] - start >= seconds):
                break
            at = times[n]
            while n < times.size and times[n] == at:
                happen(what[n, 0], what[n, 1], left, slots, slot_cards, kept, kept_cards)
                n += 1
        when[i] = start
    return when


@njit(cache=True)
def least_free(
    machine,
    free_cores,
    free_memory,
    free_cards,
    owed,
    slots,
    slot_cards,
    head,
    kept,
    kept_cards,
    kept_head,
    column,
    now,
    start,
    seconds,
):
    """The least of each card that is free on a machine at any time of an interval."""
    left = left_of(machine, free_cores, free_memory, free_cards, owed)
    times, what = happenings(machine, slots, head, column, kept, kept_head, now)
    n = 0
    while n < times.size and times[n] <= start:
        happen(what[n, 0], what[n, 1], left, slots, slot_cards, kept, kept_cards)
        n += 1
    least = left[2:].copy()
    while n < times.size and times[n] - start < seconds:
        at = times[n]
        while n < times.size and times[n] == at:
            happen(what[n, 0], what[n, 1], left, slots, slot_cards, kept, kept_cards)
            n += 1
        for card in range(least.size):
            least[card] = min(least[card], left[2 + card])
    return least
