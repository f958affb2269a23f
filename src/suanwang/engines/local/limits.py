"""Limits of one process, and the measures that keep those which the kernel does not.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path


def at_most(which: int, value: int) -> None:
    """Set a resource limit for good, never above what this process may have."""
    hard = resource.getrlimit(which)[1]
    allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (allowed, allowed))


def tasks_of(uid: int) -> int:
    """How many tasks a user has; the kernel counts threads too."""
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == uid:
                    count += sum(1 for _ in (entry / "task").iterdir())
    return count


def disk_mib(folder: Path, entries_max: int = 20_000) -> int:
    """What a folder takes, looking at a bounded number of entries."""
    used = seen = 0
    waiting = [folder]
    while waiting and seen < entries_max:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        used += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return used >> 20
