"""The batch policy on real and published workloads."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from suanwang.placement.simulator import hpc
from suanwang.placement.simulator.swf import Trace, read_swf

FOLDER = Path(
    os.environ.get("SUANWANG_TRACES", Path(__file__).resolve().parents[3] / "shared" / "data")
)


def trace(name: str) -> Trace:
    path = FOLDER / "hpc" / name
    if not path.exists():
        pytest.skip(f"the trace {name} is not here: set SUANWANG_TRACES")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return read_swf(file)


def test_fcfs_on_the_first_sequence_is_much_slower_than_ours():
    works = hpc.sequences(trace("lublin_256.swf.gz").jobs, hpc.LUBLIN_STARTS[:1], 1024)
    fcfs = hpc.measure(works, 256, "fcfs", "easy")
    ours = hpc.measure(works, 256, "ours", "pair")
    assert ours.slowdown < fcfs.slowdown / 2


def test_a_compressed_real_log_reaches_its_goal_without_long_waits():
    work = hpc.workload(trace("alea_hpc2n.swf.gz").jobs)
    works = [hpc.at_load(work, 240, 0.9)]
    fcfs = hpc.measure(works, 240, "fcfs", "easy")
    ours = hpc.measure(works, 240, "ours", "pair")
    assert hpc.load_of(works[0], 240) == pytest.approx(0.9, rel=1e-3)
    assert ours.slowdown <= 230
    assert ours.wait_p99_seconds <= 2 * fcfs.wait_p99_seconds
