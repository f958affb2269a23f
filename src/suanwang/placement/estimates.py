"""How long jobs really run, learned from those that have ended.

Requests are over-estimates, each requester's in a way of its own, and some jobs fail in their
first seconds. So a request stands for a distribution of run times: the ratios of run time to
request of the requester's last 32 jobs, the latest counting most; a little of everybody's; and
the request itself, which is all there is at first. Nothing is killed by it: it only orders.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

REMEMBERED = 32


class Expectation(NamedTuple):
    seconds: float
    """Expected run time."""
    haste: float
    """Expected 1 / max(run time, 10 s), per second: what a second of waiting adds to the bounded
    slowdown. More than 1 / seconds where a few jobs of many end at once."""


class Estimates:
    """State learned from ended jobs. A requester is an organisation, a user or a pair of both."""

    def __init__(self) -> None:
        from suanwang.placement.kernels import estimates

        self._loops: Any = estimates
        self._rows: dict[Hashable, int] = {}
        self._ratios = np.zeros((8, REMEMBERED))
        self._counts = np.zeros(8, np.int64)

    def observe(self, requester: Hashable, asked_seconds: int, ran_seconds: int) -> None:
        """Learn from a job that ended by itself. Leave out what was cancelled or preempted."""
        row = self._rows.setdefault(requester, len(self._rows) + 1)
        if row >= self._counts.size:
            self._ratios = np.vstack((self._ratios, np.zeros_like(self._ratios)))
            self._counts = np.concatenate((self._counts, np.zeros_like(self._counts)))
        self._loops.observe(
            self._ratios, self._counts, row, float(asked_seconds), float(ran_seconds)
        )

    def expect(self, requester: Hashable, asked_seconds: int) -> Expectation:
        """What to expect of a request; of one never seen before, what everybody's say."""
        row = self._rows.get(requester, 0)
        seconds, haste = self._loops.expect(self._ratios, self._counts, row, float(asked_seconds))
        return Expectation(float(seconds), float(haste))
