"""What agents say became of their attempts. An attempt's id fences: old news is void."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from suanwang.core.errors import NotFound, Refused
from suanwang.jobs import bells, effects
from suanwang.jobs.models import Attempt, Job
from suanwang.jobs.rules import (
    ENDS,
    LEASE_RENEWED,
    SITE_REFUSALS,
    SITE_SHUT,
    after,
    after_loss,
)
from suanwang.jobs.services.cancellation import release_hold
from suanwang.jobs.story import explain, move, state_of
from suanwang.registry import services as registry
from suanwang.registry.models import SiteAgent

REPORTABLE: Final = frozenset({"accepted", "starting", "running", "refused", "lost", *ENDS})

_REASONS: Final = {
    "succeeded": "job_succeeded",
    "failed": "job_failed",
    "cancelled": "job_cancelled",
    "timeout": "job_timeout",
    "out_of_memory": "job_out_of_memory",
}


@dataclass(frozen=True)
class SiteRefusal:
    """Why a centre's own policy was against a job."""

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    until: datetime | None = None
    """When it would have it, if that is known."""
    policy: str = ""
    """The version of its policy file."""


@dataclass(frozen=True)
class CentreQueue:
    """What a job waits for in the centre's own queue."""

    reason: str
    """In the engine's own words."""
    expected_start_at: datetime | None = None


@dataclass(frozen=True)
class StateReport:
    """One event of one attempt, numbered by the agent from 1."""

    attempt_id: UUID
    sequence: int
    state: str
    at: datetime
    exit_code: int | None = None
    reason: str = ""
    refusal: SiteRefusal | None = None
    queue: CentreQueue | None = None


@transaction.atomic
def take_states(
    agent: SiteAgent, events: Sequence[StateReport], *, at: datetime
) -> tuple[list[StateReport], list[tuple[StateReport, Refused | NotFound]]]:
    """Take what an agent reports; an event that is refused leaves the others standing.

    Idempotent by attempt and sequence: a repeat is accepted and changes nothing. Refuses, per
    event: ``attempt_unknown``, ``attempt_void``, ``attempt_state_unknown``, and what the table
    of states refuses.
    """
    accepted, refused, ended = [], [], False
    for event in events:
        try:
            ended |= _take(agent, event, at=at)
        except (Refused, NotFound) as refusal:
            refused.append((event, refusal))
        else:
            accepted.append(event)
    if ended:
        effects.settle_soon()
        bells.ring(bells.QUEUE)
    return accepted, refused


def own_attempt(agent: SiteAgent, attempt_id: UUID) -> Attempt:
    """An attempt on the agent's cluster that this agent may speak for, locked with its job.

    The job is locked first, as everywhere, so that nobody waits in a circle.

    Refuses ``attempt_unknown``, and ``attempt_void`` for one the platform has given up.
    """
    job = (
        Job.objects.select_for_update(of=("self",))
        .filter(attempts__pk=attempt_id, attempts__cluster=agent.cluster_id)
        .first()
    )
    if job is None:
        raise NotFound("attempt_unknown", attempt=str(attempt_id))
    locked = Attempt.objects.select_for_update(of=("self",)).select_related("node")
    attempt = locked.get(pk=attempt_id)
    attempt.job = job
    if attempt.state == Attempt.State.ABANDONED or attempt.agent_id not in (None, agent.pk):
        raise Refused("attempt_void", attempt=str(attempt_id))
    return attempt


@transaction.atomic
def _take(agent: SiteAgent, event: StateReport, *, at: datetime) -> bool:
    """Take one event; True if it set something free."""
    if event.state not in REPORTABLE:
        raise Refused("attempt_state_unknown", state=event.state[:20])
    attempt = own_attempt(agent, event.attempt_id)
    if event.sequence <= attempt.last_sequence:
        return False
    if attempt.state not in Attempt.LIVE:
        raise Refused("attempt_void", attempt=str(attempt.pk))
    attempt.last_sequence = event.sequence
    attempt.agent = agent
    attempt.expires_at = at + LEASE_RENEWED
    happened = min(max(event.at, attempt.leased_at), at)
    unasked = event.state == "cancelled" and attempt.job.state != Job.State.CANCELLING
    if event.state in ("lost", "refused") or unasked:
        attempt.refused = event.state == "refused"
        if attempt.refused and event.refusal is not None:
            _note_refusal(attempt, agent, event.refusal)
        # Stopped by the site and not by its owner: it runs again, and this run costs nothing.
        lose(attempt, at=at, reason=event.reason or event.state)
    elif event.state in ENDS:
        _end(attempt, event, happened)
    else:
        _go_on(attempt, event.state, happened)
        if event.queue is not None and attempt.job.state == Job.State.STARTING:
            _note_queue(attempt.job, event.queue, attempt.cluster.centre.code)
    attempt.isolation = attempt.isolation or agent.isolation
    attempt.save()
    return attempt.state not in Attempt.LIVE


