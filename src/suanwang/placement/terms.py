"""The words of placement: what may be chosen from, what is asked, what was decided and why.

Quantities are whole numbers in base units: thousandths of a core and of a card, MiB, seconds,
microseconds of latency, GFLOPS of dense arithmetic. Costs are exact fractions of fen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal, NamedTuple
from uuid import UUID

Goal = Literal["cheapest", "fastest", "greenest", "balanced"]
Spread = Literal["any", "centre", "rack", "node"]
"""How close the nodes of one job must be to each other; ``node``: all of it on one."""
Need = Literal["indifferent", "preferred", "required"]

WHOLE_CARD = 1000
"""Thousandths of a card; less is a share of one."""


class Room(NamedTuple):
    """An amount of a machine: of the whole of it, of what a job asks on one node, of what is left.

    A job that asks for cards wants ``cards`` of them with ``card_milli`` free on each.
    """

    core_milli: int
    memory_mib: int
    cards: int = 0
    card_milli: int = WHOLE_CARD


NOTHING = Room(0, 0)


class Rates(NamedTuple):
    """What a second costs at a machine, in fen per core, MiB and card; None: no price, no work."""

    core: Fraction | None
    memory_mib: Fraction | None
    card: Fraction | None

    def cost_fen(self, ask: Room, seconds: int) -> Fraction | None:
        """What so much costs for so long; None if a price for a part of it is missing."""
        total = Fraction(0)
        amounts = (
            Fraction(ask.core_milli, 1000),
            Fraction(ask.memory_mib),
            Fraction(ask.cards * ask.card_milli, WHOLE_CARD),
        )
        for amount, rate in zip(amounts, self, strict=True):
            if amount and rate is None:
                return None
            total += amount * (rate or 0)
        return total * seconds


@dataclass(frozen=True, slots=True)
class Card:
    """A model of accelerator card, by the best evidence there is (dense, vendor or measured)."""

    model: str
    vendor: str = ""
    memory_mib: int = 0
    domestic: bool = False
    gflops: Mapping[str, int] = field(default_factory=dict)
    """Dense GFLOPS of one card by precision (``fp16``, ``fp32``, …); absent: no evidence."""
    watts: int = 0
    """What it draws under load by its data sheet; 0: unknown (``goals.CARD_WATTS``)."""


@dataclass(frozen=True, slots=True)
class Site:
    """A centre, as far as placement cares. Machines of one centre share one object."""

    code: str
    tier: str = ""
    """``center``, ``park`` or ``edge``."""
    kind: str = ""
    """``general``, ``intelligent`` or ``super``."""
    division: str = ""
    trust: int = 0
    """0: registered, 1: verified by the operator; higher is more."""
    voucher_eligible: bool = False
    """Use there counts for compute vouchers (the local platform flag of Baoding 2024, art. 5)."""
    datasets: frozenset[str] = frozenset()
    """Names of the data kept there."""
    grey_energy: Fraction = Fraction(2)
    """PUE x (1 - green share) outside green hours; 2 where no reading is known."""
    green_hours: frozenset[int] = frozenset()
    """Hours of the day, in the time zone of ``now``, in which its power is green."""


class Link(NamedTuple):
    """A measured way between two places (centre codes, or a user's division)."""

    latency_us: int
    bandwidth_mbps: int = 0


@dataclass(frozen=True, slots=True)
class Machine:
    """One node that is up and takes new work; or a cluster of which only a summary is known."""

    id: int
    name: str
    cluster_id: UUID
    site: Site
    whole: Room
    card: Card | None
    rates: Rates
    online: bool = True
    """Whether the agent of its cluster was heard lately."""
    rack: str = ""
    images: bool = False
    """Whether it runs a job in the container image the job names."""
    summary_at: datetime | None = None
    """Set for a summary: ``whole`` is all the nodes of a cluster together, and a start there may
    be refused by it."""
    free: Room | None = None
    """Of a summary: what it said was free at that moment; None: ``whole`` less what we sent."""
    largest: Room | None = None
    """Of a summary: its largest node, if it says; no node of a job may ask for more."""
    others: Room = NOTHING
    """What work that is not ours held of it when it last told: whole cards. Nobody knows when that
    ends, so it is planned as if it never did."""


@dataclass(frozen=True, slots=True)
class Running:
    """A live attempt: what it holds on which machines, and until when at the latest."""

    job_id: UUID
    machine_ids: tuple[int, ...]
    room: Room
    """On each of the machines."""
    ends_by: datetime
    """By its walltime; once it was told to give way, by the end of its grace."""
    expected_end: datetime | None = None
    """By what jobs like it really took; None: as ``ends_by``."""
    organisation: str = ""
    priority: int = 0
    preemptible: bool = False
    started_at: datetime | None = None
    cards: tuple[tuple[int, ...], ...] = ()
    """Which cards it holds on each machine; empty: whichever, the pool decides."""


@dataclass(frozen=True, slots=True)
class Capability:
    """Any card that can do so much, whoever makes it."""

    precision: str = "fp16"
    gflops_min: int = 0
    memory_mib_min: int = 0


@dataclass(frozen=True, slots=True)
class Where:
    """Which places will do; an empty set or None means any."""

    centres: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    divisions: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    """All of them must be kept at the centre."""
    near: str | None = None
    """A place of the link table: the user's division, or the centre another job runs at."""
    latency_us_max: int | None = None
    """To ``near``; a pair without a measurement will not do."""
    trust_min: int = 0
    voucher_eligible: bool = False
    domestic: Need = "indifferent"
    """Cards of domestic make."""
    refused_by: frozenset[UUID] = frozenset()
    """Clusters whose own policy would not have it; they are not asked again."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A queued job, as far as placement cares."""

    job_id: UUID
    room: Room
    """On each of its nodes."""
    walltime_seconds: int
    submitted_at: datetime
    goal: Goal
    cost_max_fen: int
    """What is held for it; a place where the full walltime could cost more will not do."""
    nodes: int = 1
    """All or nothing, each on a machine of its own unless ``spread`` is ``node``."""
    spread: Spread = "centre"
    model: str | None = None
    capability: Capability | None = None
    image: bool = False
    """It names a container image to run in."""
    where: Where = Where()
    organisation: str = ""
    priority: int = 0
    """Class; a higher one goes first."""
    expected_seconds: int | None = None
    """What jobs like it really took; None: the walltime."""
    harmonic_seconds: int | None = None
    """Their harmonic mean, each counted as 10 s at least: short where a few of them ended at once.
    None: as expected."""
    not_before: datetime | None = None
    deadline: datetime | None = None
    """When it must have ended."""
    deferrable: bool = False
    """May wait for a green hour, as long as its deadline (or a day) is kept."""
    preemptible: bool = False
    after: tuple[UUID, ...] = ()
    """Jobs that must have ended well before."""
    attempt: int = 1
    refused_at: Mapping[UUID, datetime] = field(default_factory=dict)
    """When a cluster known by summary refused to start it; not tried before a newer summary."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Machines kept for someone over a period (maintenance: for nobody)."""

    machine_ids: frozenset[int]
    starts_at: datetime
    ends_at: datetime
    organisations: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Quota:
    """What an organisation is sure of. Organisations of one cohort lend each other what is idle."""

    organisation: str
    cohort: str
    core_milli: int
    card_milli: int
    borrow: bool = True
    lend: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything there is to choose from at one moment."""

    machines: Sequence[Machine]
    running: Sequence[Running] = ()
    links: Mapping[tuple[str, str], Link] = field(default_factory=dict)
    """Both directions are looked up."""
    reservations: Sequence[Reservation] = ()
    usage: Mapping[str, float] = field(default_factory=dict)
    """Decayed use of each organisation, in seconds of the whole pool's dominant resource."""
    ended: Mapping[UUID, bool] = field(default_factory=dict)
    """Jobs others come after that have ended, and whether well."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the city schedules; everything that may be chosen, with the defaults it runs with."""

    order: str = "ours"
    """One of ``turn.POLICIES``; the turn of jobs within an organisation."""
    fair: bool = True
    """Whether organisations take turns by their dominant share; else one line for all."""
    share_half_life: timedelta = timedelta(days=2)
    """After so long past use weighs half (``shares``)."""
    backfill: Literal["none", "easy", "pair", "conservative"] = "conservative"
    """How many waiting jobs have a start kept that nobody behind them may put off: none, and
    nobody passes them at all; the first; the first two; the first ``reservations_max``."""
    reservations_max: int = 100
    """How many waiting jobs get a start kept for them; the first in turn."""
    packing: str = "ours"
    """A name of ``pool.OBJECTIVES``."""
    weights: Mapping[str, Fraction] = field(default_factory=dict)
    """Share of an organisation beside others; 1 where none is named."""
    quotas: Sequence[Quota] = ()
    starving_after: timedelta = timedelta(days=3)
    """A job that waited so long goes before all others of its class and keeps its place."""
    preempt_grace: timedelta = timedelta(minutes=5)
    """What a preempted job has to save its work."""
    attempts_max: int = 3
    seed: int = 0
    """Of the one fixed order in which equally good machines are taken."""
    helps: bool = True
    """Whether it is worked out what would help a waiting job; a simulation need not."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A stable code with its facts; the words are in ``placement/refusals.yaml``."""

    code: str
    facts: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """This job goes to these machines now, and why there."""

    job_id: UUID
    machines: tuple[Machine, ...]
    """One for each of its nodes."""
    cards: tuple[tuple[int, ...], ...]
    """Which cards of each machine; empty tuples without cards."""
    reason: Reason
    warnings: tuple[Reason, ...] = ()
    """What its owner should know though it starts, such as a deadline it will miss."""

    @property
    def machine(self) -> Machine:
        """The first, and for nearly every job the only one."""
        return self.machines[0]


@dataclass(frozen=True, slots=True)
class Wait:
    """This job waits: for what, until about when, and what would help."""

    job_id: UUID
    reason: Reason
    starts_at: datetime | None
    """The best estimate; None: nobody can say."""
    starts_by: datetime | None = None
    """The latest, if everything that runs takes its whole walltime."""
    helps: tuple[Reason, ...] = ()
    """Smaller wishes that would start it now or at all, the smallest first."""
    warnings: tuple[Reason, ...] = ()
    """As of a placement."""


@dataclass(frozen=True, slots=True)
class Preemption:
    """This running job must give way, after the grace it has to save its work."""

    job_id: UUID
    for_job_id: UUID
    grace: timedelta
    reason: Reason


@dataclass(frozen=True, slots=True)
class Decisions:
    """What became of each job of the queue; every one has exactly one placement or wait."""

    placements: list[Placement]
    waits: list[Wait]
    preemptions: list[Preemption] = field(default_factory=list)
