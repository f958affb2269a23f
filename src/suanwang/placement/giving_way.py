"""Who gives way to whom: running work that can be stopped, for work of a strictly higher class.

Also for an organisation that takes back what others have borrowed of its quota. The cheapest set
is asked: of the lowest class, then with the least work lost, all of it needed. Nobody is asked if
the job would start as early without it, or not even with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import NamedTuple

from suanwang.placement.city import City, Held
from suanwang.placement.floor import Floor
from suanwang.placement.gangs import neighbourhood
from suanwang.placement.groups import total
from suanwang.placement.quotas import Quotas
from suanwang.placement.terms import Ask, Preemption, Reason
from suanwang.placement.terms_of_time import second
from suanwang.placement.wishes import Kind

LOOKED_AT = 2000
"""So many machines are looked at for one job, the first of the best tier first."""


class Clearing(NamedTuple):
    """One machine and those that must leave it."""

    position: int
    victims: tuple[Held, ...]
    cost: tuple[int, int]
    """The highest class among them (a lower bound if none), then the work lost."""


class GivingWay:
    """What of the running work can be stopped, found once a step and only if needed."""

    def __init__(self, floor: Floor, quotas: Quotas, grace: timedelta) -> None:
        self._floor, self._quotas, self._grace = floor, quotas, grace
        self.grace_seconds = -int(-grace.total_seconds() // 1)
        self._told: set[Held] = set()
        self._on: dict[int, list[Held]] | None = None
        self._lowest = 0
        self._in_vain: dict[int, int] = {}

    def could_help(self, ask: Ask) -> bool:
        """Whether there may be someone who gives way to the job."""
        on = self._stoppable()
        return bool(on) and (ask.priority > self._lowest or self._quotas.within(ask))

    def victims(self, ask: Ask, kind: Kind, *, only_reclaim: bool = False) -> list[Held]:
        """The cheapest set whose leaving lets the job start; empty: there is none."""
        on, city = self._stoppable(), self._floor.city
        known = self._in_vain.get(id(kind))
        if known is not None and ask.priority <= known:
            return []
        guarded = {p.group.number for p in kind.places if p.group.reserved}
        order = kind.members[kind.ranks.argsort(kind="stable")]
        looked_at = (
            position
            for position in order.tolist()
            if (position in on or kind.count > 1)
            and not self._floor.is_kept(position)
            and int(city.group_of[position]) not in guarded
        )
        clearings = [
            clearing
            for position in islice(looked_at, LOOKED_AT)
            if (clearing := self._clear(ask, kind, position, on, only_reclaim)) is not None
        ]
        if kind.count == 1:
            best = min(clearings, key=lambda c: (c.cost, len(c.victims), c.position), default=None)
            found = list(best.victims) if best else []
        else:
            found = _gang(city, ask, kind.count, clearings)
        if not found and not self._quotas.within(ask):
            self._in_vain[id(kind)] = ask.priority
        return found

    def borrowers(self, ask: Ask, kind: Kind) -> list[Held]:
        """The cheapest set whose leaving gives the job's organisation its own back."""
        if self._floor.now_for(kind, ask.walltime_seconds) is None:
            return self.victims(ask, kind, only_reclaim=True)
        stoppable = {held for there in self._stoppable().values() for held in there}
        asked = total(ask.room, ask.nodes)
        given_up: dict[str, tuple[int, int]] = {}
        cores, cards, chosen = 0, 0, []
        for held in sorted(stoppable, key=self._price):
            whose = held.running.organisation
            was = given_up.get(whose, (0, 0))
            if held in self._told or self._begins_now(held):
                continue
            if not self._quotas.may_reclaim(ask, whose, was):
                continue
            freed = total(held.running.room, len(held.positions))
            if not any(part and want for part, want in zip(freed, asked, strict=True)):
                continue
            given_up[whose] = was[0] + freed[0], was[1] + freed[2]
            cores, cards = cores + freed[0], cards + freed[2]
            chosen.append(held)
            if self._quotas.refusal(ask, (cores, cards)) is None:
                return chosen
        return []

    def tell(self, ask: Ask, victims: Sequence[Held]) -> list[Preemption]:
        """Tell them, and suppose from now on that they are gone when the grace is over."""
        by, told = self._floor.at + self.grace_seconds, []
        for held in victims:
            reclaimed = held.running.priority >= ask.priority
            code = "preempted_for_quota" if reclaimed else "preempted_for_class"
            facts: dict[str, str | int] = {
                "job": str(ask.job_id),
                "priority": ask.priority,
                "organisation": ask.organisation,
                "grace_seconds": self.grace_seconds,
            }
            self._told.add(held)
            self._floor.hasten(held.slots, held.positions, by)
            told.append(
                Preemption(held.running.job_id, ask.job_id, self._grace, Reason(code, facts))
            )
        return told

    def _stoppable(self) -> dict[int, list[Held]]:
        if self._on is None:
            city = self._floor.city
            self._on = {}
            found = list(city.stoppable.values())
            found.sort(key=lambda held: held.running.job_id)
            self._lowest = min((held.running.priority for held in found), default=0)
            for held in found:
                if all(position < city.nodes for position in held.positions):
                    for position in dict.fromkeys(held.positions):
                        self._on.setdefault(position, []).append(held)
        return self._on

    def _clear(
        self,
        ask: Ask,
        kind: Kind,
        position: int,
        on: dict[int, list[Held]],
        only_reclaim: bool,
    ) -> Clearing | None:
        """The cheapest of one machine's jobs that make room for a node of the job."""
        room = _Room(self._floor.city, position, kind)
        if room.enough():
            return None if kind.count == 1 else Clearing(position, (), (-(1 << 62), 0))
        given_up: dict[str, tuple[int, int]] = {}
        chosen: list[Held] = []
        for held in sorted(on.get(position, ()), key=self._price):
            if held in self._told or self._begins_now(held):
                continue
            was = given_up.get(held.running.organisation, (0, 0))
            reclaimed = self._quotas.may_reclaim(ask, held.running.organisation, was)
            lower = held.running.priority < ask.priority and not only_reclaim
            if not (lower or reclaimed):
                continue
            cores, _, cards = total(held.running.room, len(held.positions))
            given_up[held.running.organisation] = was[0] + cores, was[1] + cards
            chosen.append(held)
            room.leaves(held, position, 1)
            if room.enough():
                break
        else:
            return None
        for held in list(reversed(chosen[:-1])):
            room.leaves(held, position, -1)
            if room.enough():
                chosen.remove(held)
            else:
                room.leaves(held, position, 1)
        classes = max(held.running.priority for held in chosen)
        return Clearing(position, tuple(chosen), (classes, sum(self._lost(h) for h in chosen)))

    def _begins_now(self, held: Held) -> bool:
        return held.running.started_at == self._floor.now

    def _price(self, held: Held) -> tuple[int, int, int]:
        return held.running.priority, self._lost(held), held.running.job_id.int

    def _lost(self, held: Held) -> int:
        """Work done so far, in seconds times milli-cores, a card as a hundred cores' worth."""
        started = held.running.started_at
        seconds = 0 if started is None else max(0, self._floor.at - second(started))
        cores, _, cards = total(held.running.room, len(held.positions))
        return (seconds + 1) * (cores + 100 * cards)


