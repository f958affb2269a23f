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

loop = njit(cache=True, _nrt=False)  # type: ignore[call-overload]
"""Nothing here allocates, and counting references to arrays costs six times the work."""

OUT = 2**31 - 1
"""The cost of a machine without room."""
CORES, MEMORY, CARDS, MILLI = range(4)
"""Columns of a need."""
V_WORTH, V_SLOTS, STEP_MILLI = 8.0, 3.0, 200.0
"""Weights of the parts of the value beside the first, and the step costs are told apart by."""
ROOMY = 4096
"""So many whole cores left are told apart where no card is left: the fewest are best."""
ENOUGH = 1.2
"""So much more than their cores what is free of a machine's cards may ask for before it counts as
short of cores: jobs with few cores come too."""


@loop
def mix(number):
    """A 64-bit number for a number, well spread (splitmix64)."""
    z = uint64(number) * uint64(0x9E3779B97F4A7C15) + uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


MARKS = np.array([0, *(int(mix(rest)) for rest in range(1, 1001))], np.uint64)
"""A card's part of its machine's mark; nothing for a card without rest."""


@loop
def cards_with(free, machine, milli):
    """How many of its cards have so much left."""
    count = 0
    for column in range(2, free.shape[1]):
        if free[machine, column] >= milli:
            count += 1
    return count


@loop
def shares_of(free, machine, milli):
    """How many jobs with so much of one card its cards hold, one after another."""
    count = 0
    a_milli = 1.0 / milli
    for column in range(2, free.shape[1]):
        count += int(free[machine, column] * a_milli + 1e-9)
    return count


@loop
def lasting_value(cores, free, machine, group, outlook):
    """The part of the value that follows from what jobs ask, with so many cores: ``packing``.

    ``outlook``: ``kinds`` int64[n, 4] and ``share`` float64[n], of which a group may run those
    from ``first`` to ``last``, sorted by thousandths asked; ``worth`` float64[1001]; ``scale``:
    milli-cores a milli-card, size of a job in milli-cards; ``scarcity`` by group. In thousandths
    of a card.
    """
    kinds, share, worth, scale, first, last, scarcity, _ = outlook
    rests = 0.0
    for column in range(2, free.shape[1]):
        rests += worth[free[machine, column]]
    rests *= 1000.0
    spread = math.sqrt(max(1.0, rests / 1000.0))
    stack = usable = expected = 0.0
    counted, count, root = 0, 0, 0.0
    for j in range(first[group], last[group]):
        need, many, milli = kinds[j, CORES], kinds[j, CARDS], kinds[j, MILLI]
        expected += share[j]
        if cores < need:
            continue
        fair = scale[0] * many * milli
        wanted = (fair * spread + (need - fair)) * rests
        offered = ENOUGH * cores * spread * many * milli
        usable += share[j] * (1.0 if wanted <= offered else offered / wanted)
        if many > 1:
            continue
        if milli != counted:
            counted, count = milli, shares_of(free, machine, milli)
            root = math.sqrt(count)
        if count > 0:
            one = fair * root + (need - fair)
            jobs = float(count) if count * one <= cores * root else cores * root / one
            stack += share[j] * max(1.0, jobs)
    if expected > 0.0:
        rests *= usable / expected
    return scale[1] * stack + V_WORTH * scarcity[group] * rests


@loop
def price_of_slots(cores, free, machine, group, slots):
    """The part of the value that is places kept for jobs of several cards: the dearest kind's.

    ``slots``: needs int64[n, 4], price float64[n, groups], fewest cards, least of each.
    """
    needs, price, _, _ = slots
    dearest = 0.0
    counted, cards = 0, 0
    for j in range(needs.shape[0]):
        need, many, milli = needs[j, CORES], needs[j, CARDS], needs[j, MILLI]
        if price[j, group] == 0.0 or cores < need:
            continue
        if milli != counted:
            counted, cards = milli, cards_with(free, machine, milli)
        if cards < many:
            continue
        count = cards // many
        if count * need > cores:
            count = cores // need
        dearest = max(dearest, count * price[j, group] * many * milli)
    return dearest


