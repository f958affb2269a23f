"""Placement is a pure function that overfills nothing, starves nobody and says why."""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang.placement import (
    Ask,
    Card,
    Machine,
    Policy,
    Rates,
    Room,
    Running,
    Site,
    Snapshot,
    Where,
    decide,
)

NOW = datetime(2026, 3, 2, tzinfo=UTC)
IN_LINE = Policy(order="fcfs", backfill="easy", packing="bestfit")
CLUSTER = uuid.UUID(int=1)


def machine(number: int, cores: int = 16, cards: int = 0, **facts: Any) -> Machine:
    return Machine(
        **{
            "id": number,
            "name": f"n{number}",
            "cluster_id": CLUSTER,
            "site": Site(f"c{number}", grey_energy=Fraction(1)),
            "whole": Room(cores * 1000, 1000, cards),
            "card": Card("h20") if cards else None,
            "rates": Rates(Fraction(1, 3600), Fraction(0), Fraction(1)),
        }
        | facts
    )


def ask(number: int, cores: int = 1, cards: int = 0, hours: int = 1, **facts: Any) -> Ask:
    return Ask(
        **{
            "job_id": uuid.UUID(int=number),
            "room": Room(cores * 1000, 10, cards),
            "walltime_seconds": hours * 3600,
            "submitted_at": NOW - timedelta(hours=1) + timedelta(seconds=number),
            "goal": "cheapest",
            "cost_max_fen": 10**9,
        }
        | facts
    )


def running(machine_id: int, cores: int, ends_by: datetime) -> Running:
    return Running(uuid.UUID(int=1000), (machine_id,), Room(cores * 1000, 10, 0), ends_by)


def where(decisions: Any) -> dict[int, int]:
    return {placed.job_id.int: placed.machine.id for placed in decisions.placements}


def waits(decisions: Any) -> dict[int, str]:
    return {wait.job_id.int: wait.reason.code for wait in decisions.waits}


@pytest.mark.parametrize(
    ("goal", "expected"), [("cheapest", 1), ("greenest", 2), ("fastest", 3), ("balanced", 4)]
)
def test_the_goal_picks_the_centre(goal: str, expected: int) -> None:
    def rates(fen: int) -> Rates:
        return Rates(Fraction(fen), Fraction(0), Fraction(0))

    def site(number: int, grey_energy: int | str) -> Site:
        return Site(f"c{number}", grey_energy=Fraction(grey_energy))

    def card(gflops: int) -> Card:
        return Card("h20", gflops={"fp16": gflops})

    machines = [
        machine(1, cards=8, rates=rates(10), site=site(1, 3), card=card(1)),
        machine(2, cards=8, rates=rates(40), site=site(2, 1), card=card(1)),
        machine(3, cards=8, rates=rates(50), site=site(3, 3), card=card(3)),
        machine(4, cards=8, rates=rates(12), site=site(4, "1.1"), card=card(1)),
    ]
    decisions = decide(Snapshot(machines, []), [ask(1, cards=1, goal=goal)], NOW)
    assert where(decisions) == {1: expected}
    assert decisions.placements[0].reason.code == f"placed_{goal}"


def test_ties_go_to_the_tightest_fit_and_never_to_idle_cards() -> None:
    machines = [machine(1, cores=4, cards=8), machine(2, cores=64), machine(3, cores=8)]
    decisions = decide(Snapshot(machines, []), [ask(1, cores=4)], NOW)
    assert where(decisions) == {1: 3}


@pytest.mark.parametrize(
    ("facts", "wanted", "code"),
    [
        ({}, {"where": Where(centres=frozenset({"elsewhere"}))}, "wait_centre_takes_nothing"),
        ({}, {"cores": 99}, "wait_no_machine_large_enough"),
        ({"cards": 8}, {"cards": 1, "model": "t4"}, "wait_model_unknown"),
        ({"online": False}, {}, "wait_centre_offline"),
        ({"rates": Rates(None, Fraction(0), None)}, {}, "wait_price_unknown"),
        ({}, {"cores": 4, "cost_max_fen": 3}, "wait_price_above_hold"),
    ],
)
def test_what_cannot_start_says_which_condition_binds(
    facts: dict[str, Any], wanted: dict[str, Any], code: str
) -> None:
    decisions = decide(Snapshot([machine(1, **facts)], []), [ask(1, **wanted)], NOW)
    assert waits(decisions) == {1: code}
    assert decisions.waits[0].starts_at is None


def test_a_job_that_finds_no_room_is_told_the_latest_start() -> None:
    held = [running(1, 12, NOW + timedelta(hours=3))]
    decisions = decide(Snapshot([machine(1)], held), [ask(1, cores=8)], NOW)
    [wait] = decisions.waits
    assert (wait.reason.code, wait.starts_at) == ("wait_no_room", NOW + timedelta(hours=3))


def test_a_short_job_may_pass_a_large_one_only_if_it_puts_it_off_by_nothing() -> None:
    held = [running(1, 8, NOW + timedelta(hours=2))]
    queue = [
        ask(1, cores=16),
        ask(2, cores=8, hours=2),
        ask(3, cores=4, hours=1),
        ask(4, cores=8, hours=3),
    ]
    decisions = decide(Snapshot([machine(1)], held), queue, NOW, IN_LINE)
    assert where(decisions) == {2: 1}
    assert waits(decisions) == {1: "wait_no_room", 3: "wait_in_line", 4: "wait_in_line"}

    late = decide(Snapshot([machine(1)], held), [queue[0], queue[3]], NOW, IN_LINE)
    assert waits(late) == {1: "wait_no_room", 4: "wait_room_kept"}


def test_a_long_job_may_use_what_the_reservation_leaves_over() -> None:
    held = [running(1, 8, NOW + timedelta(hours=2))]
    queue = [ask(1, cores=12), ask(2, cores=4, hours=9), ask(3, cores=4, hours=9)]
    decisions = decide(Snapshot([machine(1)], held), queue, NOW, IN_LINE)
    assert where(decisions) == {2: 1}
    assert waits(decisions)[3] == "wait_room_kept"


rooms = st.tuples(st.integers(1, 20), st.integers(0, 4), st.integers(1, 5))


@settings(deadline=None)  # compiling takes longer than any case
@given(
    machines=st.lists(st.tuples(st.integers(1, 16), st.integers(0, 4)), max_size=5),
    queue=st.lists(rooms, max_size=25),
)
def test_no_machine_is_ever_overfilled_and_every_job_gets_exactly_one_answer(
    machines: list[tuple[int, int]], queue: list[tuple[int, int, int]]
) -> None:
    pool = [machine(number, cores, cards) for number, (cores, cards) in enumerate(machines)]
    asks = [ask(number, cores, cards, hours) for number, (cores, cards, hours) in enumerate(queue)]
    decisions = decide(Snapshot(pool, []), asks, NOW)

    used: dict[int, list[Room]] = defaultdict(list)
    by_id = {each.job_id: each for each in asks}
    for placed in decisions.placements:
        used[placed.machine.id].append(by_id[placed.job_id].room)
    for each in pool:
        for part in range(3):
            assert sum(room[part] for room in used[each.id]) <= each.whole[part]
    answered = [p.job_id for p in decisions.placements] + [w.job_id for w in decisions.waits]
    assert sorted(answered) == sorted(by_id)
    assert decide(Snapshot(pool, []), asks[::-1], NOW) == decisions
