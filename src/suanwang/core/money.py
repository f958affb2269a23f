"""Money is an integer number of fen; ratios and rates are exact fractions.

No float ever touches an amount. 1 yuan = 100 fen.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from suanwang.core.errors import Refused

Fen = int
"""An amount of renminbi in fen, 1/100 yuan."""

Rounding = Literal["down", "half_up", "up"]

FEN_MAX = 10**15
"""Larger amounts (10 trillion yuan) are typing errors, and still fit a signed 64-bit integer."""

_YUAN = re.compile(r"(-?)(\d{1,18})(?:\.(\d{1,2}))?")


def round_fen(amount: Fraction, rounding: Rounding) -> Fen:
    """Bring an exact amount in fen to a whole number of fen."""
    whole, rest = divmod(amount.numerator, amount.denominator)
    if rounding == "down" or rest == 0:
        return whole
    if rounding == "up":
        return whole + 1
    return whole + (2 * rest >= amount.denominator)


def parse_yuan(text: str) -> Fen:
    """Read ``1,234.5`` as 123450 fen.

    Refuses ``amount_unreadable`` (not a number, more than two decimals) and ``amount_too_large``.
    """
    match = _YUAN.fullmatch(text.strip().replace(",", "").removeprefix("¥"))
    if match is None:
        raise Refused("amount_unreadable", text=text[:40])
    sign, yuan, decimals = match.groups()
    fen = int(yuan) * 100 + int((decimals or "").ljust(2, "0"))
    if fen > FEN_MAX:
        raise Refused("amount_too_large", text=text[:40])
    return -fen if sign else fen


def format_yuan(fen: Fen) -> str:
    """Write 123450 fen as ``¥1,234.50``: always two decimals, the sign in front."""
    yuan, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}¥{yuan:,}.{rest:02d}"
