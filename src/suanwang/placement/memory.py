"""What a core keeps from one decision to the next, so that a step costs what has changed.

    memory = Memory()
    decisions = decide(snapshot, queue, now, policy, memory)

The answers are those of a core without memory; except that the packing objective ``ours`` learns
what is asked for from the jobs it has seen come in, and there are more of them to learn from.
Keep one per city and policy. Not safe for two threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

from suanwang.placement.city import City, pool_need
from suanwang.placement.terms import Ask, Machine, Policy, Room, Running, Snapshot
from suanwang.placement.where import room_of


class Memory:
    """The city as the last decision left it, and which jobs were seen."""

    def __init__(self) -> None:
        self._city: City | None = None
        self._machines: Sequence[Machine] = ()
        self._key: tuple[object, ...] = ()
        self._seen: set[UUID] = set()
        self.rebuilt = 0
        """How often the city had to be made anew."""

    def city(self, snapshot: Snapshot, queue: Sequence[Ask], policy: Policy) -> City:
        """The city of a snapshot: the one kept, brought up to date; or a new one."""
        key = (policy.packing, policy.seed, dict(snapshot.links), tuple(snapshot.reservations))
        city = self._city
        known = city is not None and key == self._key and self._hear(snapshot.machines)
        if city is None or not known or not city.follow(snapshot.running):
            self.rebuilt += 1
            city = City(
                snapshot.machines,
                links=snapshot.links,
                reservations=snapshot.reservations,
                running=snapshot.running,
                policy=policy,
            )
            self._seen = set()
            self._city, self._key = city, key
        self._machines = snapshot.machines
        self._learn(city, snapshot.running, queue)
        return city

    def _hear(self, machines: Sequence[Machine]) -> bool:
        """Take over newer summaries. False: something else about the machines changed."""
        if machines is self._machines:
            return True
        if len(machines) != len(self._machines):
            return False
        newer: list[Machine] = []
        for was, now in zip(self._machines, machines, strict=True):
            if was is now or was == now:
                continue
            if was.summary_at is None or not _same_but_heard(was, now):
                return False
            newer.append(now)
        assert self._city is not None  # noqa: S101 - a type
        for machine in newer:
            self._city.hear(machine)
        return True

    def _learn(self, city: City, running: Iterable[Running], queue: Sequence[Ask]) -> None:
        """Tell the pool what came in, each job once."""
        arrived: dict[Room, int] = {}
        there: set[UUID] = set()
        for each in running:
            there.add(each.job_id)
            if each.job_id not in self._seen:
                arrived[each.room] = arrived.get(each.room, 0) + len(each.machine_ids)
        for ask in queue:
            there.add(ask.job_id)
            if ask.job_id not in self._seen:
                room = room_of(ask)
                arrived[room] = arrived.get(room, 0) + (1 if ask.spread == "node" else ask.nodes)
        for room in sorted(arrived):
            city.pool.arrived(city.pool.kind(pool_need(room)), arrived[room])
        self._seen = there


def _same_but_heard(was: Machine, now: Machine) -> bool:
    """Whether two summaries differ only in what is counted and when."""
    return was == replace(
        now,
        whole=was.whole,
        summary_at=was.summary_at,
        free=was.free,
        largest=was.largest,
    )
