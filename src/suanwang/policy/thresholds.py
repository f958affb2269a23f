"""Every figure or day at which a rule changes its mind; cases must lie below, at and above it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from suanwang.policy.cases import Case
from suanwang.policy.facts import encode_one
from suanwang.policy.language import INTEGERS, Compiler
from suanwang.policy.language.compile import scale_of
from suanwang.policy.language.nodes import Call, Comparison, FactName, Node, ParameterName
from suanwang.policy.package import Package
from suanwang.policy.parts import Measure
from suanwang.policy.reader import Path


@dataclass(frozen=True, slots=True)
class Threshold:
    """A fact and the integers around the figure it is compared with."""

    path: Path
    """Of the expression; conditions that measures share have one."""
    fact: str
    around: tuple[int, ...]


def untried(package: Package, cases: Sequence[Case]) -> Iterator[tuple[Threshold, int]]:
    """The thresholds without a case below, at or above, and the integer that is missing."""
    places: dict[Threshold, set[str]] = {}
    for day in package.days_of_change():
        for measure in package.measures_on(day).values():
            for threshold in thresholds(package, measure, day):
                places.setdefault(threshold, set()).add(measure.name)
    for threshold, measures in places.items():
        fact = package.facts[threshold.fact]
        tried = {
            encode_one(fact, case.facts[threshold.fact])
            for case in cases
            if case.measure in measures and not case.assumed and threshold.fact in case.facts
        }
        for wanted in threshold.around:
            if wanted not in tried:
                yield threshold, wanted


def thresholds(package: Package, measure: Measure, on: date) -> Iterator[Threshold]:
    """Those of one measure, with the figures of a day."""
    compiler = Compiler(package.values(on), INTEGERS)
    for path, expression in _expressions(measure):
        for node in expression.walk():
            for fact, limit in _limits(node, compiler):
                yield Threshold(path, fact.name, _around(package, fact, limit))


def _expressions(measure: Measure) -> Iterator[tuple[Path, Node]]:
    for condition in measure.conditions:
        yield condition.path, condition.node
    for step in (*measure.steps, *measure.caps):
        yield step.path, step.node
        for exception in step.exceptions:
            yield exception.path, exception.when
            yield exception.path, exception.node


def _limits(node: Node, compiler: Compiler) -> Iterator[tuple[FactName, Fraction]]:
    match node:
        case Comparison(left=left, right=right) if left.type.kind in ("number", "date"):
            fact, figure = (left, right) if isinstance(left, FactName) else (right, left)
            if isinstance(fact, FactName) and not fact.is_step and not _speaks_of_facts(figure):
                compiled = compiler.compile(figure)
                yield fact, Fraction(compiled.run({})) * compiled.scale
        case Call(function="graded", arguments=(FactName() as fact, ParameterName(name=table))):
            rows = compiler.parameters[table]
            for start, _ in rows if isinstance(rows, tuple) and not fact.is_step else ():
                yield fact, start


def _speaks_of_facts(node: Node) -> bool:
    return any(isinstance(part, FactName) for part in node.walk())


def _around(package: Package, fact: FactName, limit: Fraction) -> tuple[int, ...]:
    """The integers of the fact just below, at and just above, as far as it can take them."""
    exact = limit / scale_of(fact.type.decimals)
    at = exact.__floor__()
    values = (at - 1, at, at + 1) if exact.denominator == 1 else (at, at + 1)
    least, most = package.facts[fact.name].limits
    return tuple(value for value in values if least <= value <= most)
