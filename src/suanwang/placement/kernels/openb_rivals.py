"""Packing rules by brute force: every node scored anew for every pod. No code of the pool's.

FGD and best fit as in Weng et al., ATC'23, and the simulator that goes with it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

RANDOM, BEST_FIT, PACKING, FGD = 0, 1, 2, 3
NO_ROOM = -1
WHOLE = 1000


@njit(cache=True)
def fitting(free, cards, milli):
    """How many cards of a node have so much left."""
    count = 0
    for i in range(cards):
        if free[i] >= milli:
            count += 1
    return count


@njit(cache=True)
def any_card(free, cards, milli):
    """One by chance of the cards that will do."""
    number = np.random.randint(0, fitting(free, cards, milli))
    for i in range(cards):
        if free[i] >= milli:
            if number == 0:
                return i
            number -= 1
    return -1


@njit(cache=True)
def take(free, cards, count, milli):
    """So much of so many cards, the tightest that will do; a bit for each card taken."""
    taken = 0
    for _ in range(count):
        found = -1
        for i in range(cards):
            if taken >> i & 1 == 0 and free[i] >= milli and (found < 0 or free[i] < free[found]):
                found = i
        free[found] -= milli
        taken |= 1 << found
    return taken


@njit(cache=True)
def fragment(cores, free, cards, group, typical, typical_allowed, weight):
    """Idle thousandths of cards on a node that a pod of the typical mix could not use."""
    idle = 0
    for i in range(cards):
        idle += free[i]
    lost = 0.0
    for t in range(weight.size):
        asked, milli = typical[t, 1], typical[t, 2]
        if asked == 0 or cores < typical[t, 0] or not typical_allowed[t, group]:
            lost += weight[t] * idle
            continue
        count, small = 0, 0
        for i in range(cards):
            if free[i] >= milli:
                count += 1
            else:
                small += free[i]
        lost += weight[t] * (idle if count < asked else small)
    return lost


@njit(cache=True)
def fgd(cores, free, cards, group, need, typical, typical_allowed, weight, spare):
    """The best score over the cards of a node, and that card; -1: the tightest."""
    now = fragment(cores, free, cards, group, typical, typical_allowed, weight)
    left = cores - need[0]
    best, card = -1, -1
    if need[2] == 1 and need[3] < WHOLE:
        for i in range(cards):
            if free[i] >= need[3]:
                spare[:cards] = free[:cards]
                spare[i] -= need[3]
                then = fragment(left, spare, cards, group, typical, typical_allowed, weight)
                score = int(100 / (1 + np.exp(-(now - then) / 1000)))
                if score > best:
                    best, card = score, i
        return best, card
    spare[:cards] = free[:cards]
    take(spare, cards, need[2], need[3])
    then = fragment(left, spare, cards, group, typical, typical_allowed, weight)
    return int(100 / (1 + np.exp(-(now - then) / 1000))), -1


@njit(cache=True)
def best_fit(cores, free, cards, need, most_cores, most_milli):
    """Out of 100, half for cores and half for cards: the less is left, the more."""
    idle = 0
    for i in range(cards):
        idle += free[i]
    left = (cores - need[0]) / most_cores + (idle - need[2] * need[3]) / most_milli
    return int(100 * (1 - left / 2))


@njit(cache=True)
def packing(free, cards, need):
    """Cards in use before idle cards, these on nodes in use before idle nodes."""
    if need[2] == 0:
        return 0
    idle = fitting(free, cards, WHOLE)
    if idle == cards:
        return max(33 - idle, idle)
    # The tightest cards first: idle ones are taken only for want of others.
    shared = fitting(free, cards, need[3]) - idle
    if shared < need[2]:
        return max(50 - (need[2] - shared), 33)
    ratio, last, seen = 0, -1, 0
    while seen < need[2]:
        nearest, equal = WHOLE + 1, 0
        for i in range(cards):
            if free[i] >= need[3] and free[i] > last:
                if free[i] < nearest:
                    nearest, equal = free[i], 0
                if free[i] == nearest:
                    equal += 1
        many = min(equal, need[2] - seen)
        ratio += many * (nearest * 100 // WHOLE)
        seen, last = seen + many, nearest
    return max(100 - ratio // 10, 50)


@njit(cache=True)
def play(
    policy, seed, order, all_cores, all_memory, cards, group, needs, allowed, arriving, typical,
    typical_allowed, weight,
):  # fmt: skip
    """The node of each arrival (-1: it fits nowhere) and a bit for each card used.

    Ties go to the first node of the order.
    """
    np.random.seed(seed)
    nodes, width = cards.size, max(1, cards.max())
    cores, memory = all_cores.copy(), all_memory.copy()
    free = np.zeros((nodes, width), np.int64)
    for n in range(nodes):
        free[n, : cards[n]] = WHOLE
    most_cores, most_milli = max(1, all_cores.max()), max(1, cards.max() * WHOLE)
    spare, used = np.empty(width, np.int64), np.zeros(arriving.size, np.int64)
    answers = np.full(arriving.size, NO_ROOM, np.int64)
    for position in range(arriving.size):
        need = needs[arriving[position]]
        best, chosen, chosen_card = -1, -1, -1
        for n in order:
            if cores[n] < need[0] or memory[n] < need[1]:
                continue
            if not allowed[arriving[position], group[n]]:
                continue
            if fitting(free[n], cards[n], need[3]) < need[2]:
                continue
            card = -1
            if policy == FGD:
                score, card = fgd(
                    cores[n], free[n], cards[n], group[n], need, typical, typical_allowed, weight,
                    spare,
                )  # fmt: skip
            elif policy == BEST_FIT:
                score = best_fit(cores[n], free[n], cards[n], need, most_cores, most_milli)
            elif policy == PACKING:
                score = packing(free[n], cards[n], need)
            else:
                score = np.random.randint(0, 1 << 30)
            if score > best:
                best, chosen, chosen_card = score, n, card
        if chosen < 0:
            continue
        answers[position] = chosen
        cores[chosen] -= need[0]
        memory[chosen] -= need[1]
        if policy == RANDOM and need[2] == 1:
            chosen_card = any_card(free[chosen], cards[chosen], need[3])
        if chosen_card >= 0:
            free[chosen, chosen_card] -= need[3]
            used[position] = 1 << chosen_card
        else:
            used[position] = take(free[chosen], cards[chosen], need[2], need[3])
    return answers, used
