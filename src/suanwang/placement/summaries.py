"""Clusters of which only sums are known: what they left free, and what was sent there since."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from suanwang.placement.groups import total
from suanwang.placement.terms import Machine, Room, Running

if TYPE_CHECKING:
    from suanwang.placement.city import City


class Summaries:
    """Those of one city, by the number of their group."""

    def __init__(self, city: City) -> None:
        self._city = city
        self.free: dict[int, list[int]] = {
            each.number: _said_free(each.summary)
            for each in city.groups
            if each.summary is not None
        }
        """Milli-cores, MiB and milli-cards of all its nodes together."""

    def send(self, number: int, running: Running) -> bool:
        """Take a job off what a summary said was free, unless it already knew of it."""
        summary = self._city.groups[number].summary
        assert summary is not None and summary.summary_at is not None  # noqa: S101 - a type
        started = running.started_at
        if summary.free is not None and started is not None and started <= summary.summary_at:
            return False
        for part, amount in enumerate(total(running.room)):
            self.free[number][part] -= amount
        return True

    def give_back(self, number: int, room: Room) -> None:
        """Undo a ``send`` that counted."""
        for part, amount in enumerate(total(room)):
            self.free[number][part] += amount

    def hear(self, position: int, machine: Machine) -> None:
        """A newer word of one."""
        city = self._city
        number = int(city.group_of[position])
        was = city.groups[number].summary
        city.machines[position] = machine
        city.groups[number] = replace(
            city.groups[number],
            cluster_id=machine.cluster_id,
            site=machine.site,
            card=machine.card,
            rates=machine.rates,
            online=machine.online,
            images=machine.images,
            summary=machine,
            shapes=((machine.whole, 1),),
        )
        if was is not None:
            city.capacity += np.array(total(machine.whole), np.int64)
            city.capacity -= np.array(total(was.whole), np.int64)
        self.free[number] = _said_free(machine)
        for held in city.running.values():
            if position in held.positions:
                held.counted = tuple(
                    self.send(number, held.running) if at == position else counted
                    for at, counted in zip(held.positions, held.counted, strict=True)
                )


def _said_free(summary: Machine) -> list[int]:
    """What it leaves us, before what we sent is taken off: what it said was free, or all that
    others do not hold."""
    if summary.free is not None:
        return list(total(summary.free))
    pairs = zip(total(summary.whole), total(summary.others), strict=True)
    return [there - theirs for there, theirs in pairs]
