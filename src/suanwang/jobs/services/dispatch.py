"""One step of the dispatcher: look, decide, admit. And: give up leases nobody kept.

Several dispatchers may run. Each decides on its own snapshot; what counts is the admission,
where the job is locked (skipping those another has locked) and the room on the node is counted
again under the node's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count

from suanwang.jobs import bells, effects
from suanwang.jobs.asks import ask_of, room_of
from suanwang.jobs.floor import Floor
from suanwang.jobs.models import Attempt, Job, JobEvent
from suanwang.jobs.rules import LEASE_UNTAKEN, after
from suanwang.jobs.services.reports import lose
from suanwang.jobs.shares import policy, usage
from suanwang.jobs.snapshot import local, take_snapshot
from suanwang.jobs.story import state_of
from suanwang.placement import Ask, Decisions, Placement, Policy, Reason, Snapshot, Wait, decide
from suanwang.registry import queries as registry

QUEUE_LOOKED_AT = 2_000
"""How many of the oldest queued jobs one step decides on."""
_USAGE_KEPT = timedelta(seconds=60)
_START_MOVED = timedelta(minutes=2)
_HELPS_KEPT = 3


@dataclass
class Memory:
    """What one dispatcher keeps from step to step."""

    usage: dict[str, float] = field(default_factory=dict)
    usage_at: datetime | None = None
    recorder: Callable[[Snapshot, Sequence[Ask], datetime, Policy, Decisions], None] | None = None

    def used(self, at: datetime) -> dict[str, float]:
        """Past use moves slowly, and steps are many: worked out at most once a minute."""
        if self.usage_at is None or not timedelta(0) <= at - self.usage_at < _USAGE_KEPT:
            self.usage, self.usage_at = usage(at), at
        return self.usage


def dispatch_once(at: datetime, memory: Memory | None = None) -> int:
    """Place what can start now and tell the rest why they wait; how many were placed.

    1. read the queue; 2. take a snapshot; 3. decide; 4. admit in one transaction; 5. write down
    the reasons that changed.
    """
    queue = list(
        Job.objects.filter(state=Job.State.QUEUED).order_by("submitted_at", "id")[:QUEUE_LOOKED_AT]
    )
    if not queue:
        return 0
    memory = memory or Memory()
    asks, now, rules = _asks(queue), local(at), policy()
    after = {one for ask in asks for one in ask.after}
    snapshot = take_snapshot(at, after=after, usage=memory.used(at))
    decisions = decide(snapshot, asks, now, rules)
    if memory.recorder is not None:
        memory.recorder(snapshot, asks, now, rules, decisions)
    admitted = _admit(decisions.placements, at) if decisions.placements else 0
    _explain({job.pk: job for job in queue}, decisions.waits, at)
    return admitted


def _asks(queue: Sequence[Job]) -> list[Ask]:
    gangs = registry.gang_centres() if any(job.nodes > 1 for job in queue) else frozenset()
    before = _attempts_before(queue)
    return [ask_of(job, attempt=before.get(job.pk, 0) + 1, gang_centres=gangs) for job in queue]


def _attempts_before(jobs: Sequence[Job]) -> dict[UUID, int]:
    """How often each of some jobs was leased before; jobs never leased are left out."""
    rows = Attempt.objects.filter(job__in=[job.pk for job in jobs]).values_list("job_id")
    return dict(rows.annotate(Count("id")).order_by())


@transaction.atomic
def _admit(placements: Sequence[Placement], at: datetime) -> int:
    """Lease each job that is still queued to its node if there is still room; skip the others."""
    by_job = {placement.job_id: placement for placement in placements}
    jobs = list(
        Job.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(pk__in=by_job, state=Job.State.QUEUED)
        .order_by("submitted_at", "id")
    )
    if not jobs:
        return 0
    floor = Floor(sorted({each.id for job in jobs for each in by_job[job.pk].machines}))
    before = _attempts_before(jobs)
    attempts, events, placed = [], [], []
    for job in jobs:
        placement = by_job[job.pk]
        chosen = [machine.id for machine in placement.machines]
        if len(chosen) != job.nodes or len({m.cluster_id for m in placement.machines}) > 1:
            continue  # all of a job's nodes are leased to one agent, or none
        cards = floor.take(chosen, room_of(job), placement.cards)
        if cards is None:
            continue
        node = floor.nodes[chosen[0]]
        job.state = after(state_of(job), "place")
        job.cluster_id = node.cluster_id
        job.reason = _as_json(placement)
        attempts.append(
            Attempt(
                job=job,
                number=before.get(job.pk, 0) + 1,
                cluster_id=node.cluster_id,
                node=node,
                nodes_more=chosen[1:],
                cards=cards,
                leased_at=at,
                expires_at=at + LEASE_UNTAKEN,
            )
        )
        events.append(JobEvent(job=job, at=at, state=job.state, facts=job.reason))
        placed.append(job)
    Attempt.objects.bulk_create(attempts)
    Job.objects.bulk_update(placed, ["state", "cluster", "reason"])
    JobEvent.objects.bulk_create(events)
    for cluster in sorted({attempt.cluster_id for attempt in attempts}):
        bells.ring(bells.CLUSTER, cluster)
    for job in placed:
        bells.ring(bells.JOB, job.pk)
    return len(placed)


def _as_json(decided: Placement | Wait) -> dict[str, Any]:
    """As it is kept with the job. Moments are kept in UTC; the core speaks the city's time."""
    found = _reason_json(decided.reason)
    if isinstance(decided, Wait):
        if decided.starts_at is not None:
            found["starts_at"] = _utc(decided.starts_at)
        if decided.starts_by is not None:
            found["starts_by"] = _utc(decided.starts_by)
        if decided.helps:
            found["helps"] = [_reason_json(help_) for help_ in decided.helps[:_HELPS_KEPT]]
    return found


