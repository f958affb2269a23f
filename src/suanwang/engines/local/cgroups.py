"""Control groups, version 2 or 1: probed by trying, since listing says little of what is allowed.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_NEEDED = ("memory", "pids")
_WANTED = ("memory", "pids", "cpu", "cpuacct")
_PERIOD_US = 100_000


@dataclass(frozen=True)
class Support:
    """Where groups for jobs can be made: version 0 means nowhere."""

    version: int
    parents: dict[str, str]


def probe() -> Support:
    """Version 2 first, then 1; a version counts only if limits could really be set."""
    for support in (_version_2(), _version_1()):
        if support is not None:
            return support
    return Support(0, {})


def _own_paths() -> dict[str, str]:
    """This process's group by controller; version 2 under the empty name."""
    paths: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _mounts() -> dict[str, str]:
    """Where each hierarchy is mounted, by controller; version 2 under the empty name."""
    mounts: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            mounts.setdefault("", left.split()[4])
        elif kind == "cgroup":
            for option in options.split(","):
                mounts.setdefault(option, left.split()[4])
    return mounts


def _version_2() -> Support | None:
    mount, path = _mounts().get(""), _own_paths().get("")
    if mount is None or path is None:
        return None
    own = Path(mount + path)
    # A group that holds processes cannot hand its controllers down, so its parent may have to.
    for parent in dict.fromkeys((own, own.parent, Path(mount))):
        if not parent.is_relative_to(mount):
            continue
        with contextlib.suppress(OSError):
            (parent / "cgroup.subtree_control").write_text("+memory +pids +cpu")
        support = Support(2, {"": str(parent)})
        if _works(support):
            return support
    return None


def _version_1() -> Support | None:
    mounts, paths = _mounts(), _own_paths()
    parents = {
        name: mounts[name] + paths[name] for name in _WANTED if name in mounts and name in paths
    }
    if not all(name in parents for name in _NEEDED):
        return None
    support = Support(1, parents)
    return support if _works(support) else None


def _works(support: Support) -> bool:
    group = Group(support, f"probe-{secrets.token_hex(4)}")
    try:
        group.create(memory_mib=64, processes_max=16, cores=1)
    except OSError:
        return False
    else:
        return True
    finally:
        group.remove()


class Group:
    """The control group of one job, over as many hierarchies as there are."""

    def __init__(self, support: Support, key: str) -> None:
        self.version = support.version
        self._folders = {
            name: Path(parent) / f"suanwang-{key}" for name, parent in support.parents.items()
        }

    def _of(self, controller: str) -> Path | None:
        return self._folders.get("" if self.version == 2 else controller)

    def create(self, *, memory_mib: int, processes_max: int, cores: int) -> None:
        """Make the group and set its limits; a limit that cannot be set is an error."""
        for folder in set(self._folders.values()):
            folder.mkdir(exist_ok=True)
        memory = str(memory_mib << 20)
        if self.version == 2:
            folder = self._folders[""]
            (folder / "memory.max").write_text(memory)
            (folder / "pids.max").write_text(str(processes_max))
            (folder / "cpu.max").write_text(f"{cores * _PERIOD_US} {_PERIOD_US}")
            for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
                with contextlib.suppress(OSError):
                    (folder / name).write_text(value)
            return
        (self._folders["memory"] / "memory.limit_in_bytes").write_text(memory)
        with contextlib.suppress(OSError):  # only where swap is accounted
            (self._folders["memory"] / "memory.memsw.limit_in_bytes").write_text(memory)
        (self._folders["pids"] / "pids.max").write_text(str(processes_max))
        if cpu := self._of("cpu"):
            (cpu / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (cpu / "cpu.cfs_quota_us").write_text(str(cores * _PERIOD_US))

    def enter(self) -> None:
        """Put the calling process in; for use between fork and exec."""
        for folder in self._folders.values():
            descriptor = os.open(folder / "cgroup.procs", os.O_WRONLY)
            os.write(descriptor, b"0")
            os.close(descriptor)

    def processes(self) -> list[int]:
        folder = self._of("pids")
        if folder is None:
            return []
        try:
            return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def kill(self) -> None:
        """Leave no process of the group. Nothing may be born meanwhile, so this ends."""
        folder = self._of("pids")
        if folder is None or not folder.is_dir():
            return
        with contextlib.suppress(OSError):
            (folder / "cgroup.kill").write_text("1")
        with contextlib.suppress(OSError):
            (folder / "pids.max").write_text("0")
        until = time.monotonic() + 10
        while (alive := self.processes()) and time.monotonic() < until:
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    def oom_kills(self) -> int:
        """How often the kernel killed in this group for want of memory."""
        folder = self._of("memory")
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        return 0 if folder is None else _entry(folder / name, "oom_kill")

    def cpu_milliseconds(self) -> int | None:
        if self.version == 2:
            used = _entry(self._folders[""] / "cpu.stat", "usage_usec")
            return used // 1000
        folder = self._of("cpuacct")
        if folder is None:
            return None
        return _number(folder / "cpuacct.usage") // 1_000_000

    def memory_peak_mib(self) -> int | None:
        folder = self._of("memory")
        if folder is None:
            return None
        name = "memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"
        return -(-_number(folder / name) >> 20) or None

    def remove(self) -> None:
        """Take the group away; an empty one goes at once, a dying one within moments."""
        for folder in set(self._folders.values()):
            until = time.monotonic() + 2
            while folder.is_dir():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > until:
                        break
                    time.sleep(0.01)


def _entry(file: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            word, _, number = line.partition(" ")
            if word == name:
                return int(number)
    return 0


def _number(file: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text())
    return 0
