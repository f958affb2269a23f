"""What the rest of a card is worth, by what will be asked of cards.

Cutting the demand for shares of cards out of as few whole cards as possible is the cutting-stock
problem; its dual prices say what part of a card each size costs, and the most a rest can earn at
these prices is what it is worth. A rest that no size fits is worth nothing; one that only a
size fits which is cut from leavings anyway, next to nothing. (Gilmore and Gomory 1961.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from suanwang.placement.kernels import worth as loops
from suanwang.placement.terms import WHOLE_CARD

SIZES = 48
"""So many sizes are told apart, the most asked for; another counts as the next larger of them."""
ROUNDS = 60
"""Patterns added to the program at most; what is missing then makes prices a little high."""


def worth_of_rests(
    milli: npt.NDArray[np.int64], demand: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Part of a whole card that a rest of 0 … 1000 thousandths is worth: float64[1001].

    ``milli`` int64[n]: what jobs ask of a card; ``demand`` float64[n]: how many cards are asked
    for so. Never falls as the rest grows; 0 for nothing, at most 1 for a whole card.
    """
    sizes, which = np.unique(milli, return_inverse=True)
    wanted = np.bincount(which, weights=demand, minlength=len(sizes))
    if len(sizes) > SIZES:
        kept = np.sort(np.argsort(-wanted, kind="stable")[:SIZES])
        kept = np.union1d(kept, [len(sizes) - 1])
        wanted = np.bincount(np.searchsorted(kept, np.arange(len(sizes))), weights=wanted)
        sizes = sizes[kept]
    worth: npt.NDArray[np.float64] = loops.worth_of_rests(
        sizes, wanted / wanted.sum(), WHOLE_CARD, ROUNDS
    )
    return worth
