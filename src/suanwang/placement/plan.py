"""Which jobs of an ordered queue start now in one group of machines, and when the others may.

strict: nobody starts before one ahead of it. easy: the first that must wait has a reservation,
others start now if they leave it its start (Lifka 1995). pair: the same with the first two that
must wait. conservative: everyone has a reservation that nobody behind it can put off (Mu'alem and
Feitelson 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from suanwang.placement.calendar import Calendar

Backfill = Literal["strict", "easy", "pair", "conservative"]
BACKFILLS: tuple[Backfill, ...] = get_args(Backfill)


def plan(
    calendar: Calendar,
    amounts: Sequence[Sequence[int]] | npt.NDArray[np.int64],
    seconds: Sequence[int] | npt.NDArray[np.int64],
    now: int,
    backfill: Backfill = "conservative",
) -> npt.NDArray[np.int64]:
    """Estimated start of each job, in whole seconds; NEVER if the group is too small for it.

    ``amounts`` [jobs, resources] and ``seconds`` (requests, not hopes: they bound what may be
    promised) are in the order of turns. Who has ``now`` starts now. The calendar holds what runs
    and is left as it was. Under easy only ``now`` and the first later start are promises, under
    pair the first two.
    """
    from suanwang.placement.kernels import plan as walk

    times, free = calendar.steps()
    asked = np.ascontiguousarray(amounts, np.int64).reshape(len(seconds), free.shape[1])
    lengths = np.maximum(np.ascontiguousarray(seconds, np.int64), 1)
    times, free = walk.with_spare(times, free, times.size, 2 * len(seconds) + 2)
    count = times.size - 2 * len(seconds) - 2
    starts: npt.NDArray[np.int64] = walk.plan(
        times, free, count, asked, lengths, now, BACKFILLS.index(backfill), True
    )
    return starts
