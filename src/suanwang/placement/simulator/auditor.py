"""Watches a simulation and trusts nothing: keeps its own books and speaks up at the first slip.

At every start: the job waits and runs nowhere else, all of its nodes are up and distinct (unless it
wants one node), none is over its cores, memory or any card. At the end: every job that came has
exactly one fate, and nothing is held by anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from suanwang.placement.terms import WHOLE_CARD, Ask, Machine

Fate = Literal["done", "timed_out", "failed", "blocked", "never_started", "cut_off"]


class Unsound(AssertionError):
    """The simulation broke a promise; its code and facts say which."""

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(code, facts)
        self.code, self.facts = code, facts


class Auditor:
    """The books. ``checks`` counts what was verified, so that a test can see it looked."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        self._machines = {machine.id: machine for machine in machines}
        self._on: dict[int, dict[UUID, list[tuple[Ask, tuple[int, ...]]]]] = {
            machine: {} for machine in self._machines
        }
        self._down: set[int] = set()
        self._waiting: dict[UUID, Ask] = {}
        self._running: dict[UUID, tuple[int, ...]] = {}
        self.fates: dict[UUID, Fate] = {}
        self.checks = 0
        self._now: datetime | None = None

    def at(self, now: datetime) -> None:
        """Time goes on."""
        if self._now is not None and now < self._now:
            raise Unsound("time_went_back", was=self._now, now=now)
        self._now = now

    def came(self, ask: Ask) -> None:
        """A job was submitted."""
        if ask.job_id in self._waiting or ask.job_id in self._running or ask.job_id in self.fates:
            raise Unsound("job_came_twice", job=ask.job_id)
        self._waiting[ask.job_id] = ask

    def started(
        self, ask: Ask, machine_ids: Sequence[int], cards: Sequence[tuple[int, ...]]
    ) -> None:
        """A job was started on these nodes and cards."""
        job = ask.job_id
        if job in self._running:
            raise Unsound("job_runs_twice", job=job)
        if self._waiting.pop(job, None) is None:
            raise Unsound("job_does_not_wait", job=job)
        if len(machine_ids) != ask.nodes or len(cards) != ask.nodes:
            raise Unsound("gang_not_whole", job=job, asked=ask.nodes, got=len(machine_ids))
        if len(set(machine_ids)) != (1 if ask.spread == "node" else ask.nodes):
            raise Unsound("gang_spread_wrong", job=job, spread=ask.spread)
        self._running[job] = tuple(machine_ids)
        for machine_id, chosen in zip(machine_ids, cards, strict=True):
            if machine_id in self._down:
                raise Unsound("node_is_down", job=job, node=self._machines[machine_id].name)
            self._on[machine_id].setdefault(job, []).append((ask, chosen))
            self._check(machine_id)

    def _check(self, machine_id: int) -> None:
        whole = self._machines[machine_id].whole
        held = [one for parts in self._on[machine_id].values() for one in parts]
        cards = [0] * whole.cards
        for ask, chosen in held:
            if len(set(chosen)) != ask.room.cards or any(
                number >= whole.cards for number in chosen
            ):
                raise Unsound("cards_wrong", job=ask.job_id, asked=ask.room.cards, got=chosen)
            for number in chosen:
                cards[number] += ask.room.card_milli
        cores = sum(ask.room.core_milli for ask, _ in held)
        memory = sum(ask.room.memory_mib for ask, _ in held)
        over = cores > whole.core_milli or memory > whole.memory_mib
        if over or max(cards, default=0) > WHOLE_CARD:
            name = self._machines[machine_id].name
            raise Unsound("node_over_capacity", node=name, cores=cores, memory=memory, cards=cards)
        self.checks += 1

    def waits_again(self, ask: Ask) -> None:
        """A running job was stopped and goes back to the queue."""
        self._stopped(ask.job_id)
        self._waiting[ask.job_id] = ask

    def ended(self, job: UUID, fate: Fate) -> None:
        """A job came to its end; running ones free what they held."""
        if job in self._running:
            self._stopped(job)
        elif self._waiting.pop(job, None) is None:
            raise Unsound("job_unknown", job=job, fate=fate)
        if job in self.fates:
            raise Unsound("job_ended_twice", job=job)
        self.fates[job] = fate

    def _stopped(self, job: UUID) -> None:
        machine_ids = self._running.pop(job, None)
        if machine_ids is None:
            raise Unsound("job_does_not_run", job=job)
        for machine_id in set(machine_ids):
            del self._on[machine_id][job]

    def broke(self, machine_ids: Iterable[int]) -> None:
        """Nodes went down; whatever ran there must have been stopped by now."""
        for machine_id in machine_ids:
            self._down.add(machine_id)
            if self._on[machine_id]:
                raise Unsound("job_on_broken_node", node=self._machines[machine_id].name)

    def repaired(self, machine_ids: Iterable[int]) -> None:
        """Nodes are back."""
        self._down.difference_update(machine_ids)

    def close(self, came: Iterable[UUID]) -> None:
        """The end: every job has one fate and holds nothing."""
        if self._running or any(self._on.values()):
            raise Unsound("something_still_held", jobs=len(self._running))
        if self._waiting:
            raise Unsound("job_lost", jobs=sorted(map(str, self._waiting))[:5])
        all_of_them = set(came)
        if all_of_them != set(self.fates):
            raise Unsound("fates_do_not_match", jobs=len(all_of_them ^ set(self.fates)))
        self.checks += 1
