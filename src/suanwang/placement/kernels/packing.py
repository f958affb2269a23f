"""Loops under ``pool.Pool``: the value of a machine's free room, and the best machine for a kind.

Arrays that recur. *Machines*: ``cores``, ``memory`` int64[m] free milli-cores and MiB; ``cards``
int64[m, width] free thousandths of each card, 0 beyond the machine's own; ``mark`` uint64[m], the
sum of ``mix`` over its cards, so that equal rests in any order have equal marks. *Outlook*, what
is expected to be asked (``packing.outlook``): rows of kinds sorted by class of groups.
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
"""Weights of the three parts of the value, and the step costs are told apart by."""


@njit(cache=True)
def mix(number):
    """A 64-bit number for a number, well spread (splitmix64)."""
    z = uint64(number) * uint64(0x9E3779B97F4A7C15) + uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@njit(cache=True)
def mark_of(rest):
    """A card's part of its machine's mark; nothing for a card without rest."""
    return mix(rest) if rest > 0 else uint64(0)


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
def value(cores, cards, outlook, group):
    """What the free room of a machine is worth, in thousandths of a card: see ``packing``.

    ``outlook``: kinds int64[n, 4], share and price float64[n], worth float64[1001], scale
    float64[2] (milli-cores a milli-card, size of a job in milli-cards), and by group first, last
    int64 (rows of the kinds it may run), scarcity float64, salt uint64.
    """
    kinds, share, price, worth, scale, first, last, scarcity, _ = outlook
    rests = 0.0
    for rest in cards:
        rests += worth[rest]
    rests *= 1000.0
    spread = math.sqrt(max(1.0, rests / 1000.0))
    stack = usable = expected = slots = 0.0
    for j in range(first[group], last[group]):
        need, many, milli = kinds[j, CORES], kinds[j, CARDS], kinds[j, MILLI]
        expected += share[j]
        if cores < need:
            continue
        fair = scale[0] * many * milli
        if rests > 0.0:
            wanted = (fair + (need - fair) / spread) * rests / (many * milli)
            usable += share[j] * (1.0 if wanted <= cores else cores / wanted)
        if many > 1 and price[j] == 0.0:
            continue
        count = slots_of(cards, many, milli)
        if count == 0:
            continue
        if many > 1:
            by_cores = count if need == 0 else min(count, cores // need)
            slots = max(slots, by_cores * price[j] * many * milli)
        elif need == 0:
            stack += share[j] * count
        else:
            one = fair + (need - fair) / math.sqrt(count)
            stack += share[j] * min(float(count), max(1.0, cores / one))
    if expected > 0.0:
        rests *= usable / expected
    return scale[1] * stack + V_WORTH * scarcity[group] * rests + V_SLOTS * slots


@njit(cache=True)
def known_value(cores, mark, cards, outlook, group, cache):
    """``value``, looked up if it was worked out before; cores count to the whole one.

    ``cache``: keys uint64[2^b] and values float64[2^b], one place for each mark, where the last
    one stays. The salt of a group tells outlooks apart.
    """
    if mark == uint64(0):
        return 0.0
    keys, values = cache
    cores = cores // 1000 * 1000
    key = mix(mark ^ mix(uint64(cores) + outlook[-1][group]))
    at = key & uint64(keys.size - 1)
    if keys[at] != key:
        keys[at] = key
        values[at] = value(cores, cards, outlook, group)
    return values[at]


@njit(cache=True)
def cards_for(rests, many, milli, used):
    """Fill ``used`` with the fullest cards that have so much left, the lower first; False: not
    enough of them."""
    for nth in range(many):
        best = -1
        for card in range(rests.size):
            if rests[card] < milli or (best >= 0 and rests[card] >= rests[best]):
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
def cost(machine, need, cores, memory, cards, mark, used, tightest, outlook, one, cache):
    """What placing a job costs on a machine, in steps; OUT without room. Fills ``used``.

    The value of what is free before, less that after, less what the job itself uses. A share of
    one card goes where it costs least, several cards to the fullest that fit.
    """
    if cores[machine] < need[CORES] or memory[machine] < need[MEMORY]:
        return OUT
    many, milli = need[CARDS], need[MILLI]
    rests = cards[machine]
    if many > 0 and not cards_for(rests, many, milli, used):
        return OUT
    if tightest:
        left = 0
        for rest in rests:
            left += rest
        return min(OUT - 1, (left - many * milli) * 100 + (cores[machine] - need[CORES]) // 100)
    left_cores = cores[machine] - need[CORES]
    before = known_value(cores[machine], mark[machine], rests, outlook, one, cache)
    if many == 1 and milli < 1000:
        best, best_card = OUT, -1
        for card in range(rests.size):
            rest = rests[card]
            if rest < milli:
                continue
            seen = False
            for other in range(card):
                seen = seen or rests[other] == rest
            if seen:
                continue
            after_mark = mark[machine] - mark_of(rest) + mark_of(rest - milli)
            rests[card] = rest - milli
            after = known_value(left_cores, after_mark, rests, outlook, one, cache)
            rests[card] = rest
            steps = int(math.floor((before - after - milli) / STEP_MILLI))
            if steps < best:
                best, best_card = steps, card
        used[0] = best_card
        return best
    after_mark = mark[machine]
    for nth in range(many):
        rest = rests[used[nth]]
        after_mark += mark_of(rest - milli) - mark_of(rest)
        rests[used[nth]] = rest - milli
    after = known_value(left_cores, after_mark, rests, outlook, one, cache)
    for nth in range(many):
        rests[used[nth]] += milli
    return int(math.floor((before - after - many * milli) / STEP_MILLI))


@njit(cache=True)
def choose(
    need,
    is_open,
    machines,
    blocks,
    tightest,
    outlook,
    cache,
    kept,
    used,
):
    """The machine of the least cost in the groups that are open, -1: none has room.

    ``machines``: cores, memory, cards, mark, up, changed, rank. ``blocks``: members int64[b, n]
    (-1: none), group and changed int64[b]: machines of one group, by rank. ``kept``: what was
    found out about this kind, which holds for machines that did not change since: cost int32[m],
    and for each block seen int64[b], least int32[b], who int64[b].
    """
    cores, memory, cards, mark, up, changed, rank = machines
    members, group, block_changed = blocks
    costs, seen, least, who = kept
    best, chosen = OUT, -1
    for block in range(group.size):
        if not is_open[group[block]]:
            continue
        since = seen[block]
        if block_changed[block] > since:
            one = group[block]
            lowest, lowest_at = OUT, -1
            for machine in members[block]:
                if machine < 0:
                    break
                if changed[machine] > since:
                    if up[machine]:
                        costs[machine] = cost(
                            machine,
                            need,
                            cores,
                            memory,
                            cards,
                            mark,
                            used,
                            tightest,
                            outlook,
                            one,
                            cache,
                        )
                    else:
                        costs[machine] = OUT
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
def take(machine, need, tightest, machines, outlook, group, cache, used):
    """Take the room; False: there is none. Fills ``used``."""
    cores, memory, cards, mark, _, _, _ = machines
    found = cost(machine, need, cores, memory, cards, mark, used, tightest, outlook, group, cache)
    if found == OUT:
        return False
    move(machine, need, machines, used, -1)
    return True


@njit(cache=True)
def move(machine, need, machines, used, sign):
    """Take the room (-1) or give it back (1) on the cards named."""
    cores, memory, cards, mark, _, _, _ = machines
    cores[machine] += sign * need[CORES]
    memory[machine] += sign * need[MEMORY]
    for nth in range(need[CARDS]):
        rest = cards[machine, used[nth]]
        cards[machine, used[nth]] = rest + sign * need[MILLI]
        mark[machine] += mark_of(rest + sign * need[MILLI]) - mark_of(rest)


@njit(cache=True)
def slots_left(need, allowed, group, machines):
    """How many jobs of a kind the machines of the groups allowed would still hold."""
    cores, _, cards, _, up, _, _ = machines
    total = 0
    for machine in range(cores.size):
        if not up[machine] or not allowed[group[machine]] or cores[machine] < need[CORES]:
            continue
        count = slots_of(cards[machine], need[CARDS], need[MILLI])
        if need[CORES] > 0:
            count = min(count, cores[machine] // need[CORES])
        total += count
    return total
