"""The index by which each policy orders a waiting job; the least goes first."""

from __future__ import annotations

import numpy as np
from numba import njit

FCFS, SJF, F1, SMALLEST_AREA, SMITH, OURS = range(6)


@njit(cache=True)
def index(policy, submitted, amount, seconds, haste):
    """The index of one job; what the arguments are says ``turn.Queue``."""
    if policy == SJF:
        return seconds
    if policy == F1:
        return np.log10(max(seconds, 1.0)) * amount + 870.0 * np.log10(max(submitted, 1.0))
    if policy == SMALLEST_AREA:
        return amount * seconds
    if policy in (SMITH, OURS):
        return amount * seconds / haste
    return float(submitted)
