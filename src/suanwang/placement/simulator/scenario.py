"""What a simulation plays: machines, jobs, and what befalls them. Every reader ends here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from typing import Literal
from uuid import UUID, uuid5

from suanwang.placement.terms import Ask, Link, Machine, Quota, Rates, Room

NAMESPACE = UUID("6c1d0f5e-3f1c-5a7e-9d2b-73616e77616e")
CORE_WATTS = Fraction(5)
"""Of a busy core with its share of board and cooling fans: about a 320 W part of 64 cores."""
MEMORY_WATTS_PER_GIB = Fraction(3, 8)
"""About 3 W for a module of 8 GiB (Crucial's and Micron's rule of thumb for DDR4)."""
IDLE_SHARE = Fraction(3, 10)
"""Of its full load a node draws idle: between a third and a quarter in SPECpower results."""
CARD_WATTS = 350
"""Of a card whose data sheet is not known."""


@dataclass(frozen=True, slots=True)
class Work:
    """A job and the truth about it that no scheduler is told."""

    ask: Ask
    seconds: int
    """What it really takes; it is killed at its walltime."""
    label: str = ""
    checkpoint_every: int | None = None
    """Seconds; what it did since is lost when it is stopped unwarned. None: all is lost."""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Begun:
    """A job that runs when the simulation begins."""

    work: Work
    machine_ids: tuple[int, ...]
    started_at: datetime
    cards: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that befalls machines at a moment."""

    at: datetime
    what: Literal["fail", "unheard", "price"]
    machine_ids: frozenset[int]
    lasts_seconds: int | None = None
    rates: Mapping[int, Rates] = field(default_factory=dict)
    """By machine, for a change of price."""


@dataclass(frozen=True, slots=True)
class Breaking:
    """Nodes of a centre break by chance: seconds between failures of one, and until repaired."""

    machine_ids: tuple[int, ...]
    mean_seconds: int
    repair_seconds: int


@dataclass(frozen=True, slots=True)
class Energy:
    """Of a centre: watts of IT become kWh through its PUE, a part of which is green."""

    pue: Fraction
    green_share: Fraction
    green_hours: frozenset[int]


@dataclass(frozen=True, slots=True)
class Watts:
    """What a machine draws of IT power: idle, and in addition for what is held of it."""

    idle: Fraction
    per_core: Fraction
    per_gib: Fraction
    per_card: Fraction

    def of(self, room: Room) -> Fraction:
        """The additional watts of so much of it at work."""
        cards = Fraction(room.cards * room.card_milli, 1000)
        return (
            self.per_core * Fraction(room.core_milli, 1000)
            + self.per_gib * Fraction(room.memory_mib, 1024)
            + self.per_card * cards
        )


@dataclass(frozen=True)
class Scenario:
    """All of it. Machines are nodes, also of centres that tell the scheduler only a summary."""

    name: str
    """In Chinese, or its only one."""
    starts_at: datetime
    machines: Sequence[Machine]
    works: Sequence[Work]
    begun: Sequence[Begun] = ()
    happenings: Sequence[Happening] = ()
    breaking: Sequence[Breaking] = ()
    summaries: Mapping[str, int] = field(default_factory=dict)
    """Centres known by summary only, and how many seconds pass between two."""
    links: Mapping[tuple[str, str], Link] = field(default_factory=dict)
    weights: Mapping[str, Fraction] = field(default_factory=dict)
    quotas: Sequence[Quota] = ()
    usage: Mapping[str, float] = field(default_factory=dict)
    energy: Mapping[str, Energy] = field(default_factory=dict)
    watts: Mapping[int, Watts] = field(default_factory=dict)
    name_en: str = ""
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Of centres and organisations, in Chinese and English."""

    def with_works(self, works: Sequence[Work]) -> Scenario:
        """The same city with other jobs."""
        return replace(self, works=works)


def job_id(label: str) -> UUID:
    """The identifier of a job by its name in the input; a UUID names itself."""
    try:
        return UUID(label)
    except ValueError:
        return uuid5(NAMESPACE, label)


def watts_of(room: Room, card_watts: int, card_idle_watts: int) -> Watts:
    """The power model of a machine: linear in what is held of it, from an idle floor.

    Cards draw their data sheet's watts under load; the floor is ``IDLE_SHARE`` of everything,
    or the cards' own idle watts where the data sheet has them.
    """
    per_card = Fraction(card_watts or CARD_WATTS) if room.cards else Fraction(0)
    idle_card = Fraction(card_idle_watts) if card_idle_watts else per_card * IDLE_SHARE
    busy = CORE_WATTS * Fraction(room.core_milli, 1000)
    busy += MEMORY_WATTS_PER_GIB * Fraction(room.memory_mib, 1024)
    return Watts(
        idle=busy * IDLE_SHARE + idle_card * room.cards,
        per_core=CORE_WATTS * (1 - IDLE_SHARE),
        per_gib=MEMORY_WATTS_PER_GIB * (1 - IDLE_SHARE),
        per_card=max(Fraction(0), per_card - idle_card),
    )
