"""What was decided becomes true: jobs are leased, told to give way, told why they wait.

Several dispatchers may have decided the same. What counts is written here, one transaction each:
the job is locked (skipping those another has locked) and must still be what it was decided as, and
the room on its nodes is counted again under the nodes' locks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, F, Max, Q

from suanwang.jobs import bells
from suanwang.jobs.asks import room_of
from suanwang.jobs.floor import Floor
from suanwang.jobs.models import Attempt, Job, JobEvent
from suanwang.jobs.rules import LEASE_UNTAKEN, SITE_SHUT, after
from suanwang.jobs.services.reports import lose
from suanwang.jobs.story import move, state_of
from suanwang.placement import Placement, Preemption, Reason, Wait

_START_MOVED_SECONDS = 120
_HELPS_KEPT = 3


class Tried(NamedTuple):
    """The attempts a job has behind it."""

    number: int
    """Of the last."""
    charged: int
    refused_at: Mapping[UUID, datetime]
    """When clusters known by summary would not start it."""
    refused_by: frozenset[UUID] = frozenset()
    """Clusters whose own policy, as it still is, would not have it."""


NEVER = Tried(0, 0, {})


def tried(jobs: Iterable[UUID], at: datetime) -> dict[UUID, Tried]:
    """What some jobs have behind them at a moment; those never leased are left out."""
    rows = Attempt.objects.filter(job__in=list(jobs)).values_list("job_id").order_by()
    counts = rows.annotate(last=Max("number"), spent=Count("id", filter=Q(charged=True)))
    found = {job: (number, charged) for job, number, charged in counts}
    if not found:
        return {}
    refused: dict[UUID, dict[UUID, datetime]] = {}
    refusals = Attempt.objects.filter(job__in=list(found), refused=True, cluster__summary=True)
    for job, cluster, ended in refusals.values_list("job_id", "cluster_id", "ended_at"):
        known = refused.setdefault(job, {})
        if ended is not None:
            known[cluster] = max(ended, known.get(cluster, ended))
    barred = _barred(found, at)
    return {
        job: Tried(*counted, refused.get(job, {}), frozenset(barred.get(job, ())))
        for job, counted in found.items()
    }


def _barred(jobs: Iterable[UUID], at: datetime) -> dict[UUID, set[UUID]]:
    """By job the clusters whose policy refused it: until the moment they said, or until their
    agent says that the policy is another now. What was refused because all was, is not held
    against the pair: such a cluster is given nothing until its agent takes work again.
    """
    rows = (
        Attempt.objects.filter(job__in=list(jobs))
        .exclude(site_refusal__in=["", *SITE_SHUT])
        .filter(Q(refused_until=None) | Q(refused_until__gt=at))
        .filter(Q(agent=None) | Q(site_policy=F("agent__site_policy")))
    )
    found: dict[UUID, set[UUID]] = {}
    for job, cluster in rows.values_list("job_id", "cluster_id"):
        found.setdefault(job, set()).add(cluster)
    return found


@transaction.atomic
def admit(placements: Sequence[Placement], at: datetime) -> int:
    """Lease each job that is still queued to its nodes if there is still room; skip the others.

    A job gets all of its nodes or none. How many were leased.
    """
    by_job = {placement.job_id: placement for placement in placements}
    jobs = list(
        Job.objects.select_for_update(skip_locked=True, of=("self",))
        .defer("spec")
        .filter(pk__in=by_job, state=Job.State.QUEUED)
        .order_by("submitted_at", "id")
    )
    if not jobs:
        return 0
    floor = Floor(sorted({each.id for job in jobs for each in by_job[job.pk].machines}))
    before = tried((job.pk for job in jobs), at)
    leased = []
    for job in jobs:
        number = before.get(job.pk, NEVER).number + 1
        attempt = _lease(job, by_job[job.pk], floor, number, at)
        if attempt is not None:
            leased.append(attempt)
    Attempt.objects.bulk_create(leased)
    placed = [attempt.job for attempt in leased]
    _write(placed, Job.State.QUEUED)
    JobEvent.objects.bulk_create(
        JobEvent(job=job, at=at, state=job.state, facts=job.reason) for job in placed
    )
    bells.ring_all(bells.CLUSTER, sorted({attempt.cluster_id for attempt in leased}))
    bells.ring_all(bells.JOB, [job.pk for job in placed])
    return len(placed)


def _lease(
    job: Job, placement: Placement, floor: Floor, number: int, at: datetime
) -> Attempt | None:
    chosen = [machine.id for machine in placement.machines]
    if len(chosen) != job.nodes or len({m.cluster_id for m in placement.machines}) > 1:
        return None  # all of a job's nodes are leased to one agent, or none
    cards = floor.take(chosen, room_of(job), placement.cards)
    if cards is None:
        return None
    node = floor.nodes[chosen[0]]
    job.state = after(state_of(job), "place")
    job.cluster_id = node.cluster_id
    job.reason = _as_json(placement)
    return Attempt(
        job=job,
        number=number,
        cluster_id=node.cluster_id,
        node=node,
        nodes_more=chosen[1:],
        cards=cards,
        leased_at=at,
        expires_at=at + LEASE_UNTAKEN,
    )


_WRITE = """
    UPDATE jobs_job j SET state = n.state, cluster_id = n.cluster, reason = n.reason::jsonb
      FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[])
           AS n(id, state, cluster, reason)
     WHERE j.id = n.id AND j.state = %s
