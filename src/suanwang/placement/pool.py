"""Where on a group of machines a job goes: ``suanwang.placement.pool.Pool``.

A *group* is a set of machines that are alike to a job's goal: one centre, one model of card, one
price. The core (``placement/core.py``) decides by goal which groups are best for a job and asks
the pool, which picks the machine in them so that the work still to come finds room
(``placement/packing``).

    pool = Pool(cores_milli=[64000, 96000], memory_mib=[262144, 393216], cards=[2, 8], group=[0, 1])
    kind = pool.kind(Need(cores_milli=4000, memory_mib=8192, cards=1, card_milli=500))
    pool.arrived(kind)             # once per job: the pool learns what is asked for
    machine = pool.choose(kind)    # -1: no room now
    used = pool.place(machine, kind)
    pool.release(machine, kind, used)

Units: cores in milli-cores, memory in MiB, cards in milli-cards (1000 is a whole card). Machines,
groups and kinds are numbered from 0. Pure: no clock; the same calls give the same answers.

What a kind of job costs on a machine is kept until the machine or the outlook changes, and the
best of a block of machines with it: a choice costs what changed since the same kind was asked,
not what there is. The answers are those of looking at every machine every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanwang.placement.kernels import packing as loops
from suanwang.placement.packing.need import Need
from suanwang.placement.packing.outlook import Demand
from suanwang.placement.terms import WHOLE_CARD

__all__ = ["Need", "Pool", "richest_first"]

Objective = Literal["ours", "bestfit"]
OBJECTIVES: tuple[Objective, ...] = ("ours", "bestfit")
BLOCK = 64
"""Machines of one group whose best is kept together."""
KEPT_COSTS = 1 << 25
"""So many costs are kept in all; where kinds times machines are more, the oldest kind goes."""
CACHE = 1 << 14
"""Values kept by the state of a machine."""
REPRICE = 100
"""Slots are priced again when a part of one in so many of all cards was taken or given back."""


class _Kept(NamedTuple):
    """What was found out about a kind; see ``kernels.packing.choose``."""

    costs: NDArray[np.int32]
    seen: NDArray[np.int64]
    least: NDArray[np.int32]
    who: NDArray[np.int64]


class Pool:
    """The free room of many machines, and the choice among them. Not safe for two threads."""

    def __init__(
        self,
        *,
        cores_milli: ArrayLike,
        memory_mib: ArrayLike,
        cards: ArrayLike,
        group: ArrayLike,
        cards_free_milli: ArrayLike | None = None,
        up: ArrayLike | None = None,
        order: ArrayLike | None = None,
        policy: Objective = "ours",
    ) -> None:
        """One entry per machine: FREE milli-cores and MiB, how many cards it has, its group.

        ``cards_free_milli``: machines x most cards, what is free of each card (columns beyond a
        machine's cards are ignored); None: all cards are free. ``up``: whether it takes work;
        None: all do. ``order``: a permutation, which machine wins a tie; None: the lower number.
        """
        count = np.array(cards, dtype=np.int64)
        machines, width = len(count), max(1, int(count.max(initial=0)))
        self._free: NDArray[np.int64] = np.full((machines, 2 + width), WHOLE_CARD, np.int64)
        self._free[:, 0], self._free[:, 1] = cores_milli, memory_mib
        if cards_free_milli is not None:
            self._free[:, 2:] = np.array(cards_free_milli, dtype=np.int64)[:, :width]
        self._free[:, 2:][np.arange(width) >= count[:, None]] = 0
        self.group: NDArray[np.int64] = np.array(group, dtype=np.int64)
        self.groups = int(self.group.max(initial=-1)) + 1
        """How many groups there are."""
        self.up: NDArray[np.bool_] = (
            np.ones(machines, dtype=bool) if up is None else np.array(up, dtype=bool)
        )
        self.policy = policy
        rank = np.arange(machines)
        if order is not None:
            rank[np.array(order, dtype=np.int64)] = np.arange(machines)
        self._rank = rank
        self._mark: NDArray[np.uint64] = loops.MARKS[self._free[:, 2:]].sum(axis=1, dtype=np.uint64)
        self._now = (np.zeros(machines), np.zeros(machines, np.int64))
        self._set_blocks(rank)
        self._tick = 1
        self._used: NDArray[np.int64] = np.zeros(width, np.int64)
        self._values = np.zeros((CACHE, 2))
        self._keys = self._values.view(np.uint64)
        self._needs: list[Need] = []
        self._rows: list[NDArray[np.int64]] = []
        self._open: list[NDArray[np.bool_]] = []
        self._kinds: dict[Need, int] = {}
        self._kept: dict[int, _Kept] = {}
        self._kept_max = max(16, KEPT_COSTS // max(1, machines))
        capacity = np.bincount(self.group, weights=count * WHOLE_CARD, minlength=self.groups)
        self._all_milli = max(1, int(capacity.sum()))
        self._demand = Demand(capacity.astype(np.int64))
        self._outlook = self._demand.nothing()
        self._slots = self._demand.prices(self._free, self.up, self.group)
        self._moved_milli = 0

    def _set_blocks(self, rank: NDArray[np.int64]) -> None:
        """Machines of one group by rank, ``BLOCK`` at a time."""
        in_order = np.lexsort((rank, self.group))
        of_group = self.group[in_order]
        starts = np.searchsorted(of_group, np.arange(self.groups))
        within = np.arange(len(in_order)) - starts[of_group]
        number, block = np.unique(
            of_group * (len(in_order) + 1) + within // BLOCK, return_inverse=True
        )
        members = np.full((len(number), BLOCK), -1, np.int64)
        members[block, within % BLOCK] = in_order
        self._block_of = np.empty(len(in_order), np.int64)
        self._block_of[in_order] = block
        group = self.group[members[:, 0]] if len(number) else np.empty(0, np.int64)
        self._members = members
        self._times = (np.ones(len(in_order), np.int64), group, np.ones(len(number), np.int64))

    @property
    def free_cores_milli(self) -> NDArray[np.int64]:
        """Of each machine."""
        return self._free[:, 0]

    @property
    def free_memory_mib(self) -> NDArray[np.int64]:
        """Of each machine."""
        return self._free[:, 1]

    @property
    def free_cards_milli(self) -> NDArray[np.int64]:
        """Of each card of each machine; 0 beyond its own cards."""
        return self._free[:, 2:]

    def kind(self, need: Need) -> int:
        """The number of this kind of need; the same need always has the same number."""
        known = self._kinds.get(need)
        if known is None:
            known = self._kinds[need] = len(self._needs)
            self._needs.append(need)
            self._rows.append(np.array(need[:4], np.int64))
            is_open = np.ones(self.groups, bool)
            if need.groups is not None:
                is_open[:] = False
                is_open[list(need.groups)] = True
            self._open.append(is_open)
        return known

    def arrived(self, kind: int, count: int = 1) -> None:
        """Tell that so many jobs of the kind came in, placed or not: what is to come is learned
        from this. Once per job, not at every attempt."""
        need = self._needs[kind]
        if need.cards and self._demand.arrived(kind, need, count):
            self._outlook = self._demand.look(self._needs)
            self._slots = self._demand.prices(self._free, self.up, self.group)
            self._moved_milli = 0
            self._unsettle()

    def choose(self, kind: int, groups: Sequence[int] | None = None) -> int:
        """The best machine with room in these groups (None: all the kind allows); -1: none."""
        is_open = self._open[kind]
        if groups is not None:
            asked = np.zeros(self.groups, bool)
            asked[list(groups)] = True
            is_open = is_open & asked
        machine: int = loops.choose(
            self._rows[kind],
            is_open,
            self.policy == "bestfit",
            self._free,
            self._mark,
            self.up,
            self._times,
            self._rank,
            self._members,
            self._outlook,
            self._slots,
            self._now,
            self._keys,
            self._values,
            self._what_is_kept(kind),
            self._used,
        )
        return machine

    def place(self, machine: int, kind: int) -> tuple[int, ...]:
        """Take the room on the machine; the numbers of the cards used. ValueError: no room."""
        if not loops.take(
            machine,
            self._rows[kind],
            self.policy == "bestfit",
            self._free,
            self._mark,
            int(self.group[machine]),
            self._outlook,
            self._slots,
            self._keys,
            self._values,
            self._used,
        ):
            raise ValueError(f"machine {machine} has no room for {self._needs[kind]}")
        used = tuple(self._used[: self._needs[kind].cards].tolist())
        self._changed(machine, kind)
        return used

    def release(self, machine: int, kind: int, cards: Sequence[int]) -> None:
        """Give back what ``place`` took, on the cards it named."""
        self._used[: len(cards)] = cards
        loops.move(machine, self._rows[kind], self._free, self._mark, self._used, 1)
        self._changed(machine, kind)

    def set_free(
        self, machine: int, cores_milli: int, memory_mib: int, cards_milli: ArrayLike
    ) -> None:
        """So much is free of the machine from now on, whatever was placed there."""
        before = self._free[machine, 2:].copy()
        self._free[machine, 0], self._free[machine, 1] = cores_milli, memory_mib
        self._free[machine, 2:] = cards_milli
        self._mark[machine] = loops.MARKS[self._free[machine, 2:]].sum(dtype=np.uint64)
        self._touch(machine)
        self._moved(int(np.abs(self._free[machine, 2:] - before).sum()))

    def set_up(self, machine: int, up: bool) -> None:
        """Whether the machine takes new work; what runs there is kept and may be released."""
        self.up[machine] = up
        self._touch(machine)

    def _changed(self, machine: int, kind: int) -> None:
        self._touch(machine)
        need = self._needs[kind]
        self._moved(need.cards * need.card_milli)

    def _moved(self, milli: int) -> None:
        """So much of cards was taken or given back."""
        self._moved_milli += milli
        if self._moved_milli * REPRICE >= self._all_milli:
            self._reprice()

    def _touch(self, machine: int) -> None:
        """What is kept of a machine no longer holds."""
        self._tick += 1
        self._times[0][machine] = self._tick
        self._times[2][self._block_of[machine]] = self._tick

    def _unsettle(self) -> None:
        """What is kept of any machine no longer holds."""
        self._tick += 1
        self._times[0][:] = self._tick
        self._times[2][:] = self._tick

    def _reprice(self) -> None:
        """Price places by what is free now; what is kept of machines with places no longer holds
        if a price changed."""
        self._moved_milli = 0
        before, after = self._slots, self._demand.prices(self._free, self.up, self.group)
        if np.array_equal(before.price, after.price):
            return
        self._slots = after
        self._tick += 1
        fewest, least = min(before.fewest, after.fewest), min(before.least, after.least)
        loops.touch_slots(
            self._free, fewest, least, self._times[0], self._block_of, self._times[2], self._tick
        )

    def _what_is_kept(self, kind: int) -> _Kept:
        kept = self._kept.get(kind)
        if kept is None:
            if len(self._kept) >= self._kept_max:
                del self._kept[next(iter(self._kept))]
            blocks = len(self._members)
            kept = self._kept[kind] = _Kept(
                np.zeros(len(self.group), np.int32),
                np.zeros(blocks, np.int64),
                np.zeros(blocks, np.int32),
                np.zeros(blocks, np.int64),
            )
        return kept


def richest_first(cores_milli: ArrayLike, cards: ArrayLike, order: ArrayLike) -> NDArray[np.int64]:
    """Machines as they win ties: most cores to a card first, since others run out of cores while
    cards are left; among equals as in ``order``, a permutation. By whole sizes, not free room."""
    rank = np.argsort(np.asarray(order), kind="stable")
    to_a_card = np.asarray(cores_milli, np.float64) / np.maximum(1, np.asarray(cards))
    return np.lexsort((rank, -to_a_card)).astype(np.int64)
