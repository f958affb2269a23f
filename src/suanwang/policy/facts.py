"""From the facts of a case to the integers the rules run on. A wrong fact is refused by name.

Numbers come in their base unit, exact: whole numbers, ``Fraction`` or decimal text such as
``"1.2499"``; a float is refused, for it is not what was measured. Dates are ``date`` or ISO text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from suanwang.core.errors import Refused
from suanwang.policy.parts import Fact
from suanwang.policy.why import shown_integer

DIGITS = 24
_DECIMAL = re.compile(rf"-?[0-9]{{1,{DIGITS}}}(\.[0-9]{{1,{DIGITS}}})?")
"""Plain decimals only: ``1e999999999`` would be a number no machine can hold."""


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
    least, most = fact.limits
    places = fact.type.decimals
    if type(value) is int:
        scaled = value * int(10**places) if places else value
        if least <= scaled <= most:
            return scaled
        raise _out_of_range(fact, value)
    if isinstance(value, Decimal):
        value = f"{value:f}" if value.is_finite() and abs(value.adjusted()) < DIGITS else "?"
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise _wrong(fact, value)
    if not isinstance(value, Fraction | str):
        raise _wrong(fact, value)
    exact = Fraction(value) * int(10 ** (places or 0))
    if not least <= exact <= most:
        raise _out_of_range(fact, value)
    if exact.denominator != 1:
        raise Refused("policy_fact_too_fine", fact=fact.name, found=value, decimals=places)
    return exact.numerator


def _day(fact: Fact, value: object) -> int:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise _wrong(fact, value) from None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _wrong(fact, value)
    day = value.toordinal()
    if not fact.limits[0] <= day <= fact.limits[1]:
        raise _out_of_range(fact, value)
    return day


def _wrong(fact: Fact, value: object) -> Refused:
    return Refused(
        "policy_fact_wrong", fact=fact.name, expected=fact.type.shown, found=_shown(value)
    )


def _out_of_range(fact: Fact, value: object) -> Refused:
    least, most = (shown_integer(fact.type, end) for end in fact.limits)
    return Refused(
        "policy_fact_out_of_range", fact=fact.name, least=least, most=most, found=_shown(value)
    )


def _shown(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    return (value if isinstance(value, str) else repr(value))[:60]
