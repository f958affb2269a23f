"""What production recorded, the simulator's core decides again; and notices where it would not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from suanwang import placement
from suanwang.core.errors import Refused
from suanwang.placement import Ask, Decisions, Policy, Snapshot
from suanwang.placement.simulator.build import scenario_of
from suanwang.placement.simulator.export import city_of
from suanwang.placement.simulator.problems import Problems
from suanwang.placement.simulator.reading import read_city
from suanwang.placement.simulator.recording import Recorder, plain, read, replay, value_of

from .small_city import centre, city, lived, making_room

STREAMS = [
    {"organisation": "a", "per_day": 150, "cards_choice": [0, 1, 2, 4], "seconds": ["10m", "3h"],
     "preemptible_share": 0.5, "priority": 1, "where": {"tiers": ["park"]}},
    {"organisation": "b", "per_day": 60, "nodes_choice": [1, 2], "card_milli": 250, "cards": 1,
     "seconds": ["20m", "2h"], "over_estimate": [1, 2], "preemptible_share": 1, "image": True},
]  # fmt: skip


class Recorded:
    """A core that is recorded as it decides."""

    def __init__(self, core: object) -> None:
        self._core, self._recorder = core, Recorder()
        self.lines: list[str] = []

    def __call__(
        self, snapshot: Snapshot, queue: Sequence[Ask], now: datetime, policy: Policy
    ) -> Decisions:
        decisions: Decisions = self._core(snapshot, queue, now, policy)  # type: ignore[operator]
        self.lines += self._recorder.lines(snapshot, queue, now, policy, decisions)
        return decisions


def _recorded(core: object) -> list[str]:
    centres = {
        "known": centre(2, tier="park", images=True, failures={"mean_time": "1d", "repair": "1h"}),
        "summary": centre(1, tier="park", summary_every=1800),
    }
    recorded = Recorded(core)
    lived(
        city(centres=centres, streams=STREAMS, stream_days=0.4),
        recorded,
        seed=1,
        ends_after=timedelta(hours=10),
    )
    return recorded.lines


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return _recorded(placement.decide)


def test_a_recorded_day_is_decided_again_alike(lines: list[str]) -> None:
    told = [differences for _, differences in replay(read(lines), placement.decide)]
    assert len(told) > 50
    assert not any(told)


def test_placements_gangs_and_preemptions_survive_the_way_through_text() -> None:
    lines = _recorded(making_room)
    steps = list(read(lines))
    assert any(step.decisions.preemptions for step in steps)
    assert any(len(one.machines) > 1 for step in steps for one in step.decisions.placements)
    assert not any(differences for _, differences in replay(steps, making_room))


def test_a_core_that_decides_otherwise_is_found_job_by_job(lines: list[str]) -> None:
    def lazy(s: Snapshot, q: Sequence[Ask], now: datetime, p: Policy) -> Decisions:
        decisions = placement.decide(s, q, now, p)
        return Decisions(decisions.placements[1:], decisions.waits)

    found = [one for _, differences in replay(read(lines), lazy) for one in differences]
    assert found
    assert {one.decided for one in found} == {"—"}


def test_everything_asked_of_the_core_is_told_back_as_it_was() -> None:
    seen: list[tuple[Snapshot, list[Ask], datetime, Policy]] = []

    def keeping(s: Snapshot, q: Sequence[Ask], now: datetime, p: Policy) -> Decisions:
        seen.append((s, list(q), now, p))
        return placement.decide(s, q, now, p)

    steps = list(read(_recorded(keeping)))
    assert len(steps) == len(seen)
    for step, (snapshot, queue, now, policy) in zip(steps, seen, strict=True):
        assert list(step.snapshot.machines) == list(snapshot.machines)
        assert list(step.snapshot.running) == list(snapshot.running)
        assert step.snapshot.usage == snapshot.usage
        assert (list(step.queue), step.now, step.policy) == (queue, now, policy)


def test_what_seldom_changes_is_written_once(lines: list[str]) -> None:
    names = [next(k for k in json.loads(line) if k != "is") for line in lines if '"is":' in line]
    assert names.count("policy") == 1
    steps = sum(1 for _ in read(lines))
    assert names.count("machines") < steps


def _broken(lines: list[str]) -> Iterator[list[str]]:
    yield []
    yield lines[1:]
    yield ["{}", *lines[1:]]
    yield [lines[0], "not json"]
    yield [lines[0], "[1, 2]"]
    yield [lines[0], '{"is": 1}']
    yield [lines[0], '{"machines": "x", "is": [{"id": "one"}]}']
    yield [line for line in lines if '"policy":"' not in line or '"is"' not in line]


def test_a_recording_with_a_gap_is_refused_with_its_line(lines: list[str]) -> None:
    for broken in _broken(lines):
        with pytest.raises(Refused) as raised:
            list(read(broken))
        assert raised.value.code == "recording_unreadable"


def test_a_policy_and_its_quotas_survive_the_way_through_text() -> None:
    policy = Policy(quotas=[placement.Quota("a", "city", 1000, 2000, borrow=False)], seed=3)
    told = value_of(Policy, json.loads(json.dumps(plain(policy))))
    assert list(told.quotas) == list(policy.quotas)
    assert told.seed == 3


def test_the_exported_city_decides_as_the_live_one(lines: list[str]) -> None:
    """What runs and waits goes into a document and out again; the next decision is the same."""
    steps = list(read(lines))
    busiest = max(steps, key=lambda step: len(step.snapshot.running) + len(step.queue))
    assert busiest.queue
    assert busiest.snapshot.running
    known = [m for m in busiest.snapshot.machines if m.summary_at is None]
    names = {machine.id for machine in known}
    running = [r for r in busiest.snapshot.running if names.issuperset(r.machine_ids)]
    snapshot = replace(busiest.snapshot, machines=known, running=running)
    text = json.dumps(
        dict(city_of(snapshot, busiest.queue, busiest.now, busiest.policy).as_document())
    )
    document, left_out = read_city(text, "refuse")
    assert left_out == []
    problems = Problems("skip")
    scenario = scenario_of(document, problems)
    assert {one.code for one in problems.found} <= {"job_impossible"}  # gangs need the summary
    assert len(scenario.begun) == len(running)
    asked: list[tuple[Snapshot, list[Ask]]] = []

    def seeing(s: Snapshot, q: Sequence[Ask], now: datetime, p: Policy) -> Decisions:
        asked.append((s, list(q)))
        return placement.decide(s, q, now, p)

    lived(scenario, seeing, policy=busiest.policy, ends_after=timedelta(seconds=1))
    again, queue = asked[0]
    left = {ask.job_id for ask in queue}
    live = placement.decide(
        snapshot, [a for a in busiest.queue if a.job_id in left], busiest.now, busiest.policy
    )
    told = placement.decide(again, queue, busiest.now, busiest.policy)
    assert {p.job_id: p.machine.name for p in told.placements} == {
        p.job_id: p.machine.name for p in live.placements
    }
    assert {w.job_id: w.starts_at for w in told.waits} == {
        w.job_id: w.starts_at for w in live.waits
    }
