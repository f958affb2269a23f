"""What would help a waiting job: smaller wishes with which it could start now, or at all.

Each wish is made smaller by itself, the least change first. The answer is true at that moment of
the step, beside everything decided so far; it is worked out once for all jobs of a kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from suanwang.placement.floor import Floor
from suanwang.placement.terms import Ask, Reason, Where
from suanwang.placement.wishes import Kind, Wishes, whole_fen

KINDS_MAX = 32
"""Of so many kinds of job it is worked out in one step, the first in line."""
ANY_PRICE_FEN = 1 << 62
SECONDS_LEAST = 600
"""Nobody is told to ask for less time than this."""


class _Change(NamedTuple):
    now: str
    """The code if it could start now."""
    ever: str
    """The code if it could run at all, where now it never can."""
    ask: Ask
    facts: dict[str, str | int]


class Helps:
    """Finds out what would help, for a bounded number of kinds."""

    def __init__(self, floor: Floor, wishes: Wishes) -> None:
        self._floor, self._wishes, self._left = floor, wishes, KINDS_MAX
        self._impossible: dict[tuple[int, str], tuple[Reason, ...]] = {}

    def of_kind(self, ask: Ask, kind: Kind) -> tuple[Reason, ...]:
        """For a job that could run where there is no room now."""
        if kind.helps is None:
            kind.helps = self._work_out(ask, possible=True)
        return kind.helps

    def of_none(self, ask: Ask, reason: Reason) -> tuple[Reason, ...]:
        """For a job no place is open to."""
        key = id(self._wishes.wish(ask)), reason.code
        known = self._impossible.get(key)
        if known is None:
            known = self._impossible[key] = self._work_out(ask, possible=False)
        return known

    def _work_out(self, ask: Ask, *, possible: bool) -> tuple[Reason, ...]:
        if self._left <= 0:
            return ()
        self._left -= 1
        found: list[Reason] = []
        said: set[str] = set()
        for change in _smaller(ask):
            if change.ever in said:
                continue
            kind, _ = self._wishes.kind(change.ask)
            if kind is None:
                continue
            spot = self._floor.now_for(kind, change.ask.walltime_seconds)
            if spot is None and possible:
                continue
            said.add(change.ever)
            facts = change.facts | self._where(change.ask, kind, spot and spot.positions)
            found.append(Reason(change.ever if spot is None else change.now, facts))
        return tuple(found)

    def _where(
        self, ask: Ask, kind: Kind, positions: tuple[int, ...] | None
    ) -> dict[str, str | int]:
        """The centre, model and cost of the place it would go to; the cheapest if not now."""
        if positions is None:
            place = min(kind.places, key=lambda p: (p.fen_a_second, p.group.number))
        else:
            number = int(self._floor.city.group_of[positions[0]])
            place = next(p for p in kind.places if p.group.number == number)
        return {
            "centre": place.group.site.code,
            "model": place.group.models,
            "cost_fen": whole_fen(place.fen_a_second * ask.walltime_seconds),
        }


def _smaller(ask: Ask) -> Iterator[_Change]:
    """The job with one of its wishes smaller; of each wish the least change first."""
    for hours in (2, 4, 8):
        seconds = ask.walltime_seconds // hours
        if seconds >= SECONDS_LEAST:
            changed = replace(ask, walltime_seconds=seconds)
            facts: dict[str, str | int] = {"minutes": seconds // 60}
            yield _Change("help_shorter_now", "help_shorter", changed, facts)
    cards = ask.room.cards
    for fewer in _fewer(cards):
        changed = replace(ask, room=ask.room._replace(cards=fewer))
        yield _Change("help_fewer_cards_now", "help_fewer_cards", changed, {"cards": fewer})
    if cards and (ask.model is not None or ask.capability is not None):
        changed = replace(ask, model=None, capability=None)
        yield _Change("help_other_model_now", "help_other_model", changed, {})
    for fewer in _fewer(ask.nodes):
        changed = replace(ask, nodes=fewer)
        yield _Change("help_fewer_nodes_now", "help_fewer_nodes", changed, {"nodes": fewer})
    if ask.nodes > 1 and ask.spread != "any":
        changed = replace(ask, spread="any")
        yield _Change("help_spread_now", "help_spread", changed, {})
    changed = replace(ask, cost_max_fen=ANY_PRICE_FEN)
    yield _Change("help_price_ceiling_now", "help_price_ceiling", changed, {})
    if ask.where.domestic == "required":
        changed = replace(ask, where=replace(ask.where, domestic="preferred"))
        yield _Change("help_not_domestic_now", "help_not_domestic", changed, {})
    if ask.image:
        changed = replace(ask, image=False)
        yield _Change("help_no_image_now", "help_no_image", changed, {})
    anywhere = Where(domestic=ask.where.domestic)
    if ask.where != anywhere:
        changed = replace(ask, where=anywhere)
        yield _Change("help_anywhere_now", "help_anywhere", changed, {})


def _fewer(count: int) -> list[int]:
    """Smaller counts worth a try, the largest first."""
    return sorted({n for n in (count - 1, count // 2, 1) if 0 < n < count}, reverse=True)
