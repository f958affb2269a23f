"""The words of placement: what may be chosen from, what is asked, what was decided and why.

Quantities are whole numbers: cores, MiB, cards, seconds. Costs are exact fractions of fen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Literal, NamedTuple
from uuid import UUID

Goal = Literal["cheapest", "fastest", "greenest", "balanced"]


class Room(NamedTuple):
    """An amount of cores, memory (MiB) and cards: of a machine, a job, or what is left."""

    cores: int
    memory_mib: int
    cards: int

    def holds(self, other: Room) -> bool:
        """Whether ``other`` fits in."""
        return (
            other.cores <= self.cores
            and other.memory_mib <= self.memory_mib
            and other.cards <= self.cards
        )

    def less(self, other: Room) -> Room:
        return Room(
            self.cores - other.cores,
            self.memory_mib - other.memory_mib,
            self.cards - other.cards,
        )

    def plus(self, other: Room) -> Room:
        return Room(
            self.cores + other.cores,
            self.memory_mib + other.memory_mib,
            self.cards + other.cards,
        )


class Rates(NamedTuple):
    """What a second costs at a machine, in fen per core, MiB and card; None: no price, no work."""

    core: Fraction | None
    memory_mib: Fraction | None
    card: Fraction | None

    def cost_fen(self, ask: Room, seconds: int) -> Fraction | None:
        """What so much costs for so long; None if a price for a part of it is missing."""
        total = Fraction(0)
        for amount, rate in zip(ask, self, strict=True):
            if amount and rate is None:
                return None
            total += amount * (rate or 0)
        return total * seconds


@dataclass(frozen=True, slots=True)
class Machine:
    """One node that is up and takes new work."""

    id: int
    name: str
    cluster_id: UUID
    centre: str
    """The centre's code."""
    whole: Room
    model: str | None
    """Of its cards."""
    online: bool
    """Whether the agent of its cluster was heard lately."""
    rates: Rates
    energy: Fraction
    """What a unit of IT energy costs in grey energy: PUE x (1 - green share)."""
    gflops: int = 0
    """Dense FP16 of one card by the best evidence there is; 0 if there is none."""


@dataclass(frozen=True, slots=True)
class Running:
    """A live attempt: what it holds on which machine, and until when at the latest."""

    machine_id: int
    room: Room
    ends_by: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything there is to choose from at one moment."""

    machines: Sequence[Machine]
    running: Sequence[Running]


@dataclass(frozen=True, slots=True)
class Ask:
    """A queued job, as far as placement cares."""

    job_id: UUID
    room: Room
    model: str | None
    """The model of card asked for; None: any."""
    walltime_seconds: int
    submitted_at: datetime
    goal: Goal
    centre: str | None
    """The only centre that will do, by code; None: any."""
    cost_max_fen: int
    """What is held for it; a machine where it could cost more will not do."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A stable code with its facts; the words are in ``placement/refusals.yaml``."""

    code: str
    facts: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """This job goes to this machine now, and why there."""

    job_id: UUID
    machine: Machine
    reason: Reason


@dataclass(frozen=True, slots=True)
class Wait:
    """This job waits: for what, and until about when (None: nobody can say)."""

    job_id: UUID
    reason: Reason
    starts_at: datetime | None


@dataclass(frozen=True, slots=True)
class Decisions:
    """What became of each job of the queue, in the order of the queue."""

    placements: list[Placement]
    waits: list[Wait]
