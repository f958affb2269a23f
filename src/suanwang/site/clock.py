"""The clock of this process: this machine's, shifted by ``Settings.clock_offset``.

Only edges call ``now()``; services are handed ``at``. Tests and the demo put another clock in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from suanwang.core.clock import Clock
from suanwang.site.settings import settings


class SystemClock:
    """This machine's time plus a fixed offset."""

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        self._offset = offset

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset


_clock: Clock = SystemClock(settings().clock_offset())


def now() -> datetime:
    """What time it is in the city, in UTC."""
    return _clock.now()


def use(clock: Clock) -> None:
    """Let this process live by another clock from now on."""
    global _clock  # noqa: PLW0603
    _clock = clock


@contextmanager
def using(clock: Clock) -> Iterator[None]:
    """Let this process live by another clock for a while."""
    before = _clock
    use(clock)
    try:
        yield
    finally:
        use(before)
