"""Kubernetes' amounts, such as 500m, 64Gi or 1e3, as exact numbers."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

_FORM = re.compile(
    r"([+-]?\d{1,30}(?:\.\d{0,12})?|[+-]?\.\d{1,12})(?:[eE]([+-]?\d{1,2})|([a-zA-Z]{0,2}))"
)
_SUFFIXES = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{name: Fraction(1000**power) for power, name in enumerate("kMGTPE", 1)},
    **{f"{name}i": Fraction(1024**power) for power, name in enumerate("KMGTPE", 1)},
}


def amount(text: Any) -> Fraction:
    """How much it is; what cannot be read is nothing."""
    if isinstance(text, int):
        return Fraction(text)
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return Fraction(0)
    number, exponent, suffix = found.groups()
    if exponent is not None:
        return Fraction(number) * Fraction(10) ** int(exponent)
    return Fraction(number) * _SUFFIXES.get(suffix, Fraction(0))
