"""The city in arrays: every machine, what is free of it, what runs on it and until when.

Kept from one decision to the next (``memory.Memory``): a start or an end costs the same whatever
the number of machines. Instants are whole seconds since 1970; ends are rounded up.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from suanwang.placement.groups import Group, fullest_fitting, group, total
from suanwang.placement.kernels.machines import (
    COLUMNS,
    ENDS,
    EXPECTED,
    GROUP,
    MACHINE,
    NEXT,
)
from suanwang.placement.openings import Openings
from suanwang.placement.others import Others
from suanwang.placement.pool import Need as PoolNeed
from suanwang.placement.pool import Pool, richest_first
from suanwang.placement.summaries import Summaries
from suanwang.placement.terms import (
    WHOLE_CARD,
    Link,
    Machine,
    Policy,
    Reservation,
    Room,
    Running,
)
from suanwang.placement.terms_of_time import second_after

Ints = npt.NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Held:
    """What a running job holds: positions of machines, which cards on each, rows of slots."""

    running: Running
    positions: tuple[int, ...]
    cards: tuple[tuple[int, ...], ...]
    slots: tuple[int, ...]
    counted: tuple[bool, ...]
    """Whether what it holds is taken off what is free; not of a summary that knew of it."""


class City:
    """Machines, links and what runs. Not safe for two threads."""

    def __init__(
        self,
        machines: Iterable[Machine],
        *,
        links: Mapping[tuple[str, str], Link] | None = None,
        reservations: Sequence[Reservation] = (),
        running: Iterable[Running] = (),
        policy: Policy = Policy(),  # noqa: B008 - frozen
    ) -> None:
        in_order = sorted(machines, key=lambda m: (m.summary_at is not None, m.id))
        self.machines: list[Machine] = in_order
        self.links: Mapping[tuple[str, str], Link] = dict(links or {})
        self.reservations = tuple(reservations)
        self.packing, self.seed = policy.packing, policy.seed
        self.position = {machine.id: at for at, machine in enumerate(in_order)}
        self.nodes = sum(machine.summary_at is None for machine in in_order)
        """So many machines are nodes, and come first; the others are summaries."""
        self.groups: list[Group] = group(in_order, self.reservations)
        self.group_of: Ints = np.zeros(len(in_order), np.int64)
        for each in self.groups:
            self.group_of[list(each.members)] = each.number
        self.models = {each.card.model for each in self.groups if each.card}
        self.members = [np.array(each.members, np.int64) for each in self.groups]
        self.running: dict[UUID, Held] = {}
        self.stoppable: dict[UUID, Held] = {}
        """Those of it that may be told to give way."""
        self.supposed: list[UUID] = []
        """Jobs of the last decision, until it is known that they really began."""
        self.offered: dict[Hashable, Any] = {}
        """What is offered to wishes met before (``wishes``)."""
        self.use: dict[str, list[int]] = {}
        """Milli-cores, MiB and milli-cards each organisation holds."""
        self._set_racks()
        self._set_rooms(list(running))

    def _set_racks(self) -> None:
        names = {"": -1}
        codes = [
            names.setdefault(f"{m.cluster_id}/{m.rack}" if m.rack else "", len(names))
            for m in self.machines
        ]
        self.rack: Ints = np.array(codes, np.int64)
        """A number for the rack of each machine; -1: unknown."""
        clusters: dict[UUID, int] = {}
        self.cluster: Ints = np.array(
            [clusters.setdefault(m.cluster_id, len(clusters)) for m in self.machines], np.int64
        )
        """A number for the cluster of each machine."""

    def _set_rooms(self, running: list[Running]) -> None:
        nodes = self.machines[: self.nodes]
        self.whole: Ints = np.array(
            [(m.whole.core_milli, m.whole.memory_mib, m.whole.cards) for m in nodes], np.int64
        ).reshape(-1, 3)
        self.width = max(1, int(self.whole[:, 2].max(initial=0)))
        self.slots: Ints = np.full((256, COLUMNS), -1, np.int64)
        self.slot_cards = np.zeros((256, self.width), np.uint8)
        self._unused = list(range(255, -1, -1))
        self.openings = Openings(self)
        self.others = Others(self)
        self.head: Ints = np.full(max(1, self.nodes), -1, np.int64)
        self.summaries = Summaries(self)
        free = self.whole[:, :2].copy()
        cards = np.where(np.arange(self.width) < self.whole[:, 2:3], WHOLE_CARD, 0)
        for each_running in running:
            self._occupy(each_running, free, cards)
        self.others.take_off(free, cards)
        self.pool = self._pool_of(free, cards)
        self.capacity: Ints = np.zeros(3, np.int64)
        for machine in self.machines:
            self.capacity += np.array(total(machine.whole), np.int64)

    def _pool_of(self, free: Ints, cards: Ints) -> Pool:
        """The pool of the nodes; one that takes nothing where there is none, as a pool has some."""
        if not self.nodes:
            return Pool(cores_milli=[0], memory_mib=[0], cards=[0], group=[0], up=[False])
        return Pool(
            cores_milli=free[:, 0],
            memory_mib=free[:, 1],
            cards=self.whole[:, 2],
            group=self.group_of[: self.nodes],
            cards_free_milli=cards,
            order=richest_first(
                self.whole[:, 0],
                self.whole[:, 2],
                np.random.default_rng(self.seed).permutation(self.nodes),
            ),
            policy=self.packing,  # type: ignore[arg-type]
        )

    def _occupy(self, running: Running, free: Ints, cards: Ints) -> None:
        """Let something run while the pool is not made yet."""
        room, places = running.room, []
        for nth, machine_id in enumerate(running.machine_ids):
            position = self.position.get(machine_id)
            if position is None:  # it takes no new work and is not ours to choose
                continue
            used: tuple[int, ...] = ()
            if position < self.nodes:
                free[position, 0] -= room.core_milli
                free[position, 1] -= room.memory_mib
                if room.cards:
                    used = self._named(running, nth) or fullest_fitting(cards[position], room)
                    for card in used:
                        cards[position, card] -= room.card_milli
            places.append((position, used))
        self._write(running, places)

    def _named(self, running: Running, nth: int) -> tuple[int, ...]:
        """The cards it says it holds on one of its machines, of those a machine here may have."""
        named = running.cards[nth] if nth < len(running.cards) else ()
        return tuple(card for card in named if card < self.width)

    def _write(self, running: Running, places: Sequence[tuple[int, tuple[int, ...]]]) -> None:
        """Note who holds what until when."""
        room, rows, counted = running.room, [], []
        ends = second_after(running.ends_by)
        expected = ends if running.expected_end is None else second_after(running.expected_end)
        for position, cards in places:
            if not self._unused:
                self._grow()
            row = self._unused.pop()
            is_node = position < self.nodes
            before = int(self.head[position]) if is_node else -1
            number = int(self.group_of[position])
            self.slots[row] = (
                position,
                ends,
                expected,
                room.core_milli,
                room.memory_mib,
                room.card_milli,
                before,
                number,
                room.cards * room.card_milli,
            )
            if is_node:
                self.openings.changed(position)
                self.head[position] = row
                marks = self.slot_cards[row]
                marks[:] = 0
                for card in cards:
                    marks[card] = 1
                counted.append(True)
            else:
                counted.append(self.summaries.send(number, running))
            rows.append(row)
        held = Held(
            running,
            tuple(position for position, _ in places),
            tuple(cards for _, cards in places),
            tuple(rows),
            tuple(counted),
        )
        self.running[running.job_id] = held
        self._note_stoppable(held)
        self._use(running, 1)

    def _use(self, running: Running, sign: int) -> None:
        use = self.use.setdefault(running.organisation, [0, 0, 0])
        for part, amount in enumerate(total(running.room, len(running.machine_ids))):
            use[part] += sign * amount

    def _grow(self) -> None:
        size = len(self.slots)
        self.slots = np.concatenate((self.slots, np.full((size, COLUMNS), -1, np.int64)))
        self.slot_cards = np.concatenate((self.slot_cards, np.zeros_like(self.slot_cards)))
        self._unused = list(range(2 * size - 1, size - 1, -1))

    def start(
        self,
        running: Running,
        positions: Sequence[int],
        cards: Sequence[tuple[int, ...]],
    ) -> None:
        """Note a job whose room was taken in the pool already (``take``)."""
        self.supposed.append(running.job_id)
        self._write(running, list(zip(positions, cards, strict=True)))

    def take(self, position: int, room: Room, kind: int | None = None) -> tuple[int, ...]:
        """Take room on a machine; the cards used. ValueError: it has none.

        ``kind``: as the pool knows the room, if that was asked already.
        """
        if position >= self.nodes:
            return ()
        return self.pool.place(position, self.pool.kind(pool_need(room)) if kind is None else kind)

    def untake(self, position: int, room: Room, cards: tuple[int, ...]) -> None:
        """Give back what ``take`` took."""
        if position < self.nodes:
            self.pool.release(position, self.pool.kind(pool_need(room)), cards)

    def release(self, job_id: UUID) -> None:
        """A job ended, or never started: what it held is free."""
        held = self.running.pop(job_id)
        self.stoppable.pop(job_id, None)
        room = held.running.room
        for position, cards, row, counted in zip(
            held.positions, held.cards, held.slots, held.counted, strict=True
        ):
            if position < self.nodes:
                self.openings.changed(position)
                self._unlink(position, row)
                if self.others.at(position):
                    self.others.count(position)
                else:
                    self.untake(position, room, cards)
            elif counted:
                self.summaries.give_back(int(self.group_of[position]), room)
            self.slots[row, MACHINE] = -1
            self._unused.append(row)
        self._use(held.running, -1)

    def _unlink(self, position: int, row: int) -> None:
        after = self.slots[row, NEXT]
        at = int(self.head[position])
        if at == row:
            self.head[position] = after
            return
        while self.slots[at, NEXT] != row:
            at = int(self.slots[at, NEXT])
        self.slots[at, NEXT] = after

    def follow(self, changes: Mapping[UUID, Running | None]) -> bool:
        """Take over how jobs really run (None: no longer), and that nothing else does of what was
        only decided to start. False: not possible by small steps, make a new city."""
        real: dict[UUID, Running | None] = dict.fromkeys(self.supposed)
        real.update(changes)
        self.supposed.clear()
        begun: list[Running] = []
        for job_id, running in sorted(real.items()):
            held = self.running.get(job_id)
            if running is not None and held is not None and self._still(held, running):
                continue
            if held is not None:
                self.release(job_id)
            if running is not None:
                begun.append(running)
        return all(self._begin(each) for each in begun)

    def _still(self, held: Held, now: Running) -> bool:
        """Whether a job holds what it held; its ends and other facts are taken over."""
        was = held.running
        same = (
            was.machine_ids == now.machine_ids
            and was.room == now.room
            and was.organisation == now.organisation
            and (not any(now.cards) or now.cards == held.cards)
            and all(position < self.nodes for position in held.positions)
        )
        if same:
            held.running = now
            ends = second_after(now.ends_by)
            expected = ends if now.expected_end is None else second_after(now.expected_end)
            for position, row in zip(held.positions, held.slots, strict=True):
                self.slots[row, ENDS], self.slots[row, EXPECTED] = ends, expected
                self.openings.changed(position)
                self.others.ends_changed(position)
            self._note_stoppable(held)
        return same

    def _note_stoppable(self, held: Held) -> None:
        if held.running.preemptible:
            self.stoppable[held.running.job_id] = held
        else:
            self.stoppable.pop(held.running.job_id, None)

    def _begin(self, running: Running) -> bool:
        places: list[tuple[int, tuple[int, ...]]] = []
        for nth, machine_id in enumerate(running.machine_ids):
            position = self.position.get(machine_id)
            if position is None:
                continue
            named = self._named(running, nth)
            if position < self.nodes and self.others.at(position):
                cards = self.pool.free_cards_milli[position]
                places.append((position, named or fullest_fitting(cards, running.room)))
                continue
            try:
                used = self.take(position, running.room)
            except ValueError:
                return False
            places.append((position, used))
            if named and position < self.nodes and sorted(named) != sorted(used):
                return False
        self._write(running, places)
        for position, _ in places:
            if position < self.nodes and self.others.at(position):
                self.others.count(position)
        return True

    def hear(self, machine: Machine) -> None:
        """A newer word of what others use of a node; or a newer summary of a cluster."""
        position = self.position[machine.id]
        if machine.summary_at is None:
            self.machines[position] = machine
            self.others.hear(position, machine)
            return
        self.offered.clear()
        self.summaries.hear(position, machine)

    def free_of(self, position: int) -> tuple[int, int, Ints]:
        """Milli-cores, MiB and the milli-cards of each card that are free on a node; less than
        nothing where more is held of it than there is."""
        owed, pool = self.others.owed[position], self.pool
        cards: Ints = pool.free_cards_milli[position] - owed[2:]
        cores, memory = pool.free_cores_milli[position], pool.free_memory_mib[position]
        return int(cores - owed[0]), int(memory - owed[1]), cards

    def arrays(self) -> tuple[Any, ...]:
        """What the loops of ``kernels.machines`` read: free cores, memory, cards."""
        pool = self.pool
        return pool.free_cores_milli, pool.free_memory_mib, pool.free_cards_milli

    def slots_of(self, number: int) -> Ints:
        """The slots of a group: what runs there."""
        found = (self.slots[:, GROUP] == number) & (self.slots[:, MACHINE] >= 0)
        chosen: Ints = self.slots[found]
        return chosen


def pool_need(room: Room, groups: tuple[int, ...] | None = None) -> PoolNeed:
    """A room as the pool asks for it."""
    return PoolNeed(room.core_milli, room.memory_mib, room.cards, room.card_milli, groups)
