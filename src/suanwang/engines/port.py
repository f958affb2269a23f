"""The one small port behind which work runs.

A key is the platform's attempt id; a ref is what the engine calls the same work. Submission is
idempotent by key. An engine that cannot be asked raises ``EngineUnavailable``: that is an outcome
of asking, never a change of a job's state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Literal, Protocol

from suanwang.core.jobspec import JobSpec

Stream = Literal["stdout", "stderr"]


class EngineUnavailable(Exception):
    """The engine does not answer now. What it runs goes on running, unseen."""


class EngineState(StrEnum):
    """Where a job is. The last eight are final: they never change again."""

    SUBMITTING = "submitting"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    COMPLETING = "completing"
    SUSPENDED = "suspended"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    NODE_FAILED = "node_failed"
    PREEMPTED = "preempted"
    LOST = "lost"

    @property
    def final(self) -> bool:
        return self in _FINAL

    @property
    def lifecycle(self) -> str:
        """The word the platform's job lifecycle has for it."""
        return _LIFECYCLE[self]


_LIFECYCLE: Mapping[EngineState, str] = {
    EngineState.SUBMITTING: "starting",
    EngineState.QUEUED: "starting",
    EngineState.STARTING: "starting",
    EngineState.RUNNING: "running",
    EngineState.COMPLETING: "running",
    EngineState.SUSPENDED: "running",
    EngineState.SUCCEEDED: "succeeded",
    EngineState.FAILED: "failed",
    EngineState.CANCELLED: "cancelled",
    EngineState.TIMEOUT: "timeout",
    EngineState.OUT_OF_MEMORY: "out_of_memory",
    EngineState.NODE_FAILED: "lost",
    EngineState.PREEMPTED: "lost",
    EngineState.LOST: "lost",
}
_FINAL = frozenset(list(EngineState)[6:])


@dataclass(frozen=True)
class Accelerators:
    """Cards of one model in a node."""

    model: str
    count: int


@dataclass(frozen=True)
class NodeUse:
    """What of a node is held by some work."""

    cores: int
    memory_mib: int
    accelerators: tuple[Accelerators, ...] = ()


@dataclass(frozen=True)
class NodeFacts:
    """What one node really has."""

    name: str
    cores: int
    memory_mib: int
    accelerators: tuple[Accelerators, ...] = ()
    others: NodeUse | None = None
    """What work holds that did not come through this engine object; of an engine with
    ``Ability.FREE_STATE``, none where it cannot tell."""


class Ability(StrEnum):
    """What an engine does beyond what every engine must."""

    GANGS = "gangs"
    """Starts a job of several nodes, all at once or not at all."""
    IMAGES = "images"
    """Runs a job in the container image it names. Without it such a job is refused for good, as
    ``image_not_supported``: never run in another image or in none.
    """
    FREE_STATE = "free_state"
    """Tells what other people's work holds of each node, from which what is free follows."""
    ESTIMATES = "estimates"
    """Says when it expects a waiting job to start."""


@dataclass(frozen=True)
class Capabilities:
    """What an engine is and what it does besides the port's minimum."""

    engine: str
    version: str
    isolation: str
    """The level jobs get: ``<sandbox>+<limits>``, such as ``bubblewrap+cgroup1``."""
    notes: tuple[str, ...] = ()
    """In plain words: what is missing here and what that means for jobs."""
    abilities: frozenset[Ability] = frozenset()


@dataclass(frozen=True)
class Submission:
    """One job to run under a key, with its files in by name."""

    key: str
    spec: JobSpec
    inputs: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepted:
    """The engine has it, now or already since an earlier submission of the same key."""

    key: str
    ref: str


@dataclass(frozen=True)
class Rejected:
    """The engine does not take it; ``permanent`` says that asking again is useless."""

    key: str
    permanent: bool
    code: str
    native: str
    """What the engine itself said."""


def image_refused(one: Submission) -> Rejected | None:
    """What an engine without ``Ability.IMAGES`` answers to a job that names an image."""
    image = one.spec.image
    if image is None:
        return None
    return Rejected(one.key, True, "image_not_supported", f"no way to run {image} here")


@dataclass(frozen=True)
class Observation:
    """What an engine knows of one job at ``observed_at``."""

    ref: str
    state: EngineState
    native_state: str
    observed_at: datetime
    reason: str = ""
    """Why it ended so; of a waiting job, in the engine's own words, what it waits for."""
    exit_code: int | None = None
    signal: int | None = None
    isolation: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    source: Literal["live", "accounting"] = "live"
    expected_start_at: datetime | None = None
    """Of a waiting job, by an engine with ``Ability.ESTIMATES``; none where it cannot tell."""


@dataclass(frozen=True)
class LogChunk:
    """Some bytes of a stream; ``complete`` when no more will ever follow ``next_offset``."""

    data: bytes
    next_offset: int
    complete: bool
    truncated: bool = False
    """The stream was longer than is kept."""


@dataclass(frozen=True)
class Usage:
    """What a job used. Billing rests on ``elapsed_seconds`` alone, times what was allocated."""

    ref: str
    elapsed_seconds: int
    """Whole seconds, rounded up, from start to end, at most the walltime."""
    started_at: datetime
    ended_at: datetime
    cpu_milliseconds: int | None = None
    """For information."""
    memory_peak_mib: int | None = None
    """For information."""
    allocated: Mapping[str, int] = field(default_factory=dict)
    """What the engine's accounting says was given: ``cores``, ``memory_mib``, ``accelerators``,
    ``nodes``. For information: billing rests on what was asked for. Empty where nobody says.
    """
    settled: bool = True
    """False: an accounting beside the engine may come to another figure yet. Such an engine is
    asked again for a while, of jobs that were forgotten since too.
    """


@dataclass(frozen=True)
class OutputFile:
    """A file the job left that its specification asked for."""

    name: str
    size: int


class Engine(Protocol):
    """What every engine does. ``refs`` it does not know are answered by leaving them out."""

    def capabilities(self) -> Capabilities: ...

    def inventory(self) -> Sequence[NodeFacts]: ...

    def submit(self, submissions: Sequence[Submission]) -> list[Accepted | Rejected]:
        """Start work, at most once per key, however often a key is submitted."""

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """The refs of those keys that were ever accepted and not forgotten."""

    def observe(self, refs: Sequence[str]) -> dict[str, Observation]:
        """The states of many in one asking."""

    def cancel(self, refs: Sequence[str], grace_seconds: int, *, reason: str = "") -> None:
        """Ask for the end of jobs. Idempotent; it is done only when observed.

        With a ``reason`` the end is not the owner's wish: it becomes ``node_failed``.
        """

    def logs(self, ref: str, stream: Stream, offset: int, limit: int = ...) -> LogChunk: ...

    def usage(self, refs: Sequence[str]) -> dict[str, Usage]:
        """Of jobs that started and ended."""

    def outputs(self, ref: str) -> list[OutputFile]:
        """The files asked for that are there, once the job has ended."""

    def open_output(self, ref: str, name: str) -> IO[bytes]: ...

    def forget(self, refs: Sequence[str]) -> None:
        """Drop all traces of ended jobs that were delivered. Those still running stay."""
