"""Whose turn it is: the order of a queue, by policy.

The least index goes first; ties by submission, then by place in the queue. What goes before that
(classes, starving jobs, fair shares) is in ``line``; in the batch protocol a job is overdue, and
the longest overdue goes first, after ``PATIENCE`` times the longest fair wait of late, which for a
job is the time the pool needs for all the work ahead of it as it arrives, and a day at least.

| policy | index |
|---|---|
| fcfs | time of submission |
| sjf | expected seconds |
| f1 | log10(seconds) x amount + 870 log10(submitted) (Carastan-Santos and de Camargo, SC'17) |
| smallest_area | amount x seconds |
| smith | amount x seconds / haste: least work per slowdown saved (Smith 1956, for wide jobs) |
| ours | the same with learned seconds and haste |

With haste the expected 1 / max(run, 10 s), ``smith`` is the rule for uncertain jobs: a requester
whose jobs often fail at once is tried early. No index here ages: on the Lublin traces ageing made
the longest waits longer, since wide jobs ahead of their turn cost everybody (decision 11).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

TurnPolicy = Literal["fcfs", "sjf", "f1", "smallest_area", "smith", "ours"]
POLICIES: tuple[TurnPolicy, ...] = get_args(TurnPolicy)
PATIENCE = 12
"""A job is overdue after this many times the longest fair wait of late."""
GRACE_SECONDS = 86_400
"""The least fair wait that is counted: a day."""
REMEMBERED = 512
"""How many arrivals back "of late" goes."""

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


def order(queue: Queue, policy: TurnPolicy) -> npt.NDArray[np.int64]:
    """Places in the queue, in the order in which their turn comes."""
    from suanwang.placement.kernels import turn

    code = POLICIES.index(policy)
    least = [
        turn.index(code, *job)
        for job in zip(queue.submitted, queue.amount, queue.seconds, queue.haste, strict=True)
    ]
    return np.lexsort((queue.submitted, np.array(least, np.float64))).astype(np.int64)
