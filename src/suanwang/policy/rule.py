"""A measure compiled for one day: conditions, steps and caps as functions over integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from suanwang.policy.language import Algebra, Compiled, Compiler
from suanwang.policy.language.compile import Environment, Value
from suanwang.policy.language.nodes import FactName, Node, ParameterName
from suanwang.policy.parts import ROUNDING, Measure, StepRule


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """A step's base and its exceptions, all at one scale."""

    rule: StepRule
    base: Compiled
    exceptions: tuple[tuple[Compiled, Compiled], ...]
    """Pairs of when and what."""
    leaves: tuple[tuple[Node, ...], ...]
    """The facts, steps and parameters that the base, and each exception, looks at."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A measure ready to run in one algebra."""

    measure: Measure
    conditions: tuple[Compiled, ...]
    steps: tuple[CompiledStep, ...]
    caps: tuple[CompiledStep, ...]
    algebra: Algebra
    parameters: Mapping[str, Value]
    scales: Mapping[str, Fraction]
    """Of each step and cap: what its integer is to be multiplied by."""

    def award(self, env: dict[str, Any]) -> Any:
        """The amount if every condition holds; adds each step's value to ``env``."""
        algebra = self.algebra
        amount: Any = 0
        for step in self.steps:
            amount = env[step.rule.name] = self.value(step, env)
        for cap in self.caps:
            limit = env[cap.rule.name] = self.value(cap, env)
            amount = algebra.least(amount, limit)
        return algebra.most(amount, 0)

    def value(self, step: CompiledStep, env: Environment) -> Any:
        """A step's value: its base, unless an exception fires.

        That two exceptions never fire at once is not settled by their order here: deciding
        refuses such a case, and ``policy prove`` shows there is none.
        """
        value = step.base.run(env)
        for when, what in step.exceptions:
            value = self.algebra.choose(when.run(env), what.run(env), value)
        return value

    def met(self, env: Environment) -> Any:
        """Whether every condition holds."""
        met: Any = True
        for condition in self.conditions:
            met = self.algebra.both(met, condition.run(env))
        return met


def compile_measure(measure: Measure, parameters: Mapping[str, Value], algebra: Algebra) -> Rule:
    """Compile every expression of a measure with one day's parameters."""
    compiler = Compiler(parameters, algebra, rounding=str(parameters.get(ROUNDING, "down")))
    steps = tuple(_step(compiler, step) for step in measure.steps)
    caps = tuple(_step(compiler, cap) for cap in measure.caps)
    conditions = tuple(compiler.compile(condition.node) for condition in measure.conditions)
    return Rule(measure, conditions, steps, caps, algebra, parameters, dict(compiler.step_scales))


def _step(compiler: Compiler, rule: StepRule) -> CompiledStep:
    values = [rule.node, *(exception.node for exception in rule.exceptions)]
    base, *others = compiler.together(rule.name, values)
    whens = [compiler.compile(exception.when) for exception in rule.exceptions]
    leaves = tuple(
        tuple(part for part in node.walk() if isinstance(part, FactName | ParameterName))
        for node in values
    )
    return CompiledStep(rule, base, tuple(zip(whens, others, strict=True)), leaves)
