"""Jobs on several machines, all or nothing: which machines, as close together as asked.

``node``: one machine takes all of it (it is no gang here). ``rack``: one rack. ``centre``: one
cluster of one centre, since one engine runs it. ``any``: wherever. Every node has a machine of its
own; within a summary the cluster sees to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from suanwang.placement.groups import Group, fits
from suanwang.placement.terms import Ask, Spread
from suanwang.placement.terms_of_time import FOREVER

if TYPE_CHECKING:
    from suanwang.placement.city import City

Ints = npt.NDArray[np.int64]


def nodes_together(city: City, ask: Ask, groups: Sequence[Group]) -> int:
    """How many empty machines that could take a node of the job are as close as it asks."""
    if ask.nodes == 1 or ask.spread == "node":
        return sum(1 for _ in groups[:1])
    counts = [group.holds(ask.room) for group in groups]
    if ask.spread == "any":
        return sum(counts)
    together: dict[object, int] = {}
    if ask.spread == "centre":
        for group, count in zip(groups, counts, strict=True):
            together[group.cluster_id] = together.get(group.cluster_id, 0) + count
        return max(together.values(), default=0)
    for group in groups:
        for position in () if group.summary else group.members:
            rack = int(city.rack[position])
            if rack >= 0 and fits(ask.room, city.machines[position].whole):
                together[rack] = together.get(rack, 0) + 1
    return max(together.values(), default=0)


def neighbourhood(city: City, position: int, spread: Spread) -> int:
    """The number of the place whose machines are close enough to each other; -1: unknown."""
    if spread == "any":
        return 0
    return int(city.rack[position] if spread == "rack" else city.cluster[position])


def soonest(
    city: City, members: Ints, when: Ints, nodes: int, spread: Spread
) -> tuple[tuple[int, ...], int]:
    """The machines on which all of it can start first, and when; empty: never.

    ``when``: the instant each machine has room, FOREVER where it never has.
    """
    able = when < FOREVER
    chosen = _enough(city, members[able], when[able], nodes, spread)
    if not chosen:
        return (), FOREVER
    instants = dict(zip(members.tolist(), when.tolist(), strict=True))
    return chosen, max(instants[position] for position in chosen)


def _enough(city: City, members: Ints, when: Ints, nodes: int, spread: Spread) -> tuple[int, ...]:
    """The ``nodes`` machines of one neighbourhood that are free first, then the tightest."""
    if len(members) < nodes:
        return ()
    if spread == "any":
        near = np.zeros(len(members), np.int64)
    elif spread == "rack":
        near = city.rack[members]
    else:
        near = city.cluster[members]
    pool = city.pool
    left = pool.free_cards_milli[members].sum(axis=1)
    order = np.lexsort((members, pool.free_cores_milli[members], left, when))
    members, when, near = members[order], when[order], near[order]
    best: tuple[int, int, int] | None = None
    chosen: Ints = members[:0]
    for place in np.unique(near[near >= 0]).tolist():
        here = np.flatnonzero(near == place)[:nodes]
        if len(here) < nodes:
            continue
        candidate = (int(when[here[-1]]), int(left[order][here].sum()), int(place))
        if best is None or candidate < best:
            best, chosen = candidate, members[here]
    return tuple(chosen.tolist())
