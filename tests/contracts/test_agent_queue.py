"""What a job waits for in a centre's own queue: told when it changes, and not all the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from suanwang.agent.gate import Gate
from suanwang.agent.keeper import Keeper
from suanwang.agent.signing import AgentKey
from suanwang.agent.spool import Spool
from suanwang.core.clock import SimulatedClock
from suanwang.engines.memory import InMemoryEngine, Outcome
from suanwang.engines.port import NodeFacts, Observation

from .agent_process import job


class BusyCentre(InMemoryEngine):
    """Its queue says why, in words of its own."""

    why = "Resources"

    def observe(self, refs: Sequence[str]) -> dict[str, Observation]:
        found = super().observe(refs)
        return {
            ref: replace(one, reason=self.why) if one.expected_start_at else one
            for ref, one in found.items()
        }


class Queue:
    def __init__(self, home: Path) -> None:
        self.now = datetime.now(UTC)
        self.clock = SimulatedClock(self.now)
        self.engine = BusyCentre(
            self.clock, [NodeFacts("n1", 4, 4096)], lambda *_: Outcome(20, starts_after_seconds=600)
        )
        self.home = home
        self.spool = Spool(home / "spool.sqlite")
        self.keeper = self.new_keeper()

    def new_keeper(self) -> Keeper:
        return Keeper(
            self.engine, self.spool, AgentKey.generate(), self.home / "inbound", _no_files,
            lambda: self.now, Gate(self.home / "site.yaml", self.home / "draining"),
        )  # fmt: skip

    def take(self) -> str:
        attempt = str(uuid4())
        lease = {
            "attempt_id": attempt,
            "job_id": str(uuid4()),
            "spec": job("true").model_dump(mode="json"),
            "expires_at": (self.now + timedelta(hours=9)).isoformat(),
        }
        self.keeper.take_leases([lease])
        self.keeper.round()
        return attempt

    def after(self, seconds: int) -> list[dict[str, Any]]:
        """What is said newly in a round so much later."""
        before = {event["sequence"] for event in self.spool.owed_events()}
        self.now += timedelta(seconds=seconds)
        self.clock.advance(timedelta(seconds=seconds))
        self.keeper.round()
        return [event for event in self.spool.owed_events() if event["sequence"] not in before]


def _no_files(*_: Any) -> str:
    raise AssertionError("no job here has files")


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path)


def test_why_a_job_waits_and_until_when_is_told_with_its_start(queue: Queue) -> None:
    queue.take()
    *_, told = queue.spool.owed_events()
    assert told["state"] == "starting"
    assert told["queue"]["reason"] == "Resources"
    expected = datetime.fromisoformat(told["queue"]["expected_start_at"])
    assert abs(expected - (queue.now + timedelta(seconds=600))) < timedelta(seconds=90)


def test_what_did_not_change_is_not_told_again_and_changes_at_most_once_a_minute(
    queue: Queue,
) -> None:
    queue.take()
    assert queue.after(120) == []
    queue.engine.why = "Priority"
    (told,) = queue.after(1)
    assert told["queue"]["reason"] == "Priority"
    queue.engine.why = "Resources"
    assert queue.after(1) == []
    (told,) = queue.after(60)
    assert told["queue"]["reason"] == "Resources"


def test_an_agent_that_came_back_tells_once_more_and_a_job_that_runs_waits_no_more(
    queue: Queue,
) -> None:
    queue.take()
    queue.keeper = queue.new_keeper()
    (told,) = queue.after(1)
    assert told["queue"]["reason"] == "Resources"
    (told,) = queue.after(600)
    assert told["state"] == "running" and "queue" not in told
