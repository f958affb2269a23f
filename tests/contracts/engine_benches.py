"""The engines under contract, each on a bench that lets time pass in its own way."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from suanwang.core.clock import SimulatedClock
from suanwang.core.jobspec import JobSpec
from suanwang.engines.local.build import LocalSettings
from suanwang.engines.local.engine import LocalEngine
from suanwang.engines.local.plan import read_plan
from suanwang.engines.memory import InMemoryEngine, Outcome
from suanwang.engines.port import Accepted, Engine, NodeFacts, Observation, Submission


class Bench(Protocol):
    """An engine and a way to let it work.

    A bench may say ``streams_apart = False`` (both streams come as one, on stdout) and
    ``brings_files = False`` (jobs that ask for files out are refused).
    """

    engine: Engine

    def let_pass(self) -> None:
        """Let a little time go by."""

    def again(self) -> None:
        """Put a new engine in place of the old one, as after a restart."""


class ImageBench(Bench, Protocol):
    """One whose engine has ``Ability.IMAGES``."""

    image: str
    """An image that is there and has a shell."""

    def image_of(self, ref: str) -> str:
        """Which one a job really got, by its full name."""


class MemoryBench:
    """The in-memory engine, told what the scripts of the contract would do."""

    def __init__(self) -> None:
        self.clock = SimulatedClock(datetime(2024, 5, 1, tzinfo=UTC))
        nodes = [NodeFacts("n1", 2, 4096)]
        self.engine: Engine = InMemoryEngine(self.clock, nodes, _plan)

    def let_pass(self) -> None:
        self.clock.advance(timedelta(milliseconds=500))

    def again(self) -> None:
        """It has nothing outside itself that could be taken up."""


class LocalBench:
    """The local engine on this machine; with an image every job runs in that."""

    def __init__(self, root: Path, image: str = "", **settings: Any) -> None:
        self.image, self.fields = image, {"image": image} if image else {}
        self.settings = LocalSettings(root / "engine", **settings)
        self.engine: Engine = LocalEngine(self.settings)

    def let_pass(self) -> None:
        time.sleep(0.02)

    def again(self) -> None:
        self.engine = LocalEngine(self.settings)

    def image_of(self, ref: str) -> str:
        plan = read_plan(self.settings.root / "jobs" / ref)
        assert plan.image_root
        return plan.image

    def close(self) -> None:
        """End what runs, and leave nothing beside the folder either."""
        running = [entry.name for entry in (self.settings.root / "jobs").iterdir()]
        self.engine.cancel(running, 0)
        for ref in running:
            ended(self, ref)
        self.engine.forget(running)
        if (places := self.settings.root / "places").is_symlink():
            shutil.rmtree(places.readlink())

    def with_settings(self, **settings: Any) -> None:
        self.settings = replace(self.settings, **settings)
        self.again()


def _plan(_key: str, spec: JobSpec) -> Outcome:
    """The few commands of the contract's scripts, one on each line."""
    seconds, code = 1, 0
    out, err, files = b"", b"", {}
    for line in spec.script.splitlines():
        word, _, rest = line.partition(" ")
        match word:
            case "echo" if rest.endswith(" >&2"):
                err += rest.removesuffix(" >&2").encode() + b"\n"
            case "echo":
                out += rest.encode() + b"\n"
            case "sleep":
                seconds += int(rest)
            case "exit":
                code = int(rest)
            case "touch":
                files[rest] = b""
    return Outcome(seconds, code, stdout=out, stderr=err, outputs=files)


def submit(bench: Bench, key: str, script: str, **fields: Any) -> str:
    """Submit one job that must be taken; its ref."""
    inputs = fields.pop("inputs", {})
    usual = {"script": script, "memory_mib": 256} | getattr(bench, "fields", {})
    spec = JobSpec.model_validate(usual | fields)
    answer = bench.engine.submit([Submission(key, spec, inputs)])[0]
    assert isinstance(answer, Accepted), answer
    return answer.ref


def look(bench: Bench, ref: str) -> Observation:
    return bench.engine.observe([ref])[ref]


def until(
    bench: Bench, ref: str, what: Callable[[Observation], bool], seconds: float = 30
) -> Observation:
    """Let time pass until a job is as it should be."""
    deadline = time.monotonic() + seconds
    while not what(seen := look(bench, ref)):
        assert time.monotonic() < deadline, seen
        bench.let_pass()
    return seen


def ended(bench: Bench, ref: str, seconds: float = 30) -> Observation:
    return until(bench, ref, lambda seen: seen.state.final, seconds)


def output(bench: Bench, ref: str, stream: Any = "stdout") -> str:
    """The whole of a stream, read piece by piece as the agent does."""
    data, offset = b"", 0
    while True:
        piece = bench.engine.logs(ref, stream, offset)
        data += piece.data
        offset = piece.next_offset
        if piece.complete:
            return data.decode()


def no_skip_in_ci(why: str) -> str:
    """A reason to skip; on CI, where nothing may skip, a failure."""
    assert os.environ.get("CI") != "true", why
    return why