def _reason_json(reason: Reason) -> dict[str, Any]:
    facts = {
        name: _utc(datetime.fromisoformat(value))
        if name.endswith(("_at", "_by")) and isinstance(value, str) and value
        else value
        for name, value in reason.facts.items()
    }
    return {"code": reason.code, "facts": facts}


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="minutes")


@transaction.atomic
def _explain(jobs: dict[Any, Job], waits: Sequence[Wait], at: datetime) -> None:
    """Write down why jobs wait, where that changed enough to matter; never for one that moved.

    One dispatcher at a time: another would write the same, and both would lock the same rows.
    """
    changed = []
    for wait in waits:
        job, reason = jobs[wait.job_id], _as_json(wait)
        if job.reason.get("code") != reason["code"] or _start_moved(job.reason, reason):
            job.reason = reason
            changed.append(job)
    if not changed:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('suanwang.jobs.explain'))")
        if not cursor.fetchone()[0]:
            return
    Job.objects.filter(state=Job.State.QUEUED).bulk_update(changed, ["reason"], batch_size=200)


def _start_moved(before: dict[str, Any], now: dict[str, Any]) -> bool:
    was, is_now = before.get("starts_at"), now.get("starts_at")
    if was is None or is_now is None:
        return was is not is_now
    gap = datetime.fromisoformat(is_now) - datetime.fromisoformat(was)
    return abs(gap) >= _START_MOVED


def abandon_expired(at: datetime) -> int:
    """Give up every lease that was not renewed in time; its job queues again or is lost."""
    due = list(
        Attempt.objects.filter(state__in=Attempt.LIVE, expires_at__lt=at)
        .order_by("expires_at")
        .values_list("pk", "job_id")[:500]
    )
    return sum(_abandon(attempt, job, at) for attempt, job in due)


@transaction.atomic
def _abandon(attempt_id: Any, job_id: Any, at: datetime) -> bool:
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
