"""What is expected to be asked of the cards, learned from what was asked.

Every job counts once when it comes in; older ones weigh less (``HALF_LIFE``). From the counts an
*outlook* is drawn up now and then: arrays for the loops of ``kernels.packing``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from suanwang.placement.kernels import packing as loops
from suanwang.placement.packing.need import Need
from suanwang.placement.packing.worth import worth_of_rests
from suanwang.placement.terms import WHOLE_CARD

HALF_LIFE = 2000
"""After so many more jobs with cards, one counts half."""
FIRST_LOOK, LAST_LOOK = 16, 1000
"""Jobs after which the outlook is drawn up first, and at the latest again; in between when as many
came as before."""
SCARCITY_MAX, SCARCITY_WEIGHT, SCARCITY_STEP = 1.5, 0.5, 0.05
"""Of demand that names a group by its capacity: cut off, weighed and told apart so."""
PRICE_MIDDLE, PRICE_WIDTH, PRICE_STEP = 0.9, 0.1, 0.1
"""The price of a slot is half where expected demand is so much of what is left; how fast it
rises; and in which steps, so that little changes do not unsettle what is known."""

NEVER = 2**31
"""More cards than any machine has."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Outlook(NamedTuple):
    """The arrays the loops read; see ``kernels.packing.lasting_value``. By group from ``first``."""

    kinds: Ints
    share: Floats
    worth: Floats
    scale: Floats
    first: Ints
    last: Ints
    scarcity: Floats
    salt: npt.NDArray[np.uint64]
    """Tells apart what was worked out for one outlook and class of groups from others."""


class Slots(NamedTuple):
    """Jobs of several cards, whose last places are kept: what a place is worth where."""

    needs: Ints
    price: Floats
    """Parts of what the job uses: float64[n, groups], 0 where it may not run."""
    fewest: int
    least: int
    """A machine with fewer cards than ``fewest`` with ``least`` thousandths left has no place of
    any price."""


class Several(NamedTuple):
    """Kinds of several cards, as expected."""

    needs: Ints
    allowed: Flags
    demand: Floats
    """Jobs at least as demanding that come with each milli-card of demand."""


