"""Whose turn it is: the order of a queue, by policy.

1. Jobs overdue by their promise go first, the longest overdue first: the starvation bound.
2. Then by priority class, the higher first.
3. Then by the policy's index, the least first; ties by submission, then by place in the queue.

| policy | index |
|---|---|
| fcfs | time of submission |
| sjf | expected seconds |
| f1 | log10(seconds) x amount + 870 log10(submitted) (Carastan-Santos and de Camargo, SC'17) |
| smallest_area | amount x seconds |
| smith | amount x seconds / haste: least work per slowdown saved (Smith 1956, for wide jobs) |
| ours | amount x seconds / sqrt(haste x current slowdown), x the organisation's use of its share |

With haste the expected 1 / max(run, 10 s), ``smith`` is the rule for uncertain jobs: a requester
whose jobs often fail at once is tried early. ``ours`` goes half the way from smallest area to it,
which keeps wide jobs moving, and ages by the root of the slowdown a job has reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from suanwang.placement.terms_of_time import FOREVER

TurnPolicy = Literal["fcfs", "sjf", "f1", "smallest_area", "smith", "ours"]
POLICIES: tuple[TurnPolicy, ...] = get_args(TurnPolicy)
PATIENCE = 8
"""A job is overdue after this many times its fair wait."""
GRACE_SECONDS = 86_400
"""The least fair wait that is counted: a day."""

Seconds = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Queue:
    """The waiting jobs, an array entry each."""

    submitted: Seconds
    amount: Real
    """Of the resource it asks most of: a count or a part of the whole, alike for all."""
    seconds: Real
    """Expected run time; see ``estimates``."""
    haste: Real
    """Expected 1 / max(run time, 10 s)."""
    priority: npt.NDArray[np.int64]
    """Class; the higher goes first."""
    share_used: Real
    """What its organisation has used of late, as a multiple of its fair share; 1 if unknown."""
    due: Seconds
    """When it becomes overdue, by ``due_at``; FOREVER if nothing was promised."""


def due_at(submitted: int, fair_start: int) -> int:
    """When a job that strict order of submission would start at ``fair_start`` is overdue."""
    if fair_start < 0:
        return FOREVER
    return submitted + PATIENCE * max(fair_start - submitted, GRACE_SECONDS)


def order(queue: Queue, policy: TurnPolicy, now: int) -> npt.NDArray[np.int64]:
    """Places in the queue, in the order in which their turn comes."""
    from suanwang.placement.kernels import turn

    code = POLICIES.index(policy)
    least = [
        turn.index(code, now, *job)
        for job in zip(queue.submitted, queue.amount, queue.seconds, queue.haste, strict=True)
    ]
    by_index = np.array(least, np.float64)
    if policy == "ours":
        by_index *= np.maximum(queue.share_used, 0.01)
    overdue = queue.due <= now
    late = np.where(overdue, queue.due, FOREVER)
    by_class = np.where(overdue, 0, -queue.priority)
    by_index = np.where(overdue, 0.0, by_index)
    keys: Sequence[npt.NDArray[np.generic]] = (queue.submitted, by_index, by_class, late)
    return np.lexsort(keys).astype(np.int64)
