"""Machines that are alike to a job: of one cluster, one model of card, one price.

A job's goal orders groups, not machines, so that cost grows with the number of groups. Within a
group (or groups that are equally good) the packing objective picks the machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt

from suanwang.placement.terms import Card, Machine, Rates, Reservation, Room, Site


@dataclass(frozen=True, slots=True)
class Group:
    """Machines no goal tells apart. A summary is a group of its own."""

    number: int
    cluster_id: UUID
    site: Site
    card: Card | None
    rates: Rates
    online: bool
    reserved: tuple[Reservation, ...]
    """The reservations every one of its machines is in."""
    images: bool
    """Whether they run jobs in images of their own."""
    summary: Machine | None
    members: tuple[int, ...]
    """Positions of its machines in ``City.machines``."""
    shapes: tuple[tuple[Room, int], ...]
    """How many machines are of each size."""

    def holds(self, room: Room) -> int:
        """How many of its machines could take so much if they were empty; a summary: how often
        it fits into all of it."""
        if self.summary is not None:
            return _times(room, self.summary)
        return sum(count for whole, count in self.shapes if fits(room, whole))

    @property
    def models(self) -> str:
        """Its model of card; empty without cards."""
        return self.card.model if self.card else ""


def fits(room: Room, whole: Room) -> bool:
    """Whether so much goes into an empty machine of this size."""
    return (
        room.core_milli <= whole.core_milli
        and room.memory_mib <= whole.memory_mib
        and room.cards <= whole.cards
        and (room.cards == 0 or room.card_milli <= whole.card_milli)
    )


def total(room: Room, nodes: int = 1) -> tuple[int, int, int]:
    """Milli-cores, MiB and milli-cards of so many nodes together."""
    return (
        room.core_milli * nodes,
        room.memory_mib * nodes,
        room.cards * room.card_milli * nodes,
    )


def on_one_node(room: Room, nodes: int) -> Room:
    """What a job asks of a machine if all of it is to run on one; shares on cards of their own."""
    return Room(
        room.core_milli * nodes, room.memory_mib * nodes, room.cards * nodes, room.card_milli
    )


def group(machines: Sequence[Machine], reservations: Sequence[Reservation]) -> list[Group]:
    """The groups, those of machines first, those of summaries after them; in a fixed order."""
    kept: dict[int, list[Reservation]] = {}
    for reservation in reservations:
        for machine_id in sorted(reservation.machine_ids):
            kept.setdefault(machine_id, []).append(reservation)
    found: dict[tuple[object, ...], list[int]] = {}
    for key, position in _keys(machines, kept):
        found.setdefault(key, []).append(position)
    groups: list[Group] = []
    for positions in sorted(
        found.values(), key=lambda members: machines[members[0]].summary_at is not None
    ):
        first = machines[positions[0]]
        shapes = Counter(machines[position].whole for position in positions)
        groups.append(
            Group(
                number=len(groups),
                cluster_id=first.cluster_id,
                site=first.site,
                card=first.card,
                rates=first.rates,
                online=first.online,
                reserved=tuple(kept.get(first.id, ())),
                images=first.images,
                summary=first if first.summary_at is not None else None,
                members=tuple(positions),
                shapes=tuple(sorted(shapes.items())),
            )
        )
    return groups


def _keys(
    machines: Sequence[Machine], kept: dict[int, list[Reservation]]
) -> Iterator[tuple[tuple[object, ...], int]]:
    """What must be equal; machines of one centre share objects, so identity is looked at first."""
    codes: dict[int, int] = {}
    equal: dict[object, int] = {}

    def code(value: Site | Card | Rates | Reservation | None) -> int:
        """A number for a value; the same for equal ones."""
        known = codes.get(id(value))
        if known is None:
            same = value if not isinstance(value, Card) else _hashable(value)
            known = codes[id(value)] = equal.setdefault(same, len(equal))
        return known

    for position, machine in enumerate(machines):
        key = (
            machine.cluster_id,
            code(machine.site),
            code(machine.card),
            code(machine.rates),
            machine.online,
            machine.images,
            tuple(code(each) for each in kept.get(machine.id, ())),
            machine.id if machine.summary_at is not None else None,
        )
        yield key, position


def _hashable(card: Card) -> tuple[object, ...]:
    evidence = tuple(sorted(card.gflops.items()))
    return card.model, card.vendor, card.memory_mib, card.domestic, evidence, card.watts


def _times(room: Room, summary: Machine) -> int:
    if summary.largest is not None and not fits(room, summary.largest):
        return 0
    asked, has = total(room), total(summary.whole)
    return min((there // part for part, there in zip(asked, has, strict=True) if part), default=1)


def fullest_fitting(free: npt.NDArray[np.int64], room: Room) -> tuple[int, ...]:
    """The cards a job probably holds: the fullest it fits on; the emptiest where none does."""
    fitting = [
        int(card) for card in np.argsort(free, kind="stable") if free[card] >= room.card_milli
    ]
    if len(fitting) < room.cards:
        fitting = [int(card) for card in np.argsort(-free, kind="stable")]
    return tuple(sorted(fitting[: room.cards]))
