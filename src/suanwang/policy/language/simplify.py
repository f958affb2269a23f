"""What is left of an expression once a day's switches are known.

``registered or not voucher.registered_in_city_only`` reads, while the switch is on, as
``registered``. Only truths and codes are folded; figures keep their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from suanwang.policy.language import nodes
from suanwang.policy.language.compile import Value
from suanwang.policy.language.nodes import Node
from suanwang.policy.language.types import BOOL


def simplify(node: Node, values: Mapping[str, Value]) -> Node:
    """The same expression without switches."""
    match node:
        case nodes.ParameterName(name=name) if isinstance(values[name], bool):
            return _truth(values[name] is True)
        case nodes.Not(term=term):
            inner = simplify(term, values)
            if isinstance(inner, nodes.Constant):
                return _truth(not inner.value)
            return inner.term if isinstance(inner, nodes.Not) else nodes.Not(BOOL, inner)
        case nodes.Logic(word=word, terms=terms):
            return _logic(word == "and", [simplify(term, values) for term in terms])
        case nodes.Comparison(sign=("==" | "!=") as sign, left=left, right=right):
            a, b = _code(left, values), _code(right, values)
            return node if a is None or b is None else _truth((a == b) == (sign == "=="))
        case nodes.Choose(test=test, yes=yes, no=no):
            wanted = simplify(test, values)
            if isinstance(wanted, nodes.Constant):
                return simplify(yes if wanted.value else no, values)
            return nodes.Choose(node.type, wanted, simplify(yes, values), simplify(no, values))
        case nodes.Call(arguments=arguments):
            return replace(node, arguments=tuple(simplify(one, values) for one in arguments))
        case nodes.Arithmetic(left=left, right=right):
            return replace(node, left=simplify(left, values), right=simplify(right, values))
    return node


def _logic(every: bool, terms: list[Node]) -> Node:
    """``and`` (or ``or``) without the terms that cannot change it."""
    open_ = [term for term in terms if not isinstance(term, nodes.Constant)]
    if any(isinstance(term, nodes.Constant) and bool(term.value) != every for term in terms):
        return _truth(not every)
    if not open_:
        return _truth(every)
    return open_[0] if len(open_) == 1 else nodes.Logic(BOOL, "and" if every else "or", (*open_,))


def _truth(value: bool) -> Node:
    return nodes.Constant(BOOL, value)


def _code(node: Node, values: Mapping[str, Value]) -> str | None:
    if node.type.kind != "choice":
        return None
    if isinstance(node, nodes.Constant):
        return str(node.value)
    return str(values[node.name]) if isinstance(node, nodes.ParameterName) else None
