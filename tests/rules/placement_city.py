"""Small cities and jobs for the tests of placement, and a clock to let them live."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from suanwang.placement import (
    Ask,
    Card,
    Decisions,
    Machine,
    Memory,
    Placement,
    Policy,
    Rates,
    Room,
    Running,
    Site,
    Snapshot,
    Wait,
    decide,
)

NOW = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
IN_LINE = Policy(order="fcfs", fair=False, packing="bestfit", helps=False)
H20 = Card("h20", memory_mib=98304, gflops={"fp16": 148_000})


def job_id(number: int) -> uuid.UUID:
    return uuid.UUID(int=number)


def cluster(number: int) -> uuid.UUID:
    return uuid.UUID(int=10_000 + number)


def machine(number: int, cores: int = 16, cards: int = 0, **facts: Any) -> Machine:
    """A machine of centre ``c1`` unless told otherwise; a fen per core and hour."""
    return Machine(
        **{
            "id": number,
            "name": f"n{number}",
            "cluster_id": cluster(1),
            "site": Site("c1", grey_energy=Fraction(1)),
            "whole": Room(cores * 1000, 1000, cards),
            "card": H20 if cards else None,
            "rates": Rates(Fraction(1, 3600), Fraction(0), Fraction(1)),
        }
        | facts
    )


def summary(number: int, cores: int, at: datetime, **facts: Any) -> Machine:
    """A cluster of which only sums are known."""
    told: dict[str, Any] = {"cluster_id": cluster(number), "summary_at": at}
    return machine(number, cores, **(told | facts))


def ask(number: int, cores: int = 1, cards: int = 0, hours: int = 1, **facts: Any) -> Ask:
    """A job of an hour; submitted the later the higher its number."""
    return Ask(
        **{
            "job_id": job_id(number),
            "room": Room(cores * 1000, 10, cards),
            "walltime_seconds": hours * 3600,
            "submitted_at": NOW - HOUR + timedelta(seconds=number),
            "goal": "cheapest",
            "cost_max_fen": 10**9,
        }
        | facts
    )


def run(number: int, on: int, cores: int = 1, hours: int = 1, **facts: Any) -> Running:
    """A job that began an hour ago and ends in so many hours."""
    return Running(
        **{
            "job_id": job_id(number),
            "machine_ids": (on,),
            "room": Room(cores * 1000, 10, 0),
            "ends_by": NOW + hours * HOUR,
            "started_at": NOW - HOUR,
        }
        | facts
    )


def where(decisions: Decisions) -> dict[int, int]:
    return {placed.job_id.int: placed.machine.id for placed in decisions.placements}


def why(decisions: Decisions) -> dict[int, str]:
    return {wait.job_id.int: wait.reason.code for wait in decisions.waits}


def wait_of(decisions: Decisions, number: int) -> Wait:
    return next(wait for wait in decisions.waits if wait.job_id == job_id(number))


def started(placement: Placement, ask: Ask, now: datetime) -> Running:
    """What runs once a placement was carried out."""
    return Running(
        job_id=ask.job_id,
        machine_ids=tuple(each.id for each in placement.machines),
        room=ask.room,
        ends_by=now + timedelta(seconds=ask.walltime_seconds),
        expected_end=now + timedelta(seconds=ask.expected_seconds or ask.walltime_seconds),
        organisation=ask.organisation,
        priority=ask.priority,
        preemptible=ask.preemptible,
        started_at=now,
        cards=placement.cards,
    )


def check_capacity(machines: Sequence[Machine], running: Iterable[Running]) -> None:
    """No machine holds more than it has, no card more than a card."""
    whole = {each.id: each.whole for each in machines}
    used: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    cards: dict[tuple[int, int], int] = defaultdict(int)
    for each in running:
        for machine_id, on in zip(each.machine_ids, each.cards, strict=True):
            used[machine_id][0] += each.room.core_milli
            used[machine_id][1] += each.room.memory_mib
            assert len(set(on)) == each.room.cards
            for card in on:
                assert card < whole[machine_id].cards
                cards[machine_id, card] += each.room.card_milli
    for machine_id, (cores, memory) in used.items():
        assert cores <= whole[machine_id].core_milli
        assert memory <= whole[machine_id].memory_mib
    assert all(milli <= 1000 for milli in cards.values())


class Life:
    """A city that lives by the core's decisions: jobs run for their walltime, or as told."""

    def __init__(
        self,
        machines: Sequence[Machine],
        jobs: Iterable[Ask],
        policy: Policy,
        memory: Memory | None = None,
        seconds: dict[uuid.UUID, int] | None = None,
    ) -> None:
        self.machines, self.policy, self.memory = machines, policy, memory
        self.coming = sorted(jobs, key=lambda each: each.submitted_at)
        self.queue: list[Ask] = []
        self.running: dict[uuid.UUID, Running] = {}
        self.ends: dict[uuid.UUID, datetime] = {}
        self.start: dict[uuid.UUID, datetime] = {}
        self.told: dict[uuid.UUID, datetime] = {}
        self.ended: dict[uuid.UUID, bool] = {}
        self.usage: dict[str, float] = {}
        self._seconds = seconds or {}

    def step(self, now: datetime) -> Decisions:
        """Let end what ends, come what comes, and decide."""
        for job in [job for job, end in self.ends.items() if end <= now]:
            del self.running[job], self.ends[job]
            self.ended[job] = True
        while self.coming and self.coming[0].submitted_at <= now:
            self.queue.append(self.coming.pop(0))
        snapshot = Snapshot(
            self.machines, list(self.running.values()), ended=self.ended, usage=self.usage
        )
        decisions = decide(snapshot, self.queue, now, self.policy, self.memory)
        by_id = {each.job_id: each for each in self.queue}
        for placement in decisions.placements:
            one = by_id.pop(placement.job_id)
            self.running[one.job_id] = started(placement, one, now)
            seconds = self._seconds.get(one.job_id, one.walltime_seconds)
            self.ends[one.job_id] = now + timedelta(seconds=seconds)
            self.start[one.job_id] = now
        for wait in decisions.waits:
            if wait.starts_by is not None:
                self.told.setdefault(wait.job_id, wait.starts_by)
        self.queue = list(by_id.values())
        return decisions

    def live(self, now: datetime, steps: int = 500) -> None:
        """From event to event until nothing moves."""
        for _ in range(steps):
            self.step(now)
            following = [*self.ends.values(), *(each.submitted_at for each in self.coming)]
            if not following:
                return
            now = max(now, min(following))
