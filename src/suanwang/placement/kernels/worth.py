"""Loops under ``packing.worth``: a small linear program, and the knapsack over one card."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def best_prices(patterns, demand):
    """``x`` >= 0 that makes ``demand . x`` largest while every row of ``patterns . x`` <= 1.

    The simplex method on a full tableau; ``x`` = 0 is feasible, so there is no first phase.
    Bland's rule after a while, so that it ends. patterns float64[rows, n], demand float64[n].
    """
    rows, n = patterns.shape
    table = np.zeros((rows + 1, n + rows + 1))
    table[:rows, :n] = patterns
    table[rows, :n] = -demand
    basis = np.arange(n, n + rows)
    for row in range(rows):
        table[row, n + row] = 1.0
        table[row, -1] = 1.0
    for step in range(50 * (n + rows)):
        column, steepest = -1, -1e-9
        for j in range(n + rows):
            if table[rows, j] < steepest:
                column, steepest = j, table[rows, j]
                if step > 10 * (n + rows):
                    break
        if column < 0:
            break
        pivot, least = -1, np.inf
        for row in range(rows):
            if table[row, column] > 1e-9:
                ratio = table[row, -1] / table[row, column]
                if ratio < least - 1e-12 or (ratio < least + 1e-12 and basis[row] < basis[pivot]):
                    pivot, least = row, ratio
        if pivot < 0:
            break
        table[pivot] /= table[pivot, column]
        for row in range(rows + 1):
            if row != pivot and table[row, column] != 0.0:
                table[row] -= table[row, column] * table[pivot]
        basis[pivot] = column
    x = np.zeros(n)
    for row in range(rows):
        if basis[row] < n:
            x[basis[row]] = table[row, -1]
    return x


@njit(cache=True)
def knapsack(sizes, prices, room, use):
    """The most that can be had from 0 … ``room``: float64[room + 1]; ``use`` int64[n] is filled
    with how often each size is taken at ``room``. Sizes are whole and positive."""
    worth = np.zeros(room + 1)
    last = np.full(room + 1, -1, np.int64)
    for r in range(1, room + 1):
        worth[r] = worth[r - 1]
        for j in range(sizes.size):
            if sizes[j] <= r and worth[r - sizes[j]] + prices[j] > worth[r] + 1e-12:
                worth[r] = worth[r - sizes[j]] + prices[j]
                last[r] = j
    use[:] = 0
    r = room
    while r > 0:
        if last[r] < 0:
            r -= 1
        else:
            use[last[r]] += 1
            r -= sizes[last[r]]
    return worth


@njit(cache=True)
def worth_of_rests(sizes, demand, room, rounds):
    """See ``packing.worth.worth_of_rests``; at most so many patterns are added."""
    n = sizes.size
    patterns = np.zeros((n + rounds, n))
    for j in range(n):
        patterns[j, j] = room // sizes[j]
    use = np.zeros(n, np.int64)
    worth = np.zeros(room + 1)
    for count in range(n, n + rounds + 1):
        prices = best_prices(patterns[:count], demand)
        worth = knapsack(sizes, prices, room, use)
        if worth[room] <= 1 + 1e-7 or count == n + rounds:
            break
        patterns[count] = use
    return worth / max(1.0, worth[room])
