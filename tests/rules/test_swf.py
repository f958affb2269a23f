"""Reading a trace: good lines kept, bad ones told with their number and why."""

from __future__ import annotations

import pytest

from suanwang.core.errors import Refused
from suanwang.placement.simulator.swf import read_swf


def line(number=1, submitted=0, ran=10, used=4, width=4, asked=20, user=7):
    return f"{number} {submitted} -1 {ran} {used} -1 -1 {width} {asked} -1 1 {user} 1 -1 -1 1 -1 -1"


def test_header_and_jobs_are_read_in_order_of_submission():
    trace = read_swf(["; MaxProcs: 64 ", line(1, 30), "", line(2, 5)])
    assert trace.processors == 64
    assert [job.number for job in trace.jobs] == [2, 1]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("1 2 3", "fields"),
        (line(ran="x"), "number"),
        (line(ran="nan"), "number"),
        (line(ran="1e300"), "number"),
        (line(ran=-5), "ran"),
        (line(submitted=-1), "submitted"),
        (line(used=-1, width=-1), "processors"),
        (line(used=65), "too_large"),
    ],
)
def test_a_bad_line_is_skipped_and_counted_or_refused_as_asked(bad, reason):
    lines = ["; MaxProcs: 64", line(), bad]
    trace = read_swf(lines)
    assert [(b.line, b.reason) for b in trace.skipped] == [(3, reason)]
    assert trace.skipped_by_reason() == {reason: 1}
    with pytest.raises(Refused) as refused:
        read_swf(lines, on_bad_line="refuse")
    assert (refused.value.code, refused.value.facts["line"]) == ("trace_line_refused", 3)


def test_an_unknown_request_is_the_run_time():
    assert read_swf([line(asked=-1, ran=33)]).jobs[0].asked == 33


def test_a_file_without_a_job_is_refused():
    with pytest.raises(Refused, match="trace_empty"):
        read_swf(["; MaxProcs: 64", "nonsense"])
