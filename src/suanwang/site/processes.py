"""Starting a process that dies with its parent, and telling whether one still lives.

Linux only: ``/proc`` and ``prctl`` are how a ``kill -9`` of the supervisor leaves no orphan.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Account:
    """The user and group a process runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Mount:
    """A folder shown at another place, to one process tree only."""

    source: Path
    target: Path


def spawn(
    command: Sequence[str | os.PathLike[str]],
    *,
    dies_by: signal.Signals = signal.SIGTERM,
    output: IO[bytes] | int | None = None,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
    mount: Mount | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in its own session that gets ``dies_by`` when this process ends, however.

    Call it from the main thread: the kernel ties the death signal to the thread that forks.
    """
    parent = os.getpid()

    def become() -> None:
        if mount is not None:
            _show_elsewhere(mount)
        if account is not None:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
        # After the change of user, which would clear it.
        _check(_libc.prctl(_PR_SET_PDEATHSIG, int(dies_by), 0, 0, 0), "prctl")
        if os.getppid() != parent:
            os._exit(70)

    return subprocess.Popen(
        [os.fspath(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        env=dict(environment) if environment is not None else None,
        cwd=folder,
        start_new_session=True,
        preexec_fn=become,  # noqa: PLW1509 - our callers have one thread
    )


def _show_elsewhere(mount: Mount) -> None:
    _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "mount private")
    source, target = os.fsencode(mount.source), os.fsencode(mount.target)
    _check(_libc.mount(source, target, None, _MS_BIND, None), "mount bind")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def alive(pid: int) -> bool:
    """Whether a process runs under this number; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def working_in(folder: Path, program: str) -> list[int]:
    """The live processes of a program whose working folder is this one, wherever it is mounted."""
    try:
        wanted = folder.stat()
    except FileNotFoundError:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or not alive(int(entry.name)):
            continue
        try:
            if (entry / "exe").readlink().name.split(" ")[0] != program:
                continue
            if os.path.samestat((entry / "cwd").stat(), wanted):
                found.append(int(entry.name))
        except OSError:  # gone meanwhile, or another user's
            continue
    return found


def resident_bytes(pid: int) -> int:
    """The memory a process holds, shared pages divided among those that share them (PSS)."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def descendants(pid: int) -> list[int]:
    """A process and everything below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        todo += children.get(current, [])
    return found


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """Have this process end when the one that made it ends, however; for children others spawn."""
    parent = os.getppid()
    _check(_libc.prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(70)
