"""Jobs over HTTP: estimate, submit, follow, cancel, download."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import File, Form, Query, Router, Status
from ninja.files import UploadedFile
from pydantic import Field, ValidationError

from suanwang.api.estimates import EstimateOut, estimate_out
from suanwang.api.http import In, Page, Paging, language_of, page, viewer_of
from suanwang.core import sbatch
from suanwang.core.errors import Malformed
from suanwang.core.jobspec import JobSpec
from suanwang.core.refusals import sentence
from suanwang.jobs import batch, bells, queries, recording, schemas, services
from suanwang.jobs.models import Job
from suanwang.people.services import require
from suanwang.site import clock

router = Router(tags=["jobs"])

FOLLOW_SECONDS_MAX = 10


class JobFilters(Paging):
    """Which jobs: by state, running or over, by centre, by a part of a name."""

    state: Job.State | None = None
    live: bool | None = None
    centre: str | None = Field(None, max_length=40)
    search: str | None = Field(None, max_length=100)


class LogQuery(In):
    offset: int = Field(0, ge=0)
    wait_seconds: int = Field(0, ge=0, le=25)


@router.post("/estimate", response=EstimateOut)
def estimate(request: HttpRequest, payload: JobSpec) -> Any:
    """What a job would cost at most wherever it fits, and what the policy would pay back."""
    return estimate_out(payload, viewer_of(request), clock.now(), language_of(request))


@router.post("/read-script", response=schemas.ScriptOut)
def read_script(request: HttpRequest, payload: schemas.ScriptIn) -> Any:
    """What the ``#SBATCH`` lines of an existing script ask for; nothing is submitted."""
    reading = sbatch.read(payload.script)
    language = language_of(request)
    return {
        "spec": {**reading.fields, "script": payload.script},
        "understood": [
            {"option": each.option, "value": each.value, "field": each.became}
            for each in reading.understood
        ],
        "ignored": [
            {
                "option": each.option,
                "value": each.value,
                "code": each.became,
                "message": sentence(each.became, {}, language) or each.became,
            }
            for each in reading.ignored
        ],
    }


@router.post("", response={201: schemas.JobDetailOut})
def submit(request: HttpRequest, payload: schemas.SubmitIn) -> Any:
    """Queue a job with its files (base64) and hold what it can cost at most."""
    files = {}
    for name, text in payload.files.items():
        try:
            files[name] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Malformed("file_unreadable", name=name[:80]) from error
    return _submitted(request, payload.spec, files)


@router.post("/batch", response=schemas.BatchOut)
def submit_batch(request: HttpRequest, payload: schemas.BatchIn) -> Any:
    """Queue up to 1,000 jobs without files; each is queued or refused by itself."""
    language = language_of(request)
    specs, refused = batch.read(payload.jobs, language)
    answers = services.submit_batch(specs, actor=viewer_of(request), at=clock.now())
    return batch.answer(answers, refused, language)


@router.post("/upload", response={201: schemas.JobDetailOut})
def submit_form(
    request: HttpRequest,
    spec: Form[str],
    files: File[list[UploadedFile]] = [],  # noqa: B006 - ninja reads the default, nobody writes it
) -> Any:
    """The same as a form: ``spec`` is the JSON of a job, ``files`` the files it names."""
    try:
        asked = JobSpec.model_validate_json(spec)
    except ValidationError as error:
        raise Malformed("job_unreadable", detail=str(error.errors()[0]["msg"])[:200]) from error
    contents = {file.name or "": file.read() for file in files}
    return _submitted(request, asked, contents)


def _submitted(request: HttpRequest, spec: JobSpec, files: dict[str, bytes]) -> Any:
    viewer = viewer_of(request)
    job = services.submit(spec, files, actor=viewer, at=clock.now())
    return Status(201, _detail(request, job.pk))


