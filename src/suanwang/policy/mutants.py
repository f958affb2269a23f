"""Every small slip an author could make in a package, one at a time.

Each comparison made strict or inclusive and turned round, each connective and sign swapped, each
figure a little more and a little less, each date a day off, each switch flipped, each choice
another, each set one more and one fewer, each rounding another, each cap and condition dropped,
each share and division changed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from suanwang.policy.package import Package
from suanwang.policy.parts import Series
from suanwang.policy.reader import Path
from suanwang.policy.terms import SETTLEMENTS
from suanwang.policy.why import exact_text

RULE_KEYS = ("holds", "value", "at_most", "when")
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_SIGNS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
_TWINS = {"min": "max", "max": "min"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A package's document with one slip in it."""

    kind: str
    path: Path
    before: str
    after: str
    document: Mapping[str, Any]


def mutants(package: Package) -> Iterator[Mutant]:
    """All of them. What no formula uses is left alone: no case could notice it."""
    yield from _rules(package, package.document, ())
    yield from _dropped(package)
    used = {name for measure in package.texts() for name in measure.parameters()}
    used |= package.terms()
    for name in sorted(used & package.parameters.keys() - {"divisions.in_scope"}):
        yield from _parameter(package, package.parameters[name])
    yield from _table(package)


def _rules(package: Package, part: Any, path: Path) -> Iterator[Mutant]:
    """Slips in the expressions of measures and shared conditions."""
    if isinstance(part, dict):
        for key, value in part.items():
            if path == () and key not in ("measures", "conditions"):
                continue
            if key in RULE_KEYS and isinstance(value, str):
                for after in _slips(value):
                    yield _changed(package, "rule", (*path, key), value, after)
            else:
                yield from _rules(package, value, (*path, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _rules(package, value, (*path, index))


def _slips(text: str) -> Iterator[str]:
    """Every text that differs from an expression by one slip."""
    tree = ast.parse(text.strip(), mode="eval")
    for index, _ in enumerate(ast.walk(tree)):
        count = 0
        while True:
            copy = deepcopy(tree)
            node = list(ast.walk(copy))[index]
            if not _slip(node, count):
                break
            yield ast.unparse(ast.fix_missing_locations(copy))
            count += 1


def _slip(node: ast.AST, which: int) -> bool:
    """Make the which-th possible slip in a node; False when there are no more."""
    match node:
        case ast.Compare(ops=ops):
            places = [(at, other) for at, op in enumerate(ops) for other in _COMPARISONS[type(op)]]
            if which < len(places):
                at, other = places[which]
                ops[at] = other()
                return True
        case ast.BoolOp(op=op) if which == 0:
            node.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            return True
        case ast.BinOp(op=op) if which == 0:
            node.op = _SIGNS[type(op)]()
            return True
        case ast.Call(func=ast.Name(id=name) as function) if which == 0 and name in _TWINS:
            function.id = _TWINS[name]
            return True
        case ast.IfExp(test=test) if which == 0:
            node.test = ast.UnaryOp(ast.Not(), test)
            return True
        case ast.UnaryOp(op=ast.Not(), operand=operand) if which == 0:
            node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), operand)
            return True
        case ast.Constant(value=value) if which == 0 and value in (0, 1) and type(value) is int:
            node.value = 1 - value
            return True
    return False


def _dropped(package: Package) -> Iterator[Mutant]:
    """Each condition, each cap and each stage left out; each way of settling another."""
    for file, measure in package.document["measures"].items():
        if settlement := measure.get("settlement"):
            for other in SETTLEMENTS:
                if other != settlement:
                    place: Path = ("measures", file, "settlement")
                    yield _changed(package, "settlement", place, settlement, other)
        for key, kind in (("conditions", "condition"), ("caps", "cap"), ("procedure", "stage")):
            for index, entry in enumerate(measure.get(key, ())):
                rest = [*measure[key][:index], *measure[key][index + 1 :]]
                name = entry if isinstance(entry, str) else entry.get("name", entry.get("stage"))
                path: Path = ("measures", file, key)
                mutant = _changed(package, f"{kind} dropped", path, rest, rest)
                yield Mutant(mutant.kind, (*path, index), str(name), "—", mutant.document)


def _parameter(package: Package, series: Series) -> Iterator[Mutant]:
    group, _, name = series.name.partition(".")
    path: Path = ("parameters", group, name, "values")
    for index, version in enumerate(series.versions):
        place = (*path, index, "value")
        given = package.document["parameters"][group][name]["values"][index]["value"]
        for kind, other in _others(package, series, version.value):
            yield _changed(package, kind, place, given, other)


def _others(package: Package, series: Series, value: object) -> Iterator[tuple[str, Any]]:
    """The values next to a parameter's own."""
    match value:
        case bool():
            yield "switch", not value
        case Fraction():
            step = Fraction(1) if series.type.unit else Fraction(1, 1000)
            for figure in (value - step, value + step):
                yield "figure", exact_text(figure)
        case date():
            for days in (-1, 1):
                yield "date", (value + timedelta(days=days)).isoformat()
        case str():
            for other in series.readings.keys() - {value}:
                yield "choice", other
        case frozenset():
            for code in sorted(value):
                yield "set", sorted(value - {code})
            for code in series.type.choices:
                if code not in value:
                    yield "set", sorted(value | {code})
        case tuple():
            yield from _table_slips(series, value)


def _table_slips(
    series: Series, rows: tuple[tuple[Fraction, Fraction], ...]
) -> Iterator[tuple[str, Any]]:
    step = Fraction(1) if series.type.unit else Fraction(1, 1000)
    for index in range(len(rows)):
        for start, amount in ((-1, 0), (1, 0), (0, -step), (0, step)):
            changed = [
                (begin + start, gives + amount) if at == index else (begin, gives)
                for at, (begin, gives) in enumerate(rows)
            ]
            written = [{"from": exact_text(a), "is": exact_text(b)} for a, b in changed]
            yield "table", written


def _table(package: Package) -> Iterator[Mutant]:
    """Slips in the funding table: shares, and the row of each division."""
    table = package.document.get("divisions") or {"funding": {}, "units": []}
    for name, rule in table["funding"].items():
        for how, slip in (("shares", Fraction(1, 1000)), ("ratio", Fraction(1))):
            if len(rule.get(how, ())) > 1:
                (a, first), (b, second), *others = rule[how].items()
                less = Fraction(first) - (slip if how == "shares" else 0)
                other = {a: str(less), b: str(Fraction(second) + slip), **dict(others)}
                place: Path = ("divisions", "funding", name, how)
                yield _changed(package, "share", place, rule[how], other)
    for index, row in enumerate(table["units"]):
        place = ("divisions", "units", index)
        yield _changed(package, "scope", (*place, "in_scope"), row["in_scope"], not row["in_scope"])
        for other_rule in table["funding"]:
            if other_rule.endswith("to_confirm") and str(row["funding"]).endswith("to_confirm"):
                continue  # the same wait under another name
            if other_rule != row["funding"] and row["in_scope"]:
                yield _changed(package, "funding", (*place, "funding"), row["funding"], other_rule)


def _changed(package: Package, kind: str, path: Path, before: Any, after: Any) -> Mutant:
    document: dict[str, Any] = put(package.document, path, after)
    return Mutant(kind, path, str(before), str(after), document)


def put(part: Any, path: Path, value: Any) -> Any:
    """A copy of a document with another value at a path; everything else is shared."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(part, list):
        return [put(one, rest, value) if at == first else one for at, one in enumerate(part)]
    return {**part, first: put(part[first], rest, value)}
