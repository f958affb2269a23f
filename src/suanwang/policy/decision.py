"""The first reading: decide one case, and say why.

A decision carries every step with its article and inputs, every condition met or not and by how
much, every cap and what it cut, every default nobody has confirmed, and the hash of the package,
so that it can be replayed to the fen years later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from suanwang.core.errors import Refused
from suanwang.policy.facts import encode
from suanwang.policy.language import INTEGERS
from suanwang.policy.language.nodes import FactName, Node, ParameterName
from suanwang.policy.reader import Text
from suanwang.policy.rule import CompiledStep, Rule
from suanwang.policy.why import Gap, Shown, gaps, shown, shown_integer

if TYPE_CHECKING:
    from suanwang.policy.package import Package
    from suanwang.policy.parts import Exception_, Parameter, StepRule


@dataclass(frozen=True, slots=True)
class Step:
    """One value on the way to the amount."""

    name: str
    label: Text
    article: str
    formula: str
    inputs: Mapping[str, Shown]
    value: Shown
    exception: str | None = None
    """The exception that replaced the base, if one fired."""


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """A condition, met or not; if not, what would have to change."""

    name: str
    label: Text
    article: str
    formula: str
    met: bool
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class CapResult:
    """A cap, and how much it took off."""

    name: str
    label: Text
    article: str
    formula: str
    limit_fen: int
    cut_fen: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What a measure gives in one case, and every reason for it."""

    policy: str
    measure: str
    article: str
    title: Text
    benefit: str
    on: date
    eligible: bool
    amount_fen: int
    amount_if_eligible_fen: int
    """What it would be if every condition were met."""
    conditions: tuple[ConditionResult, ...]
    steps: tuple[Step, ...]
    caps: tuple[CapResult, ...]
    unconfirmed: tuple[Parameter, ...]
    """Parameters the rules used that the competent department has not confirmed."""
    facts: Mapping[str, Shown]
    articles: Mapping[str, Text]
    """The articles named above, in words."""
    package_hash: str

    def as_json(self) -> dict[str, Any]:
        """The decision as plain data: whole numbers, text, truths, lists."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def decide(package: Package, measure: str, facts: Mapping[str, object], on: date) -> Decision:
    """See ``Package.decide``."""
    package.in_force(on)
    rule = package.rule(measure, on)
    env = encode(facts, rule.measure.facts, package.facts)
    given = dict(env)
    award: int = rule.award(env)
    met = [bool(condition.run(env)) for condition in rule.conditions]
    eligible = all(met)
    conditions = tuple(
        ConditionResult(
            name=condition.name,
            label=condition.label,
            article=condition.article,
            formula=condition.text,
            met=holds,
            gaps=() if holds else tuple(gaps(condition.node, env, package, on)),
        )
        for condition, holds in zip(rule.measure.conditions, met, strict=True)
    )
    return Decision(
        policy=package.name,
        measure=measure,
        article=rule.measure.article,
        title=rule.measure.title,
        benefit=rule.measure.benefit,
        on=on,
        eligible=eligible,
        amount_fen=award if eligible else 0,
        amount_if_eligible_fen=award,
        conditions=conditions,
        steps=tuple(_step(step, rule, env) for step in rule.steps),
        caps=tuple(_caps(rule, env)),
        unconfirmed=unconfirmed(package, measure, on),
        facts={name: shown_integer(package.facts[name].type, given[name]) for name in given},
        articles=package.articles,
        package_hash=package.content_hash,
    )


def verdict(
    package: Package, measure: str, facts: Mapping[str, object], on: date
) -> tuple[int, tuple[str, ...]]:
    """The amount in fen and the names of the unmet conditions: ``decide`` without the reasons."""
    package.in_force(on)
    rule = package.rule(measure, on)
    env: dict[str, Any] = encode(facts, rule.measure.facts, package.facts)
    unmet = tuple(
        condition.name
        for condition, compiled in zip(rule.measure.conditions, rule.conditions, strict=True)
        if not compiled.run(env)
    )
    award: int = rule.award(env)
    for step in (*rule.steps, *rule.caps):
        _fired(step, env)
    return (0 if unmet else award), unmet


def unconfirmed(package: Package, measure: str, on: date) -> tuple[Parameter, ...]:
    """The defaults a measure stands on that nobody has confirmed."""
    key = (measure, package.era(on))
    found = package.defaults.get(key)
    if found is None:
        rule = package.measure(measure, on)
        names = dict.fromkeys((*rule.parameters(), *rule.governed_by))
        used = (package.parameter(name, on) for name in names)
        found = tuple(parameter for parameter in used if parameter.status == "default")
        package.defaults[key] = found
    return found


def _fired(step: CompiledStep, env: Mapping[str, Any]) -> str | None:
    """Which exception to a step fires. Refuses ``policy_rules_conflict`` when two do."""
    if not step.exceptions:
        return None
    fired = [
        exception.name
        for exception, (when, _) in zip(step.rule.exceptions, step.exceptions, strict=True)
        if when.run(env)
    ]
    if len(fired) > 1:
        raise Refused("policy_rules_conflict", step=step.rule.name, rules=", ".join(fired))
    return fired[0] if fired else None


def _step(step: CompiledStep, rule: Rule, env: Mapping[str, Any]) -> Step:
    fired = _fired(step, env)
    said: StepRule | Exception_ = step.rule
    leaves = step.leaves[0]
    for exception, seen in zip(step.rule.exceptions, step.leaves[1:], strict=True):
        if exception.name == fired:
            said, leaves = exception, seen
    return Step(
        name=step.rule.name,
        label=said.label,
        article=said.article,
        formula=said.text,
        inputs={name: value for leaf in leaves for name, value in _looked_at(leaf, rule, env)},
        value=_scaled(env[step.rule.name], step.base.scale),
        exception=fired,
    )


def _looked_at(leaf: Node, rule: Rule, env: Mapping[str, Any]) -> tuple[tuple[str, Shown], ...]:
    """The name and value of a fact, an earlier step or a parameter."""
    match leaf:
        case ParameterName(name=name):
            return ((name, shown(rule.parameters[name])),)
        case FactName(name=name, is_step=True):
            return ((name, _scaled(env[name], rule.scales[name])),)
        case FactName(name=name):
            return ((name, shown_integer(leaf.type, env[name])),)
    return ()


def _scaled(value: int, scale: Fraction) -> Shown:
    return value if scale == 1 else shown(value * scale)


def _caps(rule: Rule, env: Mapping[str, Any]) -> list[CapResult]:
    """Each cap in turn, with what it took off what the caps before it had left."""
    left = env[rule.steps[-1].rule.name] if rule.steps else 0
    results = []
    for cap in rule.caps:
        _fired(cap, env)
        limit = max(0, INTEGERS.most(env[cap.rule.name], 0))
        cut = max(0, left - limit)
        left -= cut
        results.append(
            CapResult(
                name=cap.rule.name,
                label=cap.rule.label,
                article=cap.rule.article,
                formula=cap.rule.text,
                limit_fen=limit,
                cut_fen=cut,
            )
        )
    return results


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, bool | int | str) else shown(value)
