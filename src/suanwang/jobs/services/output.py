"""What a job writes: its two streams, piece by piece, and the files it leaves."""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Func, IntegerField, Sum
from pydantic import TypeAdapter, ValidationError

from suanwang.core.errors import Refused
from suanwang.core.jobspec import FILE_BYTES_MAX, FileName
from suanwang.jobs import bells
from suanwang.jobs.models import Attempt, JobFile, JobLog
from suanwang.jobs.rules import (
    FILES_BYTES_MAX,
    FILES_OUT_MAX,
    LOG_BYTES_MAX,
    LOG_PIECE_BYTES_MAX,
)
from suanwang.jobs.services.reports import own_attempt
from suanwang.registry.models import SiteAgent

STREAMS = ("stdout", "stderr")
_FILE_NAME: TypeAdapter[str] = TypeAdapter(FileName)


@transaction.atomic
def take_log(
    agent: SiteAgent, attempt_id: UUID, stream: str, offset: int, content: bytes, *, at: datetime
) -> int:
    """Keep a piece of output; answer from which offset to go on.

    Idempotent by offset: bytes that are there already are not kept twice. What goes beyond the
    limit of a stream is taken and dropped, so that a talkative job still ends well.

    Refuses ``attempt_unknown``, ``attempt_void``, ``log_stream_unknown``,
    ``log_piece_too_large``, ``log_gap``.
    """
    if stream not in STREAMS:
        raise Refused("log_stream_unknown", stream=stream[:20])
    if len(content) > LOG_PIECE_BYTES_MAX:
        raise Refused("log_piece_too_large", limit=LOG_PIECE_BYTES_MAX)
    attempt = own_attempt(agent, attempt_id)
    end = log_end(attempt, stream)
    after = offset + len(content)
    if end >= LOG_BYTES_MAX:
        return after
    if offset < 0 or offset > end:
        raise Refused("log_gap", expected=end, offset=offset)
    fresh = content[end - offset :][: LOG_BYTES_MAX - end]
    if fresh:
        JobLog.objects.create(attempt=attempt, stream=stream, offset=end, content=fresh)
        bells.ring(bells.JOB, attempt.job_id)
    return max(end, after)


def log_end(attempt: Attempt, stream: str) -> int:
    """How many bytes of a stream are kept."""
    size: Func = Func(F("content"), function="octet_length", output_field=IntegerField())
    last = (
        JobLog.objects.filter(attempt=attempt, stream=stream)
        .order_by("-offset")
        .values_list("offset", size)
        .first()
    )
    return last[0] + last[1] if last else 0


@transaction.atomic
def put_file(
    agent: SiteAgent, attempt_id: UUID, name: str, content: bytes, *, at: datetime
) -> JobFile:
    """Keep a file the job left; the same name again replaces it.

    Refuses ``attempt_unknown``, ``attempt_void``, ``job_file_name``, ``file_too_large``,
    ``files_too_large``, ``files_too_many``.
    """
    try:
        name = _FILE_NAME.validate_python(name)
    except ValidationError as error:
        raise Refused("job_file_name", name=name[:80]) from error
    if len(content) > FILE_BYTES_MAX:
        raise Refused("file_too_large", name=name[:80], limit_mib=FILE_BYTES_MAX // 2**20)
    attempt = own_attempt(agent, attempt_id)
    others = JobFile.objects.filter(job=attempt.job, direction=JobFile.Direction.OUT).exclude(
        name=name
    )
    held = others.aggregate(size=Sum("size", default=0))["size"]
    if held + len(content) > FILES_BYTES_MAX:
        raise Refused("files_too_large", limit_mib=FILES_BYTES_MAX // 2**20)
    if others.count() >= FILES_OUT_MAX:
        raise Refused("files_too_many", limit=FILES_OUT_MAX)
    file, _ = JobFile.objects.update_or_create(
        job=attempt.job,
        direction=JobFile.Direction.OUT,
        name=name,
        defaults={
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "content": content,
        },
    )
    return file
