"""The openb cluster as several centres: a dispatcher that knows summaries, old ones at that.

The nodes are cut by model; each centre has a pool of its own, which places or refuses. Every so
many arrivals the centres send a summary: for each shape of node and each number of idle cards on
it, how many such nodes there are, their free cores and memory together, and how many of their cards
in use have how many hundredths free. Its size does not grow with the number of nodes. The
dispatcher imagines nodes that would give that summary, all of a row alike, and asks a pool of
these, the same code as in the centres, where a pod goes; what it sends it takes off until the next
summary. A centre that finds no room refuses, and the pod goes to the next best; one that no centre
takes is dropped. The dispatcher learns from all that arrives, a centre from what it is offered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suanwang.core.errors import Refused
from suanwang.placement.pool import Need, Pool
from suanwang.placement.simulator.openb import Clock, PoolPolicy, Run, pool_of
from suanwang.placement.simulator.openb_lists import Cluster, PodList, Whole
from suanwang.placement.terms import WHOLE_CARD

CLASSES = 100
"""A card in use is told by how many hundredths of it are free."""


REMEMBERED = 1024
"""Arrivals the dispatcher tells a pool of newly imagined nodes."""


class Row(NamedTuple):
    """Nodes of one shape with as many idle cards each."""

    shape: int
    idle: int
    nodes: int
    cores_milli: int
    """Free, of all of them together; so is the memory."""
    memory_mib: int
    partial: tuple[tuple[int, int], ...]
    """Of their cards in use: hundredths free, rounded down, and how many have as many."""


def cut(cluster: Cluster, centres: int) -> Whole:
    """The centre of each group: the model with most cards first, each to the smallest centre.

    Refuses ``trace_centres_too_many``.
    """
    cards = np.bincount(cluster.group, cluster.cards, len(cluster.models))
    if not 1 <= centres <= len(cluster.models):
        raise Refused("trace_centres_too_many", centres=centres, models=len(cluster.models))
    centre_of = np.empty(len(cluster.models), np.int64)
    size, groups = np.zeros(centres), np.zeros(centres)
    for group in np.argsort(-cards, kind="stable"):
        smallest = np.lexsort((groups, size))[0]
        centre_of[group] = smallest
        size[smallest] += cards[group]
        groups[smallest] += 1
    return centre_of


def shapes(cluster: Cluster) -> tuple[Whole, Whole]:
    """The distinct nodes (cores, memory, cards, group; a column each), and which each node is."""
    columns = (cluster.cores_milli, cluster.memory_mib, cluster.cards, cluster.group)
    table, shape = np.unique(np.stack(columns), axis=1, return_inverse=True)
    return table, shape.reshape(-1).astype(np.int64)


class Centre:
    """Some of the nodes, with a pool of their own and the books of what is free."""

    def __init__(
        self, cluster: Cluster, pods: PodList, nodes: Whole, order: Whole, policy: PoolPolicy
    ) -> None:
        self.nodes = nodes
        self._pool = pool_of(cluster, order, policy, nodes)
        self._here = set(cluster.group[nodes].tolist())
        self._needs = pods.needs
        self._cores = cluster.cores_milli[nodes].copy()
        self._memory = cluster.memory_mib[nodes].copy()
        width = np.arange(int(cluster.cards.max()))
        self._has = width < cluster.cards[nodes, None]
        self._free = np.where(self._has, WHOLE_CARD, 0)

    def arrived(self, kind: int) -> None:
        """It is offered this."""
        self._pool.arrived(self._kind(kind))

    def take(self, kind: int) -> tuple[int, tuple[int, ...]] | None:
        """The node and its cards; None: refused, there is no room now."""
        machine = self._pool.choose(self._kind(kind))
        if machine < 0:
            return None
        used, need = self._pool.place(machine, self._kind(kind)), self._needs[kind]
        self._cores[machine] -= need.cores_milli
        self._memory[machine] -= need.memory_mib
        self._free[machine, list(used)] -= need.card_milli
        return int(self.nodes[machine]), used

    def summary(self, shape: Whole) -> list[Row]:
        """What the dispatcher is told. ``shape``: of every node of the cluster."""
        idle = (self._free == WHOLE_CARD).sum(axis=1)
        rows = []
        for key in np.unique(np.stack([shape[self.nodes], idle]), axis=1).T.tolist():
            of = np.flatnonzero((shape[self.nodes] == key[0]) & (idle == key[1]))
            cards = self._free[of][self._has[of]]
            part = cards[cards < WHOLE_CARD] * CLASSES // WHOLE_CARD
            free, count = np.unique(part, return_counts=True)
            partial = tuple(zip(free.tolist(), count.tolist(), strict=True))
            cores, memory = int(self._cores[of].sum()), int(self._memory[of].sum())
            rows.append(Row(key[0], key[1], of.size, cores, memory, partial))
        return rows

    def _kind(self, kind: int) -> int:
        """The number the pool gives a kind, of whose models it knows those that are here."""
        need = self._needs[kind]
        if need.groups is not None:
            need = need._replace(groups=tuple(g for g in need.groups if g in self._here))
        return self._pool.kind(need)


class Dispatcher:
    """Chooses a centre for each pod by what it was last told, and by what it has sent since.

    Let it ``hear`` first.
    """

    def __init__(
        self, cluster: Cluster, pods: PodList, centre_of: Whole, policy: PoolPolicy
    ) -> None:
        table, _ = shapes(cluster)
        self._cards, self._group = table[2], table[3]
        self._needs = pods.needs
        self._policy = policy
        self._lately: deque[int] = deque(maxlen=REMEMBERED)
        self._groups = [np.flatnonzero(centre_of == c).tolist() for c in range(centre_of.max() + 1)]
        self._centre_of = centre_of
        self._able = [
            sorted(set(centre_of[self._group[_holds(table, need)]].tolist())) for need in pods.needs
        ]
        """Of each kind: the centres with a node that could hold it if idle."""

    def arrived(self, kind: int) -> None:
        """Somebody asks for this."""
        self._lately.append(kind)
        self._pool.arrived(self._kinds[kind])

    def hear(self, summaries: Sequence[Sequence[Row]]) -> None:
        """New summaries of all centres: forget what was imagined, imagine anew."""
        rows = [row for summary in summaries for row in summary]
        self._free_milli = [sum(map(_milli, summary)) for summary in summaries]
        shapes = np.array([row.shape for row in rows], np.int64)
        count = np.array([row.nodes for row in rows], np.int64)
        width = int(self._cards.max(initial=1))
        free = [_dealt(row, int(self._cards[row.shape]), width) for row in rows]
        self._imagined = np.repeat(self._group[shapes], count)
        self._pool = Pool(
            cores_milli=np.repeat([row.cores_milli // row.nodes for row in rows], count),
            memory_mib=np.repeat([row.memory_mib // row.nodes for row in rows], count),
            cards=np.repeat(self._cards[shapes], count),
            cards_free_milli=np.concatenate([np.zeros((0, width), np.int64), *free]),
            group=self._imagined,
            policy=self._policy,
        )
        self._kinds = [self._pool.kind(need) for need in self._needs]
        for kind in self._lately:
            self._pool.arrived(self._kinds[kind])
        self._refused: set[tuple[int, int]] = set()

    def centres(self, kind: int) -> Iterator[int]:
        """Every centre that could, once, the best by what is known first; who refused it last.

        Tell ``sent`` or ``refused`` before asking for the next.
        """
        left = set(self._able[kind])
        early = {centre for centre in left if (kind, centre) not in self._refused}
        while early:
            groups = sorted(group for centre in early for group in self._groups[centre])
            imagined = self._pool.choose(self._kinds[kind], groups)
            if imagined < 0:
                break
            centre = int(self._centre_of[self._imagined[imagined]])
            early.remove(centre)
            left.remove(centre)
            yield centre
        late = left - early
        yield from sorted(early, key=lambda centre: (-self._free_milli[centre], centre))
        yield from sorted(late, key=lambda centre: (-self._free_milli[centre], centre))

    def sent(self, kind: int, centre: int) -> None:
        """The centre took it: it is taken off what is imagined there, if there was room."""
        machine = self._pool.choose(self._kinds[kind], self._groups[centre])
        if machine >= 0:
            self._pool.place(machine, self._kinds[kind])

    def refused(self, kind: int, centre: int) -> None:
        """The centre had no room for it."""
        self._refused.add((kind, centre))


def _holds(table: Whole, need: Need) -> NDArray[np.bool_]:
    """Which of the shapes (cores, memory, cards, group) hold the need when idle."""
    able: NDArray[np.bool_] = (
        (table[0] >= need.cores_milli) & (table[1] >= need.memory_mib) & (table[2] >= need.cards)
    )
    return able if need.groups is None else able & np.isin(table[3], need.groups)


def _milli(row: Row) -> int:
    """Free of the cards of a row, in thousandths."""
    part = sum(free * count for free, count in row.partial)
    return row.nodes * row.idle * WHOLE_CARD + part * WHOLE_CARD // CLASSES


def _dealt(row: Row, cards: int, width: int) -> Whole:
    """Nodes x cards: what is free, the cards in use dealt out in turn, those with most left first.

    A card has no more than its hundredths say: what the dispatcher counts on is there.
    """
    free = np.zeros((row.nodes, width), np.int64)
    free[:, : row.idle] = WHOLE_CARD
    told = np.array(row.partial, np.int64).reshape(-1, 2)
    part = np.repeat(told[:, 0], told[:, 1])[::-1] * (WHOLE_CARD // CLASSES)
    free[:, row.idle : cards] = part.reshape(cards - row.idle, row.nodes).T
    return free


def play(
    cluster: Cluster,
    pods: PodList,
    arriving: Whole,
    *,
    centres: int,
    stale: int,
    policy: PoolPolicy,
    order: Whole,
    clock: Clock,
) -> Run:
    """The arrivals through a dispatcher and so many centres, new summaries every ``stale``."""
    centre_of = cut(cluster, centres)
    all_centres = [
        Centre(cluster, pods, np.flatnonzero(centre_of[cluster.group] == c), order, policy)
        for c in range(centres)
    ]
    dispatcher = Dispatcher(cluster, pods, centre_of, policy)
    _, shape = shapes(cluster)
    machines: Whole = np.full(arriving.size, -1, np.int64)
    cards: list[tuple[int, ...]] = [()] * arriving.size
    learning = deciding = 0.0
    refusals = 0
    before = clock()
    for position, kind in enumerate(arriving.tolist()):
        if position % stale == 0:
            dispatcher.hear([centre.summary(shape) for centre in all_centres])
        dispatcher.arrived(kind)
        learned = clock()
        learning += learned - before
        for number in dispatcher.centres(kind):
            offered = clock()
            all_centres[number].arrived(kind)
            heard = clock()
            learning += heard - offered
            learned += heard - offered
            answer = all_centres[number].take(kind)
            if answer is not None:
                dispatcher.sent(kind, number)
                machines[position], cards[position] = answer
                break
            dispatcher.refused(kind, number)
            refusals += 1
        after = clock()
        deciding += after - learned
        before = after
    return Run(machines, deciding, learning, cards, refusals)
