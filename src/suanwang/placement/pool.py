"""Where on a group of machines a job goes: ``suanwang.placement.pool.Pool``.

A *group* is a set of machines that are alike to a job's goal: one centre, one model of card, one
price. The core (``placement/core.py``) decides by goal which groups are best for a job and asks
the pool, which picks the machine in them so that the work still to come finds room.

    pool = Pool(cores_milli=[64000, 96000], memory_mib=[262144, 393216], cards=[2, 8], group=[0, 1])
    kind = pool.kind(Need(cores_milli=4000, memory_mib=8192, cards=1, card_milli=500))
    pool.arrived(kind)             # once per job: the pool learns what is asked for
    machine = pool.choose(kind)    # -1: no room now
    used = pool.place(machine, kind)
    pool.release(machine, kind, used)

Units: cores in milli-cores, memory in MiB, cards in milli-cards (1000 is a whole card). Machines,
groups and kinds are numbered from 0. Pure: no clock; the same calls give the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

PolicyName = Literal["ours", "fgd", "bestfit", "random"]
WHOLE_CARD_MILLI = 1000


class Need(NamedTuple):
    """What one node of a job asks of a machine; equal needs are one kind."""

    cores_milli: int
    memory_mib: int
    cards: int = 0
    card_milli: int = WHOLE_CARD_MILLI
    """Of each card; below 1000 only with one card is usual, but any number of cards will do."""
    groups: tuple[int, ...] | None = None
    """The only groups that will ever do (a model named, a centre named), sorted; None: all."""


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
        policy: PolicyName = "ours",
    ) -> None:
        """One entry per machine: FREE milli-cores and MiB, how many cards it has, its group.

        ``cards_free_milli``: machines x most cards, what is free of each card (columns beyond a
        machine's cards are ignored); None: all cards are free. ``up``: whether it takes work;
        None: all do. ``order``: a permutation, which machine wins a tie; None: the lower number.
        """
        self.free_cores_milli: NDArray[np.int64] = np.array(cores_milli, dtype=np.int64)
        self.free_memory_mib: NDArray[np.int64] = np.array(memory_mib, dtype=np.int64)
        count = np.array(cards, dtype=np.int64)
        width = max(1, int(count.max(initial=0)))
        whole = np.full((len(count), width), WHOLE_CARD_MILLI, dtype=np.int64)
        if cards_free_milli is not None:
            whole = np.array(cards_free_milli, dtype=np.int64)[:, :width]
        self.free_cards_milli = np.where(np.arange(width) < count[:, None], whole, 0)
        self.group: NDArray[np.int64] = np.array(group, dtype=np.int64)
        self.groups = int(self.group.max(initial=-1)) + 1
        """How many groups there are."""
        self.up = np.ones(len(count), dtype=bool) if up is None else np.array(up, dtype=bool)
        self._order = np.arange(len(count)) if order is None else np.array(order, dtype=np.int64)
        self._needs: list[Need] = []
        self._kinds: dict[Need, int] = {}
        self.policy = policy

    def kind(self, need: Need) -> int:
        """The number of this kind of need; the same need always has the same number."""
        if need not in self._kinds:
            self._kinds[need] = len(self._needs)
            self._needs.append(need)
        return self._kinds[need]

    def arrived(self, kind: int, count: int = 1) -> None:
        """Tell that so many jobs of the kind came in, placed or not: what is to come is learned
        from this. Once per job, not at every attempt."""

    def choose(self, kind: int, groups: Sequence[int] | None = None) -> int:
        """The best machine with room in these groups (None: all the kind allows); -1: none."""
        open_now = self._open(kind, groups)
        if not open_now.any():
            return -1
        left = self.free_cores_milli / 1e6 + self.free_cards_milli.sum(axis=1)
        best = np.lexsort((self._order, np.where(open_now, left, np.inf)))
        return int(best[0])

    def place(self, machine: int, kind: int) -> tuple[int, ...]:
        """Take the room on the machine; the numbers of the cards used. ValueError: no room."""
        need = self._needs[kind]
        if not self._fits(need)[machine]:
            raise ValueError(f"machine {machine} has no room for {need}")
        free = self.free_cards_milli[machine]
        fitting = np.flatnonzero(free >= need.card_milli)
        used = fitting[np.argsort(free[fitting], kind="stable")][: need.cards]
        free[used] -= need.card_milli
        self.free_cores_milli[machine] -= need.cores_milli
        self.free_memory_mib[machine] -= need.memory_mib
        return tuple(int(card) for card in used)

    def release(self, machine: int, kind: int, cards: Sequence[int]) -> None:
        """Give back what ``place`` took, on the cards it named."""
        need = self._needs[kind]
        self.free_cards_milli[machine, list(cards)] += need.card_milli
        self.free_cores_milli[machine] += need.cores_milli
        self.free_memory_mib[machine] += need.memory_mib

    def set_up(self, machine: int, up: bool) -> None:
        """Whether the machine takes new work; what runs there is kept and may be released."""
        self.up[machine] = up

    def room(self, kind: int) -> NDArray[np.int64]:
        """How many machines of each group have room for the kind now."""
        open_now = self._open(kind, None)
        return np.bincount(self.group[open_now], minlength=self.groups).astype(np.int64)

    def fits_anywhere(self, kind: int, groups: Sequence[int] | None = None) -> bool:
        """Whether some machine in these groups has room now."""
        return bool(self._open(kind, groups).any())

    def _fits(self, need: Need) -> NDArray[np.bool_]:
        enough = (self.free_cards_milli >= need.card_milli).sum(axis=1) >= need.cards
        return (
            enough
            & (self.free_cores_milli >= need.cores_milli)
            & (self.free_memory_mib >= need.memory_mib)
        )

    def _open(self, kind: int, groups: Sequence[int] | None) -> NDArray[np.bool_]:
        need = self._needs[kind]
        found = self._fits(need) & self.up
        for allowed in (need.groups, groups):
            if allowed is not None:
                found &= np.isin(self.group, np.array(allowed, dtype=np.int64))
        return found
