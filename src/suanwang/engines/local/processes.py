"""Processes of a job: finding all of them, stopping all of them, knowing who is who.

Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Have every orphan below this process come back to it, so that none can slip away."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent dies."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def gain_nothing_by_exec() -> None:
    """No set-uid program helps from here on."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def start_time(pid: int) -> int | None:
    """When a process began, in clock ticks since boot: tells it from a later one of its number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def open_exact(pid: int, began: int) -> int | None:
    """A pidfd of the process of that number and start time; None if it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    if start_time(pid) != began:
        os.close(descriptor)
        return None
    return descriptor


def descendants(root: int) -> list[int]:
    """All processes below one, children before grandchildren."""
    found: list[int] = []
    waiting = [root]
    while waiting:
        children = _children(waiting.pop())
        found += children
        waiting += children
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    except OSError:
        pass  # it ended while we looked
    return children


def send(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_below(root: int, *, waited_for: int | None = None) -> None:
    """Kill every descendant. They are stopped first, so that none forks out of reach."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        living = [pid for pid in descendants(root) if not _is_zombie(pid)]
        if not living:
            return
        send(living, signal.SIGSTOP)
        send(living, signal.SIGKILL)
        reap_orphans(waited_for)
        time.sleep(0.005)


def reap_orphans(waited_for: int | None) -> None:
    """Collect ended children, except the one whose end someone else waits for."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == waited_for:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def kill_all_of(uid: int) -> None:
    """Kill every process of a user that belongs to one job alone. The caller is root."""
    # That user's own kill -1 reaches all of its processes in one call, itself included.
    subprocess.run(
        ["/bin/sh", "-c", "kill -9 -1"],
        user=uid,
        group=uid,
        extra_groups=[],
        cwd="/",
        stdin=subprocess.DEVNULL,
        check=False,
    )


def users() -> set[int]:
    """Every user that has a process on this machine now."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found.add(entry.stat().st_uid)
    return found


def marked(key: str, uid: int | None = None) -> list[int]:
    """Processes that carry this attempt's mark in their environment, as far as we may look; of
    this user alone, where the job had one of its own.
    """
    mark = f"SUANWANG_ATTEMPT={key}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if uid is not None and entry.stat().st_uid != uid:
                    continue
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def memory_mib(pids: list[int]) -> int:
    """What processes hold together, counting what they share once."""
    page = os.sysconf("SC_PAGE_SIZE")
    resident = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            resident += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
    return resident >> 20


def proportional_memory_mib(pids: list[int]) -> int:
    """As ``memory_mib``, exact but dear; only worth asking when that says too much."""
    total_kib = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total_kib += int(line.split()[1])
    return total_kib >> 10
