"""A pool over columns: ``pools.share_out`` for a million claims, to the same fen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suanwang.policy.pools import share_out

ROOM = 62
"""Bits that a sum of two products may take in a signed 64-bit integer."""
Fens = NDArray[np.int64]


def share_out_columns(pool_fen: int, asked_fen: Fens, when_dry: str) -> Fens:
    """What each claim is paid, in the order of the rows."""
    pool_fen = max(pool_fen, 0)
    most = int(asked_fen.max(initial=0)) * len(asked_fen)
    if most.bit_length() >= ROOM or pool_fen.bit_length() >= ROOM:
        return np.array(share_out(pool_fen, asked_fen.tolist(), when_dry), dtype=np.int64)
    total = int(asked_fen.sum())
    if total <= pool_fen:
        return asked_fen
    if when_dry == "pro_rata":
        return _pro_rata(pool_fen, asked_fen, total)
    left = pool_fen - (np.cumsum(asked_fen) - asked_fen)
    paid: Fens = np.clip(left, 0, asked_fen)
    return paid


def _pro_rata(pool_fen: int, asked_fen: Fens, total: int) -> Fens:
    parts, rests = _divided(asked_fen, pool_fen, total)
    more = pool_fen - int(parts.sum())
    foremost = np.argsort(-rests, kind="stable")[:more]
    parts[foremost] += 1
    return parts


def _divided(asked_fen: Fens, by: int, total: int) -> tuple[Fens, Fens]:
    """``asked * by // total`` and the rest, in long division: the product needs more than 64 bits.

    As many bits of ``by`` at a time as there is room for beside the total.
    """
    step = ROOM - total.bit_length()
    parts = np.zeros_like(asked_fen)
    rests = np.zeros_like(asked_fen)
    for shift in range((by.bit_length() - 1) // step * step, -1, -step):
        digit = (by >> shift) & ((1 << step) - 1)
        rests = (rests << step) + asked_fen * digit
        whole = rests // total
        parts = (parts << step) + whole
        rests -= whole * total
    return parts, rests
