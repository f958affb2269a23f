"""A job's life is a table: nothing leaves an end, and every state leads to one."""

from __future__ import annotations

import pytest

from suanwang.core.errors import Refused
from suanwang.jobs.rules import ATTEMPTS_MAX, ENDED, ENDS, TRANSITIONS, after, after_loss


def test_an_ended_job_takes_no_step() -> None:
    steps = {step for row in TRANSITIONS.values() for step in row}
    for state in ENDED:
        for step in steps:
            with pytest.raises(Refused, match="job_has_ended"):
                after(state, step)


def test_every_state_can_reach_an_end_and_be_cancelled() -> None:
    for state, row in TRANSITIONS.items():
        if state in ENDED:
            continue
        assert set(row.values()) & (ENDED | {"placed"})
        assert after(state, "cancel") in ("cancelling", "cancelled")


def test_only_a_queued_job_is_placed_and_only_a_placed_one_runs() -> None:
    assert [state for state, row in TRANSITIONS.items() if "place" in row] == ["queued"]
    with pytest.raises(Refused, match="job_step_impossible"):
        after("queued", "run")


def test_whatever_an_agent_reports_as_an_end_ends_a_job_from_anywhere_it_runs() -> None:
    for state in ("placed", "starting", "running", "cancelling"):
        for step in set(ENDS.values()) - {"stop"}:
            assert after(state, step) in ENDED


def test_only_what_its_owner_cancelled_ends_cancelled() -> None:
    assert [state for state, row in TRANSITIONS.items() if "stop" in row] == ["cancelling"]


def test_a_lost_attempt_queues_again_until_the_limit() -> None:
    assert after_loss("running", ATTEMPTS_MAX - 1) == "queued"
    assert after_loss("running", ATTEMPTS_MAX) == "lost"
    assert after_loss("cancelling", 1) == after_loss("cancelling", ATTEMPTS_MAX) == "cancelled"
