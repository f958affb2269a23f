"""Whose turn it is, and that nobody waits for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang.placement.plan import BACKFILLS
from suanwang.placement.simulator.hpc import Workload, replay
from suanwang.placement.turn import POLICIES, Queue, order


def queue(submitted, amount, seconds) -> Queue:
    run = np.array(seconds, float)
    return Queue(
        np.array(submitted, np.int64), np.array(amount, float), run, 1 / np.maximum(run, 10)
    )


def test_each_policy_has_its_order():
    waiting = queue([0, 10, 20], [8, 1, 4], [100, 1000, 150])
    assert order(waiting, "fcfs").tolist() == [0, 1, 2]
    assert order(waiting, "sjf").tolist() == [0, 2, 1]
    assert order(waiting, "smallest_area").tolist() == [2, 0, 1]
    assert order(waiting, "smith").tolist() == [0, 2, 1]


def test_a_likely_failure_is_tried_early():
    sure = queue([0, 0], [4, 4], [3600, 3600])
    sure.haste[1] = 0.5 / 10  # every second one ends in its first seconds
    assert order(sure, "ours").tolist() == [1, 0]


def test_an_empty_queue_has_no_order():
    assert order(queue([], [], []), "ours").tolist() == []


tiny = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 40), st.integers(0, 40), st.integers(1, 8)),
    min_size=1,
    max_size=40,
)


def made(rows) -> Workload:
    gap, ran, over, width = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    submitted = np.cumsum(gap) - gap[0]
    return Workload(submitted, ran, ran + over, width, 1 + np.arange(len(rows)) % 3)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("backfill", BACKFILLS)
@given(rows=tiny)
@settings(max_examples=20, deadline=None)
def test_a_replay_runs_each_job_once_and_never_overfills(policy, backfill, rows):
    work = made(rows)
    starts = replay(work, 8, policy, backfill)
    assert (starts >= work.submitted).all()
    for instant in np.unique(starts):
        on = (starts <= instant) & (instant < starts + work.ran)
        assert work.processors[on].sum() <= 8
    assert starts.tolist() == replay(work, 8, policy, backfill).tolist()


def longest_fair_wait(work: Workload, starts, processors: int) -> float:
    """Over all arrivals: the time the pool needs for the work ahead, run times being known."""
    longest = 0.0
    for j, now in enumerate(work.submitted):
        left = np.clip(starts[:j] + work.ran[:j] - now, 0, work.ran[:j])
        longest = max(longest, float(left @ work.processors[:j]) / processors)
    return longest


@given(gap=st.integers(1, 30), ran=st.integers(5, 90), width=st.integers(1, 7))
@settings(max_examples=25, deadline=None)
def test_a_wide_job_waits_no_longer_than_the_bound_whatever_stream_passes_it(gap, ran, width):
    """Small jobs without end would hold a machine that a wide one waits for."""
    work = made([(0, 40, 0, 1), (0, 1000, 0, 8), *[(gap, ran, 0, width)] * 800])
    starts = replay(work, 8, "ours", "pair", patience=2, grace_seconds=500)
    bound = 2 * max(500, longest_fair_wait(work, starts, 8))
    assert starts[1] - work.submitted[1] <= bound + max(ran, 40)  # and what still runs then


def test_without_the_bound_a_wide_job_would_starve():
    work = made([(0, 40, 0, 1), (0, 1000, 0, 8), *[(5, 20, 0, 2)] * 2000])
    never = replay(work, 8, "ours", "pair", patience=10**6, grace_seconds=10**6)
    bound = replay(work, 8, "ours", "pair", patience=2, grace_seconds=500)
    assert never[1] > 4 * bound[1]
