"""A city lived through in the simulator: what happens to jobs, and that nothing is ever lost."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from suanwang import placement
from suanwang.placement import Policy
from suanwang.placement.simulator import baseline, policies
from suanwang.placement.simulator.events import Core
from suanwang.placement.simulator.journal import Journal
from suanwang.placement.simulator.measures import measure

from .small_city import EASY, centre, city, fates, hours, job, lived, making_room

STREAMS: list[dict[str, Any]] = [
    {"name": "train", "organisation": "a", "per_day": 120, "cards_choice": [1, 2, 4],
     "seconds": ["10m", "4h"], "over_estimate": [1.0, 3.0], "preemptible_share": 0.5,
     "checkpoint_every": "30m"},
    {"name": "gang", "organisation": "b", "per_day": 24, "nodes_choice": [2, 3], "cards": 2,
     "seconds": ["20m", "2h"], "over_estimate": [0.7, 2.0]},
    {"name": "share", "organisation": "c", "per_day": 100, "cards": 1, "card_milli": 300,
     "seconds": ["5m", "1h"], "priority": 1},
]  # fmt: skip
FRAGILE: dict[str, Any] = {
    "known": centre(3, failures={"mean_time": "2d", "repair": "1h"}),
    "summary": centre(2, summary_every=120, failures={"mean_time": "3d", "repair": "2h"}),
}
TROUBLE = [
    {"at": "6h", "what": "fail", "centre": "known", "node": "known-002", "lasts": "3h"},
    {"at": "8h", "what": "unheard", "centre": "known", "lasts": "1h"},
    {"at": "12h", "what": "fail", "centre": "summary", "lasts": "2h"},
]


@pytest.fixture(scope="module", params=[1, 2, 3])
def hard_day(request: pytest.FixtureRequest) -> Journal:
    """A day with gangs, shares of cards, failures, preemption and stale summaries."""
    scenario = city(centres=FRAGILE, events=TROUBLE, streams=STREAMS, seed=request.param)
    return lived(scenario, making_room, seed=request.param)


def test_on_a_hard_day_every_job_has_exactly_one_fate(hard_day: Journal) -> None:
    """The auditor closed its books (it raises otherwise), and looked at every start."""
    assert set(hard_day.fates) == {work.ask.job_id for work in hard_day.scenario.works}
    assert hard_day.audited > hard_day.starts
    assert hard_day.preemptions > 0
    assert hard_day.failures > 0
    assert hard_day.refused_starts > 0


def test_on_a_hard_day_no_job_runs_twice_at_a_time(hard_day: Journal) -> None:
    for one in hard_day.fates:
        mine = sorted((a.started_at, a.stopped_at) for a in hard_day.attempts if a.job_id == one)
        assert all(before[1] <= after[0] for before, after in pairwise(mine))


def test_on_a_hard_day_no_card_is_ever_held_beyond_its_whole(hard_day: Journal) -> None:
    """Counted again from the attempts alone, apart from the auditor."""
    for machine in hard_day.scenario.machines:
        moves = []
        for attempt in hard_day.attempts:
            times = attempt.machine_ids.count(machine.id)
            held = times * attempt.room.cards * attempt.room.card_milli
            moves += [(attempt.started_at, 1, held), (attempt.stopped_at, 0, -held)]
        held = 0
        for _, _, change in sorted(moves):
            held += change
            assert 0 <= held <= machine.whole.cards * 1000


@pytest.mark.parametrize("name", policies.NAMES)
def test_the_same_seed_gives_the_same_life_to_the_second(name: str) -> None:
    streams = [stream for stream in STREAMS if stream["name"] != "gang"]
    first, second = (
        lived(scenario, chosen.core, chosen.policy, seed=7)
        for scenario in (city(centres=FRAGILE, events=TROUBLE, streams=streams, seed=7),) * 2
        for chosen in (policies.named(name, scenario, seed=7),)
    )
    assert first.attempts == second.attempts
    assert first.fates == second.fates
    assert measure(first) == measure(second)


def test_ours_is_the_very_core_that_production_imports() -> None:
    core = policies.named("ours", city()).core
    assert isinstance(core, partial)
    assert core.func is placement.decide


def test_a_gang_starts_on_all_of_its_nodes_or_waits() -> None:
    journal = lived(city([job("first", cards=4), job("gang", nodes=2, cards=4, at=60)]))
    assert hours(journal, "gang")[0] == 1
    gang = next(a for a in journal.attempts if a.room.cards == 4 and len(a.machine_ids) == 2)
    assert len(set(gang.machine_ids)) == 2


def test_a_job_is_killed_at_its_walltime() -> None:
    journal = lived(city([job("long", seconds="5h"), job("exact", seconds="1h")]))
    assert fates(journal) == {"long": "timed_out", "exact": "done"}
    assert hours(journal, "long") == (0, 1)


def test_what_a_broken_node_kills_runs_again_until_the_limit() -> None:
    journal = lived(city([job("unlucky", seconds="61m", walltime="2h")],
                         centres={"one": centre(1)}, events=_every_hour()))  # fmt: skip
    assert fates(journal) == {"unlucky": "failed"}
    assert [a.why for a in journal.attempts] == ["node_failed"] * Policy().attempts_max


def _every_hour() -> list[dict[str, Any]]:
    return [
        {"at": f"{hour}h", "what": "fail", "centre": "one", "lasts": 60} for hour in range(1, 9)
    ]


def test_saved_work_is_not_done_again() -> None:
    wish = job("saves", seconds="90m", walltime="3h", checkpoint_every="10m")
    journal = lived(city([wish], centres={"one": centre(1)}, events=_every_hour()[:1]))
    assert hours(journal, "saves")[1] == pytest.approx(1 + 1 / 60 + 0.5)
    wish.pop("checkpoint_every")
    again = lived(city([wish], centres={"one": centre(1)}, events=_every_hour()[:1]))
    assert hours(again, "saves")[1] == pytest.approx(1 + 1 / 60 + 1.5)


def test_a_preempted_job_gives_way_after_its_grace_and_ends_later() -> None:
    scenario = city(
        [
            job("gives", cards=4, walltime="4h", seconds="2h", preemptible=True),
            job("urgent", cards=4, at="1h", walltime="1h", priority=1),
        ],
        centres={"one": centre(1)},
    )
    journal = lived(scenario, making_room)
    assert hours(journal, "urgent")[0] == pytest.approx(1 + 5 / 60)
    assert fates(journal) == {"gives": "done", "urgent": "done"}
    # it ran 65 minutes, all saved in its grace; 55 were left after the urgent one
    assert hours(journal, "gives")[1] == pytest.approx(3)


def test_who_comes_after_a_job_that_failed_is_blocked() -> None:
    jobs = [
        job("bad", seconds="2h"),
        job("then", after=["bad"]),
        job("later", after=["then"], at="3h"),
        job("good"),
        job("next", after=["good"]),
    ]
    journal = lived(city(jobs))
    assert fates(journal) == {
        "bad": "timed_out", "then": "blocked", "later": "blocked", "good": "done", "next": "done",
    }  # fmt: skip
    assert hours(journal, "next")[0] == 1


def test_nothing_starts_in_a_centre_that_is_not_heard_and_what_runs_there_runs_on() -> None:
    scenario = city(
        [job("runs", seconds="1h"), job("waits", at="30m")],
        events=[{"at": "10m", "what": "unheard", "centre": "one", "lasts": "2h"}],
    )
    journal = lived(scenario)
    assert hours(journal, "runs") == (0, 1)
    assert hours(journal, "waits")[0] == pytest.approx(2 + 1 / 6)


def test_a_refused_start_of_a_stale_summary_is_decided_anew() -> None:
    """Two nodes of 4 cards with 2 free each look like 4 free cards from afar."""
    scenario = city(
        [
            job("a", cards=2, walltime="2h", where={"centres": ["far"]}),
            job("b", cards=3, walltime="3h", where={"centres": ["far"]}),
            job("wide", cards=3, at=60),
        ],
        centres={"far": centre(2, summary_every=60), "near": centre(1)},
    )
    journal = lived(scenario)
    assert fates(journal) == {"a": "done", "b": "done", "wide": "done"}
    refused = city(
        [
            job("a", cards=2, walltime="2h"),
            job("b", cards=3, walltime="3h"),
            job("wide", cards=3, at=60),
        ],
        centres={"far": centre(2, summary_every=60)},
    )
    journal = lived(refused)
    assert journal.refused_starts > 0
    assert hours(journal, "wide")[0] == pytest.approx(2, abs=0.02)


def test_a_core_that_overfills_nodes_is_not_obeyed() -> None:
    """Decisions are carried out only where they hold; nothing is lost by it."""

    def greedy(snapshot: Any, queue: Any, now: Any, policy: Policy) -> placement.Decisions:
        target = snapshot.machines[0]
        reason = placement.Reason("placed_in_line")
        wide = [placement.Placement(a.job_id, (target,) * a.nodes, ((),) * a.nodes, reason)
                for a in queue]  # fmt: skip
        return placement.Decisions(wide, [])

    core: Core = greedy
    journal = lived(city([job(str(n), cards=3) for n in range(5)]), core)
    assert set(fates(journal).values()) == {"done"}
    assert journal.not_admitted > 0


def test_what_can_never_start_is_accounted_for() -> None:
    dear = {"core_hour_fen": "500", "gib_hour_fen": "1", "card_hour_fen": {"card-a": "1"}}
    wish = job("dear", cost_max_fen=1)
    journal = lived(city([wish], centres={"one": centre(1, prices=dear)}))
    assert fates(journal) == {"dear": "never_started"}


def test_cut_off_at_the_horizon_everyone_is_accounted_for() -> None:
    jobs = [
        job("done", cards=4, walltime="1h"),
        job("cut", cards=4, walltime="9h"),
        job("queued", cards=4, at="30m", walltime="9h"),
        job("unborn", at="5h"),
    ]
    journal = lived(city(jobs, centres={"one": centre(1)}), ends_after=timedelta(hours=2))
    assert fates(journal) == {
        "done": "done", "cut": "cut_off", "queued": "never_started", "unborn": "never_started",
    }  # fmt: skip


def test_a_job_that_runs_already_takes_only_what_is_left_of_it() -> None:
    running = [{**job("old", cards=4, walltime="3h", seconds="2h"), "on": ["one/one-001"],
                "started_at": -3600, "at": -7200}]  # fmt: skip
    journal = lived(city([job("new", cards=4)], centres={"one": centre(1)}, running=running))
    assert hours(journal, "new")[0] == 1


def test_costs_are_exact_and_follow_a_change_of_price() -> None:
    """100 fen a card-hour until 01:00, 50 after; a start is charged at the price it met."""
    prices = {"core_hour_fen": "0", "gib_hour_fen": "0", "card_hour_fen": {"card-a": "100"}}
    half = {**prices, "card_hour_fen": {"card-a": "50"}}
    scenario = city(
        [job("dear", cards=1, seconds=1801), job("cheap", cards=2, at="2h")],
        centres={"one": centre(1, prices=prices)},
        events=[{"at": "1h", "what": "price", "centre": "one", "prices": half}],
    )
    told = measure(lived(scenario))
    assert Fraction(100 * 1801, 3600) == Fraction(1801, 36)  # 50.03 fen
    assert told.cost_fen == 50 + 100


def test_energy_is_green_in_green_hours_and_by_share_in_the_others() -> None:
    night = centre(1, pue="1.5", green_share="0.25", green_hours=[0])
    told = measure(lived(city([job("one", seconds="1h"), job("two", at="1h")],
                              centres={"one": night})))  # fmt: skip
    assert told.kwh == pytest.approx(sum(c.kwh for c in told.centres))
    assert told.green_share == pytest.approx((1 + 0.25) / 2)


def test_measures_of_a_queue_worked_out_by_hand() -> None:
    jobs = [
        job("a", organisation="x", cards=4, walltime="1h"),
        job("b", organisation="y", cards=4, walltime="1h"),
    ]
    told = measure(lived(city(jobs, centres={"one": centre(1)})))
    assert (told.wait_seconds.mean, told.wait_seconds.most) == (1800, 3600)
    assert told.slowdown.mean == 1.5
    assert told.card_share == 1
    assert sorted(tenant.service for tenant in told.tenants) == [0.5, 1.0]
    assert told.jain == pytest.approx(1.5**2 / (2 * 1.25))
    assert told.worst_service == 0.5


def test_backfilling_never_delays_the_first_job_that_waits() -> None:
    """By walltimes: a later job passes only if it ends before the start that was kept."""
    jobs = [
        job("long", cards=3, walltime="4h"),
        job("wide", cards=4, at=60, walltime="1h"),
        job("short", cards=1, at=120, walltime="2h"),
        job("late", cards=1, at=180, walltime="5h"),
    ]
    strict = lived(
        city(jobs, centres={"one": centre(1)}), policy=policies.named("fcfs", city()).policy
    )
    easy = lived(city(jobs, centres={"one": centre(1)}), policy=EASY)
    assert hours(strict, "wide")[0] == hours(easy, "wide")[0] == 4
    assert hours(easy, "short")[0] == pytest.approx(2 / 60)
    assert hours(strict, "short")[0] == hours(easy, "late")[0] == 5


def test_shortest_first_lets_the_short_pass() -> None:
    jobs = [
        job("now", cards=4),
        job("long", cards=4, at=60, walltime="9h"),
        job("short", cards=4, at=120, walltime="10m"),
    ]
    sjf = policies.named("sjf", city()).policy
    journal = lived(city(jobs, centres={"one": centre(1)}), baseline.decide, sjf)
    assert hours(journal, "short")[0] < hours(journal, "long")[0]
