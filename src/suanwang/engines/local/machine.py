"""What this machine really has for jobs."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """One node: this one."""

    name: str
    cpus: tuple[int, ...]
    """The numbers of the cores this process may use."""
    memory_mib: int


def read_machine(cores: int | None, memory_mib: int | None) -> Machine:
    """Cores we may run on and memory we may fill; settings can only make it less."""
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    memory = min(_memory_total_mib(), _memory_allowed_mib())
    return Machine(
        re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:63] or "local",
        cpus[: max(cores, 1)] if cores is not None else cpus,
        min(memory, memory_mib) if memory_mib is not None else memory,
    )


def _memory_total_mib() -> int:
    text = Path("/proc/meminfo").read_text()
    found = re.search(r"^MemTotal:\s+(\d+) kB$", text, re.MULTILINE)
    if found is None:
        raise OSError("/proc/meminfo does not say how much memory there is")
    return int(found[1]) >> 10


def _memory_allowed_mib() -> int:
    """The limit of the group this process is in, where there is one."""
    least = 1 << 40
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for file in (
            f"/sys/fs/cgroup{path}/memory.max" if not controllers else "",
            f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes" if "memory" in controllers else "",
        ):
            try:
                least = min(least, int(Path(file).read_text()) >> 20)
            except (OSError, ValueError):
                continue  # not here, or "max"
    return least
