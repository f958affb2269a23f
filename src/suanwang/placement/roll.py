"""What runs, as a sequence that knows what changed in it.

    roll = Roll(running)
    roll.begin(attempt)            # or when its ends are known better
    roll.end(job_id)
    decide(Snapshot(machines, roll), queue, now, policy, memory)

A snapshot may hold any sequence; with this one, and a memory, the core looks at what changed only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload
from uuid import UUID

from suanwang.placement.terms import Running

REMEMBERED = 10_000
"""At least so many of the last changes are known."""


class Roll(Sequence[Running]):
    """Everything that runs, one entry per job. Not safe for two threads."""

    def __init__(self, running: Iterable[Running] = ()) -> None:
        self._by_job = {each.job_id: each for each in running}
        self._changed: list[UUID] = []
        self._forgotten = 0

    def begin(self, running: Running) -> None:
        """A job runs; or something about how it runs is known better."""
        self._by_job[running.job_id] = running
        self._note(running.job_id)

    def end(self, job_id: UUID) -> None:
        """A job no longer runs. KeyError: it did not."""
        del self._by_job[job_id]
        self._note(job_id)

    def get(self, job_id: UUID) -> Running | None:
        return self._by_job.get(job_id)

    @property
    def changes(self) -> int:
        """How many there were ever."""
        return self._forgotten + len(self._changed)

    def since(self, changes: int) -> Sequence[UUID] | None:
        """The jobs that changed since there were so many changes; None: too long ago."""
        if changes < self._forgotten:
            return None
        return self._changed[changes - self._forgotten :]

    def _note(self, job_id: UUID) -> None:
        self._changed.append(job_id)
        if len(self._changed) > 2 * REMEMBERED:
            del self._changed[:REMEMBERED]
            self._forgotten += REMEMBERED

    def __len__(self) -> int:
        return len(self._by_job)

    def __iter__(self) -> Iterator[Running]:
        return iter(self._by_job.values())

    @overload
    def __getitem__(self, at: int) -> Running: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Running]: ...
    def __getitem__(self, at: int | slice) -> Running | Sequence[Running]:
        return list(self._by_job.values())[at]
