"""Loops over machines: who has room now, and who will have it when.

``free`` int64[machines, 2]: milli-cores and MiB; ``free_cards`` int64[machines, width]: milli-cards
free of each card. ``slots`` int64[n, COLUMNS]: what runs on a machine; the slots of one
machine are a list from ``head[machine]`` on.
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
def first_with_room(
    members, closed, free_cores, free_memory, free_cards, cores, memory, cards, milli
):
    """The first of some machines with room, -1: none. Closed ones are passed over."""
    for machine in members:
        if not closed[machine] and room_for(
            machine, free_cores, free_memory, free_cards, cores, memory, cards, milli
        ):
            return machine
    return -1


@njit(cache=True)
def with_room(members, closed, free_cores, free_memory, free_cards, cores, memory, cards, milli):
    """Which of some machines have room: bool[members]."""
    found = np.zeros(members.size, np.bool_)
    for i in range(members.size):
        machine = members[i]
        found[i] = not closed[machine] and room_for(
            machine, free_cores, free_memory, free_cards, cores, memory, cards, milli
        )
    return found


@njit(cache=True)
def when_room(
    members,
    closed,
    free_cores,
    free_memory,
    free_cards,
    slots,
    slot_cards,
    head,
    column,
    now,
    cores,
    memory,
    cards,
    milli,
):
    """The instant each of some machines has room, if what runs there ends when the column says
    and nothing else starts: int64[members]; FOREVER where even that is not enough."""
    when = np.full(members.size, FOREVER, np.int64)
    width = free_cards.shape[1]
    ends = np.empty(64, np.int64)
    rows = np.empty(64, np.int64)
    left = np.empty(width, np.int64)
    for i in range(members.size):
        machine = members[i]
        if closed[machine]:
            continue
        if room_for(machine, free_cores, free_memory, free_cards, cores, memory, cards, milli):
            when[i] = now
            continue
        count = 0
        slot = head[machine]
        while slot >= 0:
            if count == ends.size:
                ends = np.concatenate((ends, np.empty(count, np.int64)))
                rows = np.concatenate((rows, np.empty(count, np.int64)))
            end, at = slots[slot, column], count
            while at > 0 and ends[at - 1] > end:
                ends[at], rows[at] = ends[at - 1], rows[at - 1]
                at -= 1
            ends[at], rows[at] = end, slot
            count += 1
            slot = slots[slot, NEXT]
        free_c, free_m = free_cores[machine], free_memory[machine]
        for card in range(width):
            left[card] = free_cards[machine, card]
        for j in range(count):
            row = rows[j]
            free_c += slots[row, CORES]
            free_m += slots[row, MEMORY]
            fitting = 0
            for card in range(width):
                if slot_cards[row, card]:
                    left[card] += slots[row, MILLI]
                if left[card] >= milli:
                    fitting += 1
            if free_c >= cores and free_m >= memory and (cards == 0 or fitting >= cards):
                when[i] = max(now, ends[j])
                break
    return when
