"""The event loop of the HPC protocol: one pool of processors, jobs that run as the trace says."""

from __future__ import annotations

import numpy as np
from numba import njit

from suanwang.placement.kernels import estimates, turn
from suanwang.placement.kernels.plan import plan
from suanwang.placement.terms_of_time import FOREVER, NEVER


@njit(cache=True)
def staircase(now, idle, ends, widths, running, spare):
    """What is free from now on if what runs keeps to its request; who is over it ends any time."""
    order = np.argsort(ends[:running])
    times = np.empty(running + 1 + spare, np.int64)
    free = np.empty((running + 1 + spare, 1), np.int64)
    times[0], free[0, 0], count = now, idle, 1
    for i in order:
        end = max(ends[i], now + 1)
        if end == times[count - 1]:
            free[count - 1, 0] += widths[i]
        else:
            times[count], free[count, 0] = end, free[count - 1, 0] + widths[i]
            count += 1
    return times, free, count


@njit(cache=True)
def in_turn(policy, now, queue, submitted, width, asked, requester, bound, ratios, counts):
    """The queue in order of turns (``turn.order``), whoever is longest overdue first."""
    n = queue.size
    least = np.empty(n, np.float64)
    for k in range(n):
        j = queue[k]
        if policy == turn.OURS:
            seconds, haste = estimates.expect(ratios, counts, requester[j], float(asked[j]))
        else:
            seconds = float(asked[j])
            haste = 1.0 / max(seconds, estimates.SHORTEST_SECONDS)
        at = float(submitted[j])
        least[k] = turn.index(policy, at, float(width[j]), seconds, haste)
    if policy == turn.OURS and now - submitted[queue[0]] >= bound:
        least[0] = -1.0  # the queue is kept in order of submission
    return queue[np.argsort(least, kind="mergesort")]


@njit(cache=True)
def work_ahead(now, running, queue, starts, width, likely):
    """Processor seconds that are expected of what runs and waits."""
    work = 0.0
    for j in running:
        work += width[j] * max(0.0, starts[j] + likely[j] - now)
    for j in queue:
        work += width[j] * likely[j]
    return work


@njit(cache=True)
def replay(
    submitted, ran, asked, width, requester, requesters, processors, policy, backfill, patience,
    grace, remembered,
):  # fmt: skip
    """The start of every job. Jobs in order of submission, none wider than the machine."""
    n = submitted.size
    starts = np.full(n, NEVER, np.int64)
    bound = FOREVER
    likely, fair = np.zeros(n, np.float64), np.zeros(n, np.int64)
    ratios, counts = np.zeros((requesters + 1, 32)), np.zeros(requesters + 1, np.int64)
    queue, waiting = np.empty(n, np.int64), 0
    jobs, running, idle = np.empty(n, np.int64), 0, processors
    over, ends, widths = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    arrived = 0
    while arrived < n or running > 0:
        now = submitted[arrived] if arrived < n else FOREVER
        for i in range(running):
            now = min(now, over[i])
        i = 0
        while i < running:  # what is over leaves, and teaches
            if over[i] > now:
                i += 1
                continue
            j = jobs[i]
            estimates.observe(ratios, counts, requester[j], float(asked[j]), float(ran[j]))
            idle += widths[i]
            running -= 1
            jobs[i], over[i] = jobs[running], over[running]
            ends[i], widths[i] = ends[running], widths[running]
        while arrived < n and submitted[arrived] <= now:
            if policy == turn.OURS:  # the starvation bound: see ``placement.turn``
                j = arrived
                likely[j], _ = estimates.expect(ratios, counts, requester[j], float(asked[j]))
                work = work_ahead(now, jobs[:running], queue[:waiting], starts, width, likely)
                fair[j] = int(work / processors)
                longest = fair[max(0, j + 1 - remembered) : j + 1].max()
                bound = patience * max(longest, grace)
            queue[waiting] = arrived
            waiting += 1
            arrived += 1
        if waiting == 0 or idle == 0:
            continue
        ordered = in_turn(
            policy, now, queue[:waiting], submitted, width, asked, requester, bound, ratios, counts
        )
        times, free, count = staircase(now, idle, ends, widths, running, 2 * waiting + 2)
        amounts = width[ordered].copy().reshape(waiting, 1)
        planned = plan(times, free, count, amounts, asked[ordered], now, backfill, False)
        for k in range(waiting):
            if planned[k] == now:
                j = ordered[k]
                starts[j] = now
                idle -= width[j]
                jobs[running], over[running] = j, now + ran[j]
                ends[running], widths[running] = now + asked[j], width[j]
                running += 1
        left = 0
        for k in range(waiting):
            if starts[queue[k]] == NEVER:
                queue[left] = queue[k]
                left += 1
        waiting = left
    return starts
