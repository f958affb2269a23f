"""Jobs that wish the same share their answers: where they may go, in what order, what was found.

A queue is long because it holds many jobs of few kinds. A kind is what a job asks and the groups
that are open to it now. Room only shrinks while a queue is worked through, so a kind that found
none finds none later in the same step.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from suanwang.placement import goals, where
from suanwang.placement.city import City, pool_need
from suanwang.placement.groups import Group
from suanwang.placement.terms import Ask, Reason, Room

Ints = npt.NDArray[np.int64]
OFFERS_KEPT = 4096
"""So many wishes' offers are kept with a city."""
DEFERRED_AT_MOST = timedelta(days=1)
"""A deferrable job without a deadline is started after a day at the latest."""


class Tier(NamedTuple):
    """Groups a job's goal does not tell apart."""

    groups: tuple[int, ...]
    """Numbers of groups of machines."""
    summaries: tuple[int, ...]


class Place(NamedTuple):
    """A group that will do for a wish, and what a second of the job costs there."""

    group: Group
    fen_a_second: Fraction
    rank: int
    """Of its tier."""


class Offered(NamedTuple):
    """Every group that will do for a wish, whatever it costs; or none and the reason."""

    places: list[Place]
    reason: Reason | None
    dearest: Fraction
    """Fen a second at the dearest of the places."""
    guarded: bool
    """Whether some of the places are in a reservation, or are summaries that may refuse."""


@dataclass(slots=True)
class Wish:
    """What some jobs ask alike, and what is offered to it."""

    ask: Ask
    places: list[Place]
    reason: Reason | None
    dearest: Fraction
    guarded: bool
    kinds: dict[tuple[int, ...] | None, Kind] = field(default_factory=dict)


@dataclass(slots=True)
class Kind:
    """A wish and the places open to it now, with what was found out in this step."""

    wish: Wish
    room: Room
    """On one machine."""
    count: int
    """Of machines."""
    places: list[Place]
    tiers: tuple[Tier, ...]
    need: int
    """The number the pool knows ``room`` by."""
    member_lists: Sequence[Ints]
    """Positions of the machines of each place."""
    _members: Ints | None = None
    _ranks: Ints | None = None
    none_from: int | None = None
    """Jobs of at least so many seconds find no room now."""
    when: Ints | None = None
    """When each member has room; refreshed by ``floor.Floor``."""
    seen: int = 0
    """How many changes of the floor ``when`` knows of."""
    behind: Reason | None = None
    """What jobs of the kind that wait far back are told."""
    soonest: int | None = None
    """The soonest instant any of them could start; -1: never."""
    helps: tuple[Reason, ...] | None = None

    @property
    def members(self) -> Ints:
        """Positions of all its machines; few kinds need them, in a large city they are many."""
        if self._members is None:
            self._members = np.concatenate([np.empty(0, np.int64), *self.member_lists])
        return self._members

    @property
    def ranks(self) -> Ints:
        """The rank of the tier of each of its members."""
        if self._ranks is None:
            ranks = [place.rank for place in self.places if place.group.summary is None]
            sizes = [len(members) for members in self.member_lists]
            self._ranks = np.repeat(np.array(ranks, np.int64), sizes)
        return self._ranks

    @property
    def machines(self) -> int:
        return sum(len(place.group.members) for place in self.places)


