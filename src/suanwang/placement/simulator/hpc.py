"""The HPC batch protocol: sequences of a trace, replayed on one pool of processors.

Bounded slowdown of a job: max(1, (wait + run) / max(run, 10 s)). A figure is the mean over the
jobs of a sequence, then over the sequences; waits are taken over all jobs together. The machine
is empty at the first job of a sequence. Mao et al.'s and RLScheduler's (SC'20) protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from suanwang.core.errors import Refused
from suanwang.placement.plan import BACKFILLS, Backfill
from suanwang.placement.simulator.swf import SwfJob
from suanwang.placement.turn import GRACE_SECONDS, PATIENCE, POLICIES, REMEMBERED, TurnPolicy

LUBLIN_STARTS = (1981, 2756, 4299, 8850, 3316, 2714, 5228, 7762, 4022, 7085)
"""Where the published ten sequences begin."""
SEQUENCE_JOBS = 1024
SHORTEST_SECONDS = 10

Whole = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Workload:
    """Jobs in order of submission, an array entry each; whole seconds from the first one."""

    submitted: Whole
    ran: Whole
    asked: Whole
    processors: Whole
    requester: Whole
    """Who asks, numbered from 1."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy did to the workloads it was given."""

    slowdown: float
    wait_mean_seconds: float
    wait_p99_seconds: float
    utilisation: float
    """Of the processors, from the first submission to the last end, mean over the sequences."""
    slowdowns: tuple[float, ...]
    """The mean of each sequence."""


def workload(jobs: Sequence[SwfJob]) -> Workload:
    """The jobs as arrays, the first submitted at 0."""
    rows = np.array([job[1:] for job in jobs], np.int64).reshape(-1, 6)
    _, requester = np.unique(rows[:, 4:6], axis=0, return_inverse=True)
    return Workload(
        submitted=rows[:, 0] - rows[0, 0],
        ran=rows[:, 1].copy(),
        asked=rows[:, 3].copy(),
        processors=rows[:, 2].copy(),
        requester=requester.reshape(-1).astype(np.int64) + 1,
    )


def sequences(jobs: Sequence[SwfJob], starts: Sequence[int], length: int) -> list[Workload]:
    """So many jobs from each start. Refuses ``sequence_outside_trace``."""
    for start in starts:
        if start < 0 or length < 1 or start + length > len(jobs):
            raise Refused("sequence_outside_trace", start=start, length=length, jobs=len(jobs))
    return [workload(jobs[start : start + length]) for start in starts]


def load_of(work: Workload, processors: int) -> float:
    """Work submitted per processor and second of the time of submissions."""
    span = int(work.submitted[-1])
    return float(work.ran @ work.processors) / (span * processors) if span else float("inf")


def at_load(work: Workload, processors: int, load: float) -> Workload:
    """The same jobs, their arrivals drawn together or apart until the load is so.

    Refuses ``load_not_positive``.
    """
    if not load > 0:
        raise Refused("load_not_positive", load=str(load))
    now = load_of(work, processors)
    if not np.isfinite(now):
        return work
    closer = (work.submitted * (now / load)).astype(np.int64)
    return Workload(closer, work.ran, work.asked, work.processors, work.requester)


def replay(
    work: Workload,
    processors: int,
    policy: TurnPolicy,
    backfill: Backfill,
    *,
    patience: int = PATIENCE,
    grace_seconds: int = GRACE_SECONDS,
) -> Whole:
    """The start of every job. Only ``ours`` learns from ended jobs and keeps promises."""
    from suanwang.placement.kernels import hpc

    starts: Whole = hpc.replay(
        work.submitted,
        work.ran,
        np.maximum(work.asked, 1),
        work.processors,
        work.requester,
        int(work.requester.max(initial=0)),
        processors,
        POLICIES.index(policy),
        BACKFILLS.index(backfill),
        patience,
        grace_seconds,
        REMEMBERED,
    )
    return starts


def slowdowns(work: Workload, starts: Whole) -> Real:
    """The bounded slowdown of each job."""
    spent = (starts - work.submitted + work.ran).astype(np.float64)
    return np.maximum(1.0, spent / np.maximum(work.ran, SHORTEST_SECONDS))


def measure(
    works: Sequence[Workload],
    processors: int,
    policy: TurnPolicy,
    backfill: Backfill,
    *,
    tick: Callable[[], None] = lambda: None,
) -> Outcome:
    """Replay every workload, ``tick`` after each, and take the protocol's figures."""
    means, waits, used = [], [], []
    for work in works:
        starts = replay(work, processors, policy, backfill)
        means.append(float(slowdowns(work, starts).mean()))
        waits.append(starts - work.submitted)
        span = int((starts + work.ran).max())
        used.append(float(work.ran @ work.processors) / (span * processors))
        tick()
    together = np.concatenate(waits)
    return Outcome(
        slowdown=float(np.mean(means)),
        wait_mean_seconds=float(together.mean()),
        wait_p99_seconds=float(np.percentile(together, 99)),
        utilisation=float(np.mean(used)),
        slowdowns=tuple(means),
    )
