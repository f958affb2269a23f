"""What work that is not ours holds of the nodes: people use a centre's engine without the platform.

An engine tells it of each node (``Machine.others``), and what is free is the whole less theirs less
ours. Nobody tells when theirs ends, so nothing is planned on its end: it is off what is free, now
and later, until a report says otherwise. Where both together hold more than there is, somebody
of ours waits in the engine's own queue; then nothing is free, and what ours give back when they
end first pays what is owed.

Others hold whole cards, and nobody tells which. It is taken to be those ours use least, the highest
number first; so a card ours run on is the last to be counted as theirs. Where they must share
cards with ours, it is those ours leave first: what is left of a promise is then right by number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from suanwang.placement.groups import total
from suanwang.placement.kernels.machines import CORES, ENDS, MEMORY, MILLI, NEXT
from suanwang.placement.terms import WHOLE_CARD, Machine, Room

if TYPE_CHECKING:
    from suanwang.placement.city import City

Ints = npt.NDArray[np.int64]


class Others:
    """Of the nodes of one city."""

    def __init__(self, city: City) -> None:
        self._city = city
        nodes = city.machines[: city.nodes]
        self.amounts: Ints = np.array([_amount(each) for each in nodes], np.int64).reshape(-1, 3)
        """Milli-cores, MiB and whole cards of each node."""
        self.owed: Ints = np.zeros((max(1, city.nodes), 2 + city.width), np.int64)
        """By how much the milli-cores, MiB and milli-cards of each node are less than nothing."""
        self.total: Ints = self.amounts.sum(axis=0) * (1, 1, WHOLE_CARD)
        """Milli-cores, MiB and milli-cards of all of them."""
        self._owing: set[int] = set()
        self._there: npt.NDArray[np.bool_] = np.array(self.amounts.any(axis=1), np.bool_)

    def at(self, position: int) -> bool:
        """Whether what is free of a node is to be counted, not added up: others are there, or
        more is held of it than there is."""
        return bool(self._there[position])

    @property
    def debts(self) -> Ints:
        """``owed`` as the loops read it: without a row where nothing is owed on any node."""
        return self.owed if self._owing else self.owed[:0]

    def hear(self, position: int, machine: Machine) -> None:
        """A newer word of one node."""
        was, now = self.amounts[position].copy(), np.array(_amount(machine), np.int64)
        self.amounts[position] = now
        self.total += (now - was) * (1, 1, WHOLE_CARD)
        self.count(position)
        self._city.openings.changed(position)

    def take_off(self, free: Ints, cards: Ints) -> None:
        """Take what they hold off what ours leave of each node, while there is no pool yet; what
        would be less than nothing is nothing, and owed."""
        free -= self.amounts[:, :2]
        for position in np.flatnonzero(self.amounts[:, 2]).tolist():
            self._take_cards(position, cards[position])
        for part, columns in ((free, slice(0, 2)), (cards, slice(2, None))):
            if part.size and int(part.min()) < 0:
                self.owed[: len(part), columns] = np.maximum(-part, 0)
                np.maximum(part, 0, out=part)
        owing = self.owed[: len(free)].any(axis=1)
        self._owing.update(np.flatnonzero(owing).tolist())
        self._there |= owing

    def count(self, position: int) -> None:
        """Count what is free of one node: the whole less theirs less what runs there of ours."""
        city = self._city
        left = np.zeros(2 + city.width, np.int64)
        left[:2] = city.whole[position, :2] - self.amounts[position, :2]
        left[2 : 2 + int(city.whole[position, 2])] = WHOLE_CARD
        slot = int(city.head[position])
        while slot >= 0:
            row = city.slots[slot]
            left[0] -= row[CORES]
            left[1] -= row[MEMORY]
            left[2:] -= city.slot_cards[slot] * row[MILLI]
            slot = int(row[NEXT])
        self._take_cards(position, left[2:])
        self.owed[position] = np.maximum(-left, 0)
        owing = bool(self.owed[position].any())
        (self._owing.add if owing else self._owing.discard)(position)
        self._there[position] = owing or bool(self.amounts[position].any())
        free = np.maximum(left, 0)
        city.pool.set_free(position, int(free[0]), int(free[1]), free[2:])

    def short_on(self, members: Ints, room: Room) -> Ints:
        """Those of some nodes that would hold so much, but not beside what others use of them."""
        asked = np.array([room.core_milli, room.memory_mib, room.cards], np.int64)
        whole = self._city.whole[members]
        fits = (whole >= asked).all(axis=1)
        found: Ints = members[fits & (whole - self.amounts[members] < asked).any(axis=1)]
        return found

    def ends_changed(self, position: int) -> None:
        """Something of ours there is known to end at another time."""
        if self.owed[position, 2:].any():
            self.count(position)

    def _take_cards(self, position: int, left: Ints) -> None:
        own, count = int(self._city.whole[position, 2]), int(self.amounts[position, 2])
        if count:
            ends = self._ends(position)[:own].tolist()
            for card in of_others(left[:own].tolist(), count, ends):
                left[card] -= WHOLE_CARD

    def _ends(self, position: int) -> Ints:
        """When the last of ours leaves each card of a node; 0 where none is."""
        city, ends = self._city, np.zeros(self._city.width, np.int64)
        slot = int(city.head[position])
        while slot >= 0:
            row = city.slots[slot]
            np.maximum(ends, city.slot_cards[slot] * row[ENDS], out=ends)
            slot = int(row[NEXT])
        return ends


def of_others(left: Sequence[int], count: int, ends: Sequence[int] = ()) -> list[int]:
    """Which cards of a node others are taken to hold, by what ours leave of each and when the
    last of ours there ends: the least used, then the soonest left, then the highest number."""
    until = ends or [0] * len(left)
    order = sorted(range(len(left)), key=lambda card: (-left[card], until[card], -card))
    return order[:count]


def _amount(machine: Machine) -> tuple[int, int, int]:
    cores, memory, milli = total(machine.others)
    return cores, memory, -(-milli // WHOLE_CARD)
