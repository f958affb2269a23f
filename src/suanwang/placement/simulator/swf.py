"""Reads the Standard Workload Format: one job a line, 18 numbers, header comments with ``;``.

Chapin et al. 1999; the fields at www.cs.huji.ac.il/labs/parallel/workload/swf.html. -1 means
unknown. A line that is no job the machine could have run is reported with its number and why.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from suanwang.core.errors import Refused

FIELDS = 18
LARGEST = 1 << 40
OnBadLine = Literal["skip", "refuse"]


class SwfJob(NamedTuple):
    """A job of a trace; whole seconds, from the trace's own beginning."""

    number: int
    submitted: int
    ran: int
    processors: int
    asked: int
    """The requested time; the run time where the trace knows no request."""
    user: int
    group: int


class BadLine(NamedTuple):
    line: int
    reason: str
    """A code: ``fields``, ``number``, ``submitted``, ``ran``, ``processors``, ``too_large``."""
    text: str


@dataclass(frozen=True, slots=True)
class Trace:
    """What a file says: header, jobs in order of submission, and the lines that are none."""

    header: dict[str, str]
    jobs: list[SwfJob]
    skipped: list[BadLine] = field(default_factory=list)

    @property
    def processors(self) -> int:
        """Of the machine, by the header (MaxProcs, else MaxNodes); else the widest job."""
        return _size(self.header) or max((job.processors for job in self.jobs), default=0)

    def skipped_by_reason(self) -> dict[str, int]:
        """How many lines were skipped, by reason, the commonest first."""
        return dict(Counter(bad.reason for bad in self.skipped).most_common())


def read_swf(
    lines: Iterable[str], *, on_bad_line: OnBadLine = "skip", processors: int | None = None
) -> Trace:
    """Read a trace. ``processors`` is the machine's size where the header is wrong or silent.

    Refuses ``trace_line_refused`` at the first bad line if so asked, ``trace_empty``.
    """
    header: dict[str, str] = {}
    jobs: list[SwfJob] = []
    skipped: list[BadLine] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith(";"):
            name, colon, value = text.lstrip("; ").partition(":")
            if colon:
                header.setdefault(name.strip(), value.strip())
        elif text:
            job = _job(text.split(), processors or _size(header))
            if isinstance(job, SwfJob):
                jobs.append(job)
                continue
            if on_bad_line == "refuse":
                raise Refused("trace_line_refused", line=number, reason=job, text=text[:120])
            skipped.append(BadLine(number, job, text[:120]))
    if not jobs:
        raise Refused("trace_empty", skipped=len(skipped))
    jobs.sort(key=lambda job: job.submitted)  # stable: the file's order decides between equals
    if processors is not None:
        header = header | {"MaxProcs": str(processors)}
    return Trace(header, jobs, skipped)


def _size(header: dict[str, str]) -> int:
    for name in ("MaxProcs", "MaxNodes"):
        words = header.get(name, "").split()
        if words and words[0].isascii() and words[0].isdigit() and int(words[0]) <= LARGEST:
            return int(words[0])
    return 0


def _job(words: list[str], processors: int) -> SwfJob | str:
    """The job, or the code of what is wrong with it."""
    if len(words) != FIELDS:
        return "fields"
    try:
        values = [float(word) for word in words]
    except ValueError:
        return "number"
    if not all(math.isfinite(value) and abs(value) <= LARGEST for value in values):
        return "number"
    number, submitted, ran = (int(values[i]) for i in (0, 1, 3))
    width = int(values[4]) if values[4] > 0 else int(values[7])
    asked = int(values[8]) if values[8] > 0 else ran
    if submitted < 0:
        return "submitted"
    if ran <= 0:
        return "ran"
    if width <= 0:
        return "processors"
    if processors and width > processors:
        return "too_large"
    return SwfJob(number, submitted, ran, width, asked, int(values[11]), int(values[12]))
