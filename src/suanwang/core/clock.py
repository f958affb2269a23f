"""One clock that is handed in, so that production, tests and simulation run the same code.

Services take ``at: datetime``; only the edges (web, API, command line, tasks) ask a clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

CITY_ZONE = ZoneInfo("Asia/Shanghai")


class Clock(Protocol):
    """Tells the time, always with a zone."""

    def now(self) -> datetime: ...


class SimulatedClock:
    """A clock that stands still until it is moved; it never goes back."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock needs a time with a zone")
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move forward and return the new time."""
        if by < timedelta(0):
            raise ValueError("time does not go back")
        self._now += by
        return self._now

    def move_to(self, when: datetime) -> datetime:
        """Move forward to a given moment."""
        return self.advance(when - self._now)