def _note_refusal(attempt: Attempt, agent: SiteAgent, refusal: SiteRefusal) -> None:
    known = refusal.code in SITE_REFUSALS and (
        refusal.code != "site_hours_closed" or refusal.until is not None
    )
    code = refusal.code if known else "site_refused"
    facts = dict(refusal.facts)
    if refusal.until is not None:
        facts["until_at"] = refusal.until.isoformat(timespec="minutes")
    attempt.site_refusal, attempt.site_refusal_facts = code, facts
    attempt.site_policy, attempt.refused_until = refusal.policy, refusal.until
    if code in SITE_SHUT:
        registry.told(
            agent, registry.Door(code, agent.site_policy, agent.states_owed, agent.usage_owed)
        )


def _go_on(attempt: Attempt, state: str, happened: datetime) -> None:
    job = attempt.job
    if state == "running":
        attempt.state = Attempt.State.RUNNING
        attempt.started_at = attempt.started_at or happened
        job.started_at = job.started_at or happened
        following = after(state_of(job), "run")
    else:
        if attempt.state == Attempt.State.LEASED:
            attempt.state = Attempt.State.ACCEPTED
        if state == "accepted" or attempt.state == Attempt.State.RUNNING:
            return
        following = after(state_of(job), "start")
    if following != job.state:
        reason = "job_running" if following == "running" else "job_starting"
        move(job, following, reason, {"node": attempt.node.name}, at=happened)
    else:
        job.save(update_fields=["started_at"])


def _note_queue(job: Job, queue: CentreQueue, centre: str) -> None:
    facts: dict[str, Any] = {"centre": centre, "detail": queue.reason}
    if queue.expected_start_at is not None:
        facts["expected_at"] = queue.expected_start_at.isoformat()
    explain(job, "job_waits_at_centre_until" if len(facts) > 2 else "job_waits_at_centre", facts)


def _end(attempt: Attempt, event: StateReport, happened: datetime) -> None:
    job = attempt.job
    following = after(state_of(job), ENDS[event.state])
    attempt.state = Attempt.State.ENDED
    if event.state == "succeeded":
        # Whatever news of its start was lost: it ran, so its use is still to come.
        attempt.started_at = attempt.started_at or happened
    attempt.ended_at = max(happened, attempt.started_at or happened)
    job.ended_at = attempt.ended_at
    job.exit_code = event.exit_code
    facts: dict[str, Any] = {
        "exit_code": event.exit_code,
        "walltime_seconds": job.walltime_seconds,
        "memory_mib": job.memory_mib,
    }
    if event.reason:
        facts["detail"] = event.reason[:500]
    move(job, following, _REASONS[event.state], facts, at=happened)


def lose(attempt: Attempt, *, at: datetime, reason: str) -> None:
    """Give up an attempt: the job queues again, or has had its last chance. The caller saves
    the attempt and rings; nothing of it will be billed.
    """
    job = attempt.job
    attempt.state, attempt.ended_at = Attempt.State.ABANDONED, at
    gave_way = attempt.give_way_by is not None
    attempt.charged = not (
        gave_way or attempt.site_refusal or (attempt.refused and attempt.cluster.summary)
    )
    before = job.attempts.filter(charged=True, number__lt=attempt.number).count()
    following = after_loss(state_of(job), before + attempt.charged)
    job.cluster, job.started_at = (None, None) if following == "queued" else (job.cluster, None)
    facts = {"attempt": attempt.number, "node": attempt.node.name, "detail": reason[:500]}
    requeued = "job_gave_way" if gave_way else attempt.site_refusal or "job_requeued"
    if attempt.site_refusal:
        facts |= attempt.site_refusal_facts | {"centre": attempt.cluster.centre.code}
    code = {"queued": requeued, "lost": "job_lost"}.get(following, "job_cancelled")
    move(job, following, code, facts, at=at)
    if following != "queued":
        attempt.save()
        release_hold(job, at=at)


@transaction.atomic
def attempt_of(agent: SiteAgent, attempt_id: UUID) -> Attempt:
    """An attempt this agent may ask about. Refuses as ``own_attempt`` does."""
    return own_attempt(agent, attempt_id)
