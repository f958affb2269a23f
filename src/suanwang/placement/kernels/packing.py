"""Loops under ``pool.Pool``: the value of a machine's free room, and the best machine for a kind.

Arrays that recur. ``free`` int64[m, 2 + width]: free milli-cores, MiB, and free thousandths of
each card, 0 beyond the machine's own. ``mark`` uint64[m]: the sum of ``MARKS`` over its cards, so
that equal rests in any order have equal marks. A *need* int64[4]: milli-cores, MiB, cards,
thousandths of each. An *outlook*: see ``packing.outlook``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, uint64

OUT = 2**31 - 1
"""The cost of a machine without room."""
CORES, MEMORY, CARDS, MILLI = range(4)
"""Columns of a need."""
V_WORTH, V_SLOTS, STEP_MILLI = 4.0, 3.0, 200.0
"""Weights of the parts of the value beside the first, and the step costs are told apart by."""


@njit(cache=True)
def mix(number):
    """A 64-bit number for a number, well spread (splitmix64)."""
    z = uint64(number) * uint64(0x9E3779B97F4A7C15) + uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


MARKS = np.array([0, *(int(mix(rest)) for rest in range(1, 1001))], np.uint64)
"""A card's part of its machine's mark; nothing for a card without rest."""


@njit(cache=True)
def slots_of(cards, many, milli):
    """How many jobs of ``many`` cards with so much of each the cards hold, one after another."""
    count = 0
    if many == 1:
        for rest in cards:
            count += rest // milli
        return count
    for rest in cards:
        if rest >= milli:
            count += 1
    return count // many


@njit(cache=True)
def lasting_value(cores, cards, kinds, share, first, last, worth, scale, scarcity):
    """The part of a machine's value that follows from what jobs ask: see ``packing``.

    ``kinds`` int64[n, 4] and ``share`` float64[n] from ``first`` to ``last``: what its group may
    run; ``worth`` float64[1001]; ``scale``: milli-cores a milli-card, size of a job in
    milli-cards. In thousandths of a card.
    """
    rests = 0.0
    for rest in cards:
        rests += worth[rest]
    rests *= 1000.0
    spread = math.sqrt(max(1.0, rests / 1000.0))
    stack = usable = expected = 0.0
    for j in range(first, last):
        need, many, milli = kinds[j, CORES], kinds[j, CARDS], kinds[j, MILLI]
        expected += share[j]
        if cores < need:
            continue
        fair = scale[0] * many * milli
        if rests > 0.0:
            wanted = (fair + (need - fair) / spread) * rests / (many * milli)
            usable += share[j] * (1.0 if wanted <= cores else cores / wanted)
        if many > 1:
            continue
        count = slots_of(cards, 1, milli)
        if need == 0:
            stack += share[j] * count
        elif count > 0:
            one = fair + (need - fair) / math.sqrt(count)
            stack += share[j] * min(float(count), max(1.0, cores / one))
    if expected > 0.0:
        rests *= usable / expected
    return scale[1] * stack + V_WORTH * scarcity * rests


@njit(cache=True)
def value(cores, mark, cards, group, outlook, slots, keys, values):
    """What the free room of a machine is worth, in thousandths of a card; cores count to the
    whole one.

    The lasting part is looked up where it was worked out before: ``keys`` uint64[2^b, 2], a view
    of the same memory as ``values`` float64[2^b, 2]; the last one stays. ``slots``: needs
    int64[n, 4], price float64[n, groups], fewest cards, least of each.
    """
    kinds, share, worth, scale, first, last, scarcity, salt = outlook
    needs, price, fewest, least = slots
    if mark == uint64(0):
        return 0.0
    cores = cores // 1000 * 1000
    key = mix(mark ^ (uint64(cores) * uint64(0xD6E8FEB86659FD93) + salt[group]))
    at = key & uint64(keys.shape[0] - 1)
    if keys[at, 0] != key:
        keys[at, 0] = key
        values[at, 1] = lasting_value(
            cores, cards, kinds, share, first[group], last[group], worth, scale, scarcity[group]
        )
    worthy = values[at, 1]
    enough = 0
    for rest in cards:
        if rest >= least:
            enough += 1
    if enough < fewest:
        return worthy
    kept = 0.0
    for j in range(needs.shape[0]):
        if price[j, group] == 0.0 or cores < needs[j, CORES]:
            continue
        count = slots_of(cards, needs[j, CARDS], needs[j, MILLI])
        if needs[j, CORES] > 0:
            count = min(count, cores // needs[j, CORES])
        kept = max(kept, count * price[j, group] * needs[j, CARDS] * needs[j, MILLI])
    return worthy + V_SLOTS * kept


@njit(cache=True)
def pick_cards(cards, many, milli, used):
    """Fill ``used`` with the fullest cards that have so much left, of equal ones the lower;
    False: not enough of them."""
    for nth in range(many):
        best = -1
        for card in range(cards.size):
            rest = cards[card]
            if rest < milli or (best >= 0 and rest >= cards[best]):
                continue
            taken = False
            for before in range(nth):
                taken = taken or used[before] == card
            if not taken:
                best = card
        if best < 0:
            return False
        used[nth] = best
    return True


@njit(cache=True)
def cost(need, room, mark, now, group, outlook, slots, keys, values, used):
    """What placing a job costs on a machine, in steps; OUT without room. Fills ``used``.

    The value of what is free before (``now``), less that after, less what the job itself uses. A
    share of one card goes where it costs least, several cards to the fullest that fit. ``room``
    int64[2 + width] is its row of ``free``, changed only while this runs.
    """
    if room[CORES] < need[CORES] or room[MEMORY] < need[MEMORY]:
        return OUT
    many, milli = need[CARDS], need[MILLI]
    left = room[CORES] - need[CORES]
    cards = room[2:]
    best = OUT
    if many == 1:
        before = -1
        for card in range(cards.size):
            rest = cards[card]
            if rest < milli or rest == before:
                continue
            before = rest
            after_mark = mark - MARKS[rest] + MARKS[rest - milli]
            cards[card] = rest - milli
            after = value(left, after_mark, cards, group, outlook, slots, keys, values)
            cards[card] = rest
            steps = int(math.floor((now - after - milli) / STEP_MILLI))
            if steps < best:
                best = steps
                used[0] = card
        return best
    if many > 0 and not pick_cards(cards, many, milli, used):
        return OUT
    for nth in range(many):
        rest = cards[used[nth]]
        mark += MARKS[rest - milli] - MARKS[rest]
        cards[used[nth]] = rest - milli
    after = value(left, mark, cards, group, outlook, slots, keys, values)
    for nth in range(many):
        cards[used[nth]] += milli
    return int(math.floor((now - after - many * milli) / STEP_MILLI))


@njit(cache=True)
def tightness(need, room, used):
    """Instead of a cost: what stays free of cards, then of cores; OUT without room."""
    if room[CORES] < need[CORES] or room[MEMORY] < need[MEMORY]:
        return OUT
    cards = room[2:]
    if not pick_cards(cards, need[CARDS], need[MILLI], used):
        return OUT
    left = -need[CARDS] * need[MILLI]
    for rest in cards:
        left += rest
    return min(OUT - 1, left * 1000 + (room[CORES] - need[CORES]) // 1000)


@njit(cache=True)
def choose(
    need, is_open, tightest, free, mark, up, times, rank, members, outlook, slots, now, keys,
    values, kept, used,
):  # fmt: skip
    """The machine of the least cost in the groups that are open, -1: none has room.

    ``times``: changed int64[m], and by block its group and when it changed last. ``members``
    int64[b, n]: the machines of a block, of one group, by ``rank``, -1: none. ``now``: value
    float64[m] and when it was worked out int64[m]. ``kept``: what was found out about this kind,
    which holds for machines that did not change since: cost int32[m], and for each block seen
    int64[b], least int32[b], who int64[b].
    """
    changed, block_group, block_changed = times
    costs, seen, least, who = kept
    worth_now, worth_at = now
    best, chosen = OUT, -1
    for block in range(block_group.size):
        group = block_group[block]
        if not is_open[group]:
            continue
        since = seen[block]
        if block_changed[block] > since:
            lowest, lowest_at = OUT, -1
            for machine in members[block]:
                if machine < 0:
                    break
                if changed[machine] > since:
                    if not up[machine]:
                        costs[machine] = OUT
                    elif tightest:
                        costs[machine] = tightness(need, free[machine], used)
                    else:
                        room = free[machine]
                        if worth_at[machine] < changed[machine]:
                            worth_at[machine] = changed[machine]
                            worth_now[machine] = value(
                                room[CORES], mark[machine], room[2:], group, outlook, slots, keys,
                                values,
                            )  # fmt: skip
                        costs[machine] = cost(
                            need, room, mark[machine], worth_now[machine], group, outlook, slots,
                            keys, values, used,
                        )  # fmt: skip
                if costs[machine] < lowest:
                    lowest, lowest_at = costs[machine], machine
            least[block], who[block] = lowest, lowest_at
            seen[block] = block_changed[block]
        if least[block] < best or (
            least[block] == best and chosen >= 0 and rank[who[block]] < rank[chosen]
        ):
            best, chosen = least[block], who[block]
    return chosen


@njit(cache=True)
def take(machine, need, tightest, free, mark, group, outlook, slots, keys, values, used):
    """Take the room on a machine; False: there is none. Fills ``used``."""
    room = free[machine]
    if tightest:
        found = tightness(need, room, used)
    else:
        now = value(room[CORES], mark[machine], room[2:], group, outlook, slots, keys, values)
        found = cost(need, room, mark[machine], now, group, outlook, slots, keys, values, used)
    if found == OUT:
        return False
    move(machine, need, free, mark, used, -1)
    return True


@njit(cache=True)
def move(machine, need, free, mark, used, sign):
    """Take the room (-1) or give it back (1) on the cards named."""
    room = free[machine]
    room[CORES] += sign * need[CORES]
    room[MEMORY] += sign * need[MEMORY]
    for nth in range(need[CARDS]):
        rest = room[2 + used[nth]]
        room[2 + used[nth]] = rest + sign * need[MILLI]
        mark[machine] += MARKS[rest + sign * need[MILLI]] - MARKS[rest]


@njit(cache=True)
def slots_left(need, allowed, group, free, up):
    """How many jobs of a kind the machines of the groups allowed would still hold."""
    total = 0
    for machine in range(up.size):
        cores = free[machine, CORES]
        if not up[machine] or not allowed[group[machine]] or cores < need[CORES]:
            continue
        count = slots_of(free[machine, 2:], need[CARDS], need[MILLI])
        if need[CORES] > 0:
            count = min(count, cores // need[CORES])
        total += count
    return total


@njit(cache=True)
def touch_slots(free, fewest, least, changed, block_of, block_changed, tick):
    """Note that the machines with places for jobs of several cards changed, since prices did."""
    for machine in range(changed.size):
        enough = 0
        for rest in free[machine, 2:]:
            if rest >= least:
                enough += 1
        if enough >= fewest:
            changed[machine] = tick
            block_changed[block_of[machine]] = tick
