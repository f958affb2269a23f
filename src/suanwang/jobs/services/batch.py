"""Submit many jobs at once: each is queued or refused by itself, all of it in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from suanwang.core.errors import NotSignedIn, Refused
from suanwang.core.jobspec import JobSpec
from suanwang.jobs import bells
from suanwang.jobs.estimate import Books
from suanwang.jobs.models import Job, JobEvent
from suanwang.jobs.services.submission import first_line, hold, made
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require

BATCH_JOBS_MAX: Final = 1_000


@transaction.atomic
def submit_batch(
    specs: Mapping[int, JobSpec], *, actor: Viewer, at: datetime
) -> dict[int, Job | Refused]:
    """Queue jobs in the order of their index; what became of each, by index.

    A job that is refused leaves the others standing; its reasons are those of ``submit``, and
    ``batch_takes_no_files``. Where the budget is enough for some of them, the first get it.

    Refuses as a whole: ``permission_missing``, ``sign_in_needed``, ``batch_too_long``.
    """
    require(actor, "jobs.submit")
    if actor.person is None or actor.organisation_id is None:
        raise NotSignedIn("sign_in_needed")
    if len(specs) > BATCH_JOBS_MAX:
        raise Refused("batch_too_long", limit=BATCH_JOBS_MAX)
    organisation = Organisation.objects.get(pk=actor.organisation_id)
    books = Books(at)
    answers: dict[int, Job | Refused] = {}
    for index, spec in sorted(specs.items()):
        moment = at + timedelta(microseconds=index)  # so that the queue keeps their order
        try:
            if spec.files_in:
                raise Refused("batch_takes_no_files")
            answers[index] = made(spec, books, organisation, actor.person, at=moment)
        except Refused as refusal:
            answers[index] = refusal
    made_now = [job for job in answers.values() if isinstance(job, Job)]
    # Before the rows are written: a line of a story, once written, cannot be taken back.
    too_dear = hold(made_now, at=at)
    for index, job in answers.items():
        if isinstance(job, Job) and job.pk in too_dear:
            answers[index] = too_dear[job.pk]
    queued = [job for job in made_now if job.pk not in too_dear]
    if queued:
        Job.objects.bulk_create(queued)
        JobEvent.objects.bulk_create(first_line(job) for job in queued)
        record(
            actor,
            "jobs.submit",
            subject=queued[0],
            concerns=organisation,
            at=at,
            jobs=len(queued),
            refused=len(specs) - len(queued),
        )
        bells.ring(bells.QUEUE)
    return answers
