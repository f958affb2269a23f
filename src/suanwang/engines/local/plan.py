"""What a runner is to do, and what it says of it: two small files in the job's folder.

Standard library only: a runner stays beside every job and must be small.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path

PLAN, STATUS, LOCK, BEGAN, CANCEL = (
    "plan.json",
    "status.json",
    "runner.lock",
    "began",
    "cancel.json",
)
HELD_BACK = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
"""Signals a runner is started without hearing, until it can heed them: they would kill it."""
_FLOCK = "@hhqqi"


@dataclass(frozen=True)
class Plan:
    """Everything decided before the runner starts; it decides nothing of its own."""

    key: str
    place: str
    """The folder that holds ``script`` and ``work``, which the job's user can reach."""
    interpreter: list[str]
    environment: dict[str, str]
    cpus: list[int]
    memory_mib: int
    walltime_seconds: int
    processes_max: int
    disk_mib: int
    stream_bytes_max: int
    sandbox: str
    """``bubblewrap`` or ``session``."""
    isolation: str
    uid: int | None = None
    """The user the job runs as, where the runner may choose: as root."""
    cgroup_version: int = 0
    cgroup_parents: dict[str, str] = field(default_factory=dict)
    """By controller, the folder in which the job's own group is made."""
    group: str = ""
    """The name of that group: no other engine of this machine has one like it."""
    read_only: list[str] = field(default_factory=list)
    cards: list[int] = field(default_factory=list)
    """The cards it holds until it has ended, as the machine counts them."""
    devices: list[str] = field(default_factory=list)
    """The device files it may use."""
    image: str = ""
    """The full name of the container image it runs in; empty: this machine's own programs."""
    image_root: str = ""
    """The folder of that image's files, read-only to the job."""
    tied_to: list[int] | None = None
    """The process id and start time of the supervisor without which the job must not stay."""

    @property
    def work(self) -> str:
        return f"{self.place}/work"

    @property
    def script(self) -> str:
        return f"{self.place}/script"


@dataclass
class Status:
    """How far a job is. ``state`` uses the words of ``EngineState``."""

    state: str
    isolation: str = ""
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    started_at: float | None = None
    """Unix time."""
    ended_at: float | None = None
    elapsed_seconds: int | None = None
    """While it runs, a lower bound that is renewed every few seconds."""
    cpu_milliseconds: int | None = None
    memory_peak_mib: int | None = None
    truncated: list[str] = field(default_factory=list)


def read_plan(folder: Path) -> Plan:
    return Plan(**json.loads((folder / PLAN).read_text(encoding="utf-8")))


def read_status(folder: Path) -> Status | None:
    """What was last said; None before anything was."""
    try:
        return Status(**json.loads((folder / STATUS).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def write_json(folder: Path, name: str, value: Plan | Status | dict[str, object]) -> None:
    """Replace a file whole: a reader, or a crash, sees the old one or the new one."""
    data = value if isinstance(value, dict) else asdict(value)
    waiting = folder / f".{name}.{secrets.token_hex(4)}"
    descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(folder / name)
    except OSError:
        waiting.unlink(missing_ok=True)
        raise
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hold_lock(folder: Path) -> int | None:
    """Become the one runner of a folder until this process ends; None if there is one."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def runner_pid(folder: Path) -> int | None:
    """The process that holds the lock. Asked of the kernel: a dead runner holds nothing."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if answer[0] == fcntl.F_UNLCK else answer[4]
