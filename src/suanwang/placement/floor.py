"""The city while a queue is worked through: who starts now, and what is kept for whom.

A start that is kept pins machines, cards and an interval. Later jobs start on such a machine only
if they leave it all of that, by their walltimes (``kernels.machines.earliest``); so nobody who
comes later puts off a start that was kept. Machines with something kept are taken out of the pool
and looked at one by one; the pool picks among all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from suanwang.placement import gangs
from suanwang.placement.calendar import Calendar
from suanwang.placement.city import City
from suanwang.placement.groups import Group, fits, total
from suanwang.placement.kernels import machines as loops
from suanwang.placement.terms import Ask, Running
from suanwang.placement.terms_of_time import FOREVER, NEVER, second_after
from suanwang.placement.wishes import Kind

Ints = npt.NDArray[np.int64]
_earliest: Any = loops.earliest
_least_free: Any = loops.least_free
_with_room: Any = loops.with_room


class Spot(NamedTuple):
    """Machines and an instant."""

    positions: tuple[int, ...]
    """One per machine the job runs on."""
    start: int


class Floor:
    """What is free, taken and kept in one step."""

    def __init__(self, city: City, now: datetime) -> None:
        self.city, self.now = city, now
        self.at = second_after(now)
        nodes = max(1, city.nodes)
        self._kept: Ints = np.zeros((64, loops.KEPT_COLUMNS), np.int64)
        self._kept_cards = np.zeros((64, city.width), np.uint8)
        self._kept_head: Ints = np.full(nodes, -1, np.int64)
        self._rows = 0
        self._reserved: dict[int, list[int]] = {}
        self._changed: list[int] = []
        self._calendars: dict[int, Calendar] = {}
        self._hastened: list[tuple[int, Ints]] = []

    # --- who starts now

    def now_for(self, kind: Kind, seconds: int) -> Spot | None:
        """Where a job of the kind can start now; None: nowhere."""
        if kind.none_from is not None and seconds >= kind.none_from:
            return None
        find = self._one_now if kind.count == 1 else self._gang_now
        found = find(kind, seconds)
        if found is None:
            kind.none_from = seconds if self._reserved or self._calendars else 0
        return found

    def _one_now(self, kind: Kind, seconds: int) -> Spot | None:
        for tier in kind.tiers:
            if tier.groups:
                position = self.city.pool.choose(kind.need, tier.groups)
                if position < 0:
                    position = self._beside_kept(kind, tier.groups, seconds)
                if position >= 0:
                    return Spot((position,), self.at)
            for number in tier.summaries:
                if self._summary(kind, number, seconds) == self.at:
                    return Spot((self.city.groups[number].members[0],), self.at)
        return None

    def _beside_kept(self, kind: Kind, groups: Sequence[int], seconds: int) -> int:
        """The tightest machine with something kept that has room beside it; -1: none."""
        members = self._with_kept(groups)
        if not members.size:
            return -1
        open_now = members[self._earliest(kind, members, seconds) == self.at]
        pool = self.city.pool
        left = pool.free_cards_milli[open_now].sum(axis=1)
        for nth in np.lexsort((open_now, pool.free_cores_milli[open_now], left)):
            position = int(open_now[nth])
            if self._leaves_cards(kind, position, seconds):
                return position
        return -1

    def _leaves_cards(self, kind: Kind, position: int, seconds: int) -> bool:
        """Whether the cards the pool would use stay free long enough."""
        if not kind.room.cards:
            return True
        used = self.city.take(position, kind.room, kind.need)
        self.city.untake(position, kind.room, used)
        least = self._least_free(position, self.at, seconds)
        return all(least[card] >= kind.room.card_milli for card in used)

    def _gang_now(self, kind: Kind, seconds: int) -> Spot | None:
        spread = kind.wish.ask.spread
        found: tuple[int, ...] = ()
        open_now = _with_room(kind.members, *self.city.arrays(), *kind.room)
        if int(open_now.sum()) >= kind.count:
            if spread != "rack":
                found = self._gang_by_pool(kind)
            if not found and (spread == "rack" or self._reserved):
                found = self._gang_by_tightness(kind, seconds)
        if found:
            return Spot(found, self.at)
        for tier in kind.tiers:
            for number in tier.summaries:
                if self._summary(kind, number, seconds) == self.at:
                    only = self.city.groups[number].members[0]
                    return Spot((only,) * kind.count, self.at)
        return None

    def _gang_by_pool(self, kind: Kind) -> tuple[int, ...]:
        """Machines of the best tiers that are enough, each as the pool picks it."""
        together = kind.wish.ask.spread == "centre"
        near: dict[object, list[int]] = {}
        for tier in kind.tiers:
            touched = dict.fromkeys(
                self.city.groups[number].cluster_id if together else None for number in tier.groups
            )
            for number in tier.groups:
                place = self.city.groups[number].cluster_id if together else None
                near.setdefault(place, []).append(number)
            for place in touched:
                if found := self._several(kind, near[place]):
                    return found
        return ()

    def _several(self, kind: Kind, groups: Sequence[int]) -> tuple[int, ...]:
        """As many different machines of these groups as the job runs on, or none."""
        city = self.city
        chosen: list[tuple[int, tuple[int, ...]]] = []
        while len(chosen) < kind.count:
            position = city.pool.choose(kind.need, groups)
            if position < 0:
                break
            chosen.append((position, city.take(position, kind.room, kind.need)))
            city.pool.set_up(position, False)
        for position, cards in reversed(chosen):
            city.untake(position, kind.room, cards)
            city.pool.set_up(position, True)
        return tuple(p for p, _ in chosen) if len(chosen) == kind.count else ()

    def _gang_by_tightness(self, kind: Kind, seconds: int) -> tuple[int, ...]:
        """The tightest machines that are enough, in one rack or beside what is kept."""
        when = self.when(kind, seconds)
        open_now = when == self.at
        for rank in np.unique(kind.ranks[open_now]):
            tried = open_now & (kind.ranks <= rank)
            found, _ = gangs.soonest(
                self.city, kind.members[tried], when[tried], kind.count, kind.wish.ask.spread
            )
            if found and all(self._leaves_cards(kind, one, seconds) for one in found):
                return found
        return ()

    # --- who starts when

    def soonest(self, kind: Kind, seconds: int) -> Spot | None:
        """Where a job of the kind can start first if all that runs takes its walltime."""
        best: tuple[int, int, tuple[int, ...]] | None = None
        when = self._past_reservations(kind, self.when(kind, seconds), seconds)
        if kind.count > 1:
            spread = kind.wish.ask.spread
            found, start = gangs.soonest(self.city, kind.members, when, kind.count, spread)
            if found:
                best = start, 0, found
        elif when.size and (start := int(when.min())) < FOREVER:
            first = np.flatnonzero(when == start)
            nth = int(first[np.argmin(kind.ranks[first])])
            best = start, int(kind.ranks[nth]), (int(kind.members[nth]),)
        for rank, tier in enumerate(kind.tiers):
            for number in tier.summaries:
                start = self._summary(kind, number, seconds)
                if start != NEVER and (best is None or (start, rank) < best[:2]):
                    best = start, rank, (self.city.groups[number].members[0],) * kind.count
        return None if best is None else Spot(best[2], max(best[0], self.at))

    def when(self, kind: Kind, seconds: int) -> Ints:
        """When each member of a kind has room for so long."""
        if kind.when is None:
            kind.when = self.city.openings.when(kind.room, kind.members, self.at)
            kind.seen = len(self._changed)
        stale = set(self._changed[kind.seen :])
        kind.seen = len(self._changed)
        for positions in self._reserved.values():
            stale.update(positions)
        if stale:
            again = np.flatnonzero(np.isin(kind.members, np.array(sorted(stale), np.int64)))
            kind.when[again] = self._earliest(kind, kind.members[again], seconds)
        return kind.when

    def expected(self, kind: Kind, spot: Spot, seconds: int) -> int:
        """When a job will start there, if what runs takes as long as jobs like it really took."""
        members = np.array([p for p in spot.positions if p < self.city.nodes], np.int64)
        if not members.size:
            return spot.start
        when = self._earliest(kind, members, seconds, loops.EXPECTED)
        return min(spot.start, int(when.max()))

    def _earliest(self, kind: Kind, members: Ints, seconds: int, column: int = loops.ENDS) -> Ints:
        found: Ints = _earliest(
            members,
            *self.city.arrays(),
            self.city.others.debts,
            self.city.slots,
            self.city.slot_cards,
            self.city.head,
            self._kept,
            self._kept_cards,
            self._kept_head,
            column,
            self.at,
            seconds,
            *kind.room,
        )
        return found

    def _least_free(self, position: int, start: int, seconds: int) -> Ints:
        found: Ints = _least_free(
            position,
            *self.city.arrays(),
            self.city.others.debts,
            self.city.slots,
            self.city.slot_cards,
            self.city.head,
            self._kept,
            self._kept_cards,
            self._kept_head,
            loops.ENDS,
            self.at,
            start,
            seconds,
        )
        return found

    def _past_reservations(self, kind: Kind, when: Ints, seconds: int) -> Ints:
        """Without the instants from which a job would run into a reservation for others."""
        organisation = kind.wish.ask.organisation
        for place in kind.places:
            for each in place.group.reserved:
                if organisation in each.organisations:
                    continue
                starts, ends = second_after(each.starts_at), second_after(each.ends_at)
                inside = (when < ends) & (when > starts - seconds)
                of_group = self.city.group_of[kind.members] == place.group.number
                when = np.where(inside & of_group, FOREVER, when)
        return when

    def _with_kept(self, groups: Sequence[int]) -> Ints:
        found = [p for number in groups for p in self._reserved.get(number, ())]
        return np.array(found, np.int64)

    # --- summaries

    def _summary(self, kind: Kind, number: int, seconds: int) -> int:
        """When a cluster known by summary has so much free, all its nodes taken together."""
        group = self.city.groups[number]
        assert group.summary is not None  # noqa: S101 - a type
        largest = group.summary.largest
        if largest is not None and not fits(kind.room, largest):
            return NEVER
        amount = total(kind.room, kind.count)
        return self.calendar(group).earliest(amount, seconds, self.at)

    def calendar(self, group: Group) -> Calendar:
        """What is free of a cluster known by summary, from now on."""
        known = self._calendars.get(group.number)
        if known is None:
            free = np.array(self.city.summaries.free[group.number], np.int64)
            running = self.city.slots_of(group.number)
            amounts = running[:, [loops.CORES, loops.MEMORY, loops.TOTAL]]
            known = Calendar(free + amounts.sum(axis=0), self.at)
            for amount, ends in zip(amounts, running[:, loops.ENDS], strict=True):
                known.hold(amount, self.at, max(1, int(ends) - self.at))
            self._calendars[group.number] = known
        return known

    # --- taking and keeping

    def take(self, ask: Ask, kind: Kind, spot: Spot) -> tuple[tuple[int, ...], ...]:
        """Let a job start there now; the cards it uses on each of its nodes."""
        city, positions = self.city, spot.positions
        self._hold_summary(kind, spot, ask.walltime_seconds)
        cards = [city.take(position, kind.room, kind.need) for position in positions]
        if ask.spread == "node" and ask.nodes > 1:
            each = ask.room.cards
            used = cards[0]
            cards = [used[n * each : (n + 1) * each] for n in range(ask.nodes)]
            positions = positions * ask.nodes
        seconds = ask.walltime_seconds
        expected = min(seconds, ask.expected_seconds or seconds)
        running = Running(
            job_id=ask.job_id,
            machine_ids=tuple(city.machines[position].id for position in positions),
            room=ask.room,
            ends_by=self.now + timedelta(seconds=seconds),
            expected_end=self.now + timedelta(seconds=expected),
            organisation=ask.organisation,
            priority=ask.priority,
            preemptible=ask.preemptible,
            started_at=self.now,
            cards=tuple(cards),
        )
        city.start(running, positions, cards)
        self._changed.extend(p for p in spot.positions if p < city.nodes)
        return tuple(cards)

    def keep(self, kind: Kind, spot: Spot, seconds: int) -> None:
        """Keep a start for a job that waits."""
        self._hold_summary(kind, spot, seconds)
        for position in spot.positions:
            if position >= self.city.nodes:
                continue
            cards: list[int] = []
            if kind.room.cards:
                least = self._least_free(position, spot.start, seconds)
                fitting = [
                    c for c in np.argsort(least, kind="stable") if least[c] >= kind.room.card_milli
                ]
                cards = [int(card) for card in fitting[: kind.room.cards]]
            self._pin(kind, position, cards, spot.start, seconds)

    def _pin(
        self, kind: Kind, position: int, cards: Sequence[int], start: int, seconds: int
    ) -> None:
        if self._rows == len(self._kept):
            self._kept = np.concatenate((self._kept, np.zeros_like(self._kept)))
            self._kept_cards = np.concatenate((self._kept_cards, np.zeros_like(self._kept_cards)))
        row, room = self._rows, kind.room
        self._rows += 1
        before = int(self._kept_head[position])
        self._kept[row] = (
            before,
            start,
            start + seconds,
            room.core_milli,
            room.memory_mib,
            room.card_milli,
        )
        self._kept_cards[row, list(cards)] = 1
        self._kept_head[position] = row
        self._changed.append(position)
        if before < 0:
            self._reserved.setdefault(int(self.city.group_of[position]), []).append(position)
            self.city.pool.set_up(position, False)

    def _hold_summary(self, kind: Kind, spot: Spot, seconds: int) -> None:
        if spot.positions[0] >= self.city.nodes:
            group = self.city.groups[int(self.city.group_of[spot.positions[0]])]
            self.calendar(group).hold(total(kind.room, kind.count), spot.start, seconds)

    def hasten(self, rows: Sequence[int], positions: Sequence[int], by: int) -> None:
        """Suppose that what gives way ends by then."""
        for row in rows:
            self._hastened.append((row, self.city.slots[row].copy()))
            for column in (loops.ENDS, loops.EXPECTED):
                self.city.slots[row, column] = min(by, int(self.city.slots[row, column]))
            self.city.openings.changed(int(self.city.slots[row, loops.MACHINE]))
        self._changed.extend(positions)

    def has_room_beside_kept(self, kind: Kind) -> bool:
        """Whether a machine has room now that is kept for others."""
        members = self._with_kept([place.group.number for place in kind.places])
        return bool(_with_room(members, *self.city.arrays(), *kind.room).any())

    def is_kept(self, position: int) -> bool:
        """Whether something is kept on a machine."""
        return bool(self._kept_head[position] >= 0)

    def leave(self) -> None:
        """Undo what was only supposed: the city is what it was, with what started."""
        for positions in self._reserved.values():
            for position in positions:
                self.city.pool.set_up(position, True)
        for row, before in reversed(self._hastened):
            for column in (loops.ENDS, loops.EXPECTED):
                self.city.slots[row, column] = before[column]
            self.city.openings.changed(int(before[loops.MACHINE]))
