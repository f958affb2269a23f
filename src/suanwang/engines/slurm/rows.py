"""What both ways of asking Slurm answer with, and the one table of its job states.

Times are Unix seconds as the controller keeps them; Slurm knows no finer ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from suanwang.engines.port import EngineState

STATES: Final[Mapping[str, EngineState]] = {
    "PENDING": EngineState.QUEUED,
    "REQUEUED": EngineState.QUEUED,
    "REQUEUE_FED": EngineState.QUEUED,
    "REQUEUE_HOLD": EngineState.QUEUED,
    "RESV_DEL_HOLD": EngineState.QUEUED,
    "SPECIAL_EXIT": EngineState.QUEUED,
    "CONFIGURING": EngineState.STARTING,
    "POWER_UP_NODE": EngineState.STARTING,
    "RUNNING": EngineState.RUNNING,
    "RESIZING": EngineState.RUNNING,
    "SIGNALING": EngineState.RUNNING,
    "COMPLETING": EngineState.COMPLETING,
    "STAGE_OUT": EngineState.COMPLETING,
    "SUSPENDED": EngineState.SUSPENDED,
    "STOPPED": EngineState.SUSPENDED,
    "COMPLETED": EngineState.SUCCEEDED,
    "FAILED": EngineState.FAILED,
    "CANCELLED": EngineState.CANCELLED,
    "REVOKED": EngineState.CANCELLED,
    "TIMEOUT": EngineState.TIMEOUT,
    "DEADLINE": EngineState.TIMEOUT,
    "OUT_OF_MEMORY": EngineState.OUT_OF_MEMORY,
    "NODE_FAIL": EngineState.NODE_FAILED,
    "BOOT_FAIL": EngineState.NODE_FAILED,
    "LAUNCH_FAILED": EngineState.NODE_FAILED,
    "RECONFIG_FAIL": EngineState.NODE_FAILED,
    "PREEMPTED": EngineState.PREEMPTED,
}
"""Slurm's word, ours. A word that is missing here is kept, shown, and never taken for an end."""


HOLDING: Final = frozenset({"RUNNING", "COMPLETING", "CONFIGURING", "SIGNALING", "STAGE_OUT"})
"""In these a job has its nodes. Of a suspended one Slurm counts the cores as free."""


@dataclass(frozen=True, slots=True)
class Holds:
    """What a job was given on each of its nodes: Slurm gives our jobs the same on all."""

    nodes: tuple[str, ...]
    cores: int
    memory_mib: int
    gres: str


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as Slurm tells it."""

    job_id: int
    name: str
    native: str
    """Slurm's own word for the state, in capitals."""
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    submitted_at: int | None = None
    started_at: int | None = None
    """Of a waiting job, when Slurm expects it to start."""
    ended_at: int | None = None
    elapsed_seconds: int | None = None
    """Without the time it was suspended."""
    nodes: bool = False
    """It was given nodes: it did start."""
    source: Literal["live", "accounting"] = "live"
    cpu_milliseconds: int | None = None
    memory_peak_mib: int | None = None
    allocated: Mapping[str, int] = field(default_factory=dict)
    """By Slurm's names: cpu, mem (MiB), node, gres/gpu, …"""
    holds: Holds | None = None
    """Of a job that the controller holds and that has nodes."""

    @property
    def state(self) -> EngineState | None:
        return STATES.get(self.native)


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node as Slurm tells it."""

    name: str
    cores: int
    cores_used: int
    memory_mib: int
    memory_mib_used: int
    gres: str
    gres_used: str
    usable: bool
    """Up and open for work."""
    reserved: bool = False
    """Kept for somebody by Slurm's own reservation."""


@dataclass(frozen=True, slots=True)
class PartitionLimits:
    """The most one job may ask of the partition; None where there is no limit."""

    walltime_seconds: int | None = None
    nodes: int | None = None


_PSEUDO_SIGNALS = 65
"""Slurm marks some ends by signals that do not exist, such as 125 for out of memory."""


def from_wait_status(status: int) -> tuple[int | None, int | None]:
    """Exit code and signal from what wait(2) says: 1792 is exit 7, 11 a segmentation fault."""
    return told(status >> 8 & 0xFF, status & 0x7F)


def told(code: int, signal: int) -> tuple[int | None, int | None]:
    """Exit code and signal as shells tell them: 128+n is signal n."""
    if signal:
        return (128 + signal, signal) if signal < _PSEUDO_SIGNALS else (None, None)
    return code, code - 128 if 128 < code < 160 else None


def ours(rows: Iterable[JobRow], prefix: str) -> list[JobRow]:
    """Those whose name begins so, by what follows it: the attempt's id."""
    return [
        replace(row, name=row.name.removeprefix(prefix)) if prefix else row
        for row in rows
        if row.name.startswith(prefix)
    ]


def quantities(tres: str) -> dict[str, int]:
    """``cpu=2,mem=1.50G,node=1`` as numbers, memory in MiB. What is no number is left out."""
    found = {}
    for part in tres.split(","):
        name, _, amount = part.partition("=")
        scale = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}
        unit = scale.get(amount[-1:]) if name == "mem" else None
        try:
            number = float(amount[:-1]) * unit if unit is not None else float(amount)
        except ValueError:
            continue
        found[name] = int(number)
    return found


_HOSTS_MAX = 20_000
_BRACKETS = re.compile(r"^([^\[\]]*)\[([0-9,-]+)\](.*)$")


def hosts(listed: str) -> tuple[str, ...]:
    """The names in a host list: ``a[1-3,07],b`` is a1, a2, a3, a07, b. ValueError: it is none."""
    found: list[str] = []
    for part in re.split(r",(?![^\[]*\])", listed) if listed else ():
        found += _expanded(part)
        if len(found) > _HOSTS_MAX:
            raise ValueError("more hosts than any cluster has")
    return tuple(found)


def _expanded(part: str) -> list[str]:
    bracketed = _BRACKETS.match(part)
    if bracketed is None:
        if "[" in part or "]" in part:
            raise ValueError(f"not a host list: {part[:80]!r}")
        return [part]
    before, ranges, after = bracketed.groups()
    rests = _expanded(after) if after else [""]
    found = []
    for one in ranges.split(","):
        first, _, last = one.partition("-")
        last = last or first
        if int(last) - int(first) > _HOSTS_MAX:
            raise ValueError("more hosts than any cluster has")
        for number in range(int(first), int(last) + 1):
            found += [f"{before}{number:0{len(first)}d}{rest}" for rest in rests]
    return found


def cards(gres: str) -> dict[str, int]:
    """How many of each GRES with its type: ``gpu:a100:2(IDX:0-1),gpu:4`` is gpu:a100 2, gpu 4."""
    found: dict[str, int] = {}
    for part in _outside_parentheses(gres).split(","):
        *name, count = part.removeprefix("gres:").removeprefix("gres/").split(":")
        if name and count.isdigit():
            full = ":".join(name)
            found[full] = found.get(full, 0) + int(count)
    return found


def _outside_parentheses(text: str) -> str:
    depth, kept = 0, []
    for one in text:
        depth += (one == "(") - (one == ")")
        if depth == 0 and one != ")":
            kept.append(one)
    return "".join(kept)
