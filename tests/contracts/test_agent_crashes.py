"""The agent killed at every single step, and a network that fails in every direction.

A step is a statement to its spool, a call of its engine or a request to the platform; the crash
comes before it or after it. A new agent takes up what is on the disk, and in the end everything is
told once. ``SUANWANG_CRASH_POINTS=1000`` tries every one of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from suanwang.agent import client as client_module
from suanwang.agent.client import PlatformClient, PlatformRefused, PlatformUnavailable
from suanwang.agent.delivery import Delivery
from suanwang.agent.gate import Gate
from suanwang.agent.keeper import Keeper
from suanwang.agent.signing import AgentKey
from suanwang.agent.spool import Spool
from suanwang.core.clock import Clock, SimulatedClock
from suanwang.engines.memory import InMemoryEngine, Outcome
from suanwang.engines.port import Accepted, NodeFacts, Rejected, Submission

from .agent_process import job
from .platform_double import TOKEN, PlatformDouble
from .wire import Wire

CRASH_POINTS = int(os.environ.get("SUANWANG_CRASH_POINTS", "24"))


class Crash(BaseException):
    """The process is gone. No ``except Exception`` may catch it."""


class Steps:
    """Counts steps and crashes at one."""

    def __init__(self, crash_at: int | None) -> None:
        self.crash_at, self.count = crash_at, 0

    def __call__(self) -> None:
        self.count += 1
        if self.count == self.crash_at:
            raise Crash


class Stepping:
    """Another object, each of whose calls is two steps: before it and after it."""

    def __init__(self, inner: Any, step: Steps) -> None:
        self._inner, self._step = inner, step

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def stepping(*given: Any, **named: Any) -> Any:
            self._step()
            answer = found(*given, **named)
            self._step()
            return answer

        return stepping


class Counting(InMemoryEngine):
    """Remembers how often it really started something."""

    def __init__(self, clock: Clock, seconds: int = 5) -> None:
        plan = Outcome(seconds, stdout=b"out\n")
        super().__init__(clock, [NodeFacts("n1", 8, 8192)], lambda *_: plan)
        self.starts: list[str] = []

    def submit(self, submissions: Any) -> list[Accepted | Rejected]:
        new: list[Submission] = [one for one in submissions if one.key not in self._lives]
        self.starts += [one.key for one in new]
        return super().submit(submissions)


class Machine:
    """What outlives an agent: the engine and the disk. Agents come and go on it."""

    def __init__(
        self, home: Path, url: str, token: str = TOKEN, *, engine: Counting | None = None
    ) -> None:
        self.home, self.url = home, url
        self.clock = SimulatedClock(datetime.now(UTC) - timedelta(hours=1))
        self.engine = engine or Counting(self.clock)
        self.key = AgentKey.generate()
        client = PlatformClient(url, self.key)
        self.enrolled = client.enrol(token)
        client.close()

    def live(self, steps: Steps, until: Callable[[], bool], rounds: int = 40) -> None:
        """One agent's life: poll, obey, work, deliver; till all is told, or it crashes."""
        spool = Spool(self.home / "spool.sqlite")
        database = spool._db
        spool._db = Stepping(database, steps)  # type: ignore[assignment]
        client: Any = Stepping(
            PlatformClient(
                self.url, self.key, str(self.enrolled.agent_id), self.enrolled.platform_key
            ),
            steps,
        )
        engine: Any = Stepping(self.engine, steps)

        def now() -> datetime:
            return datetime.now(UTC)

        gate = Gate(self.home / "site.yaml", self.home / "draining")
        keeper = Keeper(engine, spool, self.key, self.home / "inbound", lambda *_: "", now, gate)
        delivery = Delivery(client, spool, engine, keeper, now)
        try:
            for _ in range(rounds):
                with suppress(PlatformUnavailable, PlatformRefused):
                    orders = client.poll({"free": {}, "running": spool.open_ids()}, 0)
                    keeper.take_cancels([str(one) for one in orders.cancel])
                    keeper.take_leases(orders.leases)
                keeper.round()
                with suppress(PlatformUnavailable, PlatformRefused):
                    delivery.round()
                self.clock.advance(timedelta(seconds=2))
                if until() and not spool.open_ids():
                    return
        finally:
            database.close()
            client._inner.close()


def told_once(platform: PlatformDouble, machine: Machine, attempts: list[str]) -> None:
    """Every job ran once and everything about it was told once, in order."""
    assert sorted(machine.engine.starts) == sorted(attempts)
    for attempt in attempts:
        told = platform.told[attempt]
        assert told.states[-1] == "succeeded"
        assert told.states == sorted(set(told.states), key=told.states.index)
        assert told.logs["stdout"] == b"out\n"
        assert platform.used(attempt) == {"core_seconds": 5, "memory_mib_seconds": 5 * 256}
    assert [one["sequence"] for one in platform.usage] == list(range(1, 2 * len(attempts) + 1))


def ended(platform: PlatformDouble, attempts: list[str]) -> Callable[[], bool]:
    return lambda: (
        all(platform.told[one].ended for one in attempts)
        and len(platform.usage) == 2 * len(attempts)
    )


def test_killed_before_or_after_any_step_it_loses_and_repeats_nothing(tmp_path: Path) -> None:
    def scenario(crash_at: int | None) -> int:
        platform = PlatformDouble()
        try:
            home = tmp_path / str(crash_at)
            machine = Machine(home, platform.url)
            attempts = [platform.lease(job("true")) for _ in range(2)]
            done = ended(platform, attempts)
            steps = Steps(crash_at)
            crashed = False
            try:
                machine.live(steps, done)
            except Crash:
                crashed = True
                machine.live(Steps(None), done)
            assert crashed == (crash_at is not None)
            told_once(platform, machine, attempts)
            assert platform.forged == []
            return steps.count
        finally:
            platform.go_away()

    whole = scenario(None)
    assert whole > 100
    # A stride that divides nothing: each run of the loop ends at another kind of step.
    for crash_at in range(1, whole, max(whole // CRASH_POINTS, 1)):
        scenario(crash_at)


@pytest.fixture
def wire(platform: PlatformDouble) -> Iterator[Wire]:
    wire = Wire(platform.port)
    yield wire
    wire.close()


@pytest.mark.parametrize("fault", ["drop_requests", "drop_answers", "silent"])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_cut_in_either_direction_or_a_half_open_connection_loses_and_repeats_nothing(
    platform: PlatformDouble,
    wire: Wire,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    after: int,
) -> None:
    monkeypatch.setattr(client_module, "READ_SECONDS", 0.3)
    machine = Machine(tmp_path / "home", wire.url)
    attempts = [platform.lease(job("true")) for _ in range(2)]
    done = ended(platform, attempts)
    machine.live(Steps(None), done, rounds=after)
    setattr(wire, fault, True)
    machine.live(Steps(None), done, rounds=2)
    setattr(wire, fault, False)
    machine.live(Steps(None), done)
    told_once(platform, machine, attempts)