def _detail(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    viewer = viewer_of(request)
    require(viewer, "jobs.read")
    return schemas.job_detail(queries.job(job_id, viewer), viewer, language_of(request))


@router.get("", response=Page[schemas.JobOut])
def jobs(request: HttpRequest, asked: Query[JobFilters]) -> Any:
    """The jobs the caller may see, the newest first."""
    viewer, language = viewer_of(request), language_of(request)
    require(viewer, "jobs.read")
    found = queries.jobs(
        viewer,
        state=asked.state,
        live=asked.live,
        centre=asked.centre,
        search=asked.search,
    )
    rows = page(found, cursor=asked.cursor, limit=asked.limit, order=("-submitted_at", "pk"))
    rows.items = [schemas.job_out(job, viewer, language) for job in rows.items]
    return rows


@router.get("/queue", response=Page[schemas.JobOut])
def queue(request: HttpRequest, paging: Query[Paging]) -> Any:
    """The waiting jobs the caller may see, in the order they are considered, with reasons."""
    viewer, language = viewer_of(request), language_of(request)
    require(viewer, "jobs.read")
    rows = page(
        queries.queue(viewer),
        cursor=paging.cursor,
        limit=paging.limit,
        order=("submitted_at", "pk"),
    )
    rows.items = [schemas.job_out(job, viewer, language) for job in rows.items]
    return rows


@router.get("/pool", response=list[schemas.CentrePoolOut])
def pool(request: HttpRequest) -> Any:
    """What each centre has up, what is held of it, and how many jobs wait for it by name."""
    return [schemas.centre_pool_out(row) for row in queries.pool(clock.now())]


@router.get("/pool/recording")
def pool_recording(request: HttpRequest) -> HttpResponse:
    """The live city, what runs and what waits, as JSON lines for `suanwang simulate what-if`."""
    require(viewer_of(request), "jobs.record")
    answer = HttpResponse(recording.taken(clock.now()), content_type="application/x-ndjson")
    answer["Content-Disposition"] = 'attachment; filename="city.jsonl"'
    return answer


@router.get("/{uuid:job_id}", response=schemas.JobDetailOut)
def job(request: HttpRequest, job_id: UUID) -> Any:
    """One job with its story so far."""
    return _detail(request, job_id)


@router.post("/{uuid:job_id}/cancel", response=schemas.JobDetailOut)
def cancel(request: HttpRequest, job_id: UUID) -> Any:
    """Ask for the end of a job. What it used until then is billed."""
    viewer = viewer_of(request)
    require(viewer, "jobs.read")
    services.cancel(queries.job(job_id, viewer), actor=viewer, at=clock.now())
    return _detail(request, job_id)


@router.get("/{uuid:job_id}/logs/{stream}")
def logs(
    request: HttpRequest,
    job_id: UUID,
    stream: Literal["stdout", "stderr"],
    asked: Query[LogQuery],
) -> HttpResponse:
    """The output from ``offset`` on, as it was written; waits a little for more if asked to.

    ``Suanwang-Next-Offset`` says where to go on, ``Suanwang-Complete`` whether all was read.
    """
    viewer = viewer_of(request)
    require(viewer, "jobs.read")

    def look() -> queries.Output | None:
        found = queries.output(queries.job(job_id, viewer), stream, asked.offset, viewer)
        return found if found.content or found.complete else None

    queries.job(job_id, viewer)
    seconds = min(asked.wait_seconds, FOLLOW_SECONDS_MAX)
    found = bells.wait_for(look, bells.JOB, job_id, seconds=seconds)
    found = found or queries.Output(b"", asked.offset, False)
    response = HttpResponse(found.content, content_type="text/plain; charset=utf-8")
    response["Suanwang-Next-Offset"] = str(found.next_offset)
    response["Suanwang-Complete"] = "true" if found.complete else "false"
    return response


@router.get("/{uuid:job_id}/files/{path:name}")
def download(
    request: HttpRequest, job_id: UUID, name: str, direction: Literal["in", "out"] = "out"
) -> HttpResponse:
    """One file the job left (or was given)."""
    viewer = viewer_of(request)
    require(viewer, "jobs.read")
    file = queries.file(queries.job(job_id, viewer), name, viewer, direction=direction)
    response = HttpResponse(bytes(file.content), content_type="application/octet-stream")
    response["Content-Disposition"] = "attachment"
    response["Suanwang-SHA256"] = file.sha256
    return response
