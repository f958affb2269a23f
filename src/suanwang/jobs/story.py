"""How a job changes: one step of the table, one event of its story, one ring of its bell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from suanwang.jobs import bells
from suanwang.jobs.models import Job, JobEvent
from suanwang.jobs.rules import State
from suanwang.people.models import Person


def move(
    job: Job,
    state: State,
    reason: str,
    facts: Mapping[str, Any],
    *,
    person: Person | None = None,
    at: datetime,
) -> None:
    """Put a locked job into a state and tell its story. Runs in the caller's transaction.

    The caller has asked ``rules.after`` for the state. ``reason`` is a code of a catalogue.
    """
    job.state = state
    job.reason = {"code": reason, "facts": dict(facts)}
    written = ["state", "reason", "cluster", "started_at", "ended_at", "exit_code"]
    if state in Job.ENDED:
        job.ended_at = job.ended_at or at
    job.save(update_fields=written)
    JobEvent.objects.create(job=job, at=at, state=state, person=person, facts=job.reason)
    bells.ring(bells.JOB, job.pk)


def explain(job: Job, reason: str, facts: Mapping[str, Any]) -> None:
    """Say better why a locked job is where it is. No step of its story; its page shows it."""
    job.reason = {"code": reason, "facts": dict(facts)}
    job.save(update_fields=["reason"])
    bells.ring(bells.JOB, job.pk)


def state_of(job: Job) -> State:
    """The state of a row as the table of states knows it."""
    return cast(State, job.state)
