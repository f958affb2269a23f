"""What others use of a centre's nodes is never given away, and never planned to come back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang.placement import (
    Ask,
    Decisions,
    Machine,
    Memory,
    Policy,
    Room,
    Running,
    Snapshot,
    decide,
)
from suanwang.placement.city import City
from suanwang.placement.groups import fits
from suanwang.placement.others import of_others

from .placement_city import (
    HOUR,
    IN_LINE,
    NOW,
    ask,
    machine,
    run,
    started,
    summary,
    wait_of,
    where,
    why,
)
from .test_placement_invariants import jobs, machines, policies

FAST = settings(deadline=None, max_examples=60)
SLOW = settings(deadline=None, max_examples=25)


@st.composite
def uses(draw: Any, city: Sequence[Machine]) -> list[Machine]:
    """The same machines with others on some of them; now and then more than there is."""
    found = []
    for one in city:
        cores = draw(st.integers(0, one.whole.core_milli // 1000 + 1)) * 1000
        cards = draw(st.integers(0, one.whole.cards))
        use = draw(st.sampled_from([Room(0, 0), Room(cores, 0), Room(cores, 30, cards)]))
        found.append(replace(one, others=use))
    return found


def over(city: Sequence[Machine], running: Sequence[Running]) -> dict[int, tuple[int, int, int]]:
    """By machine, how many milli-cores, MiB and whole cards are left; by brute force.

    A card is left for others if nothing of ours is on it.
    """
    used: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    touched: dict[int, set[int]] = defaultdict(set)
    for each in running:
        for nth, on in enumerate(each.machine_ids):
            used[on][0] += each.room.core_milli
            used[on][1] += each.room.memory_mib
            touched[on] |= set(each.cards[nth] if each.cards else ())
    return {
        one.id: (
            one.whole.core_milli - one.others.core_milli - used[one.id][0],
            one.whole.memory_mib - one.others.memory_mib - used[one.id][1],
            one.whole.cards - one.others.cards - len(touched[one.id]),
        )
        for one in city
    }


def check_beside(
    city: Sequence[Machine], before: Sequence[Running], new: Sequence[Running]
) -> None:
    """Whatever was started fits beside what others use: of nothing it takes is less than nothing
    left. (Others may have come where ours ran before: then that part is less, and stays alone.)"""
    left = over(city, [*before, *new])
    touched = {
        (on, card)
        for each in before
        for on, of in zip(each.machine_ids, each.cards, strict=True)
        for card in of
    }
    for each in new:
        for on, cards in zip(each.machine_ids, each.cards, strict=True):
            assert min(left[on][:2]) >= 0, (on, left[on])
            if any((on, card) not in touched for card in cards):
                assert left[on][2] >= 0, (on, left[on])


@FAST
@given(st.data(), machines(), jobs(), policies)
def test_nothing_is_started_on_what_others_use(
    data: Any, city: list[Machine], queue: list[Ask], policy: Policy
) -> None:
    city = data.draw(uses(city))
    decisions = decide(Snapshot(city), queue, NOW, policy)
    by_id = {each.job_id: each for each in queue}
    runs = [started(placed, by_id[placed.job_id], NOW) for placed in decisions.placements]
    check_beside(city, [], runs)


@FAST
@given(st.data(), machines(), jobs())
def test_a_promised_start_never_counts_on_the_end_of_others(
    data: Any, city: list[Machine], queue: list[Ask]
) -> None:
    """A job on one machine that is promised a start fits beside what others use of it; one that
    fits nowhere beside them is promised none, and told why."""
    city = data.draw(uses(city))
    queue = [replace(each, nodes=1, spread="any") for each in queue]
    policy = replace(IN_LINE, reservations_max=99)
    by_name = {one.name: one for one in city}
    by_id = {each.job_id: each for each in queue}
    for wait in decide(Snapshot(city), queue, NOW, policy).waits:
        room = by_id[wait.job_id].room
        never = not any(fits(room, beside(one)) for one in city)
        if wait.starts_by is not None:
            assert fits(room, beside(by_name[str(wait.reason.facts["node"])]))
        if never and any(fits(room, one.whole) for one in city):
            assert (wait.reason.code, wait.starts_at) == ("wait_others_use", None)


def beside(one: Machine) -> Room:
    whole, others = one.whole, one.others
    return whole._replace(
        core_milli=whole.core_milli - others.core_milli,
        memory_mib=whole.memory_mib - others.memory_mib,
        cards=whole.cards - others.cards,
    )


def test_a_job_waits_for_others_in_words_and_starts_as_soon_as_they_are_gone() -> None:
    busy = machine(1, 16, others=Room(10_000, 100))
    queue = [ask(1, cores=8), ask(2, cores=6), ask(3, cores=17)]
    memory = Memory()
    decisions = decide(Snapshot([busy]), queue, NOW, IN_LINE, memory)
    assert where(decisions) == {2: 1}
    assert why(decisions) == {1: "wait_others_use", 3: "wait_no_machine_large_enough"}
    wait = wait_of(decisions, 1)
    assert (wait.starts_at, wait.starts_by) == (None, None)
    assert (wait.reason.facts["centre"], wait.reason.facts["short"]) == ("c1", 1)
    free = replace(busy, others=Room(0, 0))
    begun = started(decisions.placements[0], queue[1], NOW)
    decisions = decide(Snapshot([free], [begun]), [queue[0], queue[2]], NOW, IN_LINE, memory)
    assert where(decisions) == {1: 1}
    assert memory.rebuilt == 1, "what others use is no reason to look at the whole city anew"


def test_cards_others_hold_are_not_given_and_not_the_ones_ours_hold() -> None:
    held = run(9, 1, room=Room(1000, 10, 1), cards=((3,),))
    city = [machine(1, 16, 4, others=Room(0, 0, 2))]
    decisions = decide(Snapshot(city, [held]), [ask(1, cards=1), ask(2, cards=1)], NOW, IN_LINE)
    assert [placed.cards for placed in decisions.placements] == [((0,),)]
    assert of_others([1000, 1000, 1000, 0], 2) == [2, 1]


def test_of_more_than_there_is_ours_pay_back_first() -> None:
    """Others took what ours were sent for: when ours end, that is not free."""
    held = [run(8, 1, cores=4, hours=1), run(9, 1, cores=2, hours=3)]
    city = [machine(1, 8, others=Room(6000, 0))]
    decisions = decide(Snapshot(city, held), [ask(1, cores=2), ask(2, cores=3)], NOW, IN_LINE)
    assert wait_of(decisions, 1).starts_by == NOW + 3 * HOUR
    assert why(decisions)[2] == "wait_others_use"


def test_of_cards_too_ours_pay_back_first_and_a_promise_is_not_too_early() -> None:
    """Ours hold both cards and others one: when the first of ours ends, that one is theirs."""
    held = [
        run(8, 1, room=Room(1000, 10, 1), cards=((0,),), hours=1),
        run(9, 1, room=Room(1000, 10, 1), cards=((1,),), hours=3),
    ]
    city = [machine(1, 8, 2, others=Room(0, 0, 1))]
    memory, queue = Memory(), [ask(1, cards=1)]
    decisions = decide(Snapshot(city, held), queue, NOW, IN_LINE, memory)
    assert wait_of(decisions, 1).starts_by == NOW + 3 * HOUR
    later = [held[1]]
    assert not decide(Snapshot(city, later), queue, NOW, IN_LINE, memory).placements
    sooner = [replace(held[1], ends_by=NOW + 2 * HOUR)]
    decisions = decide(Snapshot(city, sooner), queue, NOW, IN_LINE, memory)
    assert wait_of(decisions, 1).starts_by == NOW + 2 * HOUR
    assert decide(Snapshot(city), queue, NOW, IN_LINE, memory).placements
    assert memory.rebuilt == 1


def test_a_gang_waits_for_others_where_too_few_machines_are_left() -> None:
    city = [machine(n, 8, others=Room(8000, 0) if n == 2 else Room(0, 0)) for n in (1, 2)]
    decisions = decide(Snapshot(city), [ask(1, cores=8, nodes=2)], NOW, IN_LINE)
    assert why(decisions) == {1: "wait_others_use"}


def test_of_a_summary_too_others_are_off_what_is_free() -> None:
    told = summary(2, 100, NOW, others=Room(90_000, 0))
    queue = [ask(1, cores=10), ask(2, cores=20)]
    decisions = decide(Snapshot([told]), queue, NOW, IN_LINE)
    assert where(decisions) == {1: 2}
    assert why(decisions) == {2: "wait_others_use"}


@SLOW
@given(
    st.data(), machines(4), jobs(), policies, st.lists(st.integers(1, 4), min_size=20, max_size=20)
)
def test_a_city_that_hears_of_others_is_as_one_made_anew(
    data: Any, city: list[Machine], queue: list[Ask], policy: Policy, parts: list[int]
) -> None:
    """Others come and go, ours start and end early: with memory and without, the same answers, and
    the same room and openings on every machine."""
    policy = replace(policy, packing="bestfit")
    coming = [
        replace(each, submitted_at=NOW + timedelta(minutes=17 * number))
        for number, each in enumerate(queue)
    ]
    memory, running, ends = Memory(), dict[Any, Running](), dict[Any, Any]()
    waiting: list[Ask] = []
    for step in range(10):
        now = NOW + step * HOUR / 2
        for job in [job for job, end in ends.items() if end <= now]:
            del running[job], ends[job]
        while coming and coming[0].submitted_at <= now:
            waiting.append(coming.pop(0))
        city = data.draw(uses(city))
        snapshot = Snapshot(city, list(running.values()))
        decisions = decide(snapshot, waiting, now, policy, memory)
        assert decisions == decide(snapshot, waiting, now, policy)
        waiting = _carry_out(decisions, waiting, now, city, running, ends, parts)
        kept = memory.city(Snapshot(city, list(running.values())), waiting, policy)
        _compare(kept, City(city, running=running.values(), policy=policy), now)
    assert memory.rebuilt == 1


def _carry_out(
    decisions: Decisions, waiting: list[Ask], now: Any, city: list[Machine],
    running: dict[Any, Running], ends: dict[Any, Any], parts: list[int],
) -> list[Ask]:  # fmt: skip
    by_id, new = {each.job_id: each for each in waiting}, []
    for placed in decisions.placements:
        one = by_id.pop(placed.job_id)
        new.append(started(placed, one, now))
        seconds = one.walltime_seconds * parts[one.job_id.int % len(parts)] // 4
        ends[one.job_id] = now + timedelta(seconds=seconds)
    check_beside(city, list(running.values()), new)
    running.update((each.job_id, each) for each in new)
    return list(by_id.values())


def _compare(kept: City, fresh: City, now: Any) -> None:
    """Room, debts and openings of every node."""
    second = int(now.timestamp())
    for one, other in zip(kept.arrays(), fresh.arrays(), strict=True):
        assert (one == other).all()
    assert (kept.others.owed == fresh.others.owed).all()
    assert (kept.others.total == fresh.others.total).all()
    for room in (Room(2000, 10), Room(1000, 10, 1), Room(1000, 10, 1, 300), Room(8000, 10, 2)):
        ours, theirs = (
            each.openings.when(room, np.arange(kept.nodes), second) for each in (kept, fresh)
        )
        assert (ours == theirs).all()
