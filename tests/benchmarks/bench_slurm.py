"""How many jobs a second the Slurm engine hands over, beside plain sbatch on the same Slurm.

    PYTHONPATH=src python -m tests.benchmarks.bench_slurm [--jobs 150] [--rounds 3] [--json]

As root, on Debian's packages. Starts a real Slurm with accounting and slurmrestd on loopback and
keeps it from starting jobs, so that only taking them is measured. In every round each way submits
the same number of jobs: ``sbatch`` alone, one after the other and four at a time, and the engine
over commands and over slurmrestd, one by one as the agent does and in batches of 50. The engine's
jobs are whole ones: folder, environment, script, and a commit on the disk before and after.
Fails if in the best round one by one is less than half of ``sbatch`` one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.contracts.slurm_bench import SlurmBench
from tests.contracts.slurm_cluster import JOB_USER, SlurmCluster, wait_until, why_no_slurm

from suanwang.core.jobspec import JobSpec
from suanwang.engines.port import Accepted, Submission
from suanwang.engines.slurm.account import Account, clean_environment
from suanwang.engines.slurm.settings import SlurmSettings

FLOOR = 0.5
"""Of what sbatch alone takes."""
BATCH = 50


def main() -> int:
    """Measure, print, and fail if the floor is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if missing := why_no_slurm():
        sys.stderr.write(f"{missing}\n")
        return 2
    cluster = SlurmCluster()
    try:
        cluster.start()
        cluster.scontrol("update", "partition=main", "state=down")  # takes jobs, starts none
        with tempfile.TemporaryDirectory() as home:
            rounds = [
                _round(cluster, Path(home, str(n)), options.jobs) for n in range(options.rounds)
            ]
    finally:
        cluster.stop()
    best = {way: max(one[way] for one in rounds) for way in rounds[0]}
    ratios = {
        way: max(
            one[f"engine, {way}, one by one"] / one["sbatch, one after the other"] for one in rounds
        )
        for way in ("commands", "slurmrestd")
    }
    found = {
        "jobs_per_second": best, "of_sbatch": ratios, "rounds": rounds, "jobs": options.jobs,
        "machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0],
    }  # fmt: skip
    if options.json:
        print(json.dumps(found))
    else:
        for way, rate in best.items():
            print(f"{way:36s} {rate:7.1f} jobs/s")
        for way, ratio in ratios.items():
            print(f"engine over {way}: {ratio:.2f} of sbatch in the same round (at least {FLOOR})")
    return 0 if min(ratios.values()) >= FLOOR else 1


def _round(cluster: SlurmCluster, home: Path, jobs: int) -> dict[str, float]:
    """Jobs a second by each way."""
    found = {}
    for name, workers in (("one after the other", 1), ("four at a time", 4)):
        found[f"sbatch, {name}"] = _rate(cluster, jobs, _plain(cluster, workers, jobs))
    for name, rest in (("commands", False), ("slurmrestd", True)):
        bench = SlurmBench(cluster, home / name, rest=rest, poll_seconds=1)
        for size, how in ((1, "one by one"), (BATCH, f"batches of {BATCH}")):
            rate = _rate(cluster, jobs, _engine(bench, how, size, jobs))
            found[f"engine, {name}, {how}"] = rate
        bench.close()
    return found


def _rate(cluster: SlurmCluster, jobs: int, submit: Callable[[], None]) -> float:
    began = time.monotonic()
    submit()
    took = time.monotonic() - began
    taken = cluster.run("squeue", "-h", f"--user={JOB_USER}").count("\n")
    assert taken == jobs, f"{taken} jobs of {jobs}"
    cluster.run("scancel", f"--user={JOB_USER}")
    wait_until(lambda: not cluster.run("squeue", "-h", f"--user={JOB_USER}"), "the queue is empty")
    return jobs / took


def _plain(cluster: SlurmCluster, workers: int, jobs: int) -> Callable[[], None]:
    """sbatch as any user would call it, for a job that does as little."""
    given = {"folder": "/nowhere", "user": JOB_USER, "conf": cluster.conf}
    checked = SlurmSettings.model_validate(given)
    account, environment = Account.of(checked), clean_environment(checked)
    words = ["sbatch", "--parsable", "--chdir=/tmp", "--output=/dev/null", "--mem=64", "--time=60"]

    def one(_: int) -> None:
        done = account.run(words, environment, seconds=60, text_in="#!/bin/bash\ntrue\n")
        assert done.returncode == 0, done.stderr

    def submit() -> None:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(one, range(jobs)))

    return submit


def _engine(bench: SlurmBench, how: str, size: int, jobs: int) -> Callable[[], None]:
    spec = JobSpec(script="true", memory_mib=64)
    keys = [f"{how.replace(' ', '-')}-{number}" for number in range(jobs)]

    def submit() -> None:
        for begin in range(0, jobs, size):
            some = [Submission(key, spec) for key in keys[begin : begin + size]]
            assert all(isinstance(one, Accepted) for one in bench.engine.submit(some))

    return submit


if __name__ == "__main__":
    raise SystemExit(main())