class Demand:
    """Counts of what came in."""

    def __init__(self, capacity: Ints) -> None:
        """``capacity`` int64[groups]: milli-cards of each group."""
        self._capacity = capacity
        self._counts: dict[int, float] = {}
        self._weight, self._came, self._looked_at = 1.0, 0, 0
        self._looks = 0
        self.several = Several(
            np.empty((0, 4), np.int64), np.empty((0, len(capacity)), bool), np.empty(0)
        )

    def arrived(self, kind: int, count: int) -> bool:
        """Count jobs with cards. True: it is time to look ahead again."""
        for _ in range(count):
            self._counts[kind] = self._counts.get(kind, 0.0) + self._weight
            self._weight *= 2 ** (1 / HALF_LIFE)
        self._came += count
        wait = min(LAST_LOOK, max(FIRST_LOOK, self._looked_at))
        return self._came - self._looked_at >= wait

    def nothing(self) -> Outlook:
        """Before anything is known all machines are worth the same."""
        groups = len(self._capacity)
        none = np.zeros(groups, np.int64)
        return Outlook(
            kinds=np.empty((0, 4), np.int64),
            share=np.empty(0),
            worth=np.zeros(WHOLE_CARD + 1),
            scale=np.zeros(2),
            first=none,
            last=none,
            scarcity=np.ones(groups),
            salt=none.astype(np.uint64),
        )

    def look(self, needs: Sequence[Need]) -> Outlook:
        """Draw up the outlook from what came in so far; slots have no price yet."""
        self._looked_at = self._came
        self._forget_scale()
        kinds, share, allowed = self._expected(needs)
        cards_milli = kinds[:, loops.CARDS] * kinds[:, loops.MILLI]
        worth = worth_of_rests(kinds[:, loops.MILLI], share * kinds[:, loops.CARDS])
        scale = np.array(
            [
                (share @ kinds[:, loops.CORES]) / (share @ cards_milli),
                WHOLE_CARD / (share @ (WHOLE_CARD / cards_milli)),
            ]
        )
        scarcity = self._scarcity(share * cards_milli, allowed)
        self.several = _several(kinds, allowed, share / (share @ cards_milli))
        return self._by_group(kinds, share, allowed, worth, scale, scarcity)

    def _forget_scale(self) -> None:
        """Keep the growing weights within what a float holds."""
        if self._weight > 1e100:
            self._counts = {k: n / self._weight for k, n in self._counts.items()}
            self._weight = 1.0

    def _expected(self, needs: Sequence[Need]) -> tuple[Ints, Floats, Flags]:
        """Distinct needs but for memory; how often each; which groups each may run in."""
        together: dict[Need, float] = {}
        for kind, count in self._counts.items():
            need = needs[kind]._replace(memory_mib=0)
            together[need] = together.get(need, 0.0) + count
        found = sorted(together, key=lambda need: (need.card_milli, *need[:3], need.groups or ()))
        kinds = np.array([need[:4] for need in found], np.int64)
        share = np.array([together[need] for need in found])
        allowed = np.ones((len(found), len(self._capacity)), bool)
        for row, need in enumerate(found):
            if need.groups is not None:
                allowed[row] = False
                allowed[row, list(need.groups)] = True
        return kinds, share / share.sum(), allowed

    def _scarcity(self, demand: Floats, allowed: Flags) -> Floats:
        """1 and more: how much of a group's capacity is asked for by name."""
        has_cards = self._capacity > 0
        by_name = ~allowed[:, has_cards].all(axis=1)
        total = self._capacity.sum()
        room = allowed @ self._capacity
        part = np.where(
            by_name & (room > 0), demand / demand.sum() * total / np.maximum(room, 1), 0
        )
        named = np.minimum(part @ allowed, SCARCITY_MAX)
        named = np.round(named / SCARCITY_STEP) * SCARCITY_STEP
        return np.asarray(1 + SCARCITY_WEIGHT * named)

    def _by_group(
        self,
        kinds: Ints,
        share: Floats,
        allowed: Flags,
        worth: Floats,
        scale: Floats,
        scarcity: Floats,
    ) -> Outlook:
        """Rows repeated for each class of groups that may run the same and is as scarce."""
        self._looks += 1
        alike = np.vstack((allowed, scarcity))
        classes, class_of = np.unique(alike, axis=1, return_inverse=True)
        class_of = class_of.ravel()
        rows = [np.flatnonzero(classes[:-1, at]) for at in range(classes.shape[1])]
        ends = np.cumsum([len(each) for each in rows])
        starts = ends - [len(each) for each in rows]
        at = np.concatenate(rows)
        return Outlook(
            kinds=kinds[at],
            share=share[at],
            worth=worth,
            scale=scale,
            first=starts[class_of],
            last=ends[class_of],
            scarcity=scarcity,
            salt=np.array(
                [int(loops.mix(self._looks * 2**20 + each)) for each in class_of], np.uint64
            ),
        )

    def prices(self, free: Ints, up: Flags, group: Ints) -> Slots:
        """Price the places left for jobs of several cards, by what is free now.

        ``free`` int64[machines, 2 + width] as in ``kernels.packing``.
        """
        several, groups = self.several, len(self._capacity)
        idle = int(free[up, 2:].sum())
        chance = np.array(
            [
                _chance(demand * idle, loops.slots_left(need, allowed, group, free, up))
                for need, allowed, demand in zip(*several, strict=True)
            ]
        )
        price = np.where(several.allowed, chance.reshape(-1, 1), 0.0).reshape(-1, groups)
        priced = several.needs[chance > 0] if len(chance) else several.needs
        return Slots(
            several.needs,
            price,
            int(priced[:, loops.CARDS].min(initial=NEVER)),
            int(priced[:, loops.MILLI].min(initial=NEVER)),
        )


def _several(kinds: Ints, allowed: Flags, demand: Floats) -> Several:
    rows = np.flatnonzero(kinds[:, loops.CARDS] > 1)
    above = [demand[_as_demanding(kinds, allowed, row)].sum() for row in rows]
    return Several(kinds[rows], allowed[rows], np.array(above, np.float64))


def _as_demanding(kinds: Ints, allowed: Flags, row: int) -> Flags:
    """Which kinds ask at least as much and may run nowhere this one may not."""
    parts = (loops.CORES, loops.CARDS, loops.MILLI)
    more = np.logical_and.reduce([kinds[:, part] >= kinds[row, part] for part in parts])
    return more & ~(allowed & ~allowed[row]).any(axis=1)


def _chance(wanted: float, left: int) -> float:
    """The chance, by and large, that the slots left will not do; nothing left, nothing to keep."""
    if left == 0:
        return 0.0
    x = (wanted / left - PRICE_MIDDLE) / PRICE_WIDTH
    chance = 1 / (1 + math.exp(-max(-50.0, min(50.0, x))))
    return round(chance / PRICE_STEP) * PRICE_STEP
