"""The scheduling core: a pure function from a snapshot and a queue to decisions with reasons."""

from suanwang.placement.core import decide, fits_empty
from suanwang.placement.terms import (
    Ask,
    Decisions,
    Goal,
    Machine,
    Placement,
    Rates,
    Reason,
    Room,
    Running,
    Snapshot,
    Wait,
)

__all__ = [
    "Ask",
    "Decisions",
    "Goal",
    "Machine",
    "Placement",
    "Rates",
    "Reason",
    "Room",
    "Running",
    "Snapshot",
    "Wait",
    "decide",
    "fits_empty",
]
