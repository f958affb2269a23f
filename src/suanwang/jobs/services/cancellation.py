"""Cancel a job at whatever stage it is."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

from django.db import transaction

from suanwang.core.errors import NotFound
from suanwang.jobs import bells, effects
from suanwang.jobs.models import Attempt, Job
from suanwang.jobs.rules import after
from suanwang.jobs.story import move, state_of
from suanwang.ledger.queries import pending_state
from suanwang.ledger.services import post_or_refuse
from suanwang.ledger.terms import void
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require


@transaction.atomic
def cancel(job: Job, *, actor: Viewer, at: datetime) -> Job:
    """End a job that has not started at once; ask the agent to end one that has.

    What it used until then is billed. Safe to repeat while it is ending.

    Refuses ``permission_missing``, ``job_not_found`` (also another organisation's),
    ``job_has_ended``.
    """
    require(actor, "jobs.cancel")
    job = Job.objects.select_for_update(of=("self",)).get(pk=job.pk)
    if actor.role is not Role.OPERATOR and actor.organisation_id != job.organisation_id:
        raise NotFound("job_not_found")
    if job.state == Job.State.CANCELLING:
        return job
    state = after(state_of(job), "cancel")
    attempt = job.attempts.select_for_update(of=("self",)).filter(state__in=Attempt.LIVE).first()
    if attempt is not None and attempt.agent_id is None:
        # Nobody was handed this lease yet, so nobody has anything to stop.
        attempt.state, attempt.ended_at = Attempt.State.ABANDONED, at
        attempt.save(update_fields=["state", "ended_at"])
        state, attempt = "cancelled", None
    reason = "job_cancelling" if state == "cancelling" else "job_cancelled"
    move(job, state, reason, {}, person=actor.person, at=at)
    if attempt is None:
        release_hold(job, at=at)
        effects.settle_soon()
        bells.ring(bells.QUEUE)
    else:
        bells.ring(bells.CLUSTER, attempt.cluster_id)
    record(actor, "jobs.cancel", subject=job, concerns=job.organisation, at=at)
    return job


def void_id(job: Job) -> UUID:
    """The one id under which a job's hold is given back; settlement uses the same."""
    return uuid5(job.pk, "void")


def release_hold(job: Job, *, at: datetime) -> None:
    """Give back at once what was held for a job of which nothing ever ran."""
    ran = job.attempts.filter(started_at__isnull=False).exclude(state=Attempt.State.ABANDONED)
    if not ran.exists() and pending_state(job.hold_id) == "pending":
        post_or_refuse([void(void_id(job), job.hold_id)], at=at)
