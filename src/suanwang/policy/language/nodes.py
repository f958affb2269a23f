"""The typed tree of an expression. Every node knows its type; names are already resolved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from suanwang.policy.language.types import Type

ComparisonSign = Literal["<", "<=", ">", ">=", "==", "!="]
ArithmeticSign = Literal["+", "-", "*", "/"]


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression."""

    type: Type

    def parts(self) -> tuple[Node, ...]:
        """The nodes directly below."""
        return ()

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for part in self.parts():
            yield from part.walk()


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """A literal: ``0``, ``True``, ``"enterprise"``."""

    value: Fraction | bool | str


@dataclass(frozen=True, slots=True)
class FactName(Node):
    """A fact of the case, or a step computed before."""

    name: str
    is_step: bool = False


@dataclass(frozen=True, slots=True)
class ParameterName(Node):
    """A dated parameter of the package, ``group.name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """A sum, difference, product or quotient."""

    sign: ArithmeticSign
    left: Node
    right: Node

    def parts(self) -> tuple[Node, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """Two values compared; strict and inclusive signs are different signs."""

    sign: ComparisonSign
    left: Node
    right: Node

    def parts(self) -> tuple[Node, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """All of (``and``), or any of (``or``), its terms."""

    word: Literal["and", "or"]
    terms: tuple[Node, ...]

    def parts(self) -> tuple[Node, ...]:
        return self.terms


@dataclass(frozen=True, slots=True)
class Not(Node):
    """The opposite."""

    term: Node

    def parts(self) -> tuple[Node, ...]:
        return (self.term,)


@dataclass(frozen=True, slots=True)
class Member(Node):
    """Whether a choice or a division is one of a set."""

    item: Node
    items: Node

    def parts(self) -> tuple[Node, ...]:
        return (self.item, self.items)


@dataclass(frozen=True, slots=True)
class Choose(Node):
    """``yes if test else no``."""

    test: Node
    yes: Node
    no: Node

    def parts(self) -> tuple[Node, ...]:
        return (self.test, self.yes, self.no)


@dataclass(frozen=True, slots=True)
class Call(Node):
    """One of the few functions of the language."""

    function: str
    arguments: tuple[Node, ...]

    def parts(self) -> tuple[Node, ...]:
        return self.arguments
