"""What a simulation writes down: every attempt, every job's end, the state over time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from suanwang.placement.simulator.auditor import Fate
from suanwang.placement.simulator.scenario import Scenario, Work
from suanwang.placement.terms import Rates, Room

Stop = Literal["done", "timed_out", "node_failed", "preempted", "cut_off"]


class Attempt(NamedTuple):
    """A stretch of a job's run."""

    job_id: UUID
    machine_ids: tuple[int, ...]
    room: Room
    started_at: datetime
    stopped_at: datetime
    why: Stop
    rates: tuple[Rates, ...]
    """At the start, by node: what is charged."""


class Sample(NamedTuple):
    """The state after the decisions of a moment."""

    at: datetime
    waiting: int
    running: int
    core_milli: int
    card_milli: int
    """Held of cores and cards."""


@dataclass
class Journal:
    """Everything the measures are taken from."""

    scenario: Scenario
    policy: str
    works: dict[UUID, Work] = field(default_factory=dict)
    """Jobs that came, those that ran from the beginning included."""
    first_start: dict[UUID, datetime] = field(default_factory=dict)
    ended_at: dict[UUID, datetime] = field(default_factory=dict)
    fates: dict[UUID, Fate] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    decided: int = 0
    """Times the core was asked."""
    starts: int = 0
    preemptions: int = 0
    refused_starts: int = 0
    """By centres known by summary; decided again."""
    not_admitted: int = 0
    """Decisions that did not hold when they were to be carried out; decided again."""
    failures: int = 0
    """Of nodes."""
    audited: int = 0
    ends_at: datetime | None = None