@loop
def value(cores, mark, free, machine, group, salt, fewest, least, outlook, slots, keys, values):
    """What the free room of a machine is worth, in thousandths of a card; cores count to the
    whole one.

    The lasting part is looked up where it was worked out before: ``keys`` uint64[2^b, 2], a view
    of the same memory as ``values`` float64[2^b, 2]; the last one stays.
    """
    worthy = 0.0
    if mark != uint64(0):
        whole = cores // 1000 * 1000
        key = mix(mark ^ (uint64(whole) * uint64(0xD6E8FEB86659FD93) + salt[group]))
        at = key & uint64(keys.shape[0] - 1)
        if keys[at, 0] != key:
            keys[at, 0] = key
            values[at, 1] = lasting_value(whole, free, machine, group, outlook)
        worthy = values[at, 1]
        if fewest < free.shape[1] and cards_with(free, machine, least) >= fewest:
            worthy += V_SLOTS * price_of_slots(whole, free, machine, group, slots)
    return worthy


@loop
def pick_cards(free, machine, many, milli, used):
    """Fill ``used`` with the fullest cards that have so much left, of equal ones the lower;
    False: not enough of them."""
    for nth in range(many):
        best = -1
        for card in range(free.shape[1] - 2):
            rest = free[machine, 2 + card]
            if rest < milli or (best >= 0 and rest >= free[machine, 2 + best]):
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