"""


def _write(jobs: Sequence[Job], was: str) -> None:
    """State, cluster and reason of jobs that are still in a state; one statement for all."""
    if not jobs:
        return
    ordered = sorted(jobs, key=lambda job: job.pk)
    columns: list[list[Any]] = [
        [job.pk for job in ordered],
        [str(job.state) for job in ordered],
        [job.cluster_id for job in ordered],
        [json.dumps(job.reason, ensure_ascii=False) for job in ordered],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [*columns, was])


@transaction.atomic
def explain(jobs: Mapping[UUID, Job], waits: Sequence[Wait]) -> None:
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
    _write(changed, Job.State.QUEUED)


def _start_moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    was, is_now = before.get("starts_at"), now.get("starts_at")
    if was is None or is_now is None:
        return was is not is_now
    gap = datetime.fromisoformat(is_now) - datetime.fromisoformat(was)
    return abs(gap.total_seconds()) >= _START_MOVED_SECONDS


def make_way(preemptions: Sequence[Preemption], at: datetime) -> int:
    """Tell running jobs to give way; how many were told. Each by itself: they are few."""
    return sum(_give_way(each, at) for each in preemptions)


@transaction.atomic
def _give_way(told: Preemption, at: datetime) -> bool:
    """One job: a lease nobody was handed is taken back at once; else its agent is told."""
    jobs = Job.objects.select_for_update(skip_locked=True, of=("self",))
    job = jobs.filter(pk=told.job_id).exclude(state=Job.State.CANCELLING).first()
    if job is None:
        return False
    attempt = (
        Attempt.objects.select_for_update(of=("self",))
        .filter(job=job, state__in=Attempt.LIVE, give_way_by=None)
        .first()
    )
    if attempt is None:
        return False
    attempt.job, attempt.give_way_by = job, at + told.grace
    if attempt.agent_id is None:
        lose(attempt, at=at, reason=told.reason.code)
    else:
        # Not for whom: that may be another organisation's business.
        facts = {"until_at": _utc(attempt.give_way_by), "why": told.reason.code}
        move(job, state_of(job), "job_giving_way", facts, at=at)
        bells.ring(bells.CLUSTER, attempt.cluster_id)
    attempt.save()
    return True


def _as_json(decided: Placement | Wait) -> dict[str, Any]:
    """As it is kept with the job. Moments are kept in UTC; the core speaks the city's time."""
    found = _reason_json(decided.reason)
    if decided.warnings:
        found["warnings"] = [_reason_json(each) for each in decided.warnings]
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
