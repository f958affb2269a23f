"""Whose turn it is: held back, class, starvation, shares, quotas; and who gives way."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang.placement import Machine, Policy, Quota, Running, Site, Snapshot, decide

from .placement_city import (
    HOUR,
    IN_LINE,
    NOW,
    Life,
    ask,
    job_id,
    machine,
    run,
    wait_of,
    where,
    why,
)

PLAIN = Policy(order="fcfs", packing="bestfit", helps=False)


def test_jobs_come_after_those_they_name() -> None:
    queue = [
        ask(1, after=(job_id(101),)),
        ask(2, after=(job_id(102),)),
        ask(3, after=(job_id(1),)),
        ask(4, after=(job_id(99),)),
        ask(5, after=(job_id(6),)),
        ask(6, after=(job_id(7),)),
        ask(7, after=(job_id(5),)),
        ask(8, after=(job_id(5),)),
    ]
    ended = {job_id(101): True, job_id(102): False}
    decisions = decide(Snapshot([machine(1)], ended=ended), queue, NOW)
    assert where(decisions) == {1: 1}
    assert why(decisions) == {
        2: "wait_after_failed",
        3: "wait_after",
        4: "wait_after_unknown",
        5: "wait_after_itself",
        6: "wait_after_itself",
        7: "wait_after_itself",
        8: "wait_after",
    }


def test_a_job_is_not_started_before_it_asked_to_be_nor_tried_for_ever() -> None:
    queue = [ask(1, not_before=NOW + HOUR), ask(2, attempt=4), ask(3, attempt=3)]
    decisions = decide(Snapshot([machine(1)]), queue, NOW)
    assert why(decisions) == {1: "wait_not_before", 2: "wait_attempts_spent"}
    assert wait_of(decisions, 1).starts_at == NOW + HOUR
    assert where(decisions) == {3: 1}


def test_what_may_be_deferred_waits_for_green_power_as_long_as_its_deadline_is_kept() -> None:
    city = [machine(1, site=Site("c1", green_hours=frozenset({3})))]

    def asked(**facts: Any) -> Any:
        return decide(Snapshot(city), [ask(1, deferrable=True, **facts)], NOW)

    waits = asked()
    assert why(waits) == {1: "wait_green_hour"}
    assert wait_of(waits, 1).starts_at == NOW + 3 * HOUR
    assert why(asked(deadline=NOW + 4 * HOUR)) == {1: "wait_green_hour"}
    assert where(asked(deadline=NOW + 3.5 * HOUR)) == {1: 1}
    assert where(asked(submitted_at=NOW - 22 * HOUR)) == {1: 1}
    green = decide(Snapshot(city), [ask(1, deferrable=True)], NOW + 3 * HOUR)
    assert where(green) == {1: 1}
    assert where(decide(Snapshot([machine(1)]), [ask(1, deferrable=True)], NOW)) == {1: 1}


def test_a_deadline_that_will_be_missed_is_told() -> None:
    soon = NOW + HOUR / 2
    queue = [
        ask(1, cores=8, deadline=soon),
        ask(2, cores=8, deadline=soon, expected_seconds=60),
        ask(3, cores=8, deadline=soon),
    ]
    decisions = decide(Snapshot([machine(1)]), queue, NOW, PLAIN)
    told = {p.job_id.int: [w.code for w in p.warnings] for p in decisions.placements}
    assert told == {1: ["warn_deadline_missed"], 2: ["warn_deadline_at_risk"]}
    assert [w.code for w in wait_of(decisions, 3).warnings] == ["warn_deadline_missed"]


def test_a_higher_class_goes_first_and_in_a_class_who_starves() -> None:
    queue = [
        ask(1, cores=16),
        ask(2, cores=16, priority=1),
        ask(3, cores=16, submitted_at=NOW - timedelta(days=4)),
    ]
    small = replace(ask(4, cores=16, hours=1), expected_seconds=1)
    decisions = decide(Snapshot([machine(1), machine(2)]), [*queue, small], NOW, Policy())
    assert set(where(decisions)) == {2, 3}


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 6)), min_size=10, max_size=30))
def test_a_starving_job_is_not_passed_for_its_machine(
    small: list[tuple[int, int]],
) -> None:
    """Small jobs keep coming, each ahead by the order; the large one starts when what ran as it
    began to starve is over."""
    policy = replace(PLAIN, order="sjf", fair=False, backfill="easy", reservations_max=0)
    large = ask(1000, cores=8, hours=48, submitted_at=NOW)
    coming = [
        ask(n, cores, hours=hours, submitted_at=NOW + n * HOUR)
        for n, (cores, hours) in enumerate(small * 4)
    ]
    life = Life([machine(1, 8)], [large, *coming], replace(policy, starving_after=12 * HOUR))
    life.live(NOW - HOUR)
    assert life.start[large.job_id] <= NOW + (12 + 6 + 1) * HOUR


def test_of_like_jobs_the_one_that_may_end_at_once_goes_first() -> None:
    like = {"cores": 64, "walltime_seconds": 3600, "expected_seconds": 1800}
    queue = [ask(1, **like), ask(2, harmonic_seconds=60, **like)]
    decisions = decide(Snapshot([machine(1, cores=64)]), queue, NOW, Policy(helps=False))
    assert where(decisions) == {2: 1}


@pytest.mark.parametrize("weight", [1, 3])
def test_two_that_always_ask_come_to_share_by_their_weights(weight: int) -> None:
    """One asked for all of it for two days before the other came; then both ask without end."""
    policy = replace(PLAIN, weights={"b": Fraction(weight)}, share_half_life=HOUR * 12)
    life = Life([machine(1, 8)], [], policy)
    got = {"a": 0.0, "b": 0.0}
    life.usage = {"a": 48 * 3600 * 0.5, "b": 0.0}
    for hour in range(24 * 8):
        now = NOW + hour * HOUR
        number = hour * 100
        for name in ("a", "b"):
            mine = sum(each.organisation == name for each in life.queue)
            for nth in range(8 - mine):
                number += 1
                life.queue.append(
                    ask(number, organisation=name, submitted_at=now, hours=1 + nth % 2)
                )
        life.step(now)
        for name in ("a", "b"):
            share = sum(r.organisation == name for r in life.running.values()) / 8
            life.usage[name] = life.usage[name] * 2 ** (-1 / 12) + share * 3600
            if hour >= 48:
                got[name] += share
    assert math.isclose(got["b"] / got["a"], weight, rel_tol=0.1)


def test_fair_shares_count_the_resource_asked_for_most() -> None:
    """``a`` asks for cores, ``b`` for cards: each is given as many parts of what it wants."""
    city = [machine(1, 12, 4)]
    queue = [ask(n, cores=3, organisation="a") for n in range(4)]
    queue += [ask(10 + n, cores=1, cards=1, organisation="b") for n in range(4)]
    started = where(decide(Snapshot(city), queue, NOW, PLAIN))
    assert sum(n < 10 for n in started) == 3
    assert sum(n >= 10 for n in started) == 3


def quotas(**facts: Any) -> Policy:
    return replace(
        PLAIN,
        quotas=(Quota("a", "x", 8000, 0, **facts), Quota("b", "x", 8000, 0, **facts)),
    )


def busy(**facts: Any) -> list[Running]:
    """Four jobs of four cores of ``b``, which is sure of two of them."""
    return [run(100 + n, 1, 4, hours=9, organisation="b", **facts) for n in range(4)]


def test_what_others_do_not_use_may_be_borrowed_if_both_may() -> None:
    queue = [ask(n, cores=4, organisation="b") for n in range(5)]
    city = Snapshot([machine(1, 64)])
    assert len(where(decide(city, queue, NOW, quotas()))) == 4
    assert why(decide(city, queue, NOW, quotas())) == {4: "wait_cohort"}
    refused = why(decide(city, queue, NOW, quotas(borrow=False)))
    assert refused == {2: "wait_quota", 3: "wait_quota", 4: "wait_quota"}
    assert len(where(decide(city, queue, NOW, quotas(lend=False)))) == 2


def test_a_wait_for_quota_tells_what_is_used_of_it() -> None:
    decisions = decide(
        Snapshot([machine(1, 64)], busy()), [ask(1, organisation="b")], NOW, quotas()
    )
    reason = wait_of(decisions, 1).reason
    assert reason.code == "wait_cohort"
    assert (reason.facts["used_cores"], reason.facts["quota_cores"]) == ("16", "8")


@pytest.mark.parametrize("cores", [16, 64])
def test_what_was_lent_is_taken_back_and_no_more(cores: int) -> None:
    """Whether the machines are full or only the quotas."""
    city = [machine(1, cores)]
    queue = [ask(1, cores=4, organisation="a")]
    lent = Snapshot(city, busy(preemptible=True))
    decisions = decide(lent, queue, NOW, quotas())
    [told] = decisions.preemptions
    assert (told.for_job_id, told.reason.code) == (job_id(1), "preempted_for_quota")
    kept = decide(Snapshot(city, busy(preemptible=False)), queue, NOW, quotas())
    assert kept.preemptions == []
    own = decide(lent, [ask(1, cores=12, organisation="a")], NOW, quotas())
    assert own.preemptions == []


def test_only_a_higher_class_makes_others_give_way_and_only_as_many_as_needed() -> None:
    def held(*classes: int) -> Snapshot:
        runs = [
            run(100 + n, 1, 4, hours=9, priority=one, preemptible=True)
            for n, one in enumerate(classes)
        ]
        return Snapshot([machine(1, 16)], runs)

    def stopped(snapshot: Snapshot, cores: int, priority: int) -> list[int]:
        decisions = decide(snapshot, [ask(1, cores, priority=priority)], NOW, PLAIN)
        return sorted(each.job_id.int for each in decisions.preemptions)

    assert stopped(held(0, 1, 2, 1), 4, 1) == [100]
    assert stopped(held(0, 1, 2, 1), 8, 2) in ([100, 101], [100, 103])
    assert stopped(held(0, 1, 2, 1), 16, 2) == []
    assert stopped(held(1, 1, 1, 1), 4, 1) == []
    small = run(100, 1, 4, hours=9, preemptible=True)
    large = run(101, 1, 12, hours=9, preemptible=True)
    assert stopped(Snapshot([machine(1, 16)], [small, large]), 12, 1) == [101]


def test_nobody_gives_way_if_the_job_starts_as_early_without_it() -> None:
    soon = run(100, 1, 16, ends_by=NOW + timedelta(minutes=4), preemptible=True)
    decisions = decide(Snapshot([machine(1)], [soon]), [ask(1, cores=4, priority=1)], NOW, PLAIN)
    assert decisions.preemptions == []
    later = replace(soon, ends_by=NOW + HOUR)
    decisions = decide(Snapshot([machine(1)], [later]), [ask(1, cores=4, priority=1)], NOW, PLAIN)
    assert [each.job_id for each in decisions.preemptions] == [soon.job_id]
    assert wait_of(decisions, 1).starts_by == NOW + PLAIN.preempt_grace
    assert why(decisions) == {1: "wait_preempting"}


@settings(deadline=None, max_examples=60)
@given(
    running=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 8), st.integers(0, 2), st.booleans()),
        max_size=8,
    ),
    queue=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 3), st.integers(1, 2)), max_size=5),
)
def test_every_one_that_gives_way_is_of_a_lower_class_and_needed(
    running: list[tuple[int, int, int, bool]], queue: list[tuple[int, int, int]]
) -> None:
    city: list[Machine] = [machine(n, 8) for n in range(3)]
    held: list[Running] = []
    for number, (on, cores, priority, stoppable) in enumerate(running):
        used = sum(each.room.core_milli for each in held if each.machine_ids == (on,))
        if used + cores * 1000 <= 8000:
            held.append(run(100 + number, on, cores, 5, priority=priority, preemptible=stoppable))
    asks = [ask(n, cores, priority=p, nodes=k) for n, (cores, p, k) in enumerate(queue)]
    decisions = decide(Snapshot(city, held), asks, NOW, IN_LINE)
    by_id = {each.job_id: each for each in [*held]}
    wanted = {each.job_id: each for each in asks}
    told = [each.job_id for each in decisions.preemptions]
    assert len(set(told)) == len(told)
    for each in decisions.preemptions:
        assert by_id[each.job_id].preemptible
        assert by_id[each.job_id].priority < wanted[each.for_job_id].priority
        assert each.for_job_id not in {p.job_id for p in decisions.placements}
    for job in {each.for_job_id for each in decisions.preemptions}:
        mine = [each.job_id for each in decisions.preemptions if each.for_job_id == job]
        starts_by = wait_of(decisions, job.int).starts_by
        assert starts_by is not None and starts_by <= NOW + IN_LINE.preempt_grace
        for spared in mine:
            free = dict.fromkeys(range(3), 8000)
            for each_held in held:
                if each_held.job_id not in mine or each_held.job_id == spared:
                    free[each_held.machine_ids[0]] -= each_held.room.core_milli
            for placed in decisions.placements:
                for each_machine in placed.machines:
                    free[each_machine.id] -= wanted[placed.job_id].room.core_milli
            on = by_id[spared].machine_ids[0]
            assert free[on] < wanted[job].room.core_milli