class _Room:
    """What is free of one machine while it is supposed that some leave it."""

    def __init__(self, city: City, position: int, kind: Kind) -> None:
        cores, memory, cards = city.free_of(position)
        self._left, self._asked = [cores, memory], kind.room
        self._cards = cards.tolist()

    def enough(self) -> bool:
        asked = self._asked
        fitting = sum(free >= asked.card_milli for free in self._cards)
        return (
            self._left[0] >= asked.core_milli
            and self._left[1] >= asked.memory_mib
            and (not asked.cards or fitting >= asked.cards)
        )

    def leaves(self, held: Held, position: int, sign: int) -> None:
        room = held.running.room
        for at, cards in zip(held.positions, held.cards, strict=True):
            if at == position:
                self._left[0] += sign * room.core_milli
                self._left[1] += sign * room.memory_mib
                for card in cards:
                    self._cards[card] += sign * room.card_milli


def _gang(city: City, ask: Ask, count: int, clearings: Sequence[Clearing]) -> list[Held]:
    """The cheapest machines of one neighbourhood that are enough for all of the job."""
    near: dict[int, list[Clearing]] = {}
    for clearing in clearings:
        place = neighbourhood(city, clearing.position, ask.spread)
        if place >= 0:
            near.setdefault(place, []).append(clearing)
    best: tuple[tuple[int, int], int, list[Held]] | None = None
    for place, here in sorted(near.items()):
        chosen = sorted(here, key=lambda c: (c.cost, c.position))[:count]
        if len(chosen) < count or not any(c.victims for c in chosen):
            continue
        leaving = list({id(h): h for c in chosen for h in c.victims}.values())
        cost = max(c.cost[0] for c in chosen), sum(c.cost[1] for c in chosen)
        if best is None or (cost, place) < best[:2]:
            best = cost, place, leaving
    return [] if best is None else best[2]
