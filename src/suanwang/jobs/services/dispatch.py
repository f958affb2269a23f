"""One step of the dispatcher: look, decide, admit. And: give up leases nobody kept.

Several dispatchers may run. Each decides on its own snapshot; what counts is the admission,
where the job is locked (skipping those another has locked) and the room on the node is counted
again under the node's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from suanwang.jobs import bells, effects
from suanwang.jobs.models import Attempt, Job, JobEvent
from suanwang.jobs.rules import LEASE_UNTAKEN, after
from suanwang.jobs.services.reports import lose
from suanwang.jobs.snapshot import ask_of, room_of, take_snapshot, used_by_node
from suanwang.jobs.story import state_of
from suanwang.placement import Placement, Room, Wait, decide
from suanwang.registry.models import Node

QUEUE_LOOKED_AT = 2_000
"""How many of the oldest queued jobs one step decides on."""
_START_MOVED = timedelta(minutes=2)


def dispatch_once(at: datetime) -> int:
    """Place what can start now and tell the rest why they wait; how many were placed.

    1. read the queue; 2. take a snapshot; 3. decide; 4. admit in one transaction; 5. write down
    the reasons that changed.
    """
    queue = list(
        Job.objects.filter(state=Job.State.QUEUED).order_by("submitted_at", "id")[:QUEUE_LOOKED_AT]
    )
    if not queue:
        return 0
    decisions = decide(take_snapshot(at), [ask_of(job) for job in queue], at)
    admitted = _admit(decisions.placements, at) if decisions.placements else 0
    _explain({job.pk: job for job in queue}, decisions.waits, at)
    return admitted


@transaction.atomic
def _admit(placements: Sequence[Placement], at: datetime) -> int:
    """Lease each job that is still queued to its node if there is still room; skip the others."""
    by_job = {placement.job_id: placement for placement in placements}
    jobs = list(
        Job.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(pk__in=by_job, state=Job.State.QUEUED)
        .order_by("submitted_at", "id")
    )
    wanted = sorted({by_job[job.pk].machine.id for job in jobs})
    nodes = {
        node.pk: node
        for node in Node.objects.select_for_update(no_key=True)
        .filter(pk__in=wanted, up=True)
        .order_by("id")
    }
    used = used_by_node(wanted)
    numbers = {job.pk: job.attempts.count() + 1 for job in jobs} if jobs else {}
    attempts, events, placed = [], [], []
    for job in jobs:
        placement = by_job[job.pk]
        node = nodes.get(placement.machine.id)
        if node is None:
            continue
        held = used[node.pk].plus(room_of(job))
        if not held.fits(Room(node.cores * 1000, node.memory_mib, node.accelerators)):
            continue
        used[node.pk] = held
        job.state = after(state_of(job), "place")
        job.cluster_id = node.cluster_id
        job.reason = _as_json(placement)
        attempts.append(
            Attempt(
                job=job,
                number=numbers[job.pk],
                cluster_id=node.cluster_id,
                node=node,
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
    return {"code": decided.reason.code, "facts": dict(decided.reason.facts)}


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
    was, is_now = (each.get("facts", {}).get("starts_at") for each in (before, now))
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
