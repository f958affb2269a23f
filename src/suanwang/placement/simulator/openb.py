"""The published packing protocol over openb: FGD's of ATC'23, on any policy of the pool.

Weng et al., "Beware of Fragmentation", and the simulator that goes with it
(github.com/hkust-adsl/kubernetes-scheduler-simulator). A seed's pods are the list shuffled, then
drawn from it with replacement up to 1.3 times the cluster's cards. They arrive one after another
and stay. One that fits somewhere is placed; one that fits nowhere is dropped for good and counts as
arrived. After each pod: how much was asked for so far and how much is allocated, as shares of all
cards; a figure is what is unallocated when so many per cent have been asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from suanwang.core.errors import Refused
from suanwang.placement.pool import Pool, richest_first
from suanwang.placement.simulator.openb_lists import Cluster, PodList, Whole
from suanwang.placement.terms import WHOLE_CARD

INFLATION_PERCENT = 130
COLUMNS = (95, 100, 130)
"""Per cent arrived at which figures are told."""
LAST_COLUMN = 130
ARRIVALS_MAX = 2_000_000
DRAWN_AT_ONCE = 1024

PoolPolicy = Literal["ours", "bestfit"]
Real = npt.NDArray[np.float64]
Clock = Callable[[], float]
"""Processor seconds, of whoever calls: the protocol reads no clock of its own."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a policy did with the arrivals of a seed."""

    machines: Whole
    """Where each went, in order of arrival; -1: nowhere."""
    decision_seconds: float
    """Processor time to choose and to take the room, all arrivals together."""
    learning_seconds: float = 0.0
    """To be told of arrivals and summaries; nothing for policies that are given what they know."""
    cards: list[tuple[int, ...]] = field(default_factory=list)
    """The cards used by each."""
    refusals: int = 0
    """Tries at a centre that turned out to have no room."""


def arrivals(pods: PodList, cluster: Cluster, seed: int) -> Whole:
    """The kinds of a seed's pods in order of arrival.

    The first draw that would pass the limit ends it, where the check adds one card's share of the
    drawn pod and the sum all of its cards, as the authors' code has it. What comes after the last
    column is left out: no figure looks at it. Refuses ``trace_demand_too_small``.
    """
    chance = np.random.default_rng(seed)
    demand, one = pods.demand, pods.one_card
    drawn = [pods.kind[chance.permutation(pods.kind.size)]]
    limit = cluster.milli * INFLATION_PERCENT // 100
    running, count = int(demand[drawn[0]].sum()), drawn[0].size
    while True:
        more = pods.kind[chance.integers(pods.kind.size, size=DRAWN_AT_ONCE)]
        before = running + np.cumsum(demand[more]) - demand[more]
        past = np.flatnonzero(before + one[more] > limit)
        if past.size:
            drawn.append(more[: past[0]])
            break
        drawn.append(more)
        running += int(demand[more].sum())
        count += more.size
        if count > ARRIVALS_MAX or not demand.any():
            raise Refused("trace_demand_too_small", pods=pods.kind.size, most=ARRIVALS_MAX)
    order = np.concatenate(drawn)
    return order[: np.searchsorted(_column(np.cumsum(demand[order]), cluster), LAST_COLUMN + 1)]


def shuffled(pods: PodList, seed: int) -> Whole:
    """The kinds of a list's pods, each once, in the order a seed gives."""
    return pods.kind[np.random.default_rng(seed).permutation(pods.kind.size)]


def tie_order(cluster: Cluster, seed: int) -> Whole:
    """The nodes in the order in which ties are won, one permutation for all of a run."""
    return np.random.default_rng((seed, 1)).permutation(cluster.cards.size)


def unallocated(pods: PodList, cluster: Cluster, arriving: Whole, machines: Whole) -> Real:
    """Per cent of the cards unallocated when 0, 1 ... 130 per cent have arrived.

    The mean over the moments that round to a column; nan where there was no such moment.
    """
    demand = pods.demand[arriving]
    column = _column(np.cumsum(demand), cluster)
    allocated = np.cumsum(np.where(machines >= 0, demand, 0)) / cluster.milli * 100
    shares = np.floor(allocated * 100 + 0.5) / 100
    sums = np.bincount(column, shares, LAST_COLUMN + 1)[: LAST_COLUMN + 1]
    counts = np.bincount(column, minlength=LAST_COLUMN + 1)[: LAST_COLUMN + 1]
    curve: Real = np.full(LAST_COLUMN + 1, np.nan)
    known = counts > 0
    curve[known] = 100 - sums[known] / counts[known]
    return curve


def _column(arrived: Whole, cluster: Cluster) -> Whole:
    """Per cent of the cluster's cards, rounded half up."""
    return (200 * arrived + cluster.milli) // (2 * cluster.milli)


