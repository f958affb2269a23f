"""The rule over facts of which some are unknown: what is settled, and what can still change.

One more algebra for the integer program. A number nobody has given is the range it is declared in;
what is worked out from it is a range as well, and a range of one number is known. A truth nobody
has given is None, which is neither true nor false. So a cap that is used up settles the amount at
nothing, whatever the fees were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from suanwang.policy.language import Compiler, nodes
from suanwang.policy.language.nodes import Node
from suanwang.policy.parts import Fact, StepRule
from suanwang.policy.rule import Rule

FEW = 64
"""A choice of so many codes at most is looked through one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """A number of which only is known that it lies from ``least`` to ``most``, both included."""

    least: int
    most: int

    def __add__(self, other: Range | int) -> Range | int:
        a, b = ends(other)
        return between(self.least + a, self.most + b)

    def __sub__(self, other: Range | int) -> Range | int:
        a, b = ends(other)
        return between(self.least - b, self.most - a)

    def __rsub__(self, other: int) -> Range | int:
        return between(other - self.most, other - self.least)

    def __mul__(self, other: Range | int) -> Range | int:
        corners = [x * y for x in (self.least, self.most) for y in ends(other)]
        return between(min(corners), max(corners))

    __radd__ = __add__
    __rmul__ = __mul__

    def __lt__(self, other: Range | int) -> bool | None:
        a, b = ends(other)
        return True if self.most < a else False if self.least >= b else None

    def __le__(self, other: Range | int) -> bool | None:
        a, b = ends(other)
        return True if self.most <= a else False if self.least > b else None

    def __gt__(self, other: Range | int) -> bool | None:
        below = self <= other
        return None if below is None else not below

    def __ge__(self, other: Range | int) -> bool | None:
        below = self < other
        return None if below is None else not below

    def __eq__(self, other: object) -> bool | None:  # type: ignore[override]
        if not isinstance(other, Range | int):
            return NotImplemented
        a, b = ends(other)
        return False if self.most < a or b < self.least else None

    def __ne__(self, other: object) -> bool | None:  # type: ignore[override]
        same = self == other
        return None if same is None else not same

    __hash__ = None  # type: ignore[assignment]


def ends(value: Range | int) -> tuple[int, int]:
    """The least and the most a value can be."""
    return (value.least, value.most) if isinstance(value, Range) else (value, value)


def between(least: int, most: int) -> Range | int:
    """A range, or the number itself where there is only one."""
    return least if least == most else Range(least, most)


def settled(value: object) -> bool:
    """Whether a value is the same whatever the unknown facts are."""
    return value is not None and not isinstance(value, Range)


class Partly:
    """Three-valued logic and ranges. See ``language.compile.Algebra``."""

    def floor(self, value: Any, by: int) -> Any:
        least, most = ends(value)
        return between(least // by, most // by)

    def least(self, a: Any, b: Any) -> Any:
        (low, high), (other_low, other_high) = ends(a), ends(b)
        return between(min(low, other_low), min(high, other_high))

    def most(self, a: Any, b: Any) -> Any:
        (low, high), (other_low, other_high) = ends(a), ends(b)
        return between(max(low, other_low), max(high, other_high))

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
        if test is not None:
            return yes if test else no
        if yes is None or no is None:
            return None
        if isinstance(yes, bool):
            return yes if yes is no else None
        (low, high), (other_low, other_high) = ends(yes), ends(no)
        return between(min(low, other_low), max(high, other_high))

    def member(self, item: Any, codes: frozenset[int]) -> Any:
        least, most = ends(item)
        if most - least >= FEW:
            return None
        inside = {code in codes for code in range(least, most + 1)}
        return inside.pop() if len(inside) == 1 else None

    def stairs(self, value: Any, starts: Sequence[int], values: Sequence[int]) -> Any:
        low, high = (sum(start <= end for start in starts) for end in ends(value))
        reached = values[low : high + 1]
        return between(min(reached), max(reached))


PARTLY = Partly()


def unknown(fact: Fact) -> Range | None:
    """What stands for a fact nobody has given: all it may be."""
    return None if fact.type.kind == "bool" else Range(*fact.limits)


class Openness:
    """Which unknown facts can still change a value of one measure."""

    def __init__(self, rule: Rule, env: Mapping[str, Any], rounding: str) -> None:
        self.env = env
        self.rules = {step.rule.name: step.rule for step in (*rule.steps, *rule.caps)}
        self.last = rule.steps[-1].rule if rule.steps else None
        self.caps = [cap.rule for cap in rule.caps]
        self.compiler = Compiler(rule.parameters, PARTLY, rounding)
        self.compiler.step_scales.update(rule.scales)

    def of_award(self) -> set[str]:
        """The facts that can still change the amount."""
        if self.last is None:
            return set()
        parts = [(self._ends_of(rule), rule) for rule in (self.last, *self.caps)]
        # The smallest of them counts: what is never below another's most says nothing.
        ceiling = min(high for (_, high), _ in parts)
        return {name for (low, _), rule in parts if low < ceiling for name in self._of_step(rule)}

    def of(self, node: Node) -> set[str]:
        """The facts that can still change what an expression says."""
        if isinstance(node, nodes.ParameterName | nodes.Constant):
            return set()
        if settled(self.value(node)):
            return set()
        match node:
            case nodes.FactName(name=name, is_step=True):
                return self._of_step(self.rules[name])
            case nodes.FactName(name=name):
                return {name}
            case nodes.Choose(test=test, yes=yes, no=no):
                holds = self.value(test)
                if holds is not None:
                    return self.of(yes if holds else no)
        return {name for part in node.parts() for name in self.of(part)}

    def _of_step(self, rule: StepRule) -> set[str]:
        if settled(self.env[rule.name]):
            return set()
        open_ = self.of(rule.node)
        for exception in rule.exceptions:
            if self.value(exception.when) is not False:
                open_ |= self.of(exception.when) | self.of(exception.node)
        return open_

    def value(self, node: Node) -> Any:
        """What an expression says by what is known."""
        return self.compiler.compile(node).run(self.env)

    def _ends_of(self, rule: StepRule) -> tuple[Fraction, Fraction]:
        scale = self.compiler.step_scales[rule.name]
        low, high = ends(self.env[rule.name])
        return low * scale, high * scale
