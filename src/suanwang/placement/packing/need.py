"""What one node of a job asks of a machine."""

from __future__ import annotations

from typing import NamedTuple

from suanwang.placement.terms import WHOLE_CARD


class Need(NamedTuple):
    """Equal needs are one kind."""

    cores_milli: int
    memory_mib: int
    cards: int = 0
    card_milli: int = WHOLE_CARD
    """Of each card; below 1000 only with one card is usual, but any number of cards will do."""
    groups: tuple[int, ...] | None = None
    """The only groups that will ever do (a model named, a centre named), sorted; None: all."""
