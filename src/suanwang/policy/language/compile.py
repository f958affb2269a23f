"""From the typed tree to a function over integers, once for each algebra.

Every number is an integer times a scale that is known beforehand: 60% of a fee is ``fee * 3`` at
scale 1/5. So money stays exact, and the same integer program runs over Python integers, over
NumPy columns and over z3 terms. What the algebras do differently is the dozen methods below.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Protocol

from suanwang.policy.language import nodes
from suanwang.policy.language.nodes import Node

Environment = Mapping[str, Any]
"""Facts and steps as the algebra's integers (numbers, dates, codes) and truths."""
Value = bool | Fraction | date | str | frozenset[str] | tuple[tuple[Fraction, Fraction], ...]
"""What a parameter can be. A table is rows of (from, amount)."""

YEARS = range(2015, 2046)
"""The years the calendar functions know; dates outside are refused as facts."""


class Algebra(Protocol):
    """What differs between single integers, columns and symbolic terms."""

    def floor(self, value: Any, by: int) -> Any: ...
    def least(self, a: Any, b: Any) -> Any: ...
    def most(self, a: Any, b: Any) -> Any: ...
    def both(self, a: Any, b: Any) -> Any: ...
    def either(self, a: Any, b: Any) -> Any: ...
    def opposite(self, a: Any) -> Any: ...
    def choose(self, test: Any, yes: Any, no: Any) -> Any: ...
    def member(self, item: Any, codes: frozenset[int]) -> Any: ...
    def stairs(self, value: Any, starts: Sequence[int], values: Sequence[int]) -> Any: ...


class Integers:
    """Plain Python integers: one applicant."""

    def floor(self, value: int, by: int) -> int:
        return value // by

    def least(self, a: int, b: int) -> int:
        return a if a < b else b

    def most(self, a: int, b: int) -> int:
        return a if a > b else b

    def both(self, a: bool, b: bool) -> bool:
        return a and b

    def either(self, a: bool, b: bool) -> bool:
        return a or b

    def opposite(self, a: bool) -> bool:
        return not a

    def choose(self, test: bool, yes: int, no: int) -> int:
        return yes if test else no

    def member(self, item: int, codes: Collection[int]) -> bool:
        return item in codes

    def stairs(self, value: int, starts: Sequence[int], values: Sequence[int]) -> int:
        return values[bisect_right(starts, value)]


INTEGERS = Integers()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled expression; a number's value is ``run(...) * scale``."""

    run: Callable[[Environment], Any]
    scale: Fraction = Fraction(1)


def code_of(code: str, choices: Sequence[str]) -> int:
    """The integer that stands for a code of a choice; a division stands for itself."""
    return choices.index(code) if choices else int(code)


def scale_of(decimals: int | None) -> Fraction:
    """The scale at which a fact of so many decimals is a whole number."""
    return Fraction(1, 10 ** (decimals or 0))


