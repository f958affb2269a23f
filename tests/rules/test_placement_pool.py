"""The pool: never overfilled, never unsettled by what it keeps, and learning what is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanwang.placement.kernels import packing as loops
from suanwang.placement.packing.counts import Counts
from suanwang.placement.packing.worth import SIZES, worth_of_rests
from suanwang.placement.pool import OBJECTIVES, Need, Pool, richest_first

NEEDS = [
    Need(2000, 4096),
    Need(4000, 8192, 1, 300),
    Need(4000, 8192, 1, 470),
    Need(8000, 8192, 1, 810),
    Need(6000, 16384, 1, 1000),
    Need(16000, 8192, 2, 1000),
    Need(24000, 8192, 4, 600),
    Need(30000, 8192, 8, 1000),
    Need(4000, 8192, 1, 500, (1,)),
    Need(8000, 8192, 2, 1000, (0, 2)),
]
LARGE = Need(64000, 65536, 8, 1000)


def _pool(policy: str = "ours") -> Pool:
    sizes = [(64000, 8), (96000, 8), (32000, 4), (64000, 2), (16000, 0)] * 3
    cores = [size[0] for size in sizes]
    cards = [size[1] for size in sizes]
    return Pool(
        cores_milli=cores,
        memory_mib=[131072] * len(sizes),
        cards=cards,
        group=[at % 3 for at in range(len(sizes))],
        order=richest_first(cores, cards, np.random.default_rng(7).permutation(len(sizes))),
        policy=policy,  # type: ignore[arg-type]
    )


def _by_brute_force(pool: Pool, kind: int) -> int:
    """The machine of the least cost, every value worked out anew."""
    need, row = pool._needs[kind], pool._rows[kind]
    used = np.zeros(8, np.int64)
    best = (loops.OUT, 0, -1)
    for machine in range(len(pool.group)):
        group = int(pool.group[machine])
        if not pool.up[machine] or (need.groups is not None and group not in need.groups):
            continue
        values = np.zeros((2, 2))
        keys = values.view(np.uint64)
        if pool.policy == "bestfit":
            found = loops.tightness(row, pool._free, machine, used)
        else:
            about = (pool._free, machine, group, pool._outlook.salt, pool._slots.fewest)
            rest = (pool._slots.least, pool._outlook, pool._slots, keys, values)
            now = loops.value(pool._free[machine, 0], pool._mark[machine], *about, *rest)
            found = loops.cost(*row, now, pool._mark[machine], *about, *rest, used)
        if found < loops.OUT:
            best = min(best, (found, int(pool._rank[machine]), machine))
    return best[2]


steps = st.lists(
    st.tuples(
        st.integers(0, len(NEEDS) - 1), st.sampled_from(["come", "come", "come", "go", "up"])
    ),
    max_size=120,
)


@pytest.mark.parametrize("policy", OBJECTIVES)
@settings(max_examples=40, deadline=None)
@given(steps=steps)
def test_what_is_kept_never_changes_a_choice(policy: str, steps: list[tuple[int, str]]) -> None:
    pool = _pool(policy)
    kinds = [pool.kind(need) for need in NEEDS]
    running: list[tuple[int, int, tuple[int, ...]]] = []
    for number, what in steps:
        if what == "go" and running:
            pool.release(*running.pop(number % len(running)))
        elif what == "up":
            pool.set_up(number, not pool.up[number])
        else:
            pool.arrived(kinds[number], 3)
            machine = pool.choose(kinds[number])
            assert machine == _by_brute_force(pool, kinds[number])
            if machine >= 0:
                running.append((machine, kinds[number], pool.place(machine, kinds[number])))


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_room_is_never_overdrawn_and_all_given_back(steps: list[tuple[int, str]]) -> None:
    pool, idle = _pool(), _pool()
    running: list[tuple[int, int, tuple[int, ...]]] = []
    for number, what in steps:
        kind = pool.kind(NEEDS[number])
        if what == "go" and running:
            pool.release(*running.pop(number % len(running)))
            continue
        pool.arrived(kind)
        machine = pool.choose(kind)
        if machine >= 0:
            used = pool.place(machine, kind)
            assert len(set(used)) == NEEDS[number].cards
            running.append((machine, kind, used))
        assert (pool._free >= 0).all()
    for placed in running:
        pool.release(*placed)
    assert np.array_equal(pool._free, idle._free)
    assert np.array_equal(pool._mark, idle._mark)


def test_a_job_finds_room_wherever_there_is_any() -> None:
    pool = _pool()
    kind = pool.kind(LARGE)
    found = []
    while (machine := pool.choose(kind)) >= 0:
        pool.place(machine, kind)
        found.append(machine)
    assert len(found) == 6  # two sizes of machine are large enough, three of each
    with pytest.raises(ValueError, match="no room"):
        pool.place(found[0], kind)


def test_only_the_groups_asked_for_are_chosen_from() -> None:
    pool = _pool()
    kind = pool.kind(NEEDS[4])
    chosen = {int(pool.group[pool.choose(kind, [group])]) for group in (0, 1, 2)}
    assert chosen == {0, 1, 2}
    assert pool.choose(kind, []) == -1


def test_whole_cards_are_kept_from_shares_that_fit_elsewhere() -> None:
    pool = Pool(cores_milli=[64000] * 2, memory_mib=[65536] * 2, cards=[2, 2], group=[0, 0])
    half, whole = pool.kind(Need(1000, 1024, 1, 500)), pool.kind(Need(1000, 1024, 2, 1000))
    for _ in range(20):
        pool.arrived(half)
        pool.arrived(whole)
    first = pool.choose(half)
    card = pool.place(first, half)
    assert pool.choose(half) == first
    assert pool.place(first, half) == card
    assert pool.choose(whole) == 1 - first


def test_machines_asked_for_by_name_are_kept_for_those_who_name_them() -> None:
    pool = Pool(cores_milli=[64000] * 2, memory_mib=[65536] * 2, cards=[8, 8], group=[0, 1])
    anyone = pool.kind(Need(1000, 1024, 1, 1000))
    named = pool.kind(Need(1000, 1024, 1, 1000, (0,)))
    for _ in range(16):
        pool.arrived(anyone)
        pool.arrived(named)
    for _ in range(8):
        machine = pool.choose(anyone)
        assert machine == 1
        pool.place(machine, anyone)


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 50)), min_size=1, max_size=SIZES + 20)
)
@settings(max_examples=60, deadline=None)
def test_a_larger_rest_is_worth_no_less_and_a_card_at_most_one(
    asked: list[tuple[int, int]],
) -> None:
    milli = np.array([size for size, _ in asked], np.int64)
    worth = worth_of_rests(milli, np.array([often for _, often in asked], np.float64))
    assert worth[0] == 0
    assert (np.diff(worth) >= -1e-9).all()
    assert worth[1000] == pytest.approx(1)
    assert worth[milli.min() - 1] == 0


def test_prices_of_shares_are_those_of_the_cutting_stock_program() -> None:
    worth = worth_of_rests(np.array([1000, 500, 250]), np.array([1.0, 1.0, 1.0]))
    assert worth[[249, 250, 500, 750, 1000]] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    # Nearly all ask for 600, so a card is a 600 and a rest that only rare 300s can use.
    worth = worth_of_rests(np.array([600, 300]), np.array([99.0, 1.0]))
    assert worth[600] == pytest.approx(1)
    assert worth[300] == pytest.approx(0)


def test_a_change_of_work_is_learned_within_a_few_hundred_jobs() -> None:
    counts, rng = Counts(), np.random.default_rng(3)
    for kind in rng.integers(0, 20, 5000).tolist():
        assert not (counts.add(kind, kind % 4) and counts.forget())
    forgot = 0
    for kind in rng.integers(20, 40, 300).tolist():
        forgot += counts.add(kind, 4 + kind % 2) and counts.forget()
    assert forgot >= 1
    new = sum(count for kind, count in counts.now.items() if kind >= 20)
    assert new / sum(counts.now.values()) > 0.7


def test_the_same_work_is_not_forgotten_by_chance() -> None:
    counts, rng = Counts(), np.random.default_rng(4)
    kinds = (rng.zipf(1.7, 20000) % 200).tolist()
    assert not any(counts.add(kind, kind % 7) and counts.forget() for kind in kinds)
