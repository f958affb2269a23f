"""What an agent takes of its own machine while it holds 5,000 jobs: memory, and processor.

    PYTHONPATH=src python -m tests.benchmarks.bench_agent_memory [--engine slurm] [--jobs 5000]

The agent is the real one, ``suanwang agent run`` in a process of its own, against a platform on
loopback that leases it the jobs. ``slurm`` (as root, on Debian's packages) is a real Slurm with
slurmrestd; ``slurm-commands`` the same through squeue. Its partition starts none of the jobs: 5,000
at a time are too many for this machine, and what an agent holds of a job is the same while it
waits.

Told are the proportional set size before the first job and with all of them, the peak of what was
resident on the way (``VmHWM``), and the share of one processor that it takes while nothing
happens. Fails if the agent holds more than 80 MB with its jobs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from tests.contracts.agent_process import AgentProcess, job
from tests.contracts.platform_double import PlatformDouble
from tests.contracts.slurm_cluster import JOB_USER, SlurmCluster, why_no_slurm

MEMORY_MIB_MAX = 80e6 / 2**20
SCRIPT = "#!/bin/sh\n" + "# what a job of some size says\n" * 30 + "true\n"


def main() -> int:
    """Measure, print, and fail if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", choices=["slurm", "slurm-commands"], default="slurm")
    parser.add_argument("--jobs", type=int, default=5_000)
    options = parser.parse_args()
    if missing := why_no_slurm():
        sys.stderr.write(f"{missing}\n")
        return 2
    with _engine(options.engine) as engine:
        found = _measure(engine, options.jobs)
    found |= {"engine": options.engine, "jobs": options.jobs, "goal_mib": MEMORY_MIB_MAX}
    found |= {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    print(json.dumps(found, indent=2))
    return 0 if found["mib"] <= MEMORY_MIB_MAX else 1


@contextmanager
def _engine(kind: str) -> Iterator[dict[str, Any]]:
    """What stands in the agent's ``engine.yaml``."""
    cluster = SlurmCluster()
    try:
        cluster.start()
        cluster.scontrol("update", "partition=main", "state=down")  # takes jobs, starts none
        said = {"folder": cluster.folder / "jobs", "user": JOB_USER, "conf": cluster.conf}
        if kind == "slurm":
            said |= {"url": cluster.url, "token_file": cluster.token_file}
        yield {"engine": "slurm"} | {name: str(value) for name, value in said.items()}
    finally:
        cluster.stop()


def _measure(engine: dict[str, Any], jobs: int) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="sw-bench-"))
    double = PlatformDouble()
    agent = AgentProcess(folder / "home", double)
    try:
        agent.enrol()
        (agent.home / "engine.yaml").write_text(yaml.safe_dump(engine))
        agent.start()
        assert agent.process is not None
        pid = agent.process.pid
        double.until(lambda: bool(double.reports and double.doors), seconds=60)
        time.sleep(3)
        before = {"without_jobs_mib": _pss(pid), "without_jobs_peak_mib": _peak(pid)}
        spec = job(SCRIPT, memory_mib=64, files_out=["*"])
        attempts = [double.lease(spec) for _ in range(jobs)]
        began = time.monotonic()
        known: Callable[[], bool] = lambda: all(  # noqa: E731
            len(double.told[one].states) > 1 for one in attempts
        )
        double.until(known, seconds=120 + jobs / 10, why="the engine has not all")
        took = time.monotonic() - began
        time.sleep(15)
        taken, began = _cpu(pid), time.monotonic()
        sizes = []
        while time.monotonic() - began < 30:
            sizes.append(_pss(pid))
            time.sleep(0.5)
        share = (_cpu(pid) - taken) / (time.monotonic() - began)
        return before | {
            "mib": sorted(sizes)[len(sizes) // 2],
            "most_mib": max(sizes),
            "peak_mib": _peak(pid),
            "cpu_share": share,
            "taken_in_seconds": took,
        }
    except BaseException:
        sys.stderr.write(agent.log[-2000:])
        raise
    finally:
        if agent.process is not None:
            agent.process.kill()
            agent.process.wait()
        double.go_away()
        shutil.rmtree(folder, ignore_errors=True)


def _pss(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[0]) / 1024


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[0]) / 1024


def _cpu(pid: int) -> float:
    """Seconds used by a process and its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(one) for one in fields[11:15]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    raise SystemExit(main())