class Compiler:
    """Compiles the expressions of one measure, for one day's parameters, in one algebra."""

    def __init__(
        self, parameters: Mapping[str, Value], algebra: Algebra, rounding: str = "down"
    ) -> None:
        self.parameters = parameters
        self.algebra = algebra
        self.rounding = rounding
        self.step_scales: dict[str, Fraction] = {}

    def together(self, name: str, values: Sequence[Node]) -> list[Compiled]:
        """Compile the values a step can take to one scale; later rules use it by its name."""
        runs, scale = self._aligned(values)
        self.step_scales[name] = scale
        return [Compiled(run, scale) for run in runs]

    def compile(self, node: Node) -> Compiled:
        """Compile any node."""
        match node:
            case nodes.Constant(value=value):
                return self._constant(node, value)
            case nodes.ParameterName(name=name):
                return self._constant(node, self.parameters[name])
            case nodes.FactName(name=name, is_step=is_step):
                scale = self.step_scales[name] if is_step else scale_of(node.type.decimals)
                return Compiled(lambda env: env[name], scale)
            case nodes.Arithmetic():
                return self._arithmetic(node)
            case nodes.Comparison(sign=sign, left=left, right=right):
                return self._comparison(sign, left, right)
            case nodes.Logic(word=word, terms=terms):
                join = self.algebra.both if word == "and" else self.algebra.either
                return self._fold(join, [self.compile(term).run for term in terms])
            case nodes.Not(term=term):
                run, opposite = self.compile(term).run, self.algebra.opposite
                return Compiled(lambda env: opposite(run(env)))
            case nodes.Member():
                return self._member(node)
            case nodes.Choose():
                return self._choose(node)
            case nodes.Call():
                return self._call(node)
        raise TypeError(node)

    def _constant(self, node: Node, value: Value) -> Compiled:
        if isinstance(value, bool):
            return Compiled(lambda env: value)
        if isinstance(value, Fraction):
            scale = Fraction(1, value.denominator)
            whole = value.numerator
            return Compiled(lambda env: whole, scale)
        if isinstance(value, date):
            day = value.toordinal()
            return Compiled(lambda env: day)
        if isinstance(value, str):
            raise TypeError("a code has a meaning only beside a choice")
        raise TypeError(value)

    def _aligned(
        self, terms: Sequence[Node]
    ) -> tuple[list[Callable[[Environment], Any]], Fraction]:
        """Numbers brought to one scale, so that their integers can be added or compared."""
        compiled = [self.compile(term) for term in terms]
        scales = [term.scale for term in compiled]
        common = Fraction(
            gcd(*(s.numerator for s in scales)), lcm(*(s.denominator for s in scales))
        )
        runs = [_scaled(term.run, int(term.scale / common)) for term in compiled]
        return runs, common

    def _arithmetic(self, node: nodes.Arithmetic) -> Compiled:
        if node.sign in ("+", "-"):
            (left, right), scale = self._aligned([node.left, node.right])
            if node.sign == "+":
                return Compiled(lambda env: left(env) + right(env), scale)
            return Compiled(lambda env: left(env) - right(env), scale)
        if node.sign == "/":
            divisor = self._fixed(node.right)
            a = self.compile(node.left)
            return Compiled(a.run, a.scale / divisor)
        a, b = self.compile(node.left), self.compile(node.right)
        for fixed, other in ((node.right, a), (node.left, b)):
            if not any(isinstance(part, nodes.FactName) for part in fixed.walk()):
                ratio = self._fixed(fixed)
                whole = Fraction(1, ratio.denominator)
                return Compiled(_scaled(other.run, ratio.numerator), other.scale * whole)
        first, second = a.run, b.run
        return Compiled(lambda env: first(env) * second(env), a.scale * b.scale)

    def _fixed(self, node: Node) -> Fraction:
        """The value of an expression that speaks of no fact."""
        compiled = self.compile(node)
        return Fraction(compiled.run({})) * compiled.scale

    def _comparison(self, sign: nodes.ComparisonSign, left: Node, right: Node) -> Compiled:
        if left.type.kind == "choice":
            return self._code_comparison(sign, left, right)
        if left.type.kind == "bool":
            return self._same_truth(left, right)
        (a, b), _ = self._aligned([left, right])
        match sign:
            case "<":
                return Compiled(lambda env: a(env) < b(env))
            case "<=":
                return Compiled(lambda env: a(env) <= b(env))
            case ">":
                return Compiled(lambda env: a(env) > b(env))
            case ">=":
                return Compiled(lambda env: a(env) >= b(env))
            case "==":
                return Compiled(lambda env: a(env) == b(env))
            case "!=":
                return Compiled(lambda env: a(env) != b(env))

    def _same_truth(self, left: Node, right: Node) -> Compiled:
        """``==`` of truths in the algebra's own logic: two unknown truths are not the same one."""
        algebra, a, b = self.algebra, self.compile(left).run, self.compile(right).run

        def run(env: Environment) -> Any:
            x, y = a(env), b(env)
            neither = algebra.both(algebra.opposite(x), algebra.opposite(y))
            return algebra.either(algebra.both(x, y), neither)

        return Compiled(run)

    def _code_comparison(self, sign: str, left: Node, right: Node) -> Compiled:
        a, b = self._code(left), self._code(right)
        if a is not None and b is not None:
            same = (a == b) == (sign == "==")
            return Compiled(lambda env: same)
        fact, code = (left, b) if a is None else (right, a)
        run = self.compile(fact).run
        if code is None:
            raise TypeError("two facts of a choice have no common codes")
        wanted = code_of(code, fact.type.choices)
        if sign == "==":
            return Compiled(lambda env: run(env) == wanted)
        return Compiled(lambda env: run(env) != wanted)

    def _code(self, node: Node) -> str | None:
        """The code a literal or a parameter stands for; None of a fact."""
        match node:
            case nodes.Constant(value=value):
                return str(value)
            case nodes.ParameterName(name=name):
                return str(self.parameters[name])
        return None

    def _member(self, node: nodes.Member) -> Compiled:
        assert isinstance(node.items, nodes.ParameterName)  # noqa: S101 - the parser saw to it
        members = self.parameters[node.items.name]
        if not isinstance(members, frozenset):
            raise TypeError(members)
        codes = frozenset(code_of(code, node.item.type.choices) for code in members)
        run, member = self.compile(node.item).run, self.algebra.member
        return Compiled(lambda env: member(run(env), codes))

    def _choose(self, node: nodes.Choose) -> Compiled:
        test, choose = self.compile(node.test).run, self.algebra.choose
        (yes, no), scale = self._aligned([node.yes, node.no])
        return Compiled(lambda env: choose(test(env), yes(env), no(env)), scale)

    def _call(self, node: nodes.Call) -> Compiled:
        match node.function:
            case "min" | "max":
                join = self.algebra.least if node.function == "min" else self.algebra.most
                runs, scale = self._aligned(node.arguments)
                return Compiled(self._fold(join, runs).run, scale)
            case "rounded":
                return self._rounded(self.compile(node.arguments[0]))
            case "year":
                starts = [date(year, 1, 1).toordinal() for year in YEARS]
                return self._stairs(node.arguments[0], starts, [YEARS[0] - 1, *YEARS])
            case "year_end":
                starts = [date(year, 1, 1).toordinal() for year in YEARS]
                ends = [date(year, 12, 31).toordinal() for year in (YEARS[0] - 1, *YEARS)]
                return self._stairs(node.arguments[0], starts, ends)
            case "graded":
                return self._graded(node)
        raise TypeError(node.function)

    def _rounded(self, exact: Compiled) -> Compiled:
        run, up, down = exact.run, exact.scale.numerator, exact.scale.denominator
        if down == 1:
            return Compiled(_scaled(run, up))
        floor = self.algebra.floor
        if self.rounding == "down":
            return Compiled(lambda env: floor(_times(run(env), up), down))
        if self.rounding == "half_up":
            return Compiled(lambda env: floor(run(env) * (2 * up) + down, 2 * down))
        return Compiled(lambda env: floor(run(env) * up + (down - 1), down))

    def _stairs(self, node: Node, starts: Sequence[int], values: Sequence[int]) -> Compiled:
        run, stairs = self.compile(node).run, self.algebra.stairs
        return Compiled(lambda env: stairs(run(env), starts, values))

    def _graded(self, node: nodes.Call) -> Compiled:
        value, table = node.arguments
        assert isinstance(table, nodes.ParameterName)  # noqa: S101 - the parser saw to it
        rows = self.parameters[table.name]
        if not isinstance(rows, tuple):
            raise TypeError(rows)
        compiled = self.compile(value)
        # The first integer at this scale that is not below the row's start.
        starts = [-((-start / compiled.scale).__floor__()) for start, _ in rows]
        scale = Fraction(1, lcm(*(amount.denominator for _, amount in rows)))
        amounts = [0, *(int(amount / scale) for _, amount in rows)]
        run, stairs = compiled.run, self.algebra.stairs
        return Compiled(lambda env: stairs(run(env), starts, amounts), scale)

    def _fold(
        self, join: Callable[[Any, Any], Any], runs: Sequence[Callable[[Environment], Any]]
    ) -> Compiled:
        first, *rest = runs
        if len(rest) == 1:
            second = rest[0]
            return Compiled(lambda env: join(first(env), second(env)))

        def run(env: Environment) -> Any:
            value = first(env)
            for other in rest:
                value = join(value, other(env))
            return value

        return Compiled(run)


def _times(value: Any, factor: int) -> Any:
    return value if factor == 1 else value * factor


def _scaled(run: Callable[[Environment], Any], factor: int) -> Callable[[Environment], Any]:
    return run if factor == 1 else lambda env: run(env) * factor
