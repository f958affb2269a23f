"""Whatever the city and the queue: nothing overfilled, nobody forgotten, no kept start put off."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang.placement import Ask, Machine, Memory, Policy, Room, Site, Snapshot, decide

from .placement_city import HOUR, IN_LINE, NOW, Life, ask, check_capacity, machine, run, started

FAST = settings(deadline=None, max_examples=60)
SLOW = settings(deadline=None, max_examples=25)


@st.composite
def machines(draw: Any, most: int = 6) -> list[Machine]:
    shapes = st.tuples(st.integers(1, 12), st.integers(0, 4), st.integers(0, 2), st.integers(1, 3))
    sites = {number: Site(f"c{number}") for number in range(1, 4)}
    return [
        machine(number, cores, cards, rack=f"r{rack}" if rack else "", site=sites[centre])
        for number, (cores, cards, rack, centre) in enumerate(
            draw(st.lists(shapes, min_size=1, max_size=most))
        )
    ]


@st.composite
def jobs(draw: Any, most: int = 20) -> list[Ask]:
    def job(number: int) -> Ask:
        cards = draw(st.integers(0, 3))
        milli = draw(st.sampled_from([1000, 1000, 500, 300])) if cards == 1 else 1000
        return ask(
            number,
            room=Room(draw(st.integers(1, 8)) * 1000, 10, cards, milli),
            hours=draw(st.integers(1, 5)),
            nodes=draw(st.sampled_from([1, 1, 1, 2, 3])),
            spread=draw(st.sampled_from(["any", "centre", "rack", "node"])),
            goal=draw(st.sampled_from(["cheapest", "fastest", "greenest", "balanced"])),
            organisation=draw(st.sampled_from(["a", "b"])),
            priority=draw(st.integers(0, 2)),
            preemptible=draw(st.booleans()),
        )

    return [job(number) for number in range(draw(st.integers(0, most)))]


policies = st.builds(
    Policy,
    order=st.sampled_from(["ours", "fcfs", "sjf"]),
    fair=st.booleans(),
    backfill=st.sampled_from(["none", "easy", "pair", "conservative"]),
    packing=st.sampled_from(["ours", "bestfit"]),
    reservations_max=st.integers(0, 5),
)


@FAST
@given(machines(), jobs(), policies)
def test_every_job_gets_one_answer_and_no_machine_too_much(
    city: list[Machine], queue: list[Ask], policy: Policy
) -> None:
    decisions = decide(Snapshot(city), queue, NOW, policy)
    by_id = {each.job_id: each for each in queue}
    answered = [p.job_id for p in decisions.placements] + [w.job_id for w in decisions.waits]
    assert sorted(answered) == sorted(by_id)
    runs = [started(p, by_id[p.job_id], NOW) for p in decisions.placements]
    check_capacity(city, runs)
    for each in runs:
        wanted = by_id[each.job_id]
        assert len(each.machine_ids) == len(each.cards) == wanted.nodes
        alone = 1 if wanted.spread == "node" else wanted.nodes
        assert len(set(each.machine_ids)) == alone
        if wanted.spread == "rack" and wanted.nodes > 1:
            assert len({city[one].rack for one in each.machine_ids}) == 1


@FAST
@given(machines(), jobs(), policies, st.randoms(use_true_random=False))
def test_the_order_of_the_list_does_not_matter(
    city: list[Machine], queue: list[Ask], policy: Policy, chance: Any
) -> None:
    mixed = list(queue)
    chance.shuffle(mixed)
    assert decide(Snapshot(city), mixed, NOW, policy) == decide(Snapshot(city), queue, NOW, policy)


@FAST
@given(machines(), jobs(), st.integers(0, 20))
def test_no_later_job_puts_off_a_start_that_was_kept(
    city: list[Machine], queue: list[Ask], ahead: int
) -> None:
    """In turn by submission, what a job is told does not depend on those behind it."""
    queue = [replace(each, priority=0) for each in queue]
    alone = decide(Snapshot(city), queue[:ahead], NOW, IN_LINE)
    together = decide(Snapshot(city), queue, NOW, IN_LINE)
    first = {each.job_id for each in queue[:ahead]}
    assert [p for p in together.placements if p.job_id in first] == alone.placements
    assert [w for w in together.waits if w.job_id in first] == alone.waits


@FAST
@given(machines(), jobs())
def test_what_is_started_and_kept_fits_together_at_every_instant(
    city: list[Machine], queue: list[Ask]
) -> None:
    """Every promise at once, each job on its machine from its start for its walltime."""
    kinds = [Room(4000, 10), Room(6000, 10), Room(2000, 10, 1)]
    queue = [
        replace(each, nodes=1, spread="any", goal="cheapest", room=kinds[each.room.cards % 3])
        for each in queue
    ]
    by_id = {each.job_id: each for each in queue}
    decisions = decide(Snapshot(city), queue, NOW, replace(IN_LINE, reservations_max=99))
    spans = [(p.machine.name, NOW, by_id[p.job_id]) for p in decisions.placements]
    spans += [
        (str(w.reason.facts["node"]), w.starts_by, by_id[w.job_id])
        for w in decisions.waits
        if w.starts_by is not None
    ]
    for one in city:
        there = [(start, each) for name, start, each in spans if name == one.name]
        for instant, _ in there:
            at_once = [
                each.room
                for start, each in there
                if start <= instant < start + timedelta(seconds=each.walltime_seconds)
            ]
            assert sum(room.core_milli for room in at_once) <= one.whole.core_milli
            assert sum(room.memory_mib for room in at_once) <= one.whole.memory_mib
            assert sum(room.cards for room in at_once) <= one.whole.cards


def test_a_share_of_a_card_does_not_take_a_card_that_is_kept() -> None:
    """Three cards: half of the first is in use for an hour, half of the last for days. Two whole
    ones are kept for in an hour; a share of long duration may only join the last."""
    half, days = Room(1000, 10, 1, 500), 99 * HOUR
    held = [
        run(100, 1, room=Room(12_000, 10, 1, 500), cards=((0,),), ends_by=NOW + HOUR),
        run(101, 1, room=half, cards=((2,),), ends_by=NOW + days),
    ]
    queue = [ask(1, cores=12, cards=2, hours=2), ask(2, room=half, hours=9)]
    decisions = decide(Snapshot([machine(1, 16, 3)], held), queue, NOW, IN_LINE)
    assert decisions.waits[0].starts_by == NOW + HOUR
    assert [p.cards for p in decisions.placements] in ([], [((2,),)])


@SLOW
@given(jobs(12), st.integers(4, 12), st.integers(0, 4))
def test_on_one_machine_nobody_starts_later_than_first_told(
    queue: list[Ask], cores: int, cards: int
) -> None:
    queue = [replace(each, priority=0) for each in queue]
    life = Life([machine(0, cores, cards)], queue, IN_LINE)
    life.live(NOW)
    assert all(life.start[job] <= by for job, by in life.told.items())


@SLOW
@given(machines(), jobs(), policies, st.lists(st.integers(1, 4), min_size=20, max_size=20))
def test_a_core_with_memory_decides_as_one_without(
    city: list[Machine], queue: list[Ask], policy: Policy, parts: list[int]
) -> None:
    """Jobs come over hours and end early; at every step both are asked the same."""
    policy = replace(policy, packing="bestfit")
    coming = [
        replace(each, submitted_at=NOW + timedelta(minutes=17 * number))
        for number, each in enumerate(queue)
    ]
    seconds = {
        each.job_id: each.walltime_seconds * part // 4
        for each, part in zip(coming, parts, strict=False)
    }
    memory = Memory()
    life = Life(city, coming, policy, memory, seconds)
    for step in range(16):
        now = NOW + step * HOUR / 2
        before = dict(life.running), list(life.queue), list(life.coming), dict(life.ends)
        twin = Life(city, [], policy, None, seconds)
        twin.running, twin.ends = dict(before[0]), dict(before[3])
        twin.queue, twin.coming = list(before[1]), list(before[2])
        assert life.step(now) == twin.step(now)
        check_capacity(city, life.running.values())
    assert memory.rebuilt == 1
