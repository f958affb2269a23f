"""Why a condition is not met: by how much, and what would have to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from suanwang.policy.language import INTEGERS, Compiler, nodes
from suanwang.policy.language.nodes import Node
from suanwang.policy.language.types import Type, show_unit

if TYPE_CHECKING:
    from suanwang.policy.package import Package

Shown = bool | int | str | list[str]
"""A value as plain data: dates as ISO text, fractions as ``3/2``, sets as sorted lists."""

_OPPOSITE: dict[str, str] = {
    "<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "==",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gap:
    """One comparison that fails: what is there, what is needed, and how far apart they are."""

    has: str
    """The expression compared, as names of facts."""
    has_value: Shown
    sign: str
    needs: Shown
    by: Shown | None
    """The distance; with a strict sign the value must go beyond it."""
    unit: str = ""


def gaps(
    node: Node, env: Mapping[str, Any], package: Package, on: date, wanted: bool = True
) -> Iterator[Gap]:
    """The failing comparisons of a condition. Of an ``or`` every branch: any one would do."""
    match node:
        case nodes.Not(term=term):
            yield from gaps(term, env, package, on, not wanted)
        case nodes.Logic(terms=terms):
            for term in terms:
                if bool(_run(term, env, package, on)[0]) != wanted:
                    yield from gaps(term, env, package, on, wanted)
        case nodes.Choose(test=test, yes=yes, no=no):
            chosen = yes if _run(test, env, package, on)[0] else no
            yield from gaps(chosen, env, package, on, wanted)
        case nodes.Comparison(sign=sign, left=left, right=right):
            yield _comparison(sign if wanted else _OPPOSITE[sign], left, right, env, package, on)
        case nodes.Member(item=item, items=items):
            members = package.parameter(_name(items), on).value
            yield Gap(
                _name(item), _value(item, env, package, on), "in" if wanted else "not in",
                shown(members), None,
            )  # fmt: skip
        case _:
            yield Gap(_name(node), not wanted, "==", wanted, None)


def _comparison(
    sign: str, left: Node, right: Node, env: Mapping[str, Any], package: Package, on: date
) -> Gap:
    has, needs = _value(left, env, package, on), _value(right, env, package, on)
    by: Shown | None = None
    unit = ""
    if left.type.kind in ("number", "date"):
        a, a_scale = _run(left, env, package, on)
        b, b_scale = _run(right, env, package, on)
        by = shown(abs(a * a_scale - b * b_scale))
        unit = "day" if left.type.kind == "date" else show_unit(left.type.unit)
    return Gap(_name(left), has, sign, needs, by, unit)


def _run(node: Node, env: Mapping[str, Any], package: Package, on: date) -> tuple[Any, Fraction]:
    compiler = Compiler(package.values(on), INTEGERS)
    compiled = compiler.compile(node)
    return compiled.run(env), compiled.scale


def _value(node: Node, env: Mapping[str, Any], package: Package, on: date) -> Shown:
    if isinstance(node, nodes.Constant):
        return shown(node.value)
    if isinstance(node, nodes.ParameterName):
        return shown(package.parameter(node.name, on).value)
    value, scale = _run(node, env, package, on)
    if node.type.kind == "number":
        return shown(value * scale)
    return shown_integer(node.type, value)


def _name(node: Node) -> str:
    match node:
        case nodes.FactName(name=name) | nodes.ParameterName(name=name):
            return name
        case nodes.Arithmetic(sign=sign, left=left, right=right):
            return f"{_name(left)} {sign} {_name(right)}"
        case nodes.Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(_name, arguments))})"
        case nodes.Constant(value=value):
            return str(value)
    return "…"


def shown_integer(type_: Type, value: Any) -> Shown:
    """A fact's integer as the value it stands for."""
    match type_.kind:
        case "date":
            return date.fromordinal(value).isoformat()
        case "choice":
            return type_.choices[int(value)]
        case "division":
            return f"{value:06d}"
        case "number":
            places = type_.decimals
            return shown(Fraction(value, 10**places)) if places else int(value)
    return bool(value)


def shown(value: object) -> Shown:
    """A value as plain data."""
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else exact_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [f"{start}: {amount}" for start, amount in value]
    return str(value)


@lru_cache(maxsize=1024)
def exact_text(value: Fraction) -> str:
    """A fraction as a decimal where one ends, otherwise as ``2/3``."""
    for places in range(1, 13):
        scaled = value * int(10**places)
        if scaled.denominator == 1:
            whole, rest = divmod(abs(scaled.numerator), 10**places)
            return f"{'-' if value < 0 else ''}{whole}.{rest:0{places}d}"
    return str(value)
