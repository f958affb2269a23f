"""What a policy package is made of: facts, dated parameters, measures, the funding table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Literal

from suanwang.policy.language.compile import Value
from suanwang.policy.language.nodes import Call, Node, ParameterName
from suanwang.policy.language.types import Type
from suanwang.policy.reader import Path, Text
from suanwang.policy.terms import Stage

Status = Literal["confirmed", "default"]

ROUNDING = "award.rounding"
"""The parameter that says how ``rounded`` rounds."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that must be known of a case before a rule can speak."""

    name: str
    type: Type
    label: Text
    least: Fraction | date | None = None
    most: Fraction | date | None = None
    labels: Mapping[str, Text] = field(default_factory=dict)
    """Of a choice: the words for each code."""
    example: object = None
    limits: tuple[int, int] = (0, 1)
    """The least and the most as integers at the scale of the last decimal; of dates, as days."""


@dataclass(frozen=True, slots=True)
class Version:
    """A parameter's value from a day on."""

    since: date
    until: date | None
    """Last day, or None for as long as nothing follows."""
    value: Value
    status: Status
    source: str
    """The article or decision document it stands on."""


@dataclass(frozen=True, slots=True)
class Series:
    """A dated parameter: every value it ever had, each with its source."""

    name: str
    type: Type
    unit: str
    label: Text
    article: str
    versions: tuple[Version, ...]
    decision: str = ""
    """The row of the register of open questions it answers, such as A6."""
    readings: Mapping[str, Text] = field(default_factory=dict)
    """The values it could have, each in words."""
    reason: Text = field(default_factory=dict)
    """Why the default is what it is."""

    def on(self, day: date) -> Version | None:
        """The value in force on a day, or None."""
        for version in reversed(self.versions):
            if version.since <= day:
                return version if version.until is None or day <= version.until else None
        return None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter on a day: what the product shows and decides with."""

    name: str
    value: Value
    unit: str
    source: str
    status: Status
    label: Text
    article: str
    since: date
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that must hold before anything is paid."""

    name: str
    label: Text
    article: str
    text: str
    node: Node
    path: Path


@dataclass(frozen=True, slots=True)
class Exception_:  # noqa: N801 - the word of default logic, kept apart from Python's
    """A case in which a step takes another value than its base."""

    name: str
    label: Text
    article: str
    when_text: str
    when: Node
    text: str
    node: Node
    path: Path


@dataclass(frozen=True, slots=True)
class StepRule:
    """A value worked out on the way to the amount: a base, and exceptions to it."""

    name: str
    label: Text
    article: str
    text: str
    node: Node
    path: Path
    exceptions: tuple[Exception_, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing the policy gives, to whom, under which conditions and caps.

    The amount is the last step, cut by every cap, and never below zero.
    """

    name: str
    article: str
    title: Text
    benefit: str
    """Which kind of benefit: fixed, percentage, per unit, graded, case by case, …"""
    lead: str
    others: tuple[str, ...]
    conditions: tuple[Condition, ...]
    steps: tuple[StepRule, ...]
    caps: tuple[StepRule, ...]
    facts: tuple[str, ...]
    """The facts its rules speak of, in the order they are first needed."""
    path: Path
    since: date = date.min
    """First day of this text of the measure; an amendment follows it from a later day on."""
    until: date | None = None
    """Its last day, or None for as long as nothing follows."""
    instrument: str = ""
    """Which voucher it is of: compute, model, corpus, …; the policy names its own."""
    settlement: str = ""
    reserve: str = ""
    """Of one settled with the provider: the parameter that holds the reserve advanced to it."""
    procedure: tuple[Stage, ...] = ()
    holder: str = ""
    evidence: tuple[Text, ...] = ()
    refers_to: Text = field(default_factory=dict)
    """Where to turn when this policy itself pays nothing."""
    governed_by: tuple[str, ...] = ()
    """Parameters that no formula uses but that the office and the platform follow."""
    pool: str = ""
    """The name of the yearly pool it draws on, or nothing."""
    stands_on: str = ""
    """The fact that holds the fee it supports. Awards on the same fee overlap: one is paid."""
    is_award: bool = True
    """False of a measure that only works something out on the way: a base, an issue, a reading."""

    def nodes(self) -> Iterator[Node]:
        """Every expression of the measure."""
        for condition in self.conditions:
            yield condition.node
        for step in (*self.steps, *self.caps):
            yield step.node
            for exception in step.exceptions:
                yield exception.when
                yield exception.node

    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters its rules use, in order, each once."""
        used: dict[str, None] = {}
        for node in self.nodes():
            for part in node.walk():
                if isinstance(part, ParameterName):
                    used[part.name] = None
                elif isinstance(part, Call) and part.function == "rounded":
                    used[ROUNDING] = None
        return tuple(used)


@dataclass(frozen=True, slots=True)
class FundingRule:
    """Which level of government bears which part of an amount."""

    name: str
    label: Text
    article: str
    status: Literal["confirmed", "to_confirm"]
    shares: Mapping[str, Fraction]
    """Of each level; empty while the finance bureau has not confirmed any."""
    stack: tuple[tuple[str, str], ...]
    """Instead of shares, levels on top of each other: each bears what the step named gives, the
    last one the rest (named ``rest``)."""
    source: str


@dataclass(frozen=True, slots=True)
class DivisionRow:
    """A county-level unit in the funding table."""

    code: str
    name: Text
    kind: str
    in_scope: bool
    terms: tuple[tuple[date, FundingRule | None], ...]
    """The funding rules, each from a day on."""
    above: str = ""
    """The division above it, where the funding table has more than two levels."""

    def funding_on(self, day: date) -> FundingRule | None:
        """The rule of a day."""
        rules = [rule for since, rule in self.terms if since <= day]
        return rules[-1] if rules else None
