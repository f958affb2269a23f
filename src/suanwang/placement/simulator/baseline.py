"""What a city would otherwise run: one line of jobs, plain backfilling, plain packing.

The yardstick beside the core, on the same words and in the same simulator; short rather than fast,
and sharing no code with what it measures.

1. Jobs stand in line by class, then by the policy's order.
2. The first that finds its nodes gets them; of several the packing rule picks.
3. The first that does not gets a start kept (EASY): where it fits soonest if everything that runs
   takes its whole walltime. Without backfilling nobody passes it.
4. A later job may start if it ends before that start, or leaves the room kept.

No goals, shares, quotas, deadlines or preemption.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from suanwang.core.money import FEN_MAX
from suanwang.placement.terms import (
    WHOLE_CARD,
    Ask,
    Decisions,
    Machine,
    Placement,
    Policy,
    Reason,
    Room,
    Running,
    Snapshot,
    Wait,
)

ORDERS: Mapping[str, Callable[[Ask, float], float]] = {
    "fcfs": lambda ask, came: came,
    "sjf": lambda ask, came: _seconds(ask),
    "smallest_area": lambda ask, came: _amount(ask) * _seconds(ask),
    "f1": lambda ask, came: (
        math.log10(max(1.0, _seconds(ask))) * _amount(ask) + 870 * math.log10(max(1.0, came))
    ),
}
"""Least first; ``came``: seconds since 1970. F1: Carastan-Santos and de Camargo, SC'17."""
PACKINGS = ("bestfit", "random", "first")


def _seconds(ask: Ask) -> float:
    return ask.expected_seconds or ask.walltime_seconds


def _amount(ask: Ask) -> float:
    """Cards where it asks for any, else cores."""
    room = ask.room
    return ask.nodes * (room.cards * room.card_milli or room.core_milli) / 1000


