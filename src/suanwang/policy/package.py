"""A policy package: what it says, on which day, and what it decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

from suanwang.core.errors import NotFound, Refused
from suanwang.policy.build_parameters import assume
from suanwang.policy.decision import Decision, decide
from suanwang.policy.language import INTEGERS
from suanwang.policy.language.compile import Value
from suanwang.policy.parts import DivisionRow, Fact, FundingRule, Measure, Parameter, Series
from suanwang.policy.promises import Promise
from suanwang.policy.reader import Text
from suanwang.policy.rule import Rule, compile_measure
from suanwang.policy.split import ODD_FEN_TO, Split, split
from suanwang.policy.terms import Pool, Recovery


@dataclass(frozen=True)
class Package:
    """One published policy as data. Build it with ``suanwang.policy.load``."""

    name: str
    title: Text
    document_number: str
    issuer: Text
    first_day: str
    """The parameter that holds the first day of validity; likewise the others."""
    last_day: str
    tail_days: str
    payment_tail_days: str
    straddling: str
    """How use that reaches over the first or the last day counts; see ``validity.py``."""
    units: Mapping[str, Text]
    """The responsible units, in words."""
    articles: Mapping[str, Text]
    """What an article is called, in words."""
    facts: Mapping[str, Fact]
    parameters: Mapping[str, Series]
    measures: Mapping[str, Measure]
    """By name; of an amended one the last text. ``measure(name, on)`` gives the text of a day."""
    amendments: Mapping[str, tuple[Measure, ...]]
    """Every text of a measure that does not hold unchanged for the whole validity."""
    instruments: Mapping[str, Text]
    """The kinds of voucher it knows, in words."""
    pools: Mapping[str, Pool]
    recovery: Recovery | None
    superseded_by: str
    """The policy that follows it, if one does."""
    levels: Mapping[str, str]
    """Which division bears the part of each level of government: a code, ``self``, ``above``."""
    divisions: Mapping[str, DivisionRow]
    promises: tuple[Promise, ...]
    """What holds for every case; ``prove.py`` proves it."""
    governed_by: tuple[str, ...]
    """Parameters no formula uses, which the office and the platform follow."""
    content: Mapping[str, Any]
    content_hash: str
    document: Mapping[str, Any]
    rules: dict[tuple[str, int], Rule] = field(default_factory=dict, compare=False, repr=False)
    """Compiled measures, kept by name and era."""
    defaults: dict[tuple[str, int], tuple[Parameter, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )
    """What each measure stands on unconfirmed, kept likewise."""

    @cached_property
    def valid_from(self) -> date:
        """First day of validity."""
        return self._day(self.first_day)

    @cached_property
    def valid_to(self) -> date:
        """Last day of validity, until 23:59:59 local time."""
        return self._day(self.last_day)

    @cached_property
    def tail_until(self) -> date:
        """Last day on which claims for use inside the validity can still be filed."""
        series = self.parameters.get(self.tail_days)
        days = series.versions[-1].value if series and series.versions else Fraction(0)
        return self.valid_to + timedelta(days=int(days) if isinstance(days, Fraction) else 0)

    def decide(self, measure: str, facts: Mapping[str, object], on: date) -> Decision:
        """Decide one measure for one case, by the rules in force on a day, with every reason.

        ``on`` is the day of filing: a day inside the validity or its tail. Refuses
        ``policy_measure_unknown``, ``policy_not_in_force``, and of the facts
        ``policy_facts_missing``, ``policy_fact_unknown``, ``policy_fact_wrong``,
        ``policy_fact_out_of_range``, ``policy_fact_too_fine``; ``policyrules_conflict`` when two
        exceptions fire at once.
        """
        return decide(self, measure, facts, on)

    def measure(self, name: str, on: date | None = None) -> Measure:
        """A measure by its name, in the text of a day; without one in its last text.

        Refuses ``policy_measure_unknown`` and ``policy_measure_not_in_force``.
        """
        if name not in self.measures:
            raise NotFound("policy_measure_unknown", measure=name, policy=self.name)
        if on is None or name not in self.amendments:
            return self.measures[name]
        for text in reversed(self.amendments[name]):
            if text.since <= on and (text.until is None or on <= text.until):
                return text
        raise Refused("policy_measure_not_in_force", measure=name, policy=self.name, on=on)

    def measures_on(self, on: date) -> dict[str, Measure]:
        """The measures in force on a day, each in the text of that day."""
        if not self.amendments:
            return dict(self.measures)
        texts = {name: self.amendments.get(name, (one,)) for name, one in self.measures.items()}
        return {
            name: text
            for name, each in texts.items()
            for text in each
            if text.since <= on and (text.until is None or on <= text.until)
        }

    def texts(self) -> Iterator[Measure]:
        """Every text of every measure."""
        for name, measure in self.measures.items():
            yield from self.amendments.get(name, (measure,))

    @property
    def bounds(self) -> tuple[str, ...]:
        """The parameters that bound the validity and its tail."""
        tails = (self.tail_days, self.payment_tail_days, self.straddling)
        return (self.first_day, self.last_day, *filter(None, tails))

    def terms(self) -> set[str]:
        """The parameters the policy's own terms stand on: of bounds, pools, recovery, stages."""
        names = {*self.bounds, *(self.recovery.parameters() if self.recovery else ())}
        for pool in self.pools.values():
            names |= {*pool.parameters()}
        for measure in self.texts():
            named = (measure.reserve, *(stage.days for stage in measure.procedure))
            names |= {*filter(None, named)}
        if any(self.rules_of_funding()):
            names.add(ODD_FEN_TO)
        return names & self.parameters.keys()

    def rules_of_funding(self) -> Iterator[FundingRule]:
        """Every funding rule some division has or had, each once."""
        rules = (rule for row in self.divisions.values() for _, rule in row.terms if rule)
        yield from {rule.name: rule for rule in rules}.values()

    def parameter(self, name: str, on: date) -> Parameter:
        """A parameter on a day.

        Refuses ``policy_parameter_unknown`` and ``policy_parameter_no_value``: an expired figure
        is no figure.
        """
        series = self.parameters.get(name)
        if series is None:
            raise NotFound("policy_parameter_unknown", parameter=name, policy=self.name)
        version = series.on(on)
        if version is None:
            raise Refused("policy_parameter_no_value", parameter=name, on=on)
        return Parameter(
            name=name,
            value=_natural(version.value),
            unit=series.unit,
            source=version.source,
            status=version.status,
            label=series.label,
            article=series.article,
            since=version.since,
            decision=series.decision,
        )

    def split(
        self, division_code: str, amount_fen: int, on: date, steps: Mapping[str, int] | None = None
    ) -> Split:
        """Which level of government bears which part of an amount.

        ``steps`` are the values of the decision's steps in fen, for a rule that stacks the levels.
        Refuses ``policy_division_unknown``, ``policy_division_not_in_scope``,
        ``policy_amount_negative`` and ``policy_steps_missing``.
        """
        return split(self, division_code, amount_fen, on, steps)

    def in_force(self, on: date) -> None:
        """Refuses ``policy_not_in_force`` before the validity and after its tail, or then
        ``policy_superseded`` if another policy follows."""
        if self.valid_from <= on <= self.tail_until:
            return
        if self.superseded_by and on > self.tail_until:
            raise Refused(
                "policy_superseded", policy=self.name, on=on, successor=self.superseded_by
            )
        raise Refused(
            "policy_not_in_force",
            policy=self.name,
            on=on,
            first=self.valid_from,
            last=self.tail_until,
        )

    def rule(self, measure: str, on: date) -> Rule:
        """The measure compiled with the parameters of a day; kept until a parameter changes."""
        era = self.era(on)
        key = (measure, era)
        rule = self.rules.get(key)
        if rule is None:
            wanted = self.measure(measure, on)
            rule = compile_measure(wanted, self.values(on), INTEGERS)
            self.rules[key] = rule
        return rule

    def values(self, on: date) -> dict[str, Value]:
        """Every parameter's value on a day; those without one are left out."""
        versions = {name: series.on(on) for name, series in self.parameters.items()}
        return {name: version.value for name, version in versions.items() if version is not None}

    def assuming(self, changes: Mapping[str, object]) -> Package:
        """What if: the same package with other values of some parameters, for all its days.

        Values are written as in a package: ``2/5``, ``true``, ``2027-01-25``, a code, a list.
        Refuses ``policy_parameter_unknown`` and ``policy_value_wrong``.
        """
        parameters = dict(self.parameters)
        for name, value in changes.items():
            series = parameters.get(name)
            if series is None:
                raise NotFound("policy_parameter_unknown", parameter=name, policy=self.name)
            parameters[name] = assume(series, value)
        return replace(
            self,
            parameters=parameters,
            content_hash=f"{self.content_hash} assuming {len(changes)}",
            rules={},
            defaults={},
        )

    def _day(self, parameter: str) -> date:
        value = self.parameters[parameter].versions[-1].value
        return value if isinstance(value, date) else date.min

    def era(self, on: date) -> int:
        """The number of the stretch of days, around this one, in which no parameter changes."""
        return sum(start <= on for start in self._eras)

    def days_of_change(self) -> list[date]:
        """The first day of validity, and each later one on which a figure or a text changes."""
        inside = (day for day in self._eras if self.valid_from < day <= self.valid_to)
        return [self.valid_from, *inside]

    @cached_property
    def _eras(self) -> tuple[date, ...]:
        """The days on which some parameter takes another value, or none, or a text changes."""
        texts = [text for each in self.amendments.values() for text in each]
        amended = {text.since for text in texts}
        amended |= {text.until + timedelta(days=1) for text in texts if text.until is not None}
        versions = [version for series in self.parameters.values() for version in series.versions]
        ends = {v.until + timedelta(days=1) for v in versions if v.until is not None}
        return tuple(sorted({version.since for version in versions} | ends | amended))


def _natural(value: Value) -> Value:
    """Whole numbers as ``int``; ``Fraction`` only where the number is one."""
    if isinstance(value, Fraction) and value.denominator == 1:
        return int(value)  # type: ignore[return-value]
    return value
