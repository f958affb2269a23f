"""What is free of one group of machines over future time.

A staircase of vectors of resources (milli-cores, MiB, milli-cards, whatever the group counts in):
whole numbers, in the order the capacity was given in. Instants and durations are whole seconds;
instant 0 is the caller's. Reservations for EASY and conservative backfilling are holds in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from suanwang.placement.terms_of_time import FOREVER, NEVER

if TYPE_CHECKING:
    Amount = Sequence[int] | npt.NDArray[np.int64]

__all__ = ["FOREVER", "NEVER", "Calendar"]


class Calendar:
    """Free amounts of one group from ``begins_at`` on, for ever.

    Costs: a question or a change takes time in proportion to the steps it passes over, about a
    step per two holds that are still running; 100 ns a step and a few hundred ns per call.
    """

    def __init__(self, capacity: Amount, begins_at: int = 0) -> None:
        from suanwang.placement.kernels import steps

        self._steps: Any = steps
        whole = np.ascontiguousarray(capacity, np.int64)
        self._times = np.empty(16, np.int64)
        self._free = np.empty((16, whole.size), np.int64)
        self._times[0], self._free[0], self._count = begins_at, whole, 1

    @classmethod
    def of_steps(cls, times: npt.NDArray[np.int64], free: npt.NDArray[np.int64]) -> Calendar:
        """One made at once of what is free [n, resources] from each of n rising instants on."""
        made = cls(free[0], int(times[0]))
        made._count = times.size
        made._times = np.empty(times.size + 16, np.int64)
        made._free = np.empty((times.size + 16, free.shape[1]), np.int64)
        made._times[: times.size], made._free[: times.size] = times, free
        return made

    def earliest(self, amount: Amount, seconds: int, not_before: int) -> int:
        """The first instant at or after ``not_before`` (and ``begins_at``) from which ``amount``
        is free for ``seconds``; NEVER (-1) if the group is too small for it."""
        found = self._steps.earliest(
            self._times, self._free, self._count, _vector(amount), seconds, not_before
        )
        return int(found)

    def fits(self, amount: Amount, start: int, seconds: int) -> bool:
        """Whether ``amount`` is free all the time from ``start`` for ``seconds``."""
        found = self._steps.fits(
            self._times, self._free, self._count, _vector(amount), start, seconds
        )
        return bool(found)

    def hold(self, amount: Amount, start: int, seconds: int) -> None:
        """Take ``amount`` away from ``start`` for ``seconds`` (FOREVER: for good).

        Does not ask whether it fits: what runs on machines that have shrunk is a fact, and free
        amounts below zero then say so. Ask ``fits`` or ``earliest`` before promising anything.
        """
        self._add(amount, -1, start, seconds)

    def give_back(self, amount: Amount, start: int, seconds: int) -> None:
        """Undo a hold, or the rest of it: what ended early gives back from now to its end."""
        self._add(amount, 1, start, seconds)

    def free_at(self, when: int) -> npt.NDArray[np.int64]:
        """What is free at an instant, as a vector of its own."""
        row: int = self._steps.step_at(self._times, self._count, when)
        free: npt.NDArray[np.int64] = self._free[row]
        return free.copy()

    def forget_before(self, now: int) -> None:
        """Let the calendar begin at ``now``; nobody asks about the past."""
        self._count = self._steps.forget(self._times, self._free, self._count, now)

    def clone(self) -> Calendar:
        """A calendar of its own that says the same."""
        twin = Calendar.__new__(Calendar)
        twin._steps, twin._count = self._steps, self._count
        twin._times, twin._free = self._times.copy(), self._free.copy()
        return twin

    @property
    def begins_at(self) -> int:
        return int(self._times[0])

    def steps(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The staircase: instants [n] and what is free from each on [n, resources]; copies."""
        return self._times[: self._count].copy(), self._free[: self._count].copy()

    def _add(self, amount: Amount, sign: int, start: int, seconds: int) -> None:
        if self._count + 2 > self._times.size:
            self._times, self._free = self._steps.grown(self._times, self._free, self._count)
        self._count = self._steps.add(
            self._times, self._free, self._count, _vector(amount), sign, start, seconds
        )


def _vector(amount: Amount) -> npt.NDArray[np.int64]:
    return np.ascontiguousarray(amount, np.int64)
