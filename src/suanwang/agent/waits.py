"""What jobs wait for in their centre's own queue, as far as it is news.

Kept in memory only: an agent that comes back tells once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from suanwang.engines.port import EngineState, Observation

WAITING: Final = (EngineState.QUEUED, EngineState.STARTING)
_TOLD_EVERY: Final = timedelta(seconds=60)
"""At most so often about one job."""
_MOVED: Final = timedelta(minutes=5)
"""Queues move their estimates all the time: less is no news."""


@dataclass(frozen=True, slots=True)
class _Told:
    at: datetime
    why: str
    until: datetime | None


class Waits:
    """What the platform was last told of each job that waits."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}

    def news(self, attempt: str, one: Observation, now: datetime) -> bool:
        """Whether the platform should hear what is observed of the job."""
        why, until, told = one.reason, one.expected_start_at, self._told.get(attempt)
        if told is None:
            return bool(why) or until is not None
        if now - told.at < _TOLD_EVERY:
            return False
        if why != told.why or until is None or told.until is None:
            return (why, until) != (told.why, told.until)
        return abs(until - told.until) >= _MOVED

    def told(self, attempt: str, one: Observation, now: datetime) -> None:
        self._told[attempt] = _Told(now, one.reason, one.expected_start_at)

    def over(self, attempt: str) -> None:
        """It runs, or has ended."""
        self._told.pop(attempt, None)
