"""Which measures apply, from what is known so far; and what is still worth asking.

The rule runs over facts of which some are unknown (one more algebra, of three-valued logic). A
measure is out as soon as one condition fails whatever the unknown facts are; its other facts are
then not asked for. Nothing is assumed: a measure applies only once all its facts are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from suanwang.core.errors import Refused
from suanwang.policy.decision import Decision, decide
from suanwang.policy.facts import encode_one
from suanwang.policy.language.nodes import FactName
from suanwang.policy.package import Package
from suanwang.policy.parts import Condition, Measure
from suanwang.policy.rule import compile_measure


class Unknown:
    """A number nobody has given yet; whatever is worked out from it is unknown as well."""

    def _stays(self, other: object) -> Unknown:
        return self

    def _cannot_say(self, other: object) -> None:
        return None

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _stays
    __lt__ = __le__ = __gt__ = __ge__ = _cannot_say
    __eq__ = __ne__ = _cannot_say  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


UNKNOWN = Unknown()


class Partly:
    """Three-valued logic: None is neither true nor false. See ``language.compile.Algebra``."""

    def floor(self, value: Any, by: int) -> Any:
        return value if value is UNKNOWN else value // by

    def least(self, a: Any, b: Any) -> Any:
        return UNKNOWN if a is UNKNOWN or b is UNKNOWN else min(a, b)

    def most(self, a: Any, b: Any) -> Any:
        return UNKNOWN if a is UNKNOWN or b is UNKNOWN else max(a, b)

    def both(self, a: Any, b: Any) -> Any:
        if a is False or b is False:
            return False
        return None if a is None or b is None else True

    def either(self, a: Any, b: Any) -> Any:
        if a is True or b is True:
            return True
        return None if a is None or b is None else False

    def opposite(self, a: Any) -> Any:
        return None if a is None else not a

    def choose(self, test: Any, yes: Any, no: Any) -> Any:
        if test is None:
            known = yes is not UNKNOWN and yes is not None
            same = known and no is not UNKNOWN and yes == no
            return yes if same else None if isinstance(yes, bool) or yes is None else UNKNOWN
        return yes if test else no

    def member(self, item: Any, codes: frozenset[int]) -> Any:
        return None if item is UNKNOWN else item in codes

    def stairs(self, value: Any, starts: Sequence[int], values: Sequence[int]) -> Any:
        if value is UNKNOWN:
            return UNKNOWN
        return values[sum(start <= value for start in starts)]


PARTLY = Partly()


@dataclass(frozen=True, slots=True)
class Finding:
    """Where one measure stands for somebody of whom some facts are known."""

    measure: Measure
    state: Literal["applies", "open", "out"]
    asks: tuple[str, ...]
    """Facts still worth asking: none once it is out."""
    failed: tuple[Condition, ...]
    """Of one that is out: the conditions that fail whatever else is true."""
    decision: Decision | None
    """Of one that applies: the amount with its reasons."""


def find(package: Package, facts: Mapping[str, object], on: date) -> list[Finding]:
    """Every measure of a package, from what is known. Refuses what ``decide`` refuses of facts,
    but asks for those that are missing."""
    package.in_force(on)
    known = {name: _known(package, name, value) for name, value in facts.items()}
    return [
        _finding(package, measure, facts, known, on) for measure in package.measures_on(on).values()
    ]


def questions(findings: Sequence[Finding]) -> list[str]:
    """The facts still worth asking, those that matter to most open measures first."""
    weights: dict[str, int] = {}
    for finding in findings:
        for name in finding.asks:
            weights[name] = weights.get(name, 0) + 1
    return sorted(weights, key=lambda name: -weights[name])


def _known(package: Package, name: str, value: object) -> int | bool:
    if name not in package.facts:
        raise Refused("policy_fact_unknown", fact=name, known=", ".join(package.facts))
    return encode_one(package.facts[name], value)


def _finding(
    package: Package,
    measure: Measure,
    facts: Mapping[str, object],
    known: Mapping[str, Any],
    on: date,
) -> Finding:
    rule = compile_measure(measure, package.values(on), PARTLY)
    env = {name: known.get(name, _nobody_said(package, name)) for name in measure.facts}
    met = [condition.run(env) for condition in rule.conditions]
    failed = tuple(
        condition
        for condition, holds in zip(measure.conditions, met, strict=True)
        if holds is False
    )
    if failed:
        return Finding(measure, "out", (), failed, None)
    missing = tuple(name for name in measure.facts if name not in known)
    if missing:
        unsure = [c for c, holds in zip(measure.conditions, met, strict=True) if holds is None]
        return Finding(measure, "open", _worth_asking(unsure, missing), (), None)
    own = {name: facts[name] for name in measure.facts}
    return Finding(measure, "applies", (), (), decide(package, measure.name, own, on))


def _worth_asking(unsure: Sequence[Condition], missing: Sequence[str]) -> tuple[str, ...]:
    """First what decides the conditions; the amounts once those hold."""
    decisive = {
        part.name
        for condition in unsure
        for part in condition.node.walk()
        if isinstance(part, FactName)
    }
    first = tuple(name for name in missing if name in decisive)
    return first or tuple(missing)


def _nobody_said(package: Package, name: str) -> Any:
    return None if package.facts[name].type.kind == "bool" else UNKNOWN
