"""What ``suanwang status`` shows."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import suanwang
from suanwang.site import state
from suanwang.site.processes import descendants, resident_bytes

_MIB = 1024 * 1024


def report(home: Path) -> dict[str, Any]:
    """The city of a home: whether and where it runs, its processes with their memory (PSS)."""
    versions = {"suanwang": suanwang.__version__, "python": platform.python_version()}
    running = state.read(home)
    if running is None:
        return {"running": False, "home": str(home), "versions": versions}
    versions |= {"suanwang": running.version, "postgresql": running.postgresql}
    processes: list[dict[str, Any]] = [
        {"name": "supervisor", "pid": running.pid, "since": running.since, "restarts": 0}
    ]
    processes += [vars(child) for child in running.children]
    for process in processes:
        pid = process["pid"]
        own = [pid] if process["name"] == "supervisor" else (descendants(pid) if pid else [])
        process["memory_mib"] = round(sum(map(resident_bytes, own)) / _MIB)
    return {
        "running": True,
        "phase": running.phase,
        "address": running.address,
        "home": str(home),
        "versions": versions,
        "processes": processes,
        "memory_mib": sum(process["memory_mib"] for process in processes),
    }


def table(found: dict[str, Any]) -> str:
    """The report for people."""
    if not found["running"]:
        return f"no city runs in {found['home']}; start it with: suanwang up"
    lines = [f"{found['phase']} at {found['address']} (home {found['home']})", ""]
    lines.append(f"{'process':<12}{'pid':>8}{'MiB':>7}{'restarts':>10}  since")
    for process in found["processes"]:
        pid = process["pid"] or "-"
        lines.append(
            f"{process['name']:<12}{pid:>8}{process['memory_mib']:>7}{process['restarts']:>10}"
            f"  {process['since'] or '-'}"
        )
    lines += [f"{'together':<12}{'':>8}{found['memory_mib']:>7}", ""]
    lines.append(", ".join(f"{name} {version}" for name, version in found["versions"].items()))
    return "\n".join(lines)
