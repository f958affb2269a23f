"""A city's life, event by event, decided by the very core that production runs.

At every moment at which something happens: 1. jobs end, are put out or killed; 2. nodes break, are
repaired, centres fall silent or are heard, prices change, summaries arrive; 3. jobs come; 4. the
core decides on what it is shown; 5. each decision is carried out if it still holds on the nodes as
they really are, else decided again; 6. the auditor looks on all the while. The same scenario,
policy and seed give the same life to the second.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from suanwang.placement.simulator.auditor import Auditor, Fate
from suanwang.placement.simulator.floor import Floor
from suanwang.placement.simulator.journal import Attempt, Journal, Sample, Stop
from suanwang.placement.simulator.scenario import Begun, Happening, Scenario, Work
from suanwang.placement.simulator.view import HALF_LIFE, View
from suanwang.placement.terms import Ask, Decisions, Placement, Policy, Rates, Running, Snapshot

Core = Callable[[Snapshot, Sequence[Ask], datetime, Policy], Decisions]

QUIET_AFTER = timedelta(hours=25)
"""With nothing running, coming or decided for so long (each hour of a day was seen), it is over."""
LONGEST = timedelta(days=300 * 366)
"""No simulation goes on for longer."""
_Kind = Literal[
    "ends", "gives_way", "back", "heard", "befalls", "breaks", "summary", "comes", "wake"
]
_ORDER: dict[_Kind, int] = {
    "ends": 0, "gives_way": 1, "back": 2, "heard": 2, "befalls": 3, "breaks": 3, "summary": 4,
    "comes": 5, "wake": 6,
}  # fmt: skip
_HOUR = timedelta(hours=1)


class Progress(NamedTuple):
    """How far a simulation is."""

    now: datetime
    ended: int
    jobs: int


@dataclass(slots=True)
class _Job:
    work: Work
    ask: Ask
    left_seconds: int
    failures: int = 0
    serial: int = 0
    """Of the attempt: an end planned for an earlier one is void."""
    started_at: datetime | None = None
    machine_ids: tuple[int, ...] = ()
    cards: tuple[tuple[int, ...], ...] = ()
    rates: tuple[Rates, ...] = ()
    giving_way: bool = False
    refused_at: dict[UUID, datetime] = field(default_factory=dict)


class Simulation:
    """One life of a city. ``run`` goes through it and leaves the journal behind."""

    def __init__(
        self,
        scenario: Scenario,
        core: Core,
        policy: Policy,
        *,
        name: str = "",
        seed: int = 0,
        ends_after: timedelta | None = None,
        decide_every: timedelta = timedelta(0),
    ) -> None:
        self._scenario, self._core, self._policy = scenario, core, policy
        self._floor = Floor(scenario.machines)
        half_life = getattr(policy, "share_half_life", HALF_LIFE)
        self._view = View(scenario, self._floor, half_life)
        self._auditor = Auditor(scenario.machines)
        self._jobs: dict[UUID, _Job] = {}
        self._queue: dict[UUID, Ask] = {}
        self._ended: dict[UUID, bool] = {}
        self._followers: dict[UUID, list[UUID]] = {}
        self._heap: list[tuple[datetime, int, int, _Kind, Any]] = []
        self._pushed = self._to_come = 0
        self._down: dict[int, int] = {}
        self._silent: dict[int, int] = {}
        self._now = scenario.starts_at
        self._decided_at: datetime | None = None
        self._wakes: set[datetime] = set()
        self._decide_every, self._seed = decide_every, seed
        self._stops_at = scenario.starts_at + (ends_after or LONGEST)
        self._held = [0, 0]
        self.journal = Journal(scenario, name)

    # --- the whole of it

    def run(self) -> Iterator[Progress]:
        """Go through all of it, telling now and then how far it is."""
        self._prepare()
        quiet_since, total = self._now, len(self._scenario.works) + len(self._scenario.begun)
        while self._heap:
            now = self._heap[0][0]
            if now > self._stops_at:
                self._now = self._stops_at
                break
            if not self._active() and now - quiet_since > QUIET_AFTER:
                break
            moved = self._moment(now)
            if moved or self._active():
                quiet_since = now
            if len(self.journal.fates) == total:
                break
            yield Progress(now, len(self.journal.fates), total)
        self._close()
        yield Progress(self._now, len(self.journal.fates), total)

    def _active(self) -> bool:
        return bool(self._view.running) or self._to_come > 0

    def _moment(self, now: datetime) -> bool:
        """All that happens at one instant, and what is decided then; whether a job moved."""
        self._now = now
        self._auditor.at(now)
        self._view.at(now)
        moved = False
        while self._heap and self._heap[0][0] == now:
            _, _, _, kind, what = heapq.heappop(self._heap)
            moved |= bool(getattr(self, f"_{kind}")(what))
        if self._queue and self._may_decide():
            moved |= self._decide()
        self._sample()
        return moved

    def _push(self, at: datetime, kind: _Kind, what: Any) -> None:
        self._pushed += 1
        heapq.heappush(self._heap, (at, _ORDER[kind], self._pushed, kind, what))

    def _prepare(self) -> None:
        scenario = self._scenario
        for begun in scenario.begun:
            self._begin(begun)
        for work in scenario.works:
            self._to_come += 1
            self._push(max(scenario.starts_at, work.ask.submitted_at), "comes", work)
        for happening in scenario.happenings:
            self._expect(happening)
        for centre, every in scenario.summaries.items():
            self._push(scenario.starts_at + timedelta(seconds=every), "summary", centre)
        if scenario.breaking:
            self._prepare_breaking()

    def _expect(self, happening: Happening) -> None:
        """What began before the simulation lasts for the rest of its time, if any is left."""
        at, lasts = happening.at, happening.lasts_seconds
        early = int((self._now - at).total_seconds())
        if early > 0 and lasts is not None:
            if lasts <= early:
                return
            happening = replace(happening, lasts_seconds=lasts - early)
        self._to_come += 1
        self._push(max(self._now, at), "befalls", happening)

    def _prepare_breaking(self) -> None:
        import numpy as np

        self._chance = np.random.default_rng((self._seed, 0xB6EA))
        for breaking in self._scenario.breaking:
            for machine_id in breaking.machine_ids:
                self._breaks_next(machine_id, breaking.mean_seconds, breaking.repair_seconds)

    def _breaks_next(self, machine_id: int, mean: int, repair: int) -> None:
        after = 1 + round(float(self._chance.exponential(mean)))
        self._push(self._now + timedelta(seconds=after), "breaks", (machine_id, mean, repair))

    # --- what happens

    def _comes(self, work: Work) -> bool:
        self._to_come -= 1
        ask = work.ask
        self._jobs[ask.job_id] = _Job(work, ask, work.seconds)
        self.journal.works[ask.job_id] = work
        self._auditor.came(ask)
        for before in ask.after:
            if self._ended.get(before) is False:
                self._end(ask.job_id, "blocked")
                return True
            self._followers.setdefault(before, []).append(ask.job_id)
        self._queue[ask.job_id] = ask
        if ask.not_before is not None and ask.not_before > self._now:
            self._wake_at(ask.not_before)
        return True

    def _ends(self, what: tuple[UUID, int]) -> bool:
        job = self._live(what)
        if job is None:
            return False
        assert job.started_at is not None  # noqa: S101 - it runs
        done = (self._now - job.started_at).total_seconds() >= job.left_seconds
        self._stop(job, "done" if done else "timed_out")
        self._end(job.ask.job_id, "done" if done else "timed_out")
        return True

    def _gives_way(self, what: tuple[UUID, int]) -> bool:
        job = self._live(what)
        if job is None:
            return False
        ran = self._stop(job, "preempted")
        saved = ran if self._policy.preempt_grace else _saved(job, ran)
        self._again(job, saved)
        return True

    def _live(self, what: tuple[UUID, int]) -> _Job | None:
        """The job if it is still in the attempt that was meant."""
        job = self._jobs[what[0]]
        return job if job.serial == what[1] and job.started_at is not None else None

    def _befalls(self, what: Happening) -> bool:
        self._to_come -= 1
        kind: _Kind = "back"
        then: Any = sorted(what.machine_ids)
        if what.what == "fail":
            self._go_down(then)
        elif what.what == "unheard":
            self._silence(what.machine_ids, 1)
            kind, then = "heard", what.machine_ids
        else:
            before = self._view.set_rates(what.rates)
            kind, then = "befalls", replace(what, rates=before, lasts_seconds=None)
        if what.lasts_seconds is not None:
            self._to_come += 1
            self._push(self._now + timedelta(seconds=what.lasts_seconds), kind, then)
        return True

    def _silence(self, machine_ids: frozenset[int], by: int) -> None:
        for one in machine_ids:
            self._silent[one] = self._silent.get(one, 0) + by
        self._view.set_online([one for one in machine_ids if self._silent[one] > 0], False)
        self._view.set_online([one for one in machine_ids if self._silent[one] <= 0], True)

    def _heard(self, machine_ids: frozenset[int]) -> bool:
        self._to_come -= 1
        self._silence(machine_ids, -1)
        return True

    def _breaks(self, what: tuple[int, int, int]) -> bool:
        machine_id, mean, repair = what
        self._go_down([machine_id])
        self._push(self._now + timedelta(seconds=repair), "back", (machine_id, mean, repair))
        return False

    def _go_down(self, machine_ids: Sequence[int]) -> None:
        struck = set(machine_ids)
        live = [self._jobs[job_id] for job_id in self._view.running]
        for job in [one for one in live if not struck.isdisjoint(one.machine_ids)]:
            ran = self._stop(job, "node_failed")
            job.failures += 1
            if job.failures >= self._policy.attempts_max:
                self._end(job.ask.job_id, "failed")
            else:
                self._again(job, _saved(job, ran))
        for one in machine_ids:
            self._down[one] = self._down.get(one, 0) + 1
            self._floor.set_up(one, False)
        self.journal.failures += len(machine_ids)
        self._auditor.broke(machine_ids)
        self._view.changed()

    def _back(self, what: Sequence[int] | tuple[int, int, int]) -> bool:
        if isinstance(what, tuple):
            machine_id, mean, repair = what
            repaired: Sequence[int] = [machine_id]
            self._breaks_next(machine_id, mean, repair)
        else:
            self._to_come -= 1
            repaired = what
        for one in repaired:
            self._down[one] -= 1
            if not self._down[one]:
                self._floor.set_up(one, True)
                self._auditor.repaired([one])
        self._view.changed()
        return False

    def _summary(self, centre: str) -> bool:
        self._view.summarise(self._view.clusters(centre), self._now)
        every = timedelta(seconds=self._scenario.summaries[centre])
        self._push(self._now + every, "summary", centre)
        return False

    def _wake(self, _: None) -> bool:
        self._wakes.discard(self._now)
        return False

    def _wake_at(self, at: datetime) -> None:
        if at not in self._wakes:
            self._wakes.add(at)
            self._push(at, "wake", None)

    # --- decisions

    def _may_decide(self) -> bool:
        if self._decided_at is not None and self._now - self._decided_at < self._decide_every:
            self._wake_at(self._decided_at + self._decide_every)
            return False
        return True

    def _decide(self) -> bool:
        """Ask the core until no start is refused, and carry out what it says."""
        self._decided_at = self._now
        moved, asked_again = False, True
        while asked_again and self._queue:
            asked_again = False
            queue = list(self._queue.values())
            decisions = self._core(self._view.snapshot(self._ended), queue, self._now, self._policy)
            self.journal.decided += 1
            for preemption in decisions.preemptions:
                moved |= self._tell_to_give_way(preemption.job_id, preemption.grace)
            for placement in decisions.placements:
                started = self._carry_out(placement)
                moved |= started is True
                asked_again |= started is None
        if self._queue:
            self._wake_at(self._now.replace(minute=0, second=0, microsecond=0) + _HOUR)
        return moved

    def _carry_out(self, placement: Placement) -> bool | None:
        """Start the job if the decision holds; None: its centre refused, to be decided anew."""
        job = self._jobs[placement.job_id]
        ask = self._queue.get(placement.job_id)
        if ask is None or not self._ready(ask):
            self.journal.not_admitted += 1
            return False
        shown = [machine.id for machine in placement.machines]
        cluster = self._view.cluster_of(shown[0]) if shown else None
        machine_ids: Sequence[int] | None = shown
        cards: Sequence[tuple[int, ...]] = placement.cards
        if cluster is not None:
            machine_ids, cards = self._floor.found_by_cluster(ask, cluster), ()
            if machine_ids is None:
                return self._refused_by(job, ask, cluster)
        held = None
        if machine_ids is not None and len(machine_ids) == ask.nodes:
            held = self._floor.take(ask, machine_ids, cards)
        if machine_ids is None or held is None:
            self.journal.not_admitted += 1
            return False
        self._start(job, ask, tuple(machine_ids), held, self._now)
        return True

    def _ready(self, ask: Ask) -> bool:
        early = ask.not_before is not None and ask.not_before > self._now
        return not early and all(self._ended.get(before) for before in ask.after)

    def _refused_by(self, job: _Job, ask: Ask, cluster: UUID) -> bool | None:
        """Remember who refused; a second refusal of the same moment is not asked for again."""
        self.journal.refused_starts += 1
        again = job.refused_at.get(cluster) != self._now
        job.refused_at[cluster] = self._now
        self._queue[ask.job_id] = job.ask = replace(ask, refused_at=dict(job.refused_at))
        return None if again else False

    def _begin(self, begun: Begun) -> None:
        """A job that runs already; what it takes from now on is what is left of it."""
        work, ask = begun.work, begun.work.ask
        job = self._jobs[ask.job_id] = _Job(work, ask, work.seconds)
        self.journal.works[ask.job_id] = work
        self._auditor.came(ask)
        self._queue[ask.job_id] = ask
        held = self._floor.take(ask, begun.machine_ids, begun.cards)
        if held is None:  # its nodes shrank, or are fewer than it asks: it waits as any other
            return
        self._start(job, ask, begun.machine_ids, held, begun.started_at)

    def _start(
        self,
        job: _Job,
        ask: Ask,
        machine_ids: tuple[int, ...],
        cards: tuple[tuple[int, ...], ...],
        started_at: datetime,
    ) -> None:
        del self._queue[ask.job_id]
        self._auditor.started(ask, machine_ids, cards)
        job.serial += 1
        job.started_at, job.machine_ids, job.cards = started_at, machine_ids, cards
        job.rates = tuple(self._view.rates(one) for one in machine_ids)
        self._hold(ask, 1)
        walltime = timedelta(seconds=ask.walltime_seconds)
        expected = ask.expected_seconds
        shown = tuple(self._view.shown(one) for one in machine_ids)
        self._view.starts(
            Running(
                ask.job_id,
                shown,
                ask.room,
                ends_by=started_at + walltime,
                expected_end=None if expected is None else started_at + timedelta(seconds=expected),
                organisation=ask.organisation,
                priority=ask.priority,
                preemptible=ask.preemptible,
                started_at=started_at,
                cards=cards if shown == machine_ids else (),
            )
        )
        ends_at = started_at + min(walltime, timedelta(seconds=job.left_seconds))
        self._push(max(self._now, ends_at), "ends", (ask.job_id, job.serial))
        self.journal.starts += 1
        self.journal.first_start.setdefault(ask.job_id, started_at)

    def _tell_to_give_way(self, job_id: UUID, grace: timedelta) -> bool:
        job = self._jobs.get(job_id)
        if job is None or job.started_at is None or job.giving_way or not job.ask.preemptible:
            return False
        job.giving_way = True
        self.journal.preemptions += 1
        running = self._view.running[job_id]
        ends_by = min(running.ends_by, self._now + grace)
        self._view.running[job_id] = replace(running, ends_by=ends_by, expected_end=ends_by)
        self._push(self._now + grace, "gives_way", (job_id, job.serial))
        return True

    # --- ends

    def _stop(self, job: _Job, why: Stop) -> int:
        """Free what a job holds; how many seconds it ran."""
        assert job.started_at is not None  # noqa: S101 - it runs
        ask, started = job.ask, job.started_at
        self._floor.give_back(ask.room, job.machine_ids, job.cards)
        self._hold(ask, -1)
        self._view.stops(ask.job_id)
        attempt = Attempt(ask.job_id, job.machine_ids, ask.room, started, self._now, why, job.rates)
        self.journal.attempts.append(attempt)
        job.started_at, job.machine_ids, job.cards, job.giving_way = None, (), (), False
        return int((self._now - started).total_seconds())

    def _again(self, job: _Job, saved_seconds: int) -> None:
        job.left_seconds = max(1, job.left_seconds - saved_seconds)
        job.ask = replace(job.ask, attempt=job.ask.attempt + 1)
        self._queue[job.ask.job_id] = job.ask
        self._auditor.waits_again(job.ask)

    def _end(self, job_id: UUID, fate: Fate) -> None:
        """A job is over; those that come after it are blocked unless it ended well."""
        fates: list[tuple[UUID, Fate]] = [(job_id, fate)]
        while fates:
            one, its = fates.pop()
            if one in self.journal.fates:
                continue
            self._auditor.ended(one, its)
            self._queue.pop(one, None)
            self._ended[one] = its == "done"
            self.journal.fates[one], self.journal.ended_at[one] = its, self._now
            if its != "done":
                fates += [(follower, "blocked") for follower in self._followers.get(one, ())]

    def _close(self) -> None:
        """Account for whoever has not ended: cut off while running, never started, never come."""
        for kind, what in [(event[3], event[4]) for event in self._heap]:
            if kind == "comes":
                self._jobs[what.ask.job_id] = _Job(what, what.ask, what.seconds)
                self.journal.works[what.ask.job_id] = what
                self._auditor.came(what.ask)
        for job_id, job in self._jobs.items():
            if job.started_at is not None:
                self._stop(job, "cut_off")
                self._end(job_id, "cut_off")
            elif job_id not in self.journal.fates:
                self._end(job_id, "never_started")
        self._auditor.close(self._jobs)
        self.journal.audited, self.journal.ends_at = self._auditor.checks, self._now

    def _hold(self, ask: Ask, sign: int) -> None:
        self._held[0] += sign * ask.nodes * ask.room.core_milli
        self._held[1] += sign * ask.nodes * ask.room.cards * ask.room.card_milli

    def _sample(self) -> None:
        sample = Sample(self._now, len(self._queue), len(self._view.running), *self._held)
        self.journal.samples.append(sample)


def _saved(job: _Job, ran_seconds: int) -> int:
    """What of a run is not lost when it is stopped unwarned."""
    every = job.work.checkpoint_every
    return ran_seconds // every * every if every else 0
