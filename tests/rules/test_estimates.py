"""What is learned from ended jobs about requests."""

from __future__ import annotations

import pytest

from suanwang.placement.estimates import Estimates


def test_a_request_is_believed_until_something_has_ended():
    seconds, haste = Estimates().expect("anyone", 3600)
    assert (seconds, haste) == pytest.approx((3600, 1 / 3600))


def test_true_requests_stay_believed():
    known = Estimates()
    for asked in range(10, 5000, 10):
        known.observe("exact", asked, asked)
    assert known.expect("exact", 777) == pytest.approx((777, 1 / 777))


def test_a_habit_of_over_estimating_is_corrected_for_its_owner():
    known = Estimates()
    for _ in range(40):
        known.observe("careful", 1000, 1000)
        known.observe("generous", 1000, 100)
    assert known.expect("generous", 1000).seconds < 250
    assert known.expect("careful", 1000).seconds > 900


def test_a_changed_habit_is_noticed():
    known = Estimates()
    for ran in [1000] * 40 + [100] * 20:
        known.observe("one", 1000, ran)
    assert known.expect("one", 1000).seconds < 500


def test_sudden_failures_make_haste_more_than_one_over_the_expected_time():
    known = Estimates()
    for ran in [5, 36000] * 10:
        known.observe("unlucky", 36000, ran)
    seconds, haste = known.expect("unlucky", 36000)
    assert seconds > 10000
    assert haste > 100 / seconds


def test_many_requesters_are_kept_apart():
    known = Estimates()
    for who in range(50):
        for _ in range(32):
            known.observe(who, 1000, 10 * (who + 1))
    assert known.expect(3, 1000).seconds < known.expect(40, 1000).seconds


def test_a_job_that_ran_over_its_request_counts_as_true():
    known = Estimates()
    known.observe("late", 100, 500)
    assert known.expect("late", 100).seconds == pytest.approx(100)