class Wishes:
    """Every kind of job met in one step."""

    def __init__(self, city: City, now: datetime) -> None:
        self._city, self._now = city, now
        self._wishes: dict[Hashable, Wish] = {}

    def wish(self, ask: Ask) -> Wish:
        """What the job asks, with the places that will do for it if they were empty."""
        whose = ask.organisation if self._city.reservations else ""
        key = (
            (ask.room, ask.nodes, ask.spread, ask.model, ask.goal),
            (ask.capability, ask.image, ask.where, whose),
        )
        known = self._wishes.get(key)
        if known is None:
            known = self._wishes[key] = Wish(ask, *self._offered(ask, key))
        return known

    def _offered(self, ask: Ask, key: Hashable) -> Offered:
        """What is offered, kept with the city: it changes with the machines and the hour alone."""
        kept, hour = self._city.offered, self._now.hour
        found: Offered | None = kept.get((hour, key))
        if found is None:
            if len(kept) >= OFFERS_KEPT:
                kept.clear()
            found = kept[hour, key] = self._find(ask)
        return found

    def _find(self, ask: Ask) -> Offered:
        groups, reason = where.will_do(self._city, ask)
        precision = ask.capability.precision if ask.capability else "fp16"
        offers = [
            goals.offer(
                ask.room,
                ask.nodes,
                1,
                rates=group.rates,
                card=group.card,
                site=group.site,
                now=self._now,
                precision=precision,
            )
            for group in groups
        ]
        known = [offer for offer in offers if offer is not None]
        costs = goals.costs(ask.goal, known)
        keys = [
            (
                ask.where.domestic == "preferred" and not (group.card and group.card.domestic),
                cost,
                ask.room.cards == 0 and group.card is not None,
            )
            for group, cost in zip(groups, costs, strict=True)
        ]
        ranks = {key: rank for rank, key in enumerate(sorted(set(keys)))}
        places = [
            Place(group, offer.money_fen, ranks[key])
            for group, offer, key in zip(groups, known, keys, strict=True)
        ]
        return Offered(
            places=places,
            reason=reason,
            dearest=max((place.fen_a_second for place in places), default=Fraction(0)),
            guarded=any(place.group.reserved or place.group.summary for place in places),
        )

    def kind(self, ask: Ask) -> tuple[Kind | None, Reason | None]:
        """The kind of a job; or why no place is open to it."""
        wish = self.wish(ask)
        if wish.reason is not None:
            return None, wish.reason
        affordable = wish.dearest * ask.walltime_seconds <= ask.cost_max_fen
        if affordable and not wish.guarded and not ask.deferrable:
            return self._kind(wish, None, wish.places), None
        places = wish.places
        if not affordable:
            places = [
                p for p in places if p.fen_a_second * ask.walltime_seconds <= ask.cost_max_fen
            ]
            if not places:
                return None, too_dear(ask, wish.places)
        if wish.guarded:
            places, reason = self._open(ask, places)
            if reason is not None:
                return None, reason
        if ask.deferrable:
            places, reason = self._green(ask, places)
            if reason is not None:
                return None, reason
        return self._kind(wish, tuple(p.group.number for p in places), places), None

    def _kind(self, wish: Wish, numbers: tuple[int, ...] | None, places: Sequence[Place]) -> Kind:
        known = wish.kinds.get(numbers)
        if known is None:
            known = wish.kinds[numbers] = self._made(wish, list(places))
        return known

    def _made(self, wish: Wish, places: list[Place]) -> Kind:
        city, room = self._city, where.room_of(wish.ask)
        tiers: dict[int, tuple[list[int], list[int]]] = {}
        for place in places:
            tier = tiers.setdefault(place.rank, ([], []))
            tier[place.group.summary is not None].append(place.group.number)
        nodes = [place.group.number for place in places if place.group.summary is None]
        return Kind(
            wish=wish,
            room=room,
            count=where.count_of(wish.ask),
            places=places,
            tiers=tuple(Tier(tuple(tiers[r][0]), tuple(tiers[r][1])) for r in sorted(tiers)),
            need=city.pool.kind(pool_need(room)),
            member_lists=[city.members[number] for number in nodes],
        )

    def _open(self, ask: Ask, places: list[Place]) -> tuple[list[Place], Reason | None]:
        """Without those reserved for others while it would run, or that refused it just now."""
        unreserved = [p for p in places if self._reserved_until(ask, p.group) is None]
        if not unreserved:
            until = min(self._reserved_until(ask, p.group) or self._now for p in places)
            facts: dict[str, str | int] = {"until": until.isoformat(timespec="minutes")}
            return [], Reason("wait_reserved", facts)
        heard = [p for p in unreserved if not refused(ask, p.group)]
        if not heard:
            return [], Reason("wait_newer_summary", {"machines": len(unreserved)})
        return heard, None

    def _reserved_until(self, ask: Ask, group: Group) -> datetime | None:
        ends = self._now + timedelta(seconds=ask.walltime_seconds)
        for each in group.reserved:
            others = ask.organisation not in each.organisations
            if others and each.starts_at < ends and each.ends_at > self._now:
                return each.ends_at
        return None

    def _green(self, ask: Ask, places: list[Place]) -> tuple[list[Place], Reason | None]:
        """Only the places whose power is green now, while the job can still wait for one."""
        latest = ask.submitted_at + DEFERRED_AT_MOST
        if ask.deadline is not None:
            latest = ask.deadline - timedelta(seconds=ask.walltime_seconds)
        if self._now >= latest:
            return places, None
        green = [p for p in places if goals.is_green(p.group.site, self._now)]
        if green:
            return green, None
        starts = next_green(places, self._now)
        if starts is None or starts > latest:
            return places, None
        facts: dict[str, str | int] = {"starts_at": starts.isoformat(timespec="minutes")}
        return [], Reason("wait_green_hour", facts)


def next_green(places: Sequence[Place], now: datetime) -> datetime | None:
    """When the next hour begins in which the power of one of the places is green."""
    hours = {hour for place in places for hour in place.group.site.green_hours}
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    for ahead in range(1, 25):
        hour = this_hour + timedelta(hours=ahead)
        if hour.hour in hours:
            return hour
    return None


def refused(ask: Ask, group: Group) -> bool:
    """Whether a cluster known by summary refused the job and said nothing new since."""
    if group.summary is None or group.summary.summary_at is None:
        return False
    at = ask.refused_at.get(group.cluster_id)
    return at is not None and at >= group.summary.summary_at


def too_dear(ask: Ask, places: Sequence[Place]) -> Reason:
    """That every place costs more than what is held, and what the cheapest costs."""
    least = min(place.fen_a_second for place in places) * ask.walltime_seconds
    machines = sum(len(place.group.members) for place in places)
    facts: dict[str, str | int] = {"machines": machines, "held_fen": ask.cost_max_fen}
    return Reason("wait_price_above_hold", facts | {"least_fen": whole_fen(least)})


def whole_fen(amount: Fraction) -> int:
    """Rounded up."""
    return -(-amount.numerator // amount.denominator)
