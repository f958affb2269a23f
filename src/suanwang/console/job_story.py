"""The page of a job: its steps with who and when, and the end of what it wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from suanwang.console import words
from suanwang.console.language import short
from suanwang.console.progress import Step
from suanwang.jobs.models import Job, JobEvent, JobLog
from suanwang.jobs.wording import words as worded
from suanwang.people.scope import Viewer, visible

TAIL_BYTES: Final = 64 * 1024
_AHEAD: Final = {
    "queued": ("placed", "running", "succeeded"),
    "placed": ("running", "succeeded"),
    "starting": ("running", "succeeded"),
    "running": ("succeeded",),
    "cancelling": ("cancelled",),
}
_GOOD: Final = frozenset({"succeeded", "cancelled"})


def job_story(job: Job, viewer: Viewer) -> list[Step]:
    """What happened so far, where it stands, what comes next."""
    events = list(
        visible(JobEvent, viewer).filter(job=job).select_related("person").order_by("at", "pk")
    )
    steps = []
    for at, event in enumerate(events):
        last = at == len(events) - 1
        steps.append(
            Step(
                title=str(words.JOB[event.state][0]) if event.state in words.JOB else event.state,
                state=_tone(event.state, last),
                at=event.at,
                who=str(event.person) if event.person else "",
                note=worded(event.facts, short()),
            )
        )
    ahead = {"succeeded": _("Ends, is metered and charged")}
    for code in _AHEAD.get(job.state, ()):
        steps.append(Step(ahead.get(code, str(words.JOB[code][0])), "next"))
    return steps


def _tone(state: str, last: bool) -> str:
    if not last or state in _GOOD:
        return "done"
    return "stopped" if state in Job.ENDED else "current"


@dataclass(frozen=True)
class Stream:
    """The end of one stream of a job's output."""

    name: str
    text: str
    size: int
    cut: bool


def output(job: Job, viewer: Viewer) -> list[Stream]:
    """The last part of both streams of the latest attempt that wrote anything."""
    pieces = visible(JobLog, viewer).filter(attempt__job=job)
    streams = []
    for name in ("stdout", "stderr"):
        latest = pieces.filter(stream=name).order_by("-attempt__number", "-offset")
        tail: list[bytes] = []
        size = end = attempt_id = None
        for piece in latest[:200]:
            content = bytes(piece.content)
            if attempt_id is None:
                attempt_id, end = piece.attempt_id, piece.offset + len(content)
            if piece.attempt_id != attempt_id or sum(map(len, tail)) >= TAIL_BYTES:
                break
            tail.append(content)
        size = end or 0
        joined = b"".join(reversed(tail))[-TAIL_BYTES:]
        # A control character of a terminal has no meaning here and could hide what was written.
        text = "".join(
            one if one in "\n\t" or one.isprintable() else "·"
            for one in joined.decode("utf-8", "replace").replace("\r\n", "\n")
        )
        streams.append(Stream(name, text, size, size > len(joined)))
    return streams
