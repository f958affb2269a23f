"""How often each kind of job comes in, of late.

Every job counts once; an older one weighs less (``HALF_LIFE``). Beside what has long been counted
stands a *newcomer*, who took over only a trace of it and so learns fast. Both guess of what *sort*
the next job is (there are few sorts, so few jobs tell). Once the newcomer has guessed better by
far, the work of the city has changed, and its counts are the counts: waiting for the past to fade
would cost more than learning anew.

Were the old counts true, a newcomer would get so far ahead with a chance of at most
exp(-``AHEAD``) (the ratio of likelihoods is a martingale: Ville 1939).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

BATCH = 16
"""Jobs counted at a time."""
HALF_LIFE = 1500
"""After so many more jobs, one counts half."""
TRACE = 64
"""Jobs that all the past counts as to a newcomer."""
AHEAD = 12.0
"""Natural logarithm of how much likelier a newcomer must have found what came in."""


class _Table:
    """Counts of one observer; a job weighs more the later it comes."""

    def __init__(self, counts: Mapping[int, float], total: float) -> None:
        self.counts, self.total, self.weight = dict(counts), total, 1.0

    def guess(self, kind: int) -> float:
        """Chance that the next job is of the kind (Krichevsky and Trofimov 1981)."""
        half = self.weight / 2
        seen = self.counts.get(kind, 0.0) + half
        return seen / (self.total + half * (len(self.counts) + 1))

    def add(self, kinds: list[int]) -> None:
        for kind in kinds:
            self.counts[kind] = self.counts.get(kind, 0.0) + self.weight
        self.total += len(kinds) * self.weight
        self.weight *= 2 ** (len(kinds) / HALF_LIFE)

    def counting_as(self, jobs: float) -> _Table:
        """The same shares, worth so many jobs, or as many as they are if these are fewer."""
        by = min(1 / self.weight, jobs / self.total) if self.total else 1.0
        return _Table({kind: n * by for kind, n in self.counts.items()}, self.total * by)


class Counts:
    """Of kinds of job, by number."""

    def __init__(self) -> None:
        self._known, self._newcomer = _Observer(), _Observer()
        self._batch: list[tuple[int, int]] = []
        self._ahead = 0.0

    @property
    def now(self) -> Mapping[int, float]:
        """Faded counts; only what they are to each other means something."""
        return self._known.kinds.counts

    def add(self, kind: int, sort: int) -> bool:
        """One came in. True: a batch was counted."""
        self._batch.append((kind, sort))
        if len(self._batch) < BATCH:
            return False
        for _, each in self._batch:
            self._ahead += math.log(
                self._newcomer.sorts.guess(each) / self._known.sorts.guess(each)
            )
        kinds, sorts = [kind for kind, _ in self._batch], [sort for _, sort in self._batch]
        for observer in (self._known, self._newcomer):
            observer.kinds.add(kinds)
            observer.sorts.add(sorts)
        self._batch.clear()
        if self._known.kinds.weight > 1e100:
            self._known = self._known.counting_as(math.inf)
        return True

    def forget(self) -> bool:
        """Let the newcomer take over if it is ahead, and another one come if it is not; whether
        it took over. To be asked after each batch."""
        took_over = self._ahead > AHEAD
        if took_over:
            self._known = self._newcomer
        if took_over or self._ahead <= 0:
            self._newcomer, self._ahead = self._known.counting_as(TRACE), 0.0
        return took_over


class _Observer:
    """What one of the two has counted."""

    def __init__(self, kinds: _Table | None = None, sorts: _Table | None = None) -> None:
        self.kinds = kinds or _Table({}, 0.0)
        self.sorts = sorts or _Table({}, 0.0)

    def counting_as(self, jobs: float) -> _Observer:
        return _Observer(self.kinds.counting_as(jobs), self.sorts.counting_as(jobs))
