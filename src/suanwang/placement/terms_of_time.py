"""Time in whole seconds since 1970, as calendars count it."""

from __future__ import annotations

from datetime import datetime, tzinfo

FOREVER = 1 << 62
"""An end that never comes; no sum of instants and durations passes it."""
NEVER = -1
"""The start of what can never start."""


def second(when: datetime) -> int:
    """The whole second an instant lies in."""
    return int(when.timestamp() // 1)


def second_after(when: datetime) -> int:
    """The first whole second an instant is over by."""
    return -int(-when.timestamp() // 1)


def instant(seconds: int, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(seconds, zone)
