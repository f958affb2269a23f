"""Who goes where, now: a pure function of a snapshot and a queue.

1. Jobs are taken in the order they were submitted.
2. A machine will do if it is whole enough, has the cards asked for, is heard of, has a price for
   every meter, and costs at most what is held.
3. Of the machines that will do and have room now, the job's goal picks; ties go to the tightest
   fit, so that large holes stay whole.
4. The first job that finds no room gets a reservation where it can start soonest. A later job may
   pass it only if that start is not put off (EASY backfilling), so nobody starves.
5. Every waiting job is told what it waits for and until about when; every placed one why there.

Deterministic: no clock, no randomness; ties end at the machine's id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from suanwang.placement.terms import (
    Ask,
    Decisions,
    Machine,
    Placement,
    Policy,
    Reason,
    Room,
    Snapshot,
    Wait,
)

_PLACED = {
    "cheapest": "placed_cheapest",
    "fastest": "placed_fastest",
    "greenest": "placed_greenest",
    "balanced": "placed_balanced",
}


class _Free(NamedTuple):
    """What is left of a machine, all its cards taken together."""

    core_milli: int
    memory_mib: int
    card_milli: int

    @classmethod
    def of(cls, room: Room) -> _Free:
        return cls(room.core_milli, room.memory_mib, room.cards * room.card_milli)

    def holds(self, room: Room) -> bool:
        return all(asked <= here for asked, here in zip(_Free.of(room), self, strict=True))

    def less(self, room: Room) -> _Free:
        return _Free(*(here - asked for asked, here in zip(_Free.of(room), self, strict=True)))

    def plus(self, room: Room) -> _Free:
        return _Free(*(here + asked for asked, here in zip(_Free.of(room), self, strict=True)))


@dataclass(frozen=True)
class _Reservation:
    """Where and when the first waiting job will start, and what it leaves there."""

    machine_id: int
    starts_at: datetime
    spare: _Free


def decide(
    snapshot: Snapshot, queue: Sequence[Ask], now: datetime, policy: Policy | None = None
) -> Decisions:
    """Place what can start now; tell the others what they wait for."""
    floor = _Floor(snapshot, now)
    decisions = Decisions([], [])
    reserved: _Reservation | None = None
    for ask in sorted(queue, key=lambda ask: (ask.submitted_at, ask.job_id)):
        able, wait = floor.able(ask)
        if wait is not None:
            decisions.waits.append(Wait(ask.job_id, wait, None))
            continue
        ready = floor.ready(ask)
        open_now = [m for m in ready if _passes(ask, m, reserved, now)]
        if open_now:
            machine, reason = _choose(ask, open_now, floor.free)
            floor.take(ask, machine)
            reserved = _after(ask, machine, reserved, now)
            decisions.placements.append(Placement(ask.job_id, (machine,), ((),), reason))
            continue
        machine, starts_at, left = floor.soonest(ask)
        if reserved is None:
            reserved = _Reservation(machine.id, starts_at, left.less(ask.room))
        reason = _why_waiting(ask, able, bool(ready), machine, starts_at)
        decisions.waits.append(Wait(ask.job_id, reason, starts_at))
    return decisions


class _Kind(NamedTuple):
    """What two jobs must share to be answered alike."""

    room: Room
    model: str | None
    centres: frozenset[str]
    walltime_seconds: int
    cost_max_fen: int


def _kind(ask: Ask) -> _Kind:
    return _Kind(ask.room, ask.model, ask.where.centres, ask.walltime_seconds, ask.cost_max_fen)


class _Floor:
    """What is free while a queue is worked through, and what was found out about kinds of job.

    Room only shrinks here, so a kind that found none will find none; queues are long because
    they hold many jobs of few kinds.
    """

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        self._machines, self._now = snapshot.machines, now
        self.free = {machine.id: _Free.of(machine.whole) for machine in snapshot.machines}
        self._releases: dict[int, list[tuple[datetime, Room]]] = defaultdict(list)
        for running in snapshot.running:
            for machine_id in running.machine_ids:
                if machine_id in self.free:
                    self._hold(machine_id, running.room, running.ends_by)
        self._able: dict[_Kind, tuple[list[Machine], Reason | None]] = {}
        self._full: set[_Kind] = set()
        self._soonest: dict[_Kind, tuple[Machine, datetime, _Free]] = {}

    def able(self, ask: Ask) -> tuple[list[Machine], Reason | None]:
        """See ``_able``."""
        kind = _kind(ask)
        if kind not in self._able:
            self._able[kind] = _able(ask, self._machines)
        return self._able[kind]

    def ready(self, ask: Ask) -> list[Machine]:
        """Those of the able machines that have room now."""
        kind = _kind(ask)
        if kind in self._full:
            return []
        found = [m for m in self._able[kind][0] if self.free[m.id].holds(ask.room)]
        if not found:
            self._full.add(kind)
        return found

    def take(self, ask: Ask, machine: Machine) -> None:
        """Let the job have its room until its walltime is over."""
        ends_by = self._now + timedelta(seconds=ask.walltime_seconds)
        self._hold(machine.id, ask.room, ends_by)
        self._soonest.clear()

    def soonest(self, ask: Ask) -> tuple[Machine, datetime, _Free]:
        """See ``_soonest``."""
        kind = _kind(ask)
        if kind not in self._soonest:
            able = self._able[kind][0]
            self._soonest[kind] = _soonest(ask, able, self.free, self._releases, self._now)
        return self._soonest[kind]

    def _hold(self, machine_id: int, room: Room, ends_by: datetime) -> None:
        self.free[machine_id] = self.free[machine_id].less(room)
        self._releases[machine_id].append((ends_by, room))


def _able(ask: Ask, machines: Sequence[Machine]) -> tuple[list[Machine], Reason | None]:
    """The machines that would do if they were empty; or why there is none, the nearest miss."""
    left = list(machines)
    cost = _costs(ask)
    steps: list[tuple[str, Callable[[Machine], bool]]] = [
        (
            "wait_centre_takes_nothing",
            lambda m: not ask.where.centres or m.site.code in ask.where.centres,
        ),
        ("wait_no_machine_large_enough", lambda m: fits_empty(ask, m)),
        ("wait_centre_offline", lambda m: m.online),
        ("wait_price_unknown", lambda m: cost(m) is not None),
        ("wait_price_above_hold", lambda m: (cost(m) or 0) <= ask.cost_max_fen),
    ]
    for code, will_do in steps:
        remaining = [m for m in left if will_do(m)]
        if not remaining:
            return [], Reason(code, {"machines": len(left)} | _asked(ask))
        left = remaining
    return left, None


def fits_empty(ask: Ask, machine: Machine) -> bool:
    """Whether a machine could run the job if it were empty."""
    model = machine.card.model if machine.card else None
    model_fits = ask.room.cards == 0 or ask.model in (None, model)
    return model_fits and _Free.of(machine.whole).holds(ask.room)


def _costs(ask: Ask) -> Callable[[Machine], Fraction | None]:
    """What the full walltime costs at a machine; worked out once for machines that share rates."""
    known: dict[int, Fraction | None] = {}

    def cost(machine: Machine) -> Fraction | None:
        key = id(machine.rates)
        if key not in known:
            known[key] = machine.rates.cost_fen(ask.room, ask.walltime_seconds)
        return known[key]

    return cost


def _asked(ask: Ask) -> dict[str, str | int]:
    return {
        "cores": _whole(ask.room.core_milli),
        "memory_mib": ask.room.memory_mib,
        "accelerators": ask.room.cards,
        "model": ask.model or "",
        "centre": ", ".join(sorted(ask.where.centres)),
    }


def _whole(core_milli: int) -> str | int:
    return core_milli // 1000 if core_milli % 1000 == 0 else f"{core_milli / 1000:g}"


def _passes(ask: Ask, machine: Machine, reserved: _Reservation | None, now: datetime) -> bool:
    """Whether starting here now leaves the first waiting job its start."""
    if reserved is None or machine.id != reserved.machine_id:
        return True
    over_by_then = now + timedelta(seconds=ask.walltime_seconds) <= reserved.starts_at
    return over_by_then or reserved.spare.holds(ask.room)


def _after(
    ask: Ask, machine: Machine, reserved: _Reservation | None, now: datetime
) -> _Reservation | None:
    """The reservation once a job has passed it: what it uses up beyond the start is spare gone."""
    if reserved is None or machine.id != reserved.machine_id:
        return reserved
    if now + timedelta(seconds=ask.walltime_seconds) <= reserved.starts_at:
        return reserved
    return _Reservation(reserved.machine_id, reserved.starts_at, reserved.spare.less(ask.room))


def _choose(
    ask: Ask, machines: Sequence[Machine], free: Mapping[int, _Free]
) -> tuple[Machine, Reason]:
    """Order by the goal, then cards left idle by a job without cards, then the tightest fit."""
    cost_of = _costs(ask)
    cost = {m.id: cost_of(m) or Fraction(0) for m in machines}
    least_cost = min(cost.values())
    least_energy = min(m.site.grey_energy for m in machines)
    balance = {
        m.id: _ratio(cost[m.id], least_cost) + _ratio(m.site.grey_energy, least_energy)
        for m in machines
    }
    by_goal: dict[str, Callable[[Machine], Fraction | int]] = {
        "cheapest": lambda m: cost[m.id],
        "fastest": lambda m: -_gflops(m) * ask.room.cards,
        "greenest": lambda m: m.site.grey_energy,
        "balanced": lambda m: balance[m.id],
    }
    goal = by_goal[ask.goal]

    def order(machine: Machine) -> tuple[object, ...]:
        idle_cards = machine.whole.cards if ask.room.cards == 0 else 0
        return goal(machine), idle_cards, _left_over(ask, machine, free), machine.id

    chosen = min(machines, key=order)
    facts: dict[str, str | int] = {
        "centre": chosen.site.code,
        "node": chosen.name,
        "choices": len({m.site.code for m in machines}),
        "cost_fen": -(-cost[chosen.id].numerator // cost[chosen.id].denominator),
        "grey_energy": f"{float(chosen.site.grey_energy):.2f}",
    }
    return chosen, Reason(_PLACED[ask.goal], facts)


def _gflops(machine: Machine) -> int:
    return machine.card.gflops.get("fp16", 0) if machine.card else 0


def _ratio(value: Fraction, least: Fraction) -> Fraction:
    """How many times the least; 1 is best. Free or wholly green machines stay comparable."""
    return value / least if least else 1 + value


def _left_over(ask: Ask, machine: Machine, free: Mapping[int, _Free]) -> Fraction:
    """What stays free on the machine, as a sum of parts of it."""
    left = free[machine.id].less(ask.room)
    return sum(
        (Fraction(part, of) for part, of in zip(left, _Free.of(machine.whole), strict=True) if of),
        Fraction(0),
    )


def _soonest(
    ask: Ask,
    machines: Sequence[Machine],
    free: Mapping[int, _Free],
    releases: Mapping[int, Sequence[tuple[datetime, Room]]],
    now: datetime,
) -> tuple[Machine, datetime, _Free]:
    """Where the job can start first if everything runs to its walltime, when, and what is free
    there then."""
    best: tuple[datetime, int, Machine, _Free] | None = None
    for machine in machines:
        room, when = free[machine.id], now
        for ends_by, released in sorted(releases.get(machine.id, ())):
            if room.holds(ask.room):
                break
            room, when = room.plus(released), max(when, ends_by)
        if room.holds(ask.room) and (best is None or (when, machine.id) < best[:2]):
            best = when, machine.id, machine, room
    if best is None:  # nodes shrank under what runs on them: the whole machine, some day
        return machines[0], now, _Free.of(machines[0].whole)
    return best[2], best[0], best[3]


def _why_waiting(
    ask: Ask, able: Sequence[Machine], has_room: bool, machine: Machine, starts_at: datetime
) -> Reason:
    code = "wait_for_an_earlier_job" if has_room else "wait_no_room"
    facts = _asked(ask) | {
        "machines": len(able),
        "centre": machine.site.code,
        "node": machine.name,
        "starts_at": starts_at.isoformat(timespec="minutes"),
    }
    return Reason(code, facts)
