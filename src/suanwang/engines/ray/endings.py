"""How a job ended, from what Ray says and what the runner left on the node.

The runner's file lies where the job itself could write: it is believed only as far as it has the
right shape, and never beyond the walltime.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from suanwang.core.jobspec import FileName
from suanwang.engines.port import EngineState
from suanwang.engines.ray.dashboard import RayJob
from suanwang.engines.ray.records import Ending, Record

STATES: Final = {
    "PENDING": EngineState.QUEUED,
    "RUNNING": EngineState.RUNNING,
    "STOPPED": EngineState.CANCELLED,
    "SUCCEEDED": EngineState.SUCCEEDED,
    "FAILED": EngineState.FAILED,
}
"""Ray's own words. What became of a job in truth may be another state: see ``conclude``."""
_UNIX_MAX: Final = 1e11
T = TypeVar("T")


class Told(BaseModel):
    """What the runner says of a job: ``status.json`` on the node."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    state: Annotated[str, Field(max_length=32)]
    reason: Annotated[str, Field(max_length=500)] = ""
    exit_code: Annotated[int, Field(ge=0, le=255)] | None = None
    signal: Annotated[int, Field(ge=1, le=64)] | None = None
    started_at: Annotated[float, Field(ge=0, le=_UNIX_MAX)] | None = None
    ended_at: Annotated[float, Field(ge=0, le=_UNIX_MAX)] | None = None
    elapsed_seconds: Annotated[int, Field(ge=0)] | None = None
    cpu_milliseconds: Annotated[int, Field(ge=0, le=1 << 62)] | None = None
    memory_peak_mib: Annotated[int, Field(ge=0, le=1 << 40)] | None = None
    truncated: Annotated[list[str], Field(max_length=2)] = Field(default_factory=list)


class Left(BaseModel):
    """What the runner leaves at the very end: ``end.json``."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    status: Told
    sizes: Annotated[dict[str, int], Field(max_length=2)]
    outputs: Annotated[list[tuple[FileName, int]], Field(max_length=1000)]


_TOLD: Final = TypeAdapter(Told)
_LEFT: Final = TypeAdapter(Left)


def read_told(data: bytes) -> Told | None:
    return _read(_TOLD, data)


def read_left(data: bytes) -> Left | None:
    return _read(_LEFT, data)


def _read(shape: TypeAdapter[T], data: bytes) -> T | None:
    try:
        return shape.validate_json(data)
    except ValidationError:
        return None


def conclude(
    job: RayJob, record: Record, left: Left | None, told: Told | None, *, reached: bool
) -> Ending:
    """The end of a job Ray calls ended; ``reached`` says that its node could be asked."""
    if left is not None and left.status.state in _ENDS:
        return _as_told(job, record, left.status, left)
    if told is not None and told.state in _ENDS:  # killed while it put the files away
        return _as_told(job, record, told, None)
    state, reason, code = _as_ray_says(job, told, reached=reached)
    started = told.started_at if told is not None else record.started_at
    ending = Ending(state, job.status, reason, code, started_at=started)
    if job.end_time is not None:
        ending.ended_at = job.end_time / 1000
        if started is not None:
            elapsed = max(math.ceil(ending.ended_at - started), 1)
            ending.elapsed_seconds = min(elapsed, record.walltime_seconds)
    _answer_wish(ending, record)
    return ending


_ENDS: Final = {state.value for state in EngineState if state.final}


def _as_told(job: RayJob, record: Record, told: Told, left: Left | None) -> Ending:
    elapsed = told.elapsed_seconds
    ending = Ending(
        told.state,
        job.status,
        told.reason,
        told.exit_code,
        told.signal,
        told.started_at,
        told.ended_at,
        min(elapsed, record.walltime_seconds) if elapsed is not None else None,
        told.cpu_milliseconds,
        told.memory_peak_mib,
        {name: left.sizes.get(name, 0) for name in ("stdout", "stderr")} if left else None,
        told.truncated,
        left.outputs if left else [],
    )
    _answer_wish(ending, record)
    return ending


def _as_ray_says(job: RayJob, told: Told | None, *, reached: bool) -> tuple[str, str, int | None]:
    """State, reason and exit code when the runner left no word of the end."""
    code = job.driver_exit_code
    if job.status == "STOPPED":
        return "cancelled", "cancelled", None
    if job.status == "SUCCEEDED":
        return "succeeded", "details_unknown", 0
    if code is None:  # what should have run it went away, or never came to be
        return "node_failed", (job.error_type or "ray_failed").lower()[:100], None
    if told is not None or code < 0:
        return "lost", "runner_killed", None
    if reached:
        return "node_failed", "runner_never_began", None
    return "failed", "details_unknown", code


def _answer_wish(ending: Ending, record: Record) -> None:
    """A stop that nobody here asked for was made at the site; one with a reason is no cancel."""
    if ending.state != "cancelled":
        return
    if record.wish is None:
        ending.reason = "stopped_at_site"
    elif record.wish:
        ending.state, ending.reason = "node_failed", record.wish