@loop
def cost(
    cores, memory, many, milli, now, mark, free, machine, group, salt, fewest, least, outlook,
    slots, keys, values, used,
):  # fmt: skip
    """What placing a job costs on a machine, in steps; OUT without room. Fills ``used``.

    The value of what is free before (``now``), less that after, less what the job itself uses. A
    share of one card goes where it costs least, several cards to the fullest that fit. A job
    without cards goes first where no card is left, and there to the tightest fit. ``free`` is
    changed only while this runs.
    """
    best = OUT
    left = free[machine, CORES] - cores
    if left < 0 or free[machine, MEMORY] < memory:
        best = OUT
    elif many == 0:
        if mark == uint64(0):
            best = min(left // 1000, ROOMY - 1)
        else:
            after = value(
                left, mark, free, machine, group, salt, fewest, least, outlook, slots, keys, values
            )
            best = (math.floor((now - after) / STEP_MILLI) + 1) * ROOMY
    elif many == 1:
        before = -1
        for card in range(free.shape[1] - 2):
            rest = free[machine, 2 + card]
            if rest >= milli and rest != before:
                before = rest
                free[machine, 2 + card] = rest - milli
                after = value(
                    left, mark - MARKS[rest] + MARKS[rest - milli], free, machine, group, salt,
                    fewest, least, outlook, slots, keys, values,
                )  # fmt: skip
                free[machine, 2 + card] = rest
                steps = math.floor((now - after - milli) / STEP_MILLI)
                if steps < best:
                    best = steps
                    used[0] = card
    elif pick_cards(free, machine, many, milli, used):
        after_mark = mark
        for nth in range(many):
            rest = free[machine, 2 + used[nth]]
            after_mark += MARKS[rest - milli] - MARKS[rest]
            free[machine, 2 + used[nth]] = rest - milli
        after = value(
            left, after_mark, free, machine, group, salt, fewest, least, outlook, slots, keys,
            values,
        )  # fmt: skip
        for nth in range(many):
            free[machine, 2 + used[nth]] += milli
        best = math.floor((now - after - many * milli) / STEP_MILLI)
    return best


@loop
def tightness(need, free, machine, used):
    """Instead of a cost: what stays free of cards, then of cores; OUT without room."""
    if free[machine, CORES] < need[CORES] or free[machine, MEMORY] < need[MEMORY]:
        return OUT
    if not pick_cards(free, machine, need[CARDS], need[MILLI], used):
        return OUT
    left = -need[CARDS] * need[MILLI]
    for column in range(2, free.shape[1]):
        left += free[machine, column]
    return min(OUT - 1, left * 1000 + (free[machine, CORES] - need[CORES]) // 1000)


@loop
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
    costs, seen, lows, who = kept
    worth_now, worth_at = now
    salt, fewest, least = outlook[7], slots[2], slots[3]
    cores, memory, many, milli = need[CORES], need[MEMORY], need[CARDS], need[MILLI]
    best, chosen = OUT, -1
    for block in range(block_group.size):
        group = block_group[block]
        if not is_open[group]:
            continue
        since = seen[block]
        if block_changed[block] > since:
            lowest, lowest_at, alike = OUT, -1, -1
            for nth in range(members.shape[1]):
                machine = members[block, nth]
                if machine < 0:
                    break
                if changed[machine] > since:
                    if not up[machine]:
                        costs[machine] = OUT
                    elif tightest:
                        costs[machine] = tightness(need, free, machine, used)
                    elif (
                        alike >= 0
                        and mark[alike] == mark[machine]
                        and free[alike, CORES] == free[machine, CORES]
                        and free[alike, MEMORY] == free[machine, MEMORY]
                    ):
                        costs[machine] = costs[alike]
                    else:
                        if worth_at[machine] < changed[machine]:
                            worth_at[machine] = changed[machine]
                            worth_now[machine] = value(
                                free[machine, CORES], mark[machine], free, machine, group, salt,
                                fewest, least, outlook, slots, keys, values,
                            )  # fmt: skip
                        costs[machine] = cost(
                            cores, memory, many, milli, worth_now[machine], mark[machine], free,
                            machine, group, salt, fewest, least, outlook, slots, keys, values,
                            used,
                        )  # fmt: skip
                        alike = machine
                if costs[machine] < lowest:
                    lowest, lowest_at = costs[machine], machine
            lows[block], who[block] = lowest, lowest_at
            seen[block] = block_changed[block]
        if lows[block] < best or (
            lows[block] == best and chosen >= 0 and rank[who[block]] < rank[chosen]
        ):
            best, chosen = lows[block], who[block]
    return chosen


@loop
def take(machine, need, tightest, free, mark, group, outlook, slots, keys, values, used):
    """Take the room on a machine; False: there is none. Fills ``used``."""
    if tightest:
        found = tightness(need, free, machine, used)
    else:
        salt, fewest, least = outlook[7], slots[2], slots[3]
        now = value(
            free[machine, CORES], mark[machine], free, machine, group, salt, fewest, least,
            outlook, slots, keys, values,
        )  # fmt: skip
        found = cost(
            need[CORES], need[MEMORY], need[CARDS], need[MILLI], now, mark[machine], free, machine,
            group, salt, fewest, least, outlook, slots, keys, values, used,
        )  # fmt: skip
    if found == OUT:
        return False
    move(machine, need, free, mark, used, -1)
    return True


@loop
def move(machine, need, free, mark, used, sign):
    """Take the room (-1) or give it back (1) on the cards named."""
    free[machine, CORES] += sign * need[CORES]
    free[machine, MEMORY] += sign * need[MEMORY]
    for nth in range(need[CARDS]):
        rest = free[machine, 2 + used[nth]]
        free[machine, 2 + used[nth]] = rest + sign * need[MILLI]
        mark[machine] += MARKS[rest + sign * need[MILLI]] - MARKS[rest]


@loop
def slots_left(need, allowed, group, free, up):
    """How many jobs of a kind, of several cards, the groups allowed would still hold."""
    total = 0
    for machine in range(up.size):
        cores = free[machine, CORES]
        if not up[machine] or not allowed[group[machine]] or cores < need[CORES]:
            continue
        count = cards_with(free, machine, need[MILLI]) // need[CARDS]
        if need[CORES] > 0:
            count = min(count, cores // need[CORES])
        total += count
    return total


@loop
def touch_slots(free, fewest, least, changed, block_of, block_changed, tick):
    """Note that the machines with places for jobs of several cards changed, since prices did."""
    for machine in range(changed.size):
        if cards_with(free, machine, least) >= fewest:
            changed[machine] = tick
            block_changed[block_of[machine]] = tick