def pool_of(cluster: Cluster, order: Whole, policy: PoolPolicy, nodes: Whole | None = None) -> Pool:
    """An idle pool of the nodes (all), a group for each model."""
    chosen = np.arange(order.size) if nodes is None else nodes
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    return Pool(
        cores_milli=cluster.cores_milli[chosen],
        memory_mib=cluster.memory_mib[chosen],
        cards=cluster.cards[chosen],
        group=cluster.group[chosen],
        order=richest_first(
            cluster.cores_milli[chosen], cluster.cards[chosen], np.argsort(rank[chosen])
        ),
        policy=policy,
    )


def play(
    cluster: Cluster,
    pods: PodList,
    arriving: Whole,
    *,
    policy: PoolPolicy,
    order: Whole,
    clock: Clock,
    told: tuple[PodList, Whole] | None = None,
) -> Run:
    """The arrivals through the pool that production uses, each told to it as it comes.

    ``told``: pods of another list and their order, told as arrivals before the run: what the pool
    then expects is wrong until it has learned better.
    """
    pool = pool_of(cluster, order, policy)
    if told is not None:
        strange = [pool.kind(need) for need in told[0].needs]
        for kind in told[1].tolist():
            pool.arrived(strange[kind])
    kinds = [pool.kind(need) for need in pods.needs]
    machines, cards = np.full(arriving.size, -1, np.int64), []
    learning = deciding = 0.0
    before = clock()
    for position, number in enumerate(arriving.tolist()):
        kind = kinds[number]
        pool.arrived(kind)
        learned = clock()
        machine = pool.choose(kind)
        used = pool.place(machine, kind) if machine >= 0 else ()
        after = clock()
        learning += learned - before
        deciding += after - learned
        before = after
        machines[position] = machine
        cards.append(used)
    return Run(machines, deciding, learning, cards)


def audit(cluster: Cluster, pods: PodList, arriving: Whole, run: Run) -> str:
    """The first slip in a run, in words; "": none.

    Every pod placed at most once, on a node and cards that had the room, of a model it takes; and
    none dropped that would have fitted somewhere.
    """
    if not arriving.size == run.machines.size == len(run.cards):
        return f"{arriving.size} came, {run.machines.size} were answered"
    cores, memory = cluster.cores_milli.copy(), cluster.memory_mib.copy()
    width = int(cluster.cards.max())
    whole = np.arange(width) < cluster.cards[:, None]
    free = np.where(whole, WHOLE_CARD, 0)
    for position, (number, machine) in enumerate(
        zip(arriving.tolist(), run.machines.tolist(), strict=True)
    ):
        need, used = pods.needs[number], list(run.cards[position])
        able = need.groups is None or cluster.group[machine] in need.groups
        if machine < 0:
            open_now = (cores >= need.cores_milli) & (memory >= need.memory_mib)
            open_now &= (free >= need.card_milli).sum(axis=1) >= need.cards
            if need.groups is not None:
                open_now &= np.isin(cluster.group, need.groups)
            if open_now.any():
                return f"pod {position} was dropped, node {int(open_now.argmax())} had room"
            continue
        if not able or len(set(used)) != need.cards:
            return f"pod {position} was given node {machine}, cards {used}"
        cores[machine] -= need.cores_milli
        memory[machine] -= need.memory_mib
        free[machine, used] -= need.card_milli
        if cores[machine] < 0 or memory[machine] < 0 or (free[machine] < 0).any():
            return f"pod {position} overfills node {machine}"
    return ""


@dataclass(frozen=True, slots=True)
class Figures:
    """A policy on a list: per cent unallocated at each of ``COLUMNS``, over the seeds."""

    median: tuple[float, ...]
    mean: tuple[float, ...]
    by_seed: tuple[tuple[float, ...], ...]
    decision_us: float
    """Processor time of a decision, median over the seeds."""
    learning_us: float
    """To be told of an arrival, and of the centres' summaries."""
    refusals: int
    """Over all the seeds."""


def figures(curves: Sequence[Real], runs: Sequence[Run]) -> Figures:
    """What is told of the runs of a policy over the seeds of a list."""
    table = np.array([curve[list(COLUMNS)] for curve in curves])
    spent = [run.decision_seconds / max(1, run.machines.size) for run in runs]
    learned = [run.learning_seconds / max(1, run.machines.size) for run in runs]
    return Figures(
        tuple(np.median(table, axis=0).tolist()),
        tuple(table.mean(axis=0).tolist()),
        tuple(tuple(row) for row in table.tolist()),
        float(np.median(spent)) * 1e6,
        float(np.median(learned)) * 1e6,
        sum(run.refusals for run in runs),
    )
