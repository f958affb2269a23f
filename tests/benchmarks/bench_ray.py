"""How fast the Ray engine gives jobs to a real cluster, and how soon they are over.

    PYTHONPATH=src python -m tests.benchmarks.bench_ray [--jobs 40] [--json]

Starts a head and two more nodes on this machine, each a `ray start` of its own. Submissions are
made one after another, as an agent makes them, and then over four connections; beside them bare
requests to the Jobs API with `true` as the command, which is what Ray itself takes. Then single
jobs of `true`, from the call until the engine says that they have ended. Last, submissions to a
cluster that is full, so that no job starts and takes the two cores from what is measured. No goal
is set.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from suanwang.core.jobspec import JobSpec
from suanwang.engines.port import Accepted, Submission

from ..contracts.ray_bench import RayBench, RayCluster


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cluster = RayCluster([{"cpus": 4}, {"cpus": 4}, {"cpus": 4}])
    try:
        with tempfile.TemporaryDirectory(prefix="sw-bench-") as folder:
            found = _measure(cluster, Path(folder), options.jobs)
    finally:
        cluster.stop()
    found |= {"machine": platform.machine(), "cores": os.cpu_count()}
    print(json.dumps(found) if options.json else _words(found))
    return 0


def _words(found: dict[str, Any]) -> str:
    return "\n".join(f"{name:44}{value}" for name, value in found.items())


def _measure(cluster: RayCluster, folder: Path, jobs: int) -> dict[str, Any]:
    bench = RayBench(cluster.url, folder, poll_seconds=0)
    spec = JobSpec(script="true", memory_mib=64)
    bench.ray.submit([Submission("warm", spec)])
    _until_over(bench, ["warm"])

    found: dict[str, Any] = {}
    bare = httpx.Client(base_url=cluster.url, trust_env=False, timeout=60)
    found["bare requests a second"] = _rate(
        lambda key: bare.post("/api/jobs/", json=_bare(bench, key)).raise_for_status(), "b", jobs
    )
    _until_idle(bare)

    def one(key: str) -> None:
        (answer,) = bench.ray.submit([Submission(key, spec)])
        assert isinstance(answer, Accepted), answer

    began_cpu = time.process_time()
    found["submissions a second, one after another"] = _rate(one, "s", jobs)
    found["own CPU a submission, ms"] = round((time.process_time() - began_cpu) * 1000 / jobs, 1)
    began = time.monotonic()
    _until_over(bench, [f"s{number}" for number in range(jobs)])
    found["then all over after, s"] = round(time.monotonic() - began, 1)

    began = time.monotonic()
    many = [Submission(f"m{number}", spec) for number in range(jobs)]
    assert all(isinstance(answer, Accepted) for answer in bench.ray.submit(many))
    found["submissions a second, four connections"] = round(jobs / (time.monotonic() - began), 1)
    _until_over(bench, [one.key for one in many])

    spans = []
    for number in range(10):
        began = time.monotonic()
        one(f"t{number}")
        _until_over(bench, [f"t{number}"])
        spans.append(time.monotonic() - began)
    found["one `true` to its end, s: median"] = round(statistics.median(spans), 2)
    found["fastest, slowest"] = f"{min(spans):.2f}, {max(spans):.2f}"

    whole = JobSpec(script="sleep 600", memory_mib=64, cores=4)
    bench.ray.submit([Submission(f"w{number}", whole) for number in range(3)])
    running = [f"{bench.settings.prefix}w{number}" for number in range(3)]
    while any(seen.native_state != "RUNNING" for seen in bench.ray.observe(running).values()):
        time.sleep(0.1)
    found["on a full cluster, one after another"] = _rate(one, "f", jobs)
    bare.close()
    bench.ray.close()
    return found


def _rate(do: Callable[[str], object], name: str, jobs: int) -> float:
    began = time.monotonic()
    for number in range(jobs):
        do(f"{name}{number}")
    return round(jobs / (time.monotonic() - began), 1)


def _bare(bench: RayBench, key: str) -> dict[str, object]:
    ref = f"{bench.settings.prefix}{key}"
    return {"entrypoint": "true", "submission_id": ref, "entrypoint_num_cpus": 1}


def _until_over(bench: RayBench, keys: list[str]) -> None:
    refs = [f"{bench.settings.prefix}{key}" for key in keys]
    while not all(one.state.final for one in bench.ray.observe(refs).values()):
        time.sleep(0.02)


def _until_idle(bare: httpx.Client) -> None:
    going = ("PENDING", "RUNNING")
    while any(job["status"] in going for job in bare.get("/api/jobs/").json()):
        time.sleep(0.2)


if __name__ == "__main__":
    raise SystemExit(main())
