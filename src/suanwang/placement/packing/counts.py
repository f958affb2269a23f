"""How often each kind of job comes in, of late.

Every job counts once; an older one weighs less (``HALF_LIFE``). When what comes in is far more of
a surprise than what came before was, in bits a job, the work of the city has changed, and all but
a trace of the past is forgotten at once: waiting for it to fade would cost more than learning
anew, which takes a few hundred jobs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

BATCH = 16
HALF_LIFE = 4000
"""After so many more jobs, one counts half."""
WINDOW = 64
"""Jobs whose surprise is taken together."""
SURE = 4.0
"""Standard deviations of a window's mean beyond which it is no accident."""
FADING = 0.95
"""What the surprise of earlier windows still weighs after one more."""
WINDOWS_LEAST = 4.0
"""So many windows there must have been to compare with."""
TRACE = 16.0
"""Jobs the past counts as, once it is forgotten."""


class Counts:
    """Of kinds of job, by number. Jobs are counted ``BATCH`` at a time."""

    def __init__(self) -> None:
        self._counts: dict[int, float] = {}
        self._total = 0.0
        self._weight = 1.0
        self._batch: list[int] = []
        self._window: list[float] = []
        self._past = (0.0, 0.0, 0.0)
        """Windows, and the sums of their surprises and of the squares of these, faded."""

    @property
    def now(self) -> Mapping[int, float]:
        """Faded counts; only what they are to each other means something."""
        return self._counts

    def add(self, kind: int) -> bool:
        """One came in. True: a batch was counted."""
        self._batch.append(kind)
        if len(self._batch) < BATCH:
            return False
        self._window += [self._surprise(each) for each in self._batch]
        for each in self._batch:
            self._counts[each] = self._counts.get(each, 0.0) + self._weight
        self._total += BATCH * self._weight
        self._weight *= 2 ** (BATCH / HALF_LIFE)
        self._batch.clear()
        if self._weight > 1e100:
            self._scale(1.0)
        return True

    def forget(self) -> bool:
        """Forget the past if the last window was such a surprise; whether it was. To be asked
        after each batch."""
        return len(self._window) >= WINDOW and self._close_window()

    def _surprise(self, kind: int) -> float:
        """Minus the logarithm of its chance by what came before (Krichevsky and Trofimov)."""
        half = self._weight / 2
        seen = self._counts.get(kind, 0.0) + half
        return -math.log(seen / (self._total + half * (len(self._counts) + 1)))

    def _close_window(self) -> bool:
        """Compare the window with those before; forget, or let it be one of them."""
        window, self._window = self._window, []
        windows, total, squares = self._past
        if windows >= WINDOWS_LEAST:
            mean = total / (windows * WINDOW)
            spread = math.sqrt(max(0.0, squares / (windows * WINDOW) - mean * mean))
            if sum(window) / WINDOW > mean + SURE * spread / math.sqrt(WINDOW):
                self._scale(TRACE / (self._total / self._weight))
                self._past = (0.0, 0.0, 0.0)
                return True
        self._past = (
            windows * FADING + 1,
            total * FADING + sum(window),
            squares * FADING + sum(each * each for each in window),
        )
        return False

    def _scale(self, by: float) -> None:
        """Let the next job weigh 1 again and every count so much of what it is beside that."""
        by /= self._weight
        self._counts = {kind: count * by for kind, count in self._counts.items()}
        self._total *= by
        self._weight = 1.0
