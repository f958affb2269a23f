"""The batch policy's goals on the two traces they are stated for.

    PYTHONPATH=src python -m tests.benchmarks.bench_batch

Needs the traces (SUANWANG_TRACES, or ../shared/data). One policy, one setting for both; the exit
status is 1 when a goal is missed. CPU time includes loading compiled loops.
"""

from __future__ import annotations

import sys
import time

from suanwang.cli.simulate_hpc import folder_of, read_trace
from suanwang.placement.simulator import hpc

GOALS = {"lublin_256": 27.0, "alea_hpc2n": 230.0}


def main() -> int:
    missed = 0
    for name, goal in GOALS.items():
        trace = read_trace(name, folder_of(None), False, None)
        if name == "lublin_256":
            works = hpc.sequences(trace.jobs, hpc.LUBLIN_STARTS, hpc.SEQUENCE_JOBS)
        else:
            works = [hpc.at_load(hpc.workload(trace.jobs), trace.processors, 0.9)]
        fcfs = hpc.measure(works, trace.processors, "fcfs", "easy")
        began = time.process_time()
        ours = hpc.measure(works, trace.processors, "ours", "pair")
        spent = time.process_time() - began
        jobs = sum(work.submitted.size for work in works)
        late = ours.wait_p99_seconds / fcfs.wait_p99_seconds
        missed += ours.slowdown > goal or late > 2
        print(
            f"{name}: slowdown {ours.slowdown:.2f} (goal {goal:.0f}, fcfs {fcfs.slowdown:.2f}), "
            f"p99 wait {late:.2f} x fcfs (goal 2), utilisation {ours.utilisation:.3f} "
            f"(fcfs {fcfs.utilisation:.3f}), {spent / jobs * 1e6:.0f} us CPU a job"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