@dataclass(slots=True)
class _Free:
    """What is free of a machine."""

    machine: Machine
    cores: int
    memory: int
    cards: list[int]

    def times(self, room: Room) -> int:
        """How many such rooms it holds, cores, memory and each card considered."""
        most = [self.cores // room.core_milli] if room.core_milli else []
        most += [self.memory // room.memory_mib] if room.memory_mib else []
        if room.cards:
            most.append(sum(card // room.card_milli for card in self.cards) // room.cards)
        return max(0, min(most, default=1))

    def holds(self, room: Room) -> bool:
        if room.core_milli > self.cores or room.memory_mib > self.memory:
            return False
        return room.cards == 0 or (
            sum(card >= room.card_milli for card in self.cards) >= room.cards
        )

    def take(self, room: Room, cards: Sequence[int] = ()) -> tuple[int, ...]:
        """Hold a room; on which cards: those told, else the tightest that will do."""
        self.cores -= room.core_milli
        self.memory -= room.memory_mib
        fitting = sorted(
            (card, number) for number, card in enumerate(self.cards) if card >= room.card_milli
        )
        chosen = tuple(cards) or tuple(number for _, number in fitting[: room.cards])
        for number in chosen:
            self.cards[number] -= room.card_milli
        return chosen

    def give(self, room: Room, cards: Sequence[int]) -> None:
        self.cores += room.core_milli
        self.memory += room.memory_mib
        for number in cards:
            self.cards[number] += room.card_milli

    def copy(self) -> _Free:
        return _Free(self.machine, self.cores, self.memory, list(self.cards))


@dataclass(slots=True)
class _Kept:
    """The start kept for the first job that waits: when, and what it leaves where."""

    starts_at: datetime
    left: dict[int, _Free]


def decide(snapshot: Snapshot, queue: Sequence[Ask], now: datetime, policy: Policy) -> Decisions:
    """As placement's ``decide``: a placement or a wait for every job."""
    hall = _Hall(snapshot, now, policy)
    decisions = Decisions([], [])
    kept: _Kept | None = None
    for ask in _in_line(queue, policy):
        found = None
        if hall.may_start(ask) and (kept is None or policy.backfill != "none"):
            found = hall.place(ask, kept)
        if found is not None:
            decisions.placements.append(found)
            continue
        starts_at = None
        if kept is None and hall.may_start(ask):
            kept = hall.keep(ask)
            starts_at = kept.starts_at if kept else None
        decisions.waits.append(Wait(ask.job_id, Reason("wait_for_its_turn"), starts_at))
    return decisions


def _in_line(queue: Sequence[Ask], policy: Policy) -> list[Ask]:
    index = ORDERS[policy.order]

    def key(ask: Ask) -> tuple[object, ...]:
        came = ask.submitted_at.timestamp()
        return -ask.priority, index(ask, came), came, str(ask.job_id)

    return sorted(queue, key=key)


class _Hall:
    """The machines while a queue is worked through."""

    def __init__(self, snapshot: Snapshot, now: datetime, policy: Policy) -> None:
        self._snapshot, self._now, self._policy = snapshot, now, policy
        self._free = {
            m.id: _Free(m, m.whole.core_milli, m.whole.memory_mib, [WHOLE_CARD] * m.whole.cards)
            for m in snapshot.machines
        }
        self._holds: list[tuple[datetime, Room, tuple[int, ...], list[tuple[int, ...]]]] = []
        for running in snapshot.running:
            self._hold_running(running)
        self._able: dict[object, list[Machine]] = {}
        self._full: set[object] = set()

    def _hold_running(self, running: Running) -> None:
        ids = tuple(one for one in running.machine_ids if one in self._free)
        told = running.cards if len(running.cards) == len(ids) else ((),) * len(ids)
        cards = [
            self._free[one].take(running.room, chosen)
            for one, chosen in zip(ids, told, strict=True)
        ]
        self._holds.append((running.ends_by, running.room, ids, cards))

    def may_start(self, ask: Ask) -> bool:
        early = ask.not_before is not None and ask.not_before > self._now
        return not early and all(self._snapshot.ended.get(one) for one in ask.after)

    def place(self, ask: Ask, kept: _Kept | None) -> Placement | None:
        """Start the job now if there is room that nobody was promised."""
        kind = _kind(ask)
        if kind in self._full:
            return None
        long = kept is not None and self._now + _walltime(ask) > kept.starts_at
        chosen = self._choose(ask, self._free, kept.left if kept and long else {})
        if chosen is None:
            if not long:
                self._full.add(kind)
            return None
        cards = [self._free[one].take(ask.room) for one in chosen]
        if kept and long:
            for one in chosen:
                if one in kept.left:
                    kept.left[one].take(ask.room)
        self._holds.append((self._now + _walltime(ask), ask.room, tuple(chosen), cards))
        machines = tuple(self._free[one].machine for one in chosen)
        return Placement(ask.job_id, machines, tuple(cards), Reason("placed_in_line"))

    def keep(self, ask: Ask) -> _Kept | None:
        """The soonest start; None: never, as far as anyone can say."""
        later = {one: free.copy() for one, free in self._free.items()}
        ends = sorted(self._holds, key=lambda hold: hold[0])
        for position, (ends_by, room, ids, cards) in enumerate(ends):
            for one, held in zip(ids, cards, strict=True):
                later[one].give(room, held)
            if position + 1 < len(ends) and ends[position + 1][0] == ends_by:
                continue
            if (chosen := self._choose(ask, later, {})) is not None:
                for one in chosen:
                    later[one].take(ask.room)
                return _Kept(max(self._now, ends_by), {one: later[one] for one in set(chosen)})
        return None

    def _choose(
        self, ask: Ask, free: Mapping[int, _Free], left: Mapping[int, _Free]
    ) -> list[int] | None:
        """Nodes with room, close enough to each other; ``left``: what they must also leave."""

        def rank(machine: Machine) -> tuple[object, ...]:
            return self._rank(ask, free[machine.id])

        best: list[int] | None = None
        best_key: tuple[object, ...] | None = None
        for near in self._close(ask):
            fitting = [
                m
                for m in near
                if free[m.id].holds(ask.room) and (m.id not in left or left[m.id].holds(ask.room))
            ]
            if not fitting:
                continue
            if ask.nodes == 1:
                chosen: list[int] | None = [min(fitting, key=rank).id]
            else:
                chosen = self._gather(ask, sorted(fitting, key=rank), free)
            if chosen is None:
                continue
            key = self._rank(ask, free[chosen[0]])
            if best_key is None or key < best_key:
                best, best_key = chosen, key
        return best

    def _gather(
        self, ask: Ask, ranked: Sequence[Machine], free: Mapping[int, _Free]
    ) -> list[int] | None:
        if ask.spread == "node":
            able = [m.id for m in ranked if free[m.id].times(ask.room) >= ask.nodes]
            return [able[0]] * ask.nodes if able else None
        chosen: list[int] = []
        for machine in ranked:  # a summary stands for many nodes
            times = 1 if machine.summary_at is None else free[machine.id].times(ask.room)
            chosen += [machine.id] * min(times, ask.nodes - len(chosen))
            if len(chosen) == ask.nodes:
                return chosen
        return None

    def _close(self, ask: Ask) -> Iterator[list[Machine]]:
        """The machines that would do, in sets close enough for one job."""
        able = self._able_for(ask)
        if ask.nodes == 1 or ask.spread in ("any", "node"):
            yield able
            return
        sets: dict[object, list[Machine]] = {}
        for machine in able:
            key = (machine.site.code, machine.rack if ask.spread == "rack" else "")
            sets.setdefault((*key, machine.summary_at is not None and machine.id), []).append(
                machine
            )
        yield from sets.values()

    def _able_for(self, ask: Ask) -> list[Machine]:
        kind = _kind(ask)
        if kind not in self._able:
            affordable: dict[int, bool] = {}
            for machine in self._snapshot.machines:  # machines of one kind share their rates
                if id(machine.rates) not in affordable:
                    affordable[id(machine.rates)] = _affordable(ask, machine)
            self._able[kind] = [
                m
                for m in self._snapshot.machines
                if affordable[id(m.rates)] and self._will_do(ask, m)
            ]
        return self._able[kind]

    def _will_do(self, ask: Ask, machine: Machine) -> bool:
        room, card = ask.room, machine.card
        if ask.image and not machine.images:
            return False
        if not machine.online or machine.whole.cards < room.cards:
            return False
        if room.cards and not (card and ask.model in (None, card.model)):
            return False
        refused = ask.refused_at.get(machine.cluster_id)
        if refused and machine.summary_at and machine.summary_at <= refused:
            return False
        return self._capable(ask, machine) and self._there(ask, machine)

    def _capable(self, ask: Ask, machine: Machine) -> bool:
        card, able = machine.card, ask.capability
        if ask.room.cards == 0 or card is None:
            return True
        if ask.where.domestic == "required" and not card.domestic:
            return False
        return able is None or (
            card.gflops.get(able.precision, 0) >= able.gflops_min
            and card.memory_mib >= able.memory_mib_min
        )

    def _there(self, ask: Ask, machine: Machine) -> bool:
        where, site = ask.where, machine.site
        return (
            (not where.centres or site.code in where.centres)
            and (not where.tiers or site.tier in where.tiers)
            and (not where.kinds or site.kind in where.kinds)
            and (not where.divisions or site.division in where.divisions)
            and where.datasets <= site.datasets
            and site.trust >= where.trust_min
            and (site.voucher_eligible or not where.voucher_eligible)
            and self._near(ask, machine)
        )

    def _near(self, ask: Ask, machine: Machine) -> bool:
        near, most = ask.where.near, ask.where.latency_us_max
        if near is None or most is None:
            return True
        places, links = (machine.site.code, machine.site.division), self._snapshot.links
        measured = [
            link
            for place in places
            for pair in ((place, near), (near, place))
            if (link := links.get(pair)) is not None
        ]
        return near in places or any(link.latency_us <= most for link in measured)

    def _rank(self, ask: Ask, free: _Free) -> tuple[object, ...]:
        """Best fit: a job without cards spares cards, then the least is left; ties by number."""
        machine = free.machine
        if self._policy.packing == "random":
            told = f"{self._policy.seed} {ask.job_id} {machine.id}".encode()
            return hashlib.blake2b(told, digest_size=8).digest(), machine.id
        if self._policy.packing == "first":
            return (machine.id,)
        spared = 0 if ask.room.cards else machine.whole.cards
        whole = machine.whole
        left = (free.cores - ask.room.core_milli) / max(1, whole.core_milli)
        left += (free.memory - ask.room.memory_mib) / max(1, whole.memory_mib)
        if whole.cards:
            asked = ask.room.cards * ask.room.card_milli
            left += (sum(free.cards) - asked) / (whole.cards * WHOLE_CARD)
        return spared, left, machine.id


def _affordable(ask: Ask, machine: Machine) -> bool:
    """Whether every meter has a price there, and all of its nodes cost no more than is held."""
    cost = machine.rates.cost_fen(ask.room, ask.walltime_seconds)
    return cost is not None and cost * ask.nodes <= ask.cost_max_fen


def _walltime(ask: Ask) -> timedelta:
    return timedelta(seconds=ask.walltime_seconds)


def _kind(ask: Ask) -> object:
    """What two jobs must share to be answered alike."""
    refused = tuple(sorted((str(one), at) for one, at in ask.refused_at.items()))
    price = None if ask.cost_max_fen >= FEN_MAX else (ask.walltime_seconds, ask.cost_max_fen)
    return (
        ask.room, ask.nodes, ask.spread, ask.model, ask.capability, ask.where, price, refused
    )  # fmt: skip
