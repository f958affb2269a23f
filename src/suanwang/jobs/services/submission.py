"""Submit: the job, the hold that will pay for it, its files and the first line of its story."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from suanwang.core.errors import NotSignedIn, Refused
from suanwang.core.jobspec import FileIn, JobSpec
from suanwang.core.money import Fen, format_yuan
from suanwang.jobs import bells
from suanwang.jobs.estimate import Books, price
from suanwang.jobs.models import Job, JobEvent, JobFile
from suanwang.jobs.rules import FILES_BYTES_MAX
from suanwang.jobs.wishes import check_wishes
from suanwang.ledger import chart
from suanwang.ledger.queries import balance
from suanwang.ledger.rules import Ledger, TransferResult, TransferSpec
from suanwang.ledger.services import create_accounts, create_transfers
from suanwang.people.models import Organisation, Person
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require


@transaction.atomic
def submit(
    spec: JobSpec, files: Mapping[str, bytes] | None = None, *, actor: Viewer, at: datetime
) -> Job:
    """Queue a job and hold what it can cost at most. Nothing starts without its hold.

    Refuses ``permission_missing``, ``organisation_not_active``, ``file_missing``,
    ``file_unexpected``, ``file_damaged``, ``files_too_large``, ``budget_exceeded``, what
    ``estimate`` and ``check_wishes`` refuse; then nothing has changed.
    """
    require(actor, "jobs.submit")
    if actor.person is None or actor.organisation_id is None:
        raise NotSignedIn("sign_in_needed")
    contents = check_files(spec.files_in, files or {})
    organisation = Organisation.objects.get(pk=actor.organisation_id)
    job = made(spec, Books(at), organisation, actor.person, at=at)
    job.save(force_insert=True)
    JobFile.objects.bulk_create(
        JobFile(
            job=job,
            direction=JobFile.Direction.IN,
            name=file.name,
            size=file.size,
            sha256=file.sha256,
            content=contents[file.name],
        )
        for file in spec.files_in
    )
    first_line(job).save(force_insert=True)
    record(actor, "jobs.submit", subject=job, concerns=organisation, at=at, name=spec.name)
    # Last, because the lock on the budget is the one others wait for.
    for refusal in hold([job], at=at).values():
        raise refusal
    bells.ring(bells.QUEUE)
    return job


def made(
    spec: JobSpec, books: Books, organisation: Organisation, person: Person, *, at: datetime
) -> Job:
    """The job of a specification, not yet written down. Refuses as ``submit`` does."""
    estimated = price(spec, at=at, books=books)
    check_wishes(spec, organisation, at=at)
    return Job(
        organisation=organisation,
        submitted_by=person,
        name=spec.name,
        spec=spec.as_stored(),
        cores=spec.cores,
        memory_mib=spec.memory_mib,
        accelerators=spec.accelerators,
        accelerator_model=spec.accelerator_model or "",
        nodes=spec.nodes,
        card_milli=spec.card_milli,
        walltime_seconds=spec.walltime_seconds,
        reason={"code": "job_submitted", "facts": {}},
        estimate_fen=estimated.hold_fen,
        hold_id=uuid.uuid4(),
        submitted_at=at,
    )


def first_line(job: Job) -> JobEvent:
    """The first line of its story."""
    told = {"code": "job_submitted", "facts": {"hold_fen": job.estimate_fen}}
    return JobEvent(
        job=job, at=job.submitted_at, state=job.state, person=job.submitted_by, facts=told
    )


def hold(jobs: Sequence[Job], *, at: datetime) -> dict[uuid.UUID, Refused]:
    """Hold what each of some jobs of one organisation can cost; those refused, by job.

    Free work needs no hold. Refuses ``budget_exceeded``.
    """
    priced = [job for job in jobs if job.estimate_fen]
    if not priced:
        return {}
    spend, clearing = chart.spend(priced[0].organisation_id), chart.clearing()
    # Opened before they are locked: two that opened them after would wait for each other.
    create_accounts([spend, clearing])
    specs = [
        TransferSpec(
            job.hold_id,
            spend.id,
            clearing.id,
            job.estimate_fen,
            Ledger.MONEY,
            "hold",
            kind="pending",
            facts={"job": str(job.pk)},
        )
        for job in priced
    ]
    refused: dict[uuid.UUID, Refused] = {}
    available: Fen | None = None
    for job, result in zip(priced, create_transfers(specs, at=at), strict=True):
        if result is TransferResult.EXCEEDS_CREDITS:
            available = balance(spend.id).available if available is None else available
            refused[job.pk] = Refused(
                "budget_exceeded",
                available=format_yuan(available),
                needed=format_yuan(job.estimate_fen),
            )
        elif not result.good:
            raise RuntimeError(f"the hold of job {job.pk} was refused: {result}")
    return refused


def check_files(described: list[FileIn], given: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Hold what was sent against what the specification says was sent.

    Refuses ``file_missing``, ``file_unexpected``, ``file_damaged``, ``files_too_large``.
    """
    if sum(file.size for file in described) > FILES_BYTES_MAX:
        raise Refused("files_too_large", limit_mib=FILES_BYTES_MAX // 2**20)
    for name in given.keys() - {file.name for file in described}:
        raise Refused("file_unexpected", name=name[:80])
    for file in described:
        content = given.get(file.name)
        if content is None:
            raise Refused("file_missing", name=file.name[:80])
        whole = len(content) == file.size
        if not whole or hashlib.sha256(content).hexdigest() != file.sha256:
            raise Refused("file_damaged", name=file.name[:80])
    return given
