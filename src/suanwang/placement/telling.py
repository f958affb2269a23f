"""What is said of each decision: the code and its facts, warnings, and when a job may start."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from suanwang.placement import goals
from suanwang.placement.city import City
from suanwang.placement.floor import Spot
from suanwang.placement.groups import total
from suanwang.placement.terms import Ask, Reason
from suanwang.placement.terms_of_time import instant
from suanwang.placement.where import asked
from suanwang.placement.wishes import Kind, whole_fen

Facts = dict[str, str | int]
CENTRES_NAMED = 3
"""So many centres are named in one reason."""
_PLACED = {
    "cheapest": "placed_cheapest",
    "fastest": "placed_fastest",
    "greenest": "placed_greenest",
    "balanced": "placed_balanced",
}


class Ahead:
    """Work of the jobs ahead in line, and how long the city needs for it: an estimate for those
    for whom no start is kept."""

    def __init__(self, city: City) -> None:
        ours = city.capacity - city.others.total
        self._capacity = [max(1, int(part)) for part in ours]
        self._work = [0, 0, 0]

    def add(self, ask: Ask) -> None:
        """A job that waits stands ahead of all that come later."""
        seconds = ask.expected_seconds or ask.walltime_seconds
        for part, amount in enumerate(total(ask.room, ask.nodes)):
            self._work[part] += amount * seconds

    def seconds(self, ask: Ask) -> int:
        """How long the city works on what the job will have to wait for."""
        return max(
            work // capacity
            for work, capacity, amount in zip(
                self._work, self._capacity, total(ask.room, ask.nodes), strict=True
            )
            if amount or not any(ask.room)
        )


def placed(city: City, ask: Ask, kind: Kind, spot: Spot, now: datetime) -> Reason:
    """Why there: what the place is best at, among how many centres that will do."""
    number = int(city.group_of[spot.positions[0]])
    place = next(each for each in kind.places if each.group.number == number)
    site = place.group.site
    facts: Facts = {
        "centre": site.code,
        "node": city.machines[spot.positions[0]].name,
        "choices": len({each.group.site.code for each in kind.places}),
        "cost_fen": whole_fen(place.fen_a_second * ask.walltime_seconds),
        "grey_energy": f"{float(goals.grey_energy(site, now)):.2f}",
    }
    return Reason(_PLACED[ask.goal], facts)


def kept(city: City, ask: Ask, kind: Kind, spot: Spot, code: str, now: datetime) -> Reason:
    """That the job waits for a start that is kept for it."""
    machine = city.machines[spot.positions[0]]
    facts: Facts = {
        "machines": kind.machines,
        "centre": machine.site.code,
        "node": machine.name,
        "starts_at": told(spot.start, now).isoformat(timespec="minutes"),
    }
    return Reason(code, asked(ask) | facts)


def behind(ask: Ask, kind: Kind, code: str) -> Reason:
    """That the job waits behind others; the same words for all of its kind."""
    return Reason(code, asked(ask) | {"machines": kind.machines})


def beside_others(city: City, ask: Ask, kind: Kind) -> Reason | None:
    """That it never starts as long as others use what they use now; None: not for that."""
    short = city.others.short_on(kind.members, kind.room).tolist()
    short += [
        place.group.members[0]
        for place in kind.places
        if place.group.summary is not None and any(total(place.group.summary.others))
    ]
    if not short:
        return None
    centres = sorted({city.machines[position].site.code for position in short})
    facts: Facts = {
        "machines": kind.machines,
        "short": len(short),
        "centre": ", ".join(centres[:CENTRES_NAMED])
        + ("…" if len(centres) > CENTRES_NAMED else ""),
    }
    return Reason("wait_others_use", asked(ask) | facts)


def told(start: int, now: datetime) -> datetime:
    """A whole second of the core as an instant, in the zone the caller speaks."""
    return instant(int(np.minimum(start, 253_370_764_800)), now.tzinfo)


def warnings(ask: Ask, starts_at: datetime | None) -> tuple[Reason, ...]:
    """That the job will miss its deadline if it takes its walltime, or even as long as expected."""
    if ask.deadline is None or starts_at is None:
        return ()
    by = starts_at + timedelta(seconds=ask.walltime_seconds)
    if by <= ask.deadline:
        return ()
    expected = starts_at + timedelta(seconds=ask.expected_seconds or ask.walltime_seconds)
    facts: Facts = {
        "deadline": ask.deadline.isoformat(timespec="minutes"),
        "ends_by": by.isoformat(timespec="minutes"),
    }
    if expected <= ask.deadline:
        return (Reason("warn_deadline_at_risk", facts),)
    return (Reason("warn_deadline_missed", facts),)
