"""Ninety days of the demo city on a simulated clock, through the platform's own services.

Nothing is inserted: jobs are submitted, placed, pulled, run by plan, metered, rated, settled,
invoiced and paid; vouchers are applied for, granted, claimed, reviewed and paid out.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from suanwang.core.clock import CITY_ZONE, SimulatedClock
from suanwang.core.errors import Refused
from suanwang.core.jobspec import JobSpec
from suanwang.engines.memory import Outcome
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt
from suanwang.metering.services import rate_pending, settle_ended
from suanwang.registry import services as registry
from suanwang.site.demo.cast import Cast, node_reports
from suanwang.site.demo.centre import DemoCentre
from suanwang.site.demo.data import city

SCRIPT = (
    "#!/bin/bash\n# demo: nothing of this ran; the in-memory engine lived it by plan\nsrun train\n"
)
SETTLED_EVERY = timedelta(days=1)
QUEUE_AT_MOST = timedelta(hours=12)
"""Everything has ended on the last day: nobody would be left to end it afterwards."""

_FAILURE_SHARE = 0.06
_OVERASK = (1.2, 2.2)
"""People ask for longer than they run; by how much, shortest to longest."""


@dataclass(frozen=True, order=True)
class _Wish:
    at: datetime
    organisation: str
    number: int
    spec: JobSpec
    outcome: Outcome

    @property
    def length(self) -> timedelta:
        return timedelta(seconds=self.outcome.duration_seconds)


class Life:
    """What happens between the first day and the last, moment by moment."""

    def __init__(self, cast: Cast, clock: SimulatedClock, *, end: datetime, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311 - the demo must be the same every time
        self._cast, self._clock = cast, clock
        self._wishes = list(_wishes(draw, clock.now(), end))
        heapq.heapify(self._wishes)
        outcomes = {wish.spec.name: wish.outcome for wish in self._wishes}
        self._centres = _centres(cast, clock, lambda _, spec: outcomes[spec.name])
        self._ended, self._settled = 0, clock.now()

    def go_on(self, until: datetime, tell: Callable[[datetime], None]) -> None:
        """Live on to a given moment."""
        while (moment := self._next()) is not None and moment < until:
            at = self._clock.move_to(max(moment, self._clock.now()))
            self._ended += sum(centre.finish() for centre in self._centres)
            if self._ended and at - self._settled >= SETTLED_EVERY:
                self._settle(at)
            while self._wishes and self._wishes[0].at <= at:
                _submit(self._cast, heapq.heappop(self._wishes), at)
            # A centre that is not heard of gets no work.
            registry.seen(*(centre.agent for centre in self._centres), at=at)
            if jobs.dispatch_once(at):
                self._pull()
            tell(at)
        self._settle(self._clock.move_to(until))
        for centre in self._centres:
            centre.report()

    def _pull(self) -> None:
        """Only those with new work call for it; in a real city all of them would be waiting."""
        waiting = set(
            Attempt.objects.filter(state=Attempt.State.LEASED).values_list("cluster_id", flat=True)
        )
        for centre in self._centres:
            if centre.cluster.pk in waiting:
                centre.pull()

    def _settle(self, at: datetime) -> None:
        rate_pending(at=at)
        settle_ended(at=at)
        self._ended, self._settled = 0, at

    def _next(self) -> datetime | None:
        moments = [end for centre in self._centres if (end := centre.next_end()) is not None]
        if self._wishes:
            moments.append(self._wishes[0].at)
        return min(moments, default=None)


def _centres(
    cast: Cast, clock: SimulatedClock, plan: Callable[[str, JobSpec], Outcome]
) -> list[DemoCentre]:
    centres = []
    for code, cluster in cast.clusters.items():
        centre = DemoCentre(cluster, node_reports(code), plan, clock)
        centre.enrol(cast.acting_for(city()["centres"][code]["provider"]))
        centres.append(centre)
    return centres


def _submit(cast: Cast, wish: _Wish, at: datetime) -> None:
    try:
        jobs.submit(wish.spec, actor=cast.acting_for(wish.organisation), at=at)
    except Refused as refusal:
        if refusal.code != "budget_exceeded":  # as a real user: wait for the next payment
            raise


def _wishes(draw: random.Random, start: datetime, until: datetime) -> Iterator[_Wish]:
    number = 0
    for organisation, workloads in city()["workloads"].items():
        for workload in workloads:
            at = start
            while True:
                at += timedelta(days=draw.expovariate(workload["per_week"] / 7))
                if at >= until:
                    break
                number += 1
                wish = _wish(draw, _in_office_hours(draw, at), organisation, number, workload)
                if wish.at + wish.length + QUEUE_AT_MOST < until:
                    yield wish


def _wish(
    draw: random.Random, at: datetime, organisation: str, number: int, workload: dict[str, Any]
) -> _Wish:
    shortest, longest = workload["hours"]
    hours = shortest * (longest / shortest) ** draw.random()
    failed = draw.random() < _FAILURE_SHARE
    seconds = int(hours * 3600 * (draw.random() if failed else 1)) + 1
    walltime = int(hours * 3600 * draw.uniform(*_OVERASK)) // 1800 * 1800 + 1800
    spec = JobSpec(
        name=f"{workload['name']} {number:04d}",
        script=SCRIPT,
        cores=workload["cores"],
        memory_mib=workload["memory_gib"] * 1024,
        accelerators=workload.get("accelerators", 0),
        accelerator_model=workload.get("model"),
        walltime_seconds=walltime,
    )
    return _Wish(at, organisation, number, spec, Outcome(seconds, exit_code=1 if failed else 0))


def _in_office_hours(draw: random.Random, at: datetime) -> datetime:
    """Most work is handed in by day, some at any hour."""
    if draw.random() < 0.2:
        return at
    local = at.astimezone(CITY_ZONE)
    return local.replace(hour=draw.randint(8, 19)).astimezone(at.tzinfo)
