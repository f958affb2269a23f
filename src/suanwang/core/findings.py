"""What an audit found. Each room's ``audit.checks()`` gives its checks; the city runs them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

SHOWN_MAX = 100
"""How many broken rows a check names; an audit is for finding out, not for repairing."""


class Words(TypedDict):
    """A sentence in both languages."""

    zh: str
    en: str


@dataclass(frozen=True)
class Finding:
    """One promise, held against every row it is about."""

    name: str
    """Stable, in snake case."""
    promise: Words
    checked_rows: int
    broken: list[str] = field(default_factory=list)
    """Which rows break it and how; at most ``SHOWN_MAX``. Empty: the promise is kept."""
    article: str = ""
    """Where the promise comes from, if a policy asks for it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "checked_rows", int(self.checked_rows))  # SQL's sum() is a Decimal

    @property
    def kept(self) -> bool:
        """Whether no row breaks it."""
        return not self.broken


Check = Callable[[], Finding]
"""Reads the whole database and changes nothing."""
