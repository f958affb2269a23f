"""An engine without machines: it lives by a clock that is handed in.

It keeps the whole port and ships with the package: tests use it, and the demo city runs months of
jobs through the platform's own code in seconds. What a job does is said by ``plan``; the engine
itself decides nothing and draws nothing at random, so equal inputs give equal lives.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import IO

from suanwang.core.clock import Clock
from suanwang.core.jobspec import JobSpec
from suanwang.engines.port import (
    Ability,
    Accepted,
    Capabilities,
    EngineState,
    LogChunk,
    NodeFacts,
    Observation,
    OutputFile,
    Rejected,
    Stream,
    Submission,
    Usage,
    image_refused,
)


@dataclass(frozen=True)
class Outcome:
    """What a job will do, said beforehand."""

    duration_seconds: int
    """How long it would run if nobody stopped it; more than its walltime means a timeout."""
    exit_code: int = 0
    state: EngineState | None = None
    """A final state other than the exit code tells, such as ``out_of_memory``."""
    starts_after_seconds: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    outputs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass
class _Life:
    spec: JobSpec
    outcome: Outcome
    starts_at: datetime
    ends_at: datetime
    end: EngineState
    exit_code: int | None
    reason: str = ""


class InMemoryEngine:
    """Runs every job by its plan. Not for use by several threads at once."""

    def __init__(
        self,
        clock: Clock,
        nodes: Sequence[NodeFacts],
        plan: Callable[[str, JobSpec], Outcome],
        *,
        images: bool = False,
    ) -> None:
        self._clock = clock
        self._nodes = tuple(nodes)
        self._plan = plan
        self._images = images
        self._lives: dict[str, _Life] = {}
        self._ends: list[tuple[datetime, str]] = []

    def capabilities(self) -> Capabilities:
        notes = ("nothing runs; lives are planned",)
        abilities = {Ability.ESTIMATES, Ability.GANGS} | (
            {Ability.IMAGES} if self._images else set()
        )
        return Capabilities("memory", "1", "simulated", notes, frozenset(abilities))

    def inventory(self) -> Sequence[NodeFacts]:
        return self._nodes

    def submit(self, submissions: Sequence[Submission]) -> list[Accepted | Rejected]:
        return [self._submit(one) for one in submissions]

    def _submit(self, one: Submission) -> Accepted | Rejected:
        if one.key in self._lives:
            return Accepted(one.key, one.key)
        if not self._images and (refused := image_refused(one)) is not None:
            return refused
        if sum(_fits(one.spec, node) for node in self._nodes) < one.spec.nodes:
            return Rejected(one.key, True, "engine_no_node_fits", "no node has so much")
        outcome = self._plan(one.key, one.spec)
        starts = self._clock.now() + timedelta(seconds=outcome.starts_after_seconds)
        runs, end, code = outcome.duration_seconds, _end(outcome), outcome.exit_code
        if runs > one.spec.walltime_seconds:
            runs, end, code = one.spec.walltime_seconds, EngineState.TIMEOUT, 128 + 15
        ends = starts + timedelta(seconds=runs)
        self._lives[one.key] = _Life(one.spec, outcome, starts, ends, end, code)
        heapq.heappush(self._ends, (ends, one.key))
        return Accepted(one.key, one.key)

    def next_end(self) -> datetime | None:
        """When the next job ends, for a simulation to move its clock to."""
        while self._ends and self._stale(self._ends[0]):
            heapq.heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def take_ended(self) -> list[str]:
        """The refs that ended up to now and were not taken before, in the order of their ends."""
        now, ended = self._clock.now(), []
        while (end := self.next_end()) is not None and end <= now:
            ended.append(heapq.heappop(self._ends)[1])
        return ended

    def _stale(self, entry: tuple[datetime, str]) -> bool:
        life = self._lives.get(entry[1])
        return life is None or life.ends_at != entry[0]

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        return {key: key for key in keys if key in self._lives}

    def observe(self, refs: Sequence[str]) -> dict[str, Observation]:
        now = self._clock.now()
        return {ref: self._observe(ref, now) for ref in refs if ref in self._lives}

    def _observe(self, ref: str, now: datetime) -> Observation:
        life = self._lives[ref]
        if now >= life.ends_at:
            began = life.starts_at if life.exit_code is not None else None
            return Observation(
                ref, life.end, life.end.value, now, life.reason, life.exit_code,
                _signal(life.exit_code), "simulated", began, life.ends_at,
            )  # fmt: skip
        if now >= life.starts_at:
            state = EngineState.RUNNING
            return Observation(
                ref, state, state.value, now, isolation="simulated", started_at=life.starts_at
            )
        state = EngineState.QUEUED
        return Observation(
            ref, state, state.value, now, isolation="simulated", expected_start_at=life.starts_at
        )

    def cancel(self, refs: Sequence[str], grace_seconds: int, *, reason: str = "") -> None:
        now = self._clock.now()
        for ref in refs:
            life = self._lives.get(ref)
            if life is None or now >= life.ends_at:
                continue
            life.exit_code = 128 + 15 if now >= life.starts_at else None
            life.end = EngineState.NODE_FAILED if reason else EngineState.CANCELLED
            life.reason, life.ends_at = reason, now
            heapq.heappush(self._ends, (now, ref))

    def logs(self, ref: str, stream: Stream, offset: int, limit: int = 1 << 18) -> LogChunk:
        life = self._lives[ref]
        now = self._clock.now()
        text = b"" if now < life.starts_at or life.exit_code is None else _text(life, stream)
        data = text[offset : offset + limit]
        reached = offset + len(data)
        return LogChunk(data, reached, now >= life.ends_at and reached >= len(text))

    def usage(self, refs: Sequence[str]) -> dict[str, Usage]:
        now = self._clock.now()
        return {
            ref: _usage(ref, life)
            for ref in refs
            if (life := self._lives.get(ref)) is not None
            and now >= life.ends_at
            and life.exit_code is not None
        }

    def outputs(self, ref: str) -> list[OutputFile]:
        life = self._lives[ref]
        if self._clock.now() < life.ends_at or life.exit_code is None:
            return []
        return [OutputFile(name, len(data)) for name, data in life.outcome.outputs.items()]

    def open_output(self, ref: str, name: str) -> IO[bytes]:
        files = self._lives[ref].outcome.outputs
        if name not in files:
            raise FileNotFoundError(name)
        return io.BytesIO(files[name])

    def forget(self, refs: Sequence[str]) -> None:
        now = self._clock.now()
        for ref in refs:
            if (life := self._lives.get(ref)) is not None and now >= life.ends_at:
                del self._lives[ref]


def _fits(spec: JobSpec, node: NodeFacts) -> bool:
    cards = sum(
        one.count for one in node.accelerators if spec.accelerator_model in (None, one.model)
    )
    cores, memory_mib, wanted = spec.per_node
    return cores <= node.cores and memory_mib <= node.memory_mib and wanted <= cards


def _end(outcome: Outcome) -> EngineState:
    if outcome.state is not None:
        return outcome.state
    return EngineState.FAILED if outcome.exit_code else EngineState.SUCCEEDED


def _signal(exit_code: int | None) -> int | None:
    return exit_code - 128 if exit_code is not None and 128 < exit_code < 160 else None


def _text(life: _Life, stream: Stream) -> bytes:
    return life.outcome.stdout if stream == "stdout" else life.outcome.stderr


def _usage(ref: str, life: _Life) -> Usage:
    spent = life.ends_at - life.starts_at
    elapsed = -(-spent // timedelta(seconds=1))
    return Usage(ref, elapsed, life.starts_at, life.ends_at)
