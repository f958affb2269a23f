"""Whose turn it is: the order of a queue, by policy.

1. The job longest overdue goes first: the starvation bound. One at a time, since each may empty
   much of a machine while short jobs wait.
2. Then by priority class, the higher first.
3. Then by the policy's index, the least first; ties by submission, then by place in the queue.

| policy | index |
|---|---|
| fcfs | time of submission |
| sjf | expected seconds |
| f1 | log10(seconds) x amount + 870 log10(submitted) (Carastan-Santos and de Camargo, SC'17) |
| smallest_area | amount x seconds |
| smith | amount x seconds / haste: least work per slowdown saved (Smith 1956, for wide jobs) |
| ours | the same with learned seconds and haste, x the organisation's use of its share |

With haste the expected 1 / max(run, 10 s), ``smith`` is the rule for uncertain jobs: a requester
whose jobs often fail at once is tried early. No index here ages: on the Lublin traces ageing made
the longest waits longer, since wide jobs ahead of their turn cost everybody (decision 11).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
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
    priority: npt.NDArray[np.int64]
    """Class; the higher goes first."""
    share_used: Real
    """What its organisation has used of late, as a multiple of its fair share; 1 if unknown."""
    due: Seconds
    """When it becomes overdue, by ``Bound``; FOREVER if there is no bound."""


class Bound:
    """How long a job may wait before it goes first: a multiple of the longest fair wait of late.

    The fair wait of a job is the time the pool needs for all the work ahead of it as it arrives,
    running and queued. Not each job's own counts: who comes in a quiet minute before a burst has
    no better claim than the burst. Under overload the bound grows with the backlog.
    """

    def __init__(self) -> None:
        self._fair: deque[int] = deque(maxlen=REMEMBERED)

    def observe(self, work_ahead: float, capacity: float) -> None:
        """Call once per job as it arrives. ``work_ahead`` in amount x expected seconds,
        ``capacity`` in amount; the job's own work does not count."""
        self._fair.append(int(work_ahead / capacity))

    @property
    def seconds(self) -> int:
        """``Queue.due`` is the submission plus this, asked anew at every decision."""
        return PATIENCE * max(GRACE_SECONDS, *self._fair, 0)


def order(queue: Queue, policy: TurnPolicy, now: int) -> npt.NDArray[np.int64]:
    """Places in the queue, in the order in which their turn comes."""
    from suanwang.placement.kernels import turn

    code = POLICIES.index(policy)
    least = [
        turn.index(code, *job)
        for job in zip(queue.submitted, queue.amount, queue.seconds, queue.haste, strict=True)
    ]
    by_index = np.array(least, np.float64)
    if policy == "ours":
        by_index *= np.maximum(queue.share_used, 0.01)
    keys: Sequence[npt.NDArray[np.generic]] = (queue.submitted, by_index, -queue.priority)
    turns = np.lexsort(keys).astype(np.int64)
    latest = int(np.argmin(queue.due[turns])) if turns.size else 0
    if turns.size and queue.due[turns[latest]] <= now:
        turns[: latest + 1] = np.roll(turns[: latest + 1], 1)
    return turns
