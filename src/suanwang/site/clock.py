"""The clock of this process: this machine's, shifted by ``SUANWANG_CLOCK_OFFSET_SECONDS``.

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


_clock: Clock = SystemClock(timedelta(seconds=settings().clock_offset_seconds))


def now() -> datetime:
    """What time it is in the city, in UTC."""
    return _clock.now()


@contextmanager
def using(clock: Clock) -> Iterator[None]:
    """Let this process live by another clock for a while."""
    global _clock  # noqa: PLW0603
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before
