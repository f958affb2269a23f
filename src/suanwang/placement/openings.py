"""When each machine will have room if nothing new starts; kept from one step to the next.

Of what runs only ends are known, so free room only grows, and the instant a machine first holds a
job does not depend on how long the job takes. It changes with what runs on that machine and with
nothing else; so a step works out anew what has changed, not every machine for every kind of job.
Starts that are kept for others are not in it: ``floor.Floor`` looks at those machines itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from suanwang.placement.kernels import machines as loops
from suanwang.placement.terms import Room

if TYPE_CHECKING:
    from suanwang.placement.city import City

Ints = npt.NDArray[np.int64]
KEPT_INSTANTS = 1 << 22
"""So many instants are kept in all; where rooms times machines are more, the oldest room goes."""
_earliest: Any = loops.earliest


class _Known(NamedTuple):
    opens: Ints
    """When each machine has room: 0 now, else the end by walltime that makes it, or FOREVER."""
    seen: Ints
    """Which change of each machine that knows of; -1: never worked out."""


class Openings:
    """Of one city, by what a job asks of a machine."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._changes = 0
        self._changed: Ints = np.zeros(max(1, len(city.machines)), np.int64)
        self._known: dict[Room, _Known] = {}
        self._rooms_max = max(8, KEPT_INSTANTS // len(self._changed))
        self._nothing_kept = (
            np.zeros((1, loops.KEPT_COLUMNS), np.int64),
            np.zeros((1, city.width), np.uint8),
            np.full(max(1, city.nodes), -1, np.int64),
        )

    def changed(self, position: int) -> None:
        """What runs on a machine, or when it ends, is no longer what it was."""
        self._changes += 1
        self._changed[position] = self._changes

    def when(self, room: Room, members: Ints, now: int) -> Ints:
        """The instant from which each of some machines has room: ``now``, or the end that makes
        it, in a second if that is overdue; FOREVER where none does.
        """
        known = self._known.get(room)
        if known is None:
            if len(self._known) >= self._rooms_max:
                del self._known[next(iter(self._known))]
            nodes = len(self._changed)
            known = self._known[room] = _Known(
                np.zeros(nodes, np.int64), np.full(nodes, -1, np.int64)
            )
        stale = members[known.seen[members] < self._changed[members]]
        if stale.size:
            known.opens[stale] = _earliest(
                stale,
                *self._city.arrays(),
                self._city.others.debts,
                self._city.slots,
                self._city.slot_cards,
                self._city.head,
                *self._nothing_kept,
                loops.ENDS,
                0,
                1,
                *room,
            )
            known.seen[stale] = self._changes
        opens = known.opens[members]
        found: Ints = np.where(opens == 0, now, np.maximum(opens, now + 1))
        return found
