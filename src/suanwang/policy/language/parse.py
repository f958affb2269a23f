"""From the text of an expression to its typed tree, by an allow-list of Python's syntax.

Allowed: names, ``group.name`` parameters, ``+ - * /``, comparisons, ``in``, ``and or not``,
``x if test else y``, the literals 0, 1, True, False and the codes of a choice, and the functions
of ``FUNCTIONS``. Any other figure must be a named parameter: a number without a source is not law.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from suanwang.policy.language import nodes
from suanwang.policy.language.nodes import Node
from suanwang.policy.language.types import BOOL, DATE, Type, number, show_unit, times

FUNCTIONS = ("min", "max", "rounded", "year", "year_end", "graded")
"""``rounded`` brings an amount to whole fen; ``graded(x, table)`` reads a table of steps."""

LONGEST = 2000
"""Characters; a longer rule is not one that people read."""

DEEPEST = 60
"""Levels of nesting."""

_SIGNS: dict[type[ast.cmpop], nodes.ComparisonSign] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_ARITHMETIC: dict[type[ast.operator], nodes.ArithmeticSign] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}


class Mistaken(Exception):
    """An expression is not of the language; ``code`` names why, ``column`` says where."""

    def __init__(self, code: str, column: int, **facts: object) -> None:
        super().__init__(code, facts)
        self.code = code
        self.column = column
        self.facts = facts


@dataclass(frozen=True, slots=True)
class Names:
    """What an expression may speak of."""

    facts: Mapping[str, Type]
    parameters: Mapping[str, Type]
    steps: Mapping[str, Type]


def parse(text: str, names: Names) -> Node:
    """The typed tree of an expression. Raises ``Mistaken``."""
    try:
        if len(text) > LONGEST:
            raise ValueError
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as wrong:
        column = getattr(wrong, "offset", None) or 1
        raise Mistaken("policy_expression_unreadable", column, text=text[:80]) from wrong
    if _depth(tree) > DEEPEST:
        raise Mistaken("policy_expression_unreadable", 1, text=text[:80])
    return _Reader(names).read(tree.body)


class _Reader:
    def __init__(self, names: Names) -> None:
        self.names = names

    def read(self, tree: ast.expr) -> Node:
        match tree:
            case ast.Constant(value=value):
                return self._literal(tree, value)
            case ast.Name(id=name):
                return self._name(tree, name)
            case ast.Attribute(value=ast.Name(id=group), attr=attribute):
                return self._parameter(tree, f"{group}.{attribute}")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return nodes.Not(BOOL, self._of_kind(operand, "bool"))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                term = self._of_kind(operand, "number")
                zero = nodes.Constant(term.type, Fraction(0))
                return nodes.Arithmetic(term.type, "-", zero, term)
            case ast.BoolOp(op=op, values=values):
                terms = tuple(self._of_kind(value, "bool") for value in values)
                return nodes.Logic(BOOL, "and" if isinstance(op, ast.And) else "or", terms)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return self._arithmetic(tree, _ARITHMETIC[type(op)], left, right)
            case ast.Compare():
                return self._comparisons(tree)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._choose(tree, test, body, orelse)
            case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
                return self._call(tree, function, arguments)
        raise Mistaken("policy_expression_not_allowed", _at(tree), found=type(tree).__name__)

    def _literal(self, tree: ast.expr, value: object) -> Node:
        if isinstance(value, bool):
            return nodes.Constant(BOOL, value)
        if isinstance(value, str):
            return nodes.Constant(Type("choice", choices=(value,)), value)
        if isinstance(value, int):
            if value in (0, 1):
                return nodes.Constant(number(), Fraction(value))
            raise Mistaken("policy_literal_number", _at(tree), value=value)
        raise Mistaken("policy_expression_not_allowed", _at(tree), found=repr(value))

    def _name(self, tree: ast.expr, name: str) -> Node:
        if name in self.names.steps:
            return nodes.FactName(self.names.steps[name], name, is_step=True)
        if name in self.names.facts:
            return nodes.FactName(self.names.facts[name], name)
        raise Mistaken("policy_name_unknown", _at(tree), name=name)

    def _parameter(self, tree: ast.expr, name: str) -> Node:
        if name not in self.names.parameters:
            raise Mistaken("policy_name_unknown", _at(tree), name=name)
        return nodes.ParameterName(self.names.parameters[name], name)

    def _of_kind(self, tree: ast.expr, kind: str) -> Node:
        node = self.read(tree)
        if node.type.kind != kind:
            raise Mistaken("policy_type_wrong", _at(tree), expected=kind, found=node.type.shown)
        return node

    def _same_unit(self, tree: ast.expr, terms: list[Node]) -> Type:
        """The type that numbers to be added or compared share; a bare 0 fits any unit."""
        units = {term.type.unit for term in terms if not _is_zero(term)}
        if len(units) > 1:
            shown = sorted(show_unit(unit) for unit in units)
            raise Mistaken("policy_unit_wrong", _at(tree), found=" and ".join(shown))
        decimals = [term.type.decimals for term in terms]
        known = [d for d in decimals if d is not None]
        widest = max(known) if len(known) == len(decimals) else None
        return Type("number", units.pop() if units else (), widest)

    def _arithmetic(
        self, tree: ast.expr, sign: nodes.ArithmeticSign, left: ast.expr, right: ast.expr
    ) -> Node:
        a, b = self.read(left), self.read(right)
        kinds = (a.type.kind, b.type.kind)
        if "date" in kinds and sign in ("+", "-"):
            return self._date_arithmetic(tree, sign, a, b)
        for term, source in ((a, left), (b, right)):
            if term.type.kind != "number":
                raise Mistaken(
                    "policy_type_wrong", _at(source), expected="number", found=term.type.shown
                )
        if sign in ("+", "-"):
            return nodes.Arithmetic(self._same_unit(tree, [a, b]), sign, a, b)
        unit = times(a.type.unit, b.type.unit, 1 if sign == "*" else -1)
        if sign == "/":
            if any(isinstance(part, nodes.FactName) for part in b.walk()):
                raise Mistaken("policy_division_by_a_fact", _at(right))
            return nodes.Arithmetic(Type("number", unit, None), sign, a, b)
        whole = a.type.decimals == 0 and b.type.decimals == 0
        return nodes.Arithmetic(Type("number", unit, 0 if whole else None), sign, a, b)

    def _date_arithmetic(
        self, tree: ast.expr, sign: nodes.ArithmeticSign, a: Node, b: Node
    ) -> Node:
        days = number("day")
        if a.type.kind == b.type.kind == "date" and sign == "-":
            return nodes.Arithmetic(days, sign, a, b)
        if a.type.kind == "date" and b.type == days:
            return nodes.Arithmetic(DATE, sign, a, b)
        raise Mistaken(
            "policy_type_wrong", _at(tree), expected="date and whole days", found=b.type.shown
        )

    def _comparisons(self, tree: ast.Compare) -> Node:
        operands = [tree.left, *tree.comparators]
        terms: list[Node] = [
            self._comparison(tree, op, left, right)
            for op, left, right in zip(tree.ops, operands, operands[1:], strict=False)
        ]
        return terms[0] if len(terms) == 1 else nodes.Logic(BOOL, "and", tuple(terms))

    def _comparison(
        self, tree: ast.Compare, op: ast.cmpop, left: ast.expr, right: ast.expr
    ) -> Node:
        a, b = self.read(left), self.read(right)
        if isinstance(op, ast.In | ast.NotIn):
            member = self._member(tree, a, b)
            return member if isinstance(op, ast.In) else nodes.Not(BOOL, member)
        sign = _SIGNS.get(type(op))
        if sign is None:
            raise Mistaken("policy_expression_not_allowed", _at(tree), found=type(op).__name__)
        if a.type.kind == "number" == b.type.kind:
            self._same_unit(tree, [a, b])
        elif a.type.kind == "choice" == b.type.kind and sign in ("==", "!="):
            if isinstance(a, nodes.FactName) and isinstance(b, nodes.FactName):
                raise Mistaken("policy_type_wrong", _at(tree), expected="code", found="two facts")
            self._known_codes(tree, a, b)
        elif a.type.kind != b.type.kind or (
            a.type.kind != "date" and not (a.type.kind in ("bool", "division") and sign == "==")
        ):
            raise Mistaken(
                "policy_type_wrong", _at(right), expected=a.type.shown, found=b.type.shown
            )
        return nodes.Comparison(BOOL, sign, a, b)

    def _member(self, tree: ast.expr, item: Node, items: Node) -> Node:
        if items.type.kind != "set" or item.type.kind not in ("choice", "division"):
            raise Mistaken("policy_type_wrong", _at(tree), expected="set", found=items.type.shown)
        if item.type.kind == "choice":
            self._known_codes(tree, item, items)
        return nodes.Member(BOOL, item, items)

    def _known_codes(self, tree: ast.expr, a: Node, b: Node) -> None:
        """A literal code, and every member of a set, must be one the choice can take."""
        whole, part = (a, b) if _vaguer(a) >= _vaguer(b) else (b, a)
        for code in part.type.choices:
            if code not in whole.type.choices:
                raise Mistaken(
                    "policy_code_unknown", _at(tree), found=code, choice=whole.type.shown
                )

    def _choose(self, tree: ast.expr, test: ast.expr, body: ast.expr, orelse: ast.expr) -> Node:
        yes, no = self.read(body), self.read(orelse)
        if yes.type.kind != no.type.kind:
            raise Mistaken(
                "policy_type_wrong", _at(orelse), expected=yes.type.shown, found=no.type.shown
            )
        both = self._same_unit(tree, [yes, no]) if yes.type.kind == "number" else yes.type
        return nodes.Choose(both, self._of_kind(test, "bool"), yes, no)

    def _call(self, tree: ast.expr, function: str, arguments: list[ast.expr]) -> Node:
        terms = [self.read(argument) for argument in arguments]
        kinds = [term.type.kind for term in terms]
        match function, kinds:
            case (("min" | "max"), [_, _, *_]) if set(kinds) == {"number"}:
                return nodes.Call(self._same_unit(tree, terms), function, tuple(terms))
            case (("min" | "max"), [_, _, *_]) if set(kinds) == {"date"}:
                return nodes.Call(DATE, function, tuple(terms))
            case "rounded", ["number"]:
                whole = Type("number", terms[0].type.unit, 0)
                return nodes.Call(whole, function, tuple(terms))
            case "year", ["date"]:
                return nodes.Call(number("year"), function, tuple(terms))
            case "year_end", ["date"]:
                return nodes.Call(DATE, function, tuple(terms))
            case "graded", ["number", "table"]:
                table = terms[1].type
                return nodes.Call(Type("number", table.unit, table.decimals), function, (*terms,))
        if function not in FUNCTIONS:
            raise Mistaken("policy_name_unknown", _at(tree), name=function)
        raise Mistaken(
            "policy_arguments_wrong", _at(tree), function=function, found=", ".join(kinds)
        )


def _depth(tree: ast.AST) -> int:
    """How deep a tree is nested, found without nesting ourselves."""
    deepest, level = 0, [tree]
    while level:
        deepest += 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return deepest


def _vaguer(node: Node) -> int:
    """Facts can take any code of their choice, parameters one of their readings, literals one."""
    return isinstance(node, nodes.FactName) * 2 + isinstance(node, nodes.ParameterName)


def _is_zero(node: Node) -> bool:
    return isinstance(node, nodes.Constant) and node.value == 0


def _at(tree: ast.expr) -> int:
    return tree.col_offset + 1
