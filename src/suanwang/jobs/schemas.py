"""How jobs look from outside. Amounts are integer fen, memory MiB, times UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from suanwang.api.http import In
from suanwang.core.jobspec import JobSpec
from suanwang.core.refusals import Language
from suanwang.jobs import queries
from suanwang.jobs.models import Attempt, Job, JobEvent, JobFile
from suanwang.jobs.wording import words
from suanwang.people.scope import Viewer


class SubmitIn(In):
    """A job and the content of its files in base64, by name."""

    spec: JobSpec
    files: dict[str, str] = Field(default_factory=dict, max_length=100)


class BatchIn(In):
    """Many jobs without files; each is a specification as ``POST /jobs`` takes it."""

    jobs: list[dict[str, Any]] = Field(min_length=1, max_length=1_000)


class QueuedOut(Schema):
    index: int
    id: UUID
    estimate_fen: int


class ProblemOut(Schema):
    field: str
    code: str
    message: str


class NotQueuedOut(Schema):
    """A job that was refused, and why; ``problems`` where its specification cannot be read."""

    index: int
    code: str
    message: str
    facts: dict[str, Any]
    problems: list[ProblemOut]


class BatchOut(Schema):
    """What became of each job, by its index in what was sent."""

    queued: list[QueuedOut]
    refused: list[NotQueuedOut]


class ScriptIn(In):
    """An existing script with ``#SBATCH`` lines."""

    script: str = Field(max_length=300_000)


class UnderstoodOut(Schema):
    option: str
    value: str
    field: str


class IgnoredOut(Schema):
    option: str
    value: str
    code: str
    message: str


class ScriptOut(Schema):
    """What the lines of a script ask for, and which of them mean nothing here."""

    spec: dict[str, Any]
    understood: list[UnderstoodOut]
    ignored: list[IgnoredOut]


class ReasonOut(Schema):
    """Why a job is where it is: a stable code, its facts, and words in the asked language."""

    code: str
    facts: dict[str, Any]
    message: str


class EventOut(Schema):
    at: datetime
    state: str
    reason: ReasonOut
    person: str | None


class AttemptOut(Schema):
    id: UUID
    number: int
    centre: str
    node: str
    state: str
    leased_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    isolation: str


class FileOut(Schema):
    name: str
    direction: str
    size: int
    sha256: str


class JobOut(Schema):
    id: UUID
    name: str
    organisation_id: UUID
    organisation: str
    submitted_by: str | None
    """Null for its provider."""
    state: Job.State
    reason: ReasonOut
    cores: int
    memory_mib: int
    accelerators: int
    accelerator_model: str
    walltime_seconds: int
    goal: str
    centre: str | None
    centre_name: str | None
    estimate_fen: int
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None


class JobDetailOut(JobOut):
    """With its story; script, environment and files only for its own organisation."""

    spec: dict[str, Any] | None
    events: list[EventOut]
    attempts: list[AttemptOut]
    files: list[FileOut]
    place_in_queue: int | None


class CentrePoolOut(Schema):
    centre: str
    name: str
    tier: str
    kind: str
    online: bool
    nodes: int
    cores: int
    cores_allocated: int
    cores_others: int
    """Used by the centre's own users by the last reports, as the others of this name."""
    memory_mib: int
    memory_mib_allocated: int
    memory_mib_others: int
    accelerators: dict[str, int]
    accelerators_allocated: int
    accelerators_others: int
    jobs: int
    running: int
    waiting: int


def reason_out(reason: Mapping[str, Any], language: Language) -> dict[str, Any]:
    return {
        "code": reason.get("code", ""),
        "facts": reason.get("facts", {}),
        "message": words(reason, language),
    }


def job_out(job: Job, viewer: Viewer, language: Language) -> dict[str, Any]:
    """A row of a list."""
    centre = job.cluster.centre if job.cluster else None
    return {
        "id": job.pk,
        "name": job.name,
        "organisation_id": job.organisation_id,
        "organisation": job.organisation.name,
        "submitted_by": str(job.submitted_by) if queries.may_see_people(job, viewer) else None,
        "state": job.state,
        "reason": reason_out(job.reason, language),
        "cores": job.cores,
        "memory_mib": job.memory_mib,
        "accelerators": job.accelerators,
        "accelerator_model": job.accelerator_model,
        "walltime_seconds": job.walltime_seconds,
        "goal": job.spec.get("goal", ""),
        "centre": centre.code if centre else None,
        "centre_name": centre.name if centre else None,
        "estimate_fen": job.estimate_fen,
        "submitted_at": job.submitted_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "exit_code": job.exit_code,
    }


def job_detail(job: Job, viewer: Viewer, language: Language) -> dict[str, Any]:
    """One job in full, as far as it is the viewer's business."""
    own = queries.may_see_content(job, viewer)
    people = queries.may_see_people(job, viewer)
    return job_out(job, viewer, language) | {
        "spec": job.spec if own else None,
        "events": [event_out(event, language, people=people) for event in queries.events(job)],
        "attempts": [attempt_out(attempt) for attempt in queries.attempts(job, viewer)],
        "files": [file_out(file) for file in queries.files(job, viewer)],
        "place_in_queue": (queries.place_in_queue(job) if job.state == Job.State.QUEUED else None),
    }


def event_out(event: JobEvent, language: Language, *, people: bool) -> dict[str, Any]:
    return {
        "at": event.at,
        "state": event.state,
        "reason": reason_out(event.facts, language),
        "person": str(event.person) if people and event.person else None,
    }


def attempt_out(attempt: Attempt) -> dict[str, Any]:
    return {
        "id": attempt.pk,
        "number": attempt.number,
        "centre": attempt.cluster.centre.code,
        "node": attempt.node.name,
        "state": attempt.state,
        "leased_at": attempt.leased_at,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "isolation": attempt.isolation,
    }


def file_out(file: JobFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "direction": file.direction,
        "size": file.size,
        "sha256": file.sha256,
    }


def centre_pool_out(row: queries.CentrePool) -> dict[str, Any]:
    centre, held, used = row.centre, row.holding, row.allocated
    return {
        "centre": centre.code,
        "name": centre.name,
        "tier": centre.tier,
        "kind": centre.kind,
        "online": row.online,
        "nodes": held.nodes,
        "cores": held.cores,
        "cores_allocated": used.cores,
        "cores_others": held.others_cores,
        "memory_mib": held.memory_mib,
        "memory_mib_allocated": used.memory_mib,
        "memory_mib_others": held.others_memory_mib,
        "accelerators": dict(held.cards),
        "accelerators_allocated": used.cards,
        "accelerators_others": held.others_cards,
        "jobs": used.jobs,
        "running": used.running,
        "waiting": row.waiting,
    }
