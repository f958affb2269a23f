"""What the packing of ours is measured against: FGD, best fit, packing, random.

They share no code with the pool (decision 15), score every node for every pod, and know what the
paper lets them know: FGD is given the mix of the whole list.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np

from suanwang.placement.pool import Need
from suanwang.placement.simulator.openb import Clock, Run
from suanwang.placement.simulator.openb_lists import Cluster, PodList, Whole

RivalName = Literal["fgd", "bestfit", "packing", "random"]
RIVALS: tuple[RivalName, ...] = ("fgd", "bestfit", "packing", "random")
COVERED = 0.95
"""The typical mix: the commonest pods, until so many of all are covered."""


def play(
    cluster: Cluster,
    pods: PodList,
    arriving: Whole,
    *,
    policy: RivalName,
    order: Whole,
    seed: int,
    clock: Clock,
    given: PodList | None = None,
) -> Run:
    """The arrivals by brute force. ``given``: the list whose mix FGD is given, if another."""
    from suanwang.placement.kernels import openb_rivals as kernel

    number = {
        "random": kernel.RANDOM,
        "bestfit": kernel.BEST_FIT,
        "packing": kernel.PACKING,
        "fgd": kernel.FGD,
    }[policy]
    typical, weight = typical_mix(given or pods)
    needs = np.array([[n.cores_milli, n.memory_mib, n.cards, n.card_milli] for n in pods.needs])
    told = np.array([[n.cores_milli, n.cards, n.card_milli] for n in typical], np.int64)
    groups = len(cluster.models)
    before = clock()
    machines, used = kernel.play(
        number, seed, order, cluster.cores_milli, cluster.memory_mib, cluster.cards, cluster.group,
        needs.astype(np.int64), _allowed(pods.needs, groups), arriving, told,
        _allowed(typical, groups), weight,
    )  # fmt: skip
    spent = clock() - before
    return Run(machines, spent, cards=[_bits(taken) for taken in used.tolist()])


def _bits(taken: int) -> tuple[int, ...]:
    return tuple(card for card in range(taken.bit_length()) if taken >> card & 1)


def typical_mix(pods: PodList) -> tuple[list[Need], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """The commonest (cores, cards, share of a card, models) of a list and their frequencies."""
    counts: Counter[Need] = Counter()
    for kind in pods.kind.tolist():
        counts[pods.needs[kind]._replace(memory_mib=0)] += 1
    found, covered = [], 0
    for need, count in counts.most_common():  # of equals, the one that comes first
        found.append((need, count))
        covered += count
        if covered >= COVERED * pods.kind.size:
            break
    weight = np.array([count for _, count in found], np.float64)
    return [need for need, _ in found], weight / weight.sum()


def _allowed(needs: list[Need] | tuple[Need, ...], groups: int) -> np.ndarray:
    """needs x groups: which models will do."""
    allowed = np.ones((len(needs), groups), np.bool_)
    for number, need in enumerate(needs):
        if need.groups is not None:
            allowed[number] = np.isin(np.arange(groups), need.groups)
    return allowed
