"""From the facts of a case to the integers the rules run on. A wrong fact is refused by name.

Numbers come in their base unit, exact: whole numbers, ``Fraction`` or decimal text such as
``"1.2499"``; a float is refused, for it is not what was measured. Dates are ``date`` or ISO text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from suanwang.core.errors import Refused
from suanwang.policy.language.compile import YEARS
from suanwang.policy.parts import Fact


def encode(
    facts: Mapping[str, object], wanted: Sequence[str], known: Mapping[str, Fact]
) -> dict[str, int | bool]:
    """The integers of the wanted facts.

    Refuses ``policy_facts_missing`` (all that are missing at once), ``policy_fact_unknown``,
    ``policy_fact_wrong``, ``policy_fact_out_of_range`` and ``policy_fact_too_fine``.
    """
    for name in facts:
        if name not in known:
            raise Refused("policy_fact_unknown", fact=name, known=", ".join(wanted))
    missing = [name for name in wanted if facts.get(name) is None]
    if missing:
        raise Refused("policy_facts_missing", facts=", ".join(missing))
    return {name: encode_one(known[name], facts[name]) for name in wanted}


def encode_one(fact: Fact, value: object) -> int | bool:
    """The integer of one fact."""
    match fact.type.kind:
        case "bool":
            if isinstance(value, bool):
                return value
        case "number":
            return _number(fact, value)
        case "date":
            return _day(fact, value)
        case "choice":
            if isinstance(value, str) and value in fact.type.choices:
                return fact.type.choices.index(value)
        case "division":
            if isinstance(value, str) and len(value) == 6 and value.isascii() and value.isdigit():
                return int(value)
    raise _wrong(fact, value)


def _number(fact: Fact, value: object) -> int:
    if type(value) is int:
        exact = Fraction(value)
    elif isinstance(value, Fraction | Decimal | str) and not isinstance(value, bool):
        try:
            exact = Fraction(value)
        except (ValueError, ZeroDivisionError, OverflowError, InvalidOperation):
            raise _wrong(fact, value) from None
    else:
        raise _wrong(fact, value)
    if not _within(fact, exact):
        raise _out_of_range(fact, value)
    scaled = exact * int(10 ** (fact.type.decimals or 0))
    if scaled.denominator != 1:
        raise Refused(
            "policy_fact_too_fine", fact=fact.name, found=value, decimals=fact.type.decimals
        )
    return scaled.numerator


def _day(fact: Fact, value: object) -> int:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise _wrong(fact, value) from None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _wrong(fact, value)
    if value.year not in YEARS or not _within(fact, value):
        raise _out_of_range(fact, value)
    return value.toordinal()


def _within(fact: Fact, value: Fraction | date) -> bool:
    above = fact.least is None or fact.least <= value  # type: ignore[operator]
    return above and (fact.most is None or value <= fact.most)  # type: ignore[operator]


def _wrong(fact: Fact, value: object) -> Refused:
    return Refused(
        "policy_fact_wrong", fact=fact.name, expected=fact.type.shown, found=_shown(value)
    )


def _out_of_range(fact: Fact, value: object) -> Refused:
    least = fact.least if fact.least is not None else YEARS[0]
    most = fact.most if fact.most is not None else YEARS[-1]
    return Refused(
        "policy_fact_out_of_range", fact=fact.name, least=least, most=most, found=_shown(value)
    )


def _shown(value: object) -> str:
    shown = value.isoformat() if isinstance(value, date) else repr(value)
    return shown[:60]
