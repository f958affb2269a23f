"""What a core keeps from one decision to the next, so that a step costs what has changed.

    memory = Memory()
    decisions = decide(snapshot, queue, now, policy, memory)

The answers are those of a core without memory; except that the packing objective ``ours`` learns
what is asked for from the jobs it has seen come in, and there are more of them to learn from.
Give machines as a tuple and what runs as a ``roll.Roll``, and neither is looked through; of other
sequences it is found out, object by object, what is new. Keep one memory per city and policy. Not
safe for two threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import is_
from uuid import UUID

from suanwang.placement.city import City, pool_need
from suanwang.placement.roll import Roll
from suanwang.placement.terms import Ask, Machine, Policy, Room, Running, Snapshot
from suanwang.placement.where import count_of, room_of

Changes = dict[UUID, Running | None]
"""Jobs, and how they run now; None: no longer."""


class Memory:
    """The city as the last decision left it, and which jobs were seen."""

    def __init__(self) -> None:
        self._city: City | None = None
        self._machines: Sequence[Machine] = ()
        self._key: tuple[object, ...] = ()
        self._running: Sequence[Running] = ()
        self._objects: dict[int, Running] = {}
        self._changes = 0
        self._queue: dict[int, Ask] = {}
        self._seen: set[UUID] = set()
        self.rebuilt = 0
        """How often the city had to be made anew."""

    def city(self, snapshot: Snapshot, queue: Sequence[Ask], policy: Policy) -> City:
        """The city of a snapshot: the one kept, brought up to date; or a new one."""
        key = (policy.packing, policy.seed, dict(snapshot.links), tuple(snapshot.reservations))
        city, self._city = self._city, None  # not to be used if what follows fails
        known = city is not None and key == self._key and self._hear(city, snapshot.machines)
        changes = self._follow(snapshot.running)
        came: Iterable[Running] = [each for each in changes.values() if each is not None]
        if city is None or not known or not city.follow(changes):
            self.rebuilt += 1
            city = City(
                snapshot.machines,
                links=snapshot.links,
                reservations=snapshot.reservations,
                running=snapshot.running,
                policy=policy,
            )
            self._key, self._queue = key, {}
            self._seen, came = set(), snapshot.running
        if snapshot.machines is not self._machines:
            self._machines = tuple(snapshot.machines)
        self._learn(city, came, queue)
        self._city = city
        return city

    def _hear(self, city: City, machines: Sequence[Machine]) -> bool:
        """Take over newer summaries, and what others use now. False: something else about the
        machines changed."""
        before = self._machines
        if machines is before:  # a tuple: it cannot have changed
            return True
        if len(machines) != len(before):
            return False
        if all(map(is_, before, machines)):
            return True
        newer: list[Machine] = []
        for was, now in zip(before, machines, strict=True):
            if was is now or was == now:
                continue
            if not _same_but_heard(was, now):
                return False
            newer.append(now)
        for machine in newer:
            city.hear(machine)
        return True

    def _follow(self, running: Sequence[Running]) -> Changes:
        """How those jobs run that run otherwise than at the last decision."""
        if isinstance(running, Roll):
            jobs = running.since(self._changes) if running is self._running else None
            self._running, self._changes = running, running.changes
            if jobs is not None:
                return {job: running.get(job) for job in jobs}
        objects = dict(zip(map(id, running), running, strict=True))
        changes: Changes = {}
        for gone in self._objects.keys() - objects.keys():
            changes[self._objects[gone].job_id] = None
        for new in objects.keys() - self._objects.keys():
            changes[objects[new].job_id] = objects[new]
        self._objects = {} if isinstance(running, Roll) else objects
        return changes

    def _learn(self, city: City, running: Iterable[Running], queue: Sequence[Ask]) -> None:
        """Tell the pool what came in, each job once."""
        arrived: dict[Room, int] = {}
        for each in running:
            if self._is_new(each.job_id):
                arrived[each.room] = arrived.get(each.room, 0) + len(each.machine_ids)
        objects = dict(zip(map(id, queue), queue, strict=True))
        for new in objects.keys() - self._queue.keys():
            ask = objects[new]
            if self._is_new(ask.job_id):
                room = room_of(ask)
                arrived[room] = arrived.get(room, 0) + count_of(ask)
        self._queue = objects
        for room in sorted(arrived):
            city.pool.arrived(city.pool.kind(pool_need(room)), arrived[room])
        if len(self._seen) > 1000 + 2 * (len(queue) + len(city.running)):
            self._seen = {ask.job_id for ask in queue} | set(city.running)

    def _is_new(self, job: UUID) -> bool:
        before = len(self._seen)
        self._seen.add(job)
        return len(self._seen) > before


def _same_but_heard(was: Machine, now: Machine) -> bool:
    """Whether two nodes differ only in what others use of them; two summaries only in what is
    counted and when."""
    if was.summary_at is None:
        return was == replace(now, others=was.others)
    if now.summary_at is None:
        return False
    return was == replace(
        now,
        whole=was.whole,
        summary_at=was.summary_at,
        free=was.free,
        largest=was.largest,
        others=was.others,
    )
