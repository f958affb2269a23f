"""Which measures apply, from what is known so far; and what is still worth asking.

The rule runs over facts of which some are unknown (see ``partly``). A measure is out as soon as one
condition fails whatever the unknown facts are; it applies as soon as every condition holds and the
amount is the same whatever they are. A fact that can change neither is not asked for, and nothing
is assumed: answering what is not asked for never changes where a measure stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from suanwang.core.errors import Refused
from suanwang.policy.decision import ConditionResult, Decision, decide
from suanwang.policy.facts import encode_one
from suanwang.policy.language.nodes import FactName, Logic, Node
from suanwang.policy.package import Package
from suanwang.policy.partly import PARTLY, Openness, settled, unknown
from suanwang.policy.parts import ROUNDING, Condition, Measure
from suanwang.policy.rule import compile_measure
from suanwang.policy.why import Gap, gaps


@dataclass(frozen=True, slots=True)
class Finding:
    """Where one measure stands for somebody of whom some facts are known."""

    measure: Measure
    state: Literal["applies", "open", "out"]
    asks: tuple[str, ...] = ()
    """Facts still worth asking: none unless it is open."""
    failed: tuple[ConditionResult, ...] = ()
    """Of one that is out: the conditions that fail whatever else is true, and by how much."""
    amount_fen: int | None = None
    """Of one that applies."""
    decision: Decision | None = None
    """The amount with its reasons, of one that applies and of which every fact is known."""


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
    env = {name: known.get(name, unknown(package.facts[name])) for name in measure.facts}
    award = rule.award(env)
    openness = Openness(rule, env, str(rule.parameters.get(ROUNDING, "down")))
    met = [condition.run(env) for condition in rule.conditions]
    failed = tuple(
        _failed(condition, openness, package, on)
        for condition, holds in zip(measure.conditions, met, strict=True)
        if holds is False
    )
    if failed:
        return Finding(measure, "out", failed=failed)
    # First what decides the conditions; what the amount depends on once those hold.
    asks = {
        name
        for condition, holds in zip(measure.conditions, met, strict=True)
        if holds is None
        for name in openness.of(condition.node)
    }
    if not asks and not settled(award):
        asks = openness.of_award()
    if asks:
        return Finding(measure, "open", asks=tuple(name for name in measure.facts if name in asks))
    if not all(name in known for name in measure.facts):
        return Finding(measure, "applies", amount_fen=award)
    own = {name: facts[name] for name in measure.facts}
    decision = decide(package, measure.name, own, on)
    return Finding(measure, "applies", amount_fen=decision.amount_fen, decision=decision)


def _failed(
    condition: Condition, openness: Openness, package: Package, on: date
) -> ConditionResult:
    return ConditionResult(
        name=condition.name,
        label=condition.label,
        article=condition.article,
        formula=condition.text,
        met=False,
        gaps=tuple(_gaps(condition.node, openness, package, on)),
    )


def _gaps(node: Node, openness: Openness, package: Package, on: date) -> Iterator[Gap]:
    """The comparisons that fail, of those of which every fact is known."""
    said = (part.name for part in node.walk() if isinstance(part, FactName))
    if all(settled(openness.env[name]) for name in said):
        yield from gaps(node, openness.env, package, on)
    elif isinstance(node, Logic):
        for term in node.terms:
            if openness.value(term) is False:
                yield from _gaps(term, openness, package, on)
