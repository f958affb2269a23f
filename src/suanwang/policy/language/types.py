"""What a value of the rule language can be: its kind, its unit, how many decimals it may carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["bool", "number", "date", "choice", "division", "set", "table"]
Unit = tuple[tuple[str, int], ...]
"""Base units with their exponents, sorted: ``fen/rack`` is ``(("fen", 1), ("rack", -1))``."""

BASE_UNITS = frozenset(
    {"fen", "rack", "pflops", "day", "year", "month", "point", "kwh", "unit", "token"}
)
"""What can be counted. ``ratio`` is no unit at all."""


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a fact, a parameter or an expression."""

    kind: Kind
    unit: Unit = ()
    decimals: int | None = 0
    """Of a number: how many decimals it may carry; None where a rule made it a fraction."""
    choices: tuple[str, ...] = ()
    """Of a choice, or of the members of a set: the codes it can take."""

    @property
    def shown(self) -> str:
        """The type in a few words, for messages."""
        if self.kind == "number":
            whole = "whole number" if self.decimals == 0 else "number"
            return f"{whole} of {show_unit(self.unit)}"
        if self.kind in ("choice", "set") and self.choices:
            return f"{self.kind} of {', '.join(self.choices)}"
        return self.kind


BOOL = Type("bool")
DATE = Type("date")
DIVISION = Type("division")


def number(unit: str = "", decimals: int | None = 0) -> Type:
    """A number type: ``number("fen")`` is an amount of money."""
    return Type("number", parse_unit(unit), decimals)


def parse_unit(text: str) -> Unit:
    """Read ``fen/rack``. Raises ValueError naming the unknown base unit."""
    exponents: dict[str, int] = {}
    above, *below = text.replace(" ", "").split("/")
    for sign, names in ((1, above), *((-1, part) for part in below)):
        for name in filter(None, names.split("*")):
            if name == "ratio":
                continue
            if name not in BASE_UNITS:
                raise ValueError(name)
            exponents[name] = exponents.get(name, 0) + sign
    return _sorted(exponents)


def show_unit(unit: Unit) -> str:
    """Write a unit as ``fen/rack``; a pure ratio as ``ratio``."""
    above = "*".join(name for name, exponent in unit for _ in range(exponent))
    below = "".join(f"/{name}" for name, exponent in unit for _ in range(-exponent))
    return (above or ("1" if below else "ratio")) + below


def times(left: Unit, right: Unit, sign: int = 1) -> Unit:
    """The unit of a product (or, with sign -1, of a quotient)."""
    exponents = dict(left)
    for name, exponent in right:
        exponents[name] = exponents.get(name, 0) + sign * exponent
    return _sorted(exponents)


def _sorted(exponents: dict[str, int]) -> Unit:
    return tuple(sorted((name, n) for name, n in exponents.items() if n))
