"""Accounting that is late or comes to another figure: metered when it is there, corrected after."""

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
from suanwang.agent.signing import AgentKey, verify_record
from suanwang.agent.spool import Spool
from suanwang.core.clock import SimulatedClock
from suanwang.core.signed import FIRST_PREVIOUS_HASH, record_hash
from suanwang.engines.memory import InMemoryEngine, Outcome
from suanwang.engines.port import EngineUnavailable, NodeFacts, Observation, Usage

from .agent_process import job


class Accounting(InMemoryEngine):
    """An engine whose accounting is a service of its own, with a mind of its own."""

    seconds: int | None = None
    """What it says every job took; None: it has not said yet."""

    def usage(self, refs: Sequence[str]) -> dict[str, Usage]:
        if self.seconds is None:
            return {}
        seconds = self.seconds
        return {
            ref: replace(one, elapsed_seconds=seconds, settled=False)
            for ref, one in super().usage(refs).items()
        }


class Desk:
    """An agent's hands and memory, with an engine of that kind."""

    def __init__(self, home: Path) -> None:
        self.now = datetime.now(UTC)
        self.clock = SimulatedClock(self.now - timedelta(hours=1))
        self.engine = Accounting(
            self.clock, [NodeFacts("n1", 4, 4096)], lambda *_: Outcome(duration_seconds=20)
        )
        self.key = AgentKey.generate()
        self.spool = Spool(home / "spool.sqlite")
        self.keeper = Keeper(
            self.engine, self.spool, self.key, home / "inbound", _no_files,
            lambda: self.now, Gate(home / "site.yaml", home / "draining"),
        )  # fmt: skip

    def lease(self) -> str:
        attempt = str(uuid4())
        spec = job("true").model_dump(mode="json")
        self.keeper.take_leases(
            [
                {
                    "attempt_id": attempt,
                    "job_id": str(uuid4()),
                    "spec": spec,
                    "expires_at": (self.now + timedelta(hours=9)).isoformat(),
                }
            ]
        )
        return attempt

    def end_a_job(self) -> str:
        attempt = self.lease()
        self.keeper.round()
        self.clock.advance(timedelta(seconds=60))
        self.keeper.round()
        self.spool.change(attempt, output_done=1)
        return attempt

    def chain(self) -> list[dict[str, Any]]:
        """All records, each link verified."""
        records, previous = self.spool.owed_usage(), FIRST_PREVIOUS_HASH
        for record in records:
            assert record["hash"] == record_hash(previous, record)
            assert verify_record(self.key.public, record["hash"], record["signature"])
            previous = record["hash"]
        return records

    def reconcile(self, **after: float) -> None:
        """Some time passes, and accounting is asked again if it is due."""
        self.now += timedelta(**after)
        self.keeper.reconcile()

    def deliver(self) -> None:
        with self.spool.transaction():
            self.spool.events_settled(self.spool.owed_events())
            if owed := self.spool.owed_usage():
                self.spool.usage_settled(owed[-1]["sequence"])


def _no_files(*_: Any) -> str:
    raise AssertionError("no job here has files")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_usage_that_is_late_is_waited_for_and_the_job_is_not_forgotten(desk: Desk) -> None:
    attempt = desk.end_a_job()
    assert [event["state"] for event in desk.spool.owed_events()][-1] == "succeeded"
    assert desk.chain() == []
    desk.deliver()
    desk.reconcile()
    assert desk.spool.settled() == []

    desk.engine.seconds = 20
    desk.reconcile(seconds=15)
    assert [(one["meter"], one["quantity"]) for one in desk.chain()] == [
        ("core_seconds", 20), ("memory_mib_seconds", 20 * 256),
    ]  # fmt: skip
    desk.reconcile(minutes=1)
    assert len(desk.chain()) == 2
    assert {one["attempt_id"] for one in desk.chain()} == {attempt}


def test_usage_that_never_comes_is_given_up_by_name_after_a_week(desk: Desk) -> None:
    attempt = desk.end_a_job()
    desk.deliver()
    desk.reconcile(days=6)
    assert desk.spool.settled() == []
    desk.reconcile(days=2)
    assert [row.attempt_id for row in desk.spool.settled()] == [attempt]
    assert desk.spool.summary()["refusals"][0]["code"] == "usage_never_came"


def test_a_corrected_figure_makes_records_that_point_at_the_ones_they_replace(desk: Desk) -> None:
    desk.engine.seconds = 20
    desk.end_a_job()
    desk.deliver()
    first = desk.spool.usage_wanted_from(1) and desk.chain()
    assert isinstance(first, list) and not any("corrects" in one for one in first)

    for seconds in (23, 19):
        before = {one["meter"]: one["record_id"] for one in desk.chain()}
        desk.engine.seconds = seconds
        desk.reconcile(minutes=5)
        newest = desk.chain()[-2:]
        assert {one["meter"]: one["corrects"] for one in newest} == before
        assert newest[0]["quantity"] == seconds
    assert len(desk.chain()) == 6
    with pytest.raises(AssertionError):  # which record it replaces is covered by the signature
        forged = desk.chain()[-1] | {"corrects": first[0]["record_id"]}
        assert forged["hash"] == record_hash(str(forged["previous_hash"]), forged)

    desk.reconcile(hours=2)
    desk.engine.seconds = 40
    desk.reconcile(hours=1)
    assert len(desk.chain()) == 6  # an hour after its end the figure stands


def test_a_job_that_is_over_and_forgotten_is_corrected_all_the_same(desk: Desk) -> None:
    desk.engine.seconds = 20
    attempt = desk.end_a_job()
    desk.deliver()
    assert [row.attempt_id for row in desk.spool.settled()] == [attempt]
    desk.spool.change(attempt, phase="closed")
    assert desk.spool.open_ids() == []
    desk.engine.seconds = 21
    desk.reconcile(minutes=1)
    assert {one["attempt_id"] for one in desk.spool.owed_usage()} == {attempt}
    asked = 0
    while desk.now < datetime.now(UTC) + timedelta(hours=2):
        desk.now += timedelta(seconds=15)
        asked += bool(desk.spool.usage_due(desk.now))
        desk.reconcile()
    assert 5 <= asked <= 12  # at growing intervals, and in the end no more


def test_jobs_of_which_nothing_can_be_learnt_do_not_hide_the_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the engine is asked about is gone through some at a time."""
    monkeypatch.setattr("suanwang.agent.keeper._WATCHED_AT_ONCE", 2)
    asked: list[int] = []
    silent: set[str] = set()
    observe = desk.engine.observe

    def partly(refs: Sequence[str]) -> dict[str, Observation]:
        asked.append(len(refs))
        if silent & set(refs):
            raise EngineUnavailable("accounting is away")
        return observe(refs)

    monkeypatch.setattr(desk.engine, "observe", partly)
    desk.engine.seconds = 7
    attempts = [desk.lease() for _ in range(5)]
    desk.keeper.round()
    assert asked == [2, 2, 1]
    silent.add(attempts[0])
    desk.clock.advance(timedelta(seconds=60))
    desk.keeper.round()
    told = {one["attempt_id"] for one in desk.spool.owed_usage()}
    assert told == set(attempts[2:])
    silent.clear()
    desk.keeper.round()
    assert {one["attempt_id"] for one in desk.spool.owed_usage()} == set(attempts)
