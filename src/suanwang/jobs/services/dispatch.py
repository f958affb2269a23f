"""One step of the dispatcher: look, decide, make it true. And: give up leases nobody kept.

Several dispatchers may run. Each decides on its own snapshot; what keeps them apart is in
``services.admission``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Func, JSONField

from suanwang.jobs import bells, effects
from suanwang.jobs.asks import ask_of
from suanwang.jobs.expected import Expected
from suanwang.jobs.models import Attempt, Job
from suanwang.jobs.services.admission import NEVER, admit, explain, make_way, tried
from suanwang.jobs.services.reports import lose
from suanwang.jobs.shares import policy, usage
from suanwang.jobs.snapshot import local, take_snapshot
from suanwang.placement import Ask, Decisions, Policy, Snapshot, decide
from suanwang.placement import Memory as CoreMemory
from suanwang.registry import queries as registry

QUEUE_LOOKED_AT = 2_000
"""How many of the oldest queued jobs one step decides on."""
_KEPT = timedelta(seconds=60)

Recorder = Callable[[Snapshot, Sequence[Ask], datetime, Policy, Decisions], None]


@dataclass
class Memory:
    """What one dispatcher keeps from step to step. Lost with it, and made again from the books."""

    core: CoreMemory = field(default_factory=CoreMemory)
    expected: Expected = field(default_factory=Expected)
    usage: dict[str, float] = field(default_factory=dict)
    learned_at: datetime | None = None
    recorder: Recorder | None = None
    """Is told what the core was asked and what it answered, for a replay in the simulator."""

    def learn(self, at: datetime) -> None:
        """Past use and run times move slowly, and steps are many: at most once a minute."""
        if self.learned_at is None or not timedelta(0) <= at - self.learned_at < _KEPT:
            self.usage, self.learned_at = usage(at), at
            self.expected.learn()


@dataclass(frozen=True)
class Question:
    """What the core is asked at one moment."""

    snapshot: Snapshot
    queue: Sequence[Ask]
    now: datetime
    policy: Policy


def dispatch_once(at: datetime, memory: Memory | None = None) -> int:
    """Place what can start now and tell the rest why they wait; how many were placed.

    1. read the queue and take a snapshot; 2. decide; 3. admit in one transaction; 4. tell who must
    give way; 5. write down the reasons that changed.
    """
    jobs = queued()
    if not jobs:
        return 0
    memory = memory or Memory()
    asked = question(jobs, at, memory)
    decisions = decide(asked.snapshot, asked.queue, asked.now, asked.policy, memory.core)
    if memory.recorder is not None:
        memory.recorder(asked.snapshot, asked.queue, asked.now, asked.policy, decisions)
    admitted = admit(decisions.placements, at) if decisions.placements else 0
    make_way(decisions.preemptions, at)
    explain({job.pk: job for job in jobs}, decisions.waits)
    return admitted


class _Wishes(Func):
    """A specification without what placement has no use for: scripts are long, queues too."""

    template = "%(expressions)s - ARRAY['script', 'environment', 'files_in', 'files_out']"
    output_field = JSONField()


def queued() -> list[Job]:
    """The oldest waiting jobs, without their scripts and files."""
    rows = Job.objects.filter(state=Job.State.QUEUED).order_by("submitted_at", "id")
    jobs: list[Job] = list(rows.defer("spec").annotate(wishes=_Wishes(F("spec")))[:QUEUE_LOOKED_AT])
    for job in jobs:
        job.spec = job.wishes  # type: ignore[attr-defined]
    return jobs


def question(jobs: Sequence[Job], at: datetime, memory: Memory) -> Question:
    """The snapshot, the jobs in the words of placement, and the city's policy."""
    memory.learn(at)
    gangs = registry.gang_centres() if any(job.nodes > 1 for job in jobs) else frozenset()
    before, expected = tried((job.pk for job in jobs), at), memory.expected
    asks = []
    for job in jobs:
        past = before.get(job.pk, NEVER)
        request = job.organisation_id, job.submitted_by_id, job.walltime_seconds
        asks.append(
            ask_of(
                job,
                attempt=past.charged + 1,
                gang_centres=gangs,
                expected_seconds=expected.seconds(*request),
                harmonic_seconds=expected.harmonic_seconds(*request),
                refused_at=past.refused_at,
                refused_by=past.refused_by,
            )
        )
    first = {one for ask in asks for one in ask.after}
    snapshot = take_snapshot(at, after=first, usage=memory.usage, expect=expected.seconds)
    return Question(snapshot, asks, local(at), policy())


def abandon_expired(at: datetime) -> int:
    """Give up every lease that was not renewed in time; its job queues again or is lost."""
    due = list(
        Attempt.objects.filter(state__in=Attempt.LIVE, expires_at__lt=at)
        .order_by("expires_at")
        .values_list("pk", "job_id")[:500]
    )
    return sum(_abandon(attempt, job, at) for attempt, job in due)


@transaction.atomic
def _abandon(attempt_id: UUID, job_id: UUID, at: datetime) -> bool:
    job = Job.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=job_id).first()
    if job is None:  # someone is at it; next time
        return False
    attempt = (
        Attempt.objects.select_for_update(of=("self",))
        .filter(pk=attempt_id, state__in=Attempt.LIVE, expires_at__lt=at)
        .first()
    )
    if attempt is None:
        return False
    attempt.job = job
    lose(attempt, at=at, reason="lease_expired")
    attempt.save()
    effects.settle_soon()
    bells.ring(bells.QUEUE)
    return True
