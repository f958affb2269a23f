"""The engine without machines: what a simulation leans on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from suanwang.core.clock import SimulatedClock
from suanwang.core.jobspec import JobSpec
from suanwang.engines.memory import InMemoryEngine, Outcome
from suanwang.engines.port import EngineState, NodeFacts, Submission

START = datetime(2024, 5, 1, tzinfo=UTC)


def engine(plan: dict[str, Outcome]) -> tuple[InMemoryEngine, SimulatedClock]:
    clock = SimulatedClock(START)
    return InMemoryEngine(clock, [NodeFacts("n1", 8, 8192)], lambda key, _: plan[key]), clock


def submit(engine: InMemoryEngine, *keys: str) -> None:
    engine.submit([Submission(key, JobSpec(script="true", walltime_seconds=100)) for key in keys])


def test_ends_come_in_the_order_of_time_and_once() -> None:
    city, clock = engine({"a": Outcome(30), "b": Outcome(10), "c": Outcome(500)})
    submit(city, "a", "b", "c")

    assert city.next_end() == START + timedelta(seconds=10)
    clock.advance(timedelta(seconds=40))

    assert city.take_ended() == ["b", "a"]
    assert city.take_ended() == []
    assert city.next_end() == START + timedelta(seconds=100)
    clock.advance(timedelta(days=1))
    assert city.take_ended() == ["c"]
    assert city.observe(["c"])["c"].state is EngineState.TIMEOUT
    assert city.next_end() is None


def test_a_cancel_moves_the_end_forward() -> None:
    city, clock = engine({"a": Outcome(90)})
    submit(city, "a")
    clock.advance(timedelta(seconds=5))

    city.cancel(["a"], 0)

    assert city.take_ended() == ["a"]
    assert city.take_ended() == []
    assert city.usage(["a"])["a"].elapsed_seconds == 5


def test_a_job_that_never_started_used_nothing() -> None:
    city, clock = engine({"a": Outcome(90, starts_after_seconds=60)})
    submit(city, "a")
    clock.advance(timedelta(seconds=5))
    assert city.observe(["a"])["a"].state is EngineState.QUEUED

    city.cancel(["a"], 0)

    assert city.observe(["a"])["a"].state is EngineState.CANCELLED
    assert city.usage(["a"]) == {}


def test_an_end_may_be_other_than_the_exit_code_tells() -> None:
    city, clock = engine({"a": Outcome(5, exit_code=137, state=EngineState.OUT_OF_MEMORY)})
    submit(city, "a")
    clock.advance(timedelta(seconds=5))

    seen = city.observe(["a"])["a"]

    assert (seen.state, seen.exit_code, seen.signal) == (EngineState.OUT_OF_MEMORY, 137, 9)
