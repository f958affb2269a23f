"""What past ratios of run time to request say about the next request."""

from __future__ import annotations

from numba import njit

EVERYBODY = 0  # the row of all jobs, beside one row per requester
FADING = 0.95  # what an observation counts against the one after it
EVERYBODY_WEIGHT = 0.05
REQUEST_WEIGHT = 1.0  # the request itself counts as one observation of a true request
SHORTEST_SECONDS = 10.0  # below this a wait is not felt as longer: the bound of bounded slowdown


@njit(cache=True)
def observe(ratios, counts, row, asked, ran):
    """Remember for a requester and for everybody which part of its request a job needed."""
    ratio = min(1.0, max(0.0, ran / max(1.0, asked)))
    ratios[row, counts[row] % ratios.shape[1]] = ratio
    counts[row] += 1
    if row != EVERYBODY:
        ratios[EVERYBODY, counts[EVERYBODY] % ratios.shape[1]] = ratio
        counts[EVERYBODY] += 1


@njit(cache=True)
def expect(ratios, counts, row, asked):
    """Expected run time (seconds), and expected 1 / max(run time, 10 s): what a second of waiting
    adds to its bounded slowdown."""
    size = ratios.shape[1]
    weight = REQUEST_WEIGHT
    total = weight
    seconds = weight * asked
    haste = weight / max(asked, SHORTEST_SECONDS)
    weight = 1.0
    for k in range(min(counts[row], size)):
        ran = ratios[row, (counts[row] - 1 - k) % size] * asked
        total += weight
        seconds += weight * ran
        haste += weight / max(ran, SHORTEST_SECONDS)
        weight *= FADING
    weight = EVERYBODY_WEIGHT
    for k in range(min(counts[EVERYBODY], size)):
        ran = ratios[EVERYBODY, (counts[EVERYBODY] - 1 - k) % size] * asked
        total += weight
        seconds += weight * ran
        haste += weight / max(ran, SHORTEST_SECONDS)
        weight *= FADING
    return seconds / total, haste / total
