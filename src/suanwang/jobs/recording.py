"""The live city as a recording of one step, to be asked "what if" in the simulator."""

from __future__ import annotations

from datetime import datetime

from suanwang.jobs.services.dispatch import Memory, question, queued
from suanwang.placement import decide
from suanwang.placement.simulator.recording import Recorder


def taken(at: datetime) -> str:
    """What the dispatcher would be asked now and what it would answer, as JSON lines.

    Nothing is admitted. At most ``QUEUE_LOOKED_AT`` of the waiting jobs are in it, the oldest, as
    the dispatcher looks at no more.
    """
    asked = question(queued(), at, Memory())
    decisions = decide(asked.snapshot, asked.queue, asked.now, asked.policy)
    lines = Recorder().lines(asked.snapshot, asked.queue, asked.now, asked.policy, decisions)
    return "".join(f"{line}\n" for line in lines)
