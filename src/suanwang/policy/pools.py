"""A pool of money over claims in order, and what becomes of claims when it runs dry (A4, A8, A9).

First come, first served: by the moment the papers were complete; who comes too late gets nothing. A
queue serves in the same order and lets the rest wait for the next money. Pro rata gives all the
same part of what they asked for, by largest remainder: the parts add up to the pool to the fen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import NotFound
from suanwang.core.money import Fen
from suanwang.policy.language import INTEGERS, Algebra
from suanwang.policy.parts import Parameter
from suanwang.policy.terms import Pool

if TYPE_CHECKING:
    from suanwang.policy.package import Package

Foremost = Callable[[Sequence[Any], Any], list[Any]]
"""Of each remainder 1 if it is among the so many largest, else 0."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody asks of a pool, and when the papers were complete (with a zone)."""

    name: str
    asked_fen: Fen
    complete_at: datetime


@dataclass(frozen=True, slots=True)
class PoolYear:
    """What became of a pool and its claims in one calendar year. ``money = paid + left``."""

    year: int
    new_fen: Fen
    carried_fen: Fen
    """Left over from the year before."""
    paid: Mapping[str, Fen]
    """Of each claim served, in order, also those that waited from earlier years."""
    waiting: Mapping[str, Fen]
    """What of each claim waits for the next money."""
    refused: Mapping[str, Fen]
    """What of each claim nobody will pay."""
    left_fen: Fen
    by: tuple[Parameter, ...]
    """The figures and readings it stands on, with source and status."""

    @property
    def money_fen(self) -> Fen:
        """What there was to give."""
        return self.new_fen + self.carried_fen


def share_out(
    pool_fen: Any,
    asked_fen: Sequence[Any],
    when_dry: str,
    algebra: Algebra = INTEGERS,
    foremost: Foremost | None = None,
) -> list[Any]:
    """What each claim is paid, in the order given; never more than asked or than there is."""
    pool_fen = algebra.most(pool_fen, 0)
    if when_dry == "pro_rata":
        return _pro_rata(pool_fen, asked_fen, algebra, foremost or largest)
    paid, left = [], pool_fen
    for asked in asked_fen:
        part = algebra.least(asked, left)
        paid.append(part)
        left = left - part
    return paid


def _pro_rata(
    pool_fen: Any, asked_fen: Sequence[Any], algebra: Algebra, foremost: Foremost
) -> list[Any]:
    total = sum(asked_fen)
    whole = algebra.most(total, 1)
    money = algebra.least(pool_fen, total)
    parts = [algebra.floor(asked * money, whole) for asked in asked_fen]
    rests = [asked * money - part * whole for asked, part in zip(asked_fen, parts, strict=True)]
    more = foremost(rests, money - sum(parts))
    return [part + one for part, one in zip(parts, more, strict=True)]


def largest(remainders: Sequence[int], count: int) -> list[int]:
    """1 for the ``count`` largest, of equal ones the first; 0 for the others."""
    order = sorted(range(len(remainders)), key=lambda at: -remainders[at])
    chosen = set(order[:count])
    return [int(at in chosen) for at in range(len(remainders))]


def over_years(
    package: Package, pool: str, claims: Sequence[Claim], years: range | None = None
) -> list[PoolYear]:
    """A pool through the calendar years of a policy's validity, or through some of them.

    Claims are taken by the moment their papers were complete, of equal ones in the order given.
    What waits comes before the claims of the next year. Refuses ``policy_pool_unknown``.
    """
    terms = pool_of(package, pool)
    outcomes: list[PoolYear] = []
    waiting: list[Claim] = []
    carried = 0
    for year in years or range(package.valid_from.year, package.valid_to.year + 1):
        first = max(date(year, 1, 1), package.valid_from)
        new, by = money_of_year(package, terms, year)
        carry = package.parameter(terms.carry_over, first)
        when_dry = package.parameter(terms.when_dry, first)
        own = sorted((c for c in claims if _year(c) == year), key=lambda claim: claim.complete_at)
        served = [*waiting, *own]
        asked = [claim.asked_fen for claim in served]
        paid = share_out(new + carried, asked, str(when_dry.value))
        short = {
            claim.name: claim.asked_fen - fen
            for claim, fen in zip(served, paid, strict=True)
            if claim.asked_fen > fen
        }
        queues = when_dry.value == "queue"
        outcome = PoolYear(
            year=year,
            new_fen=new,
            carried_fen=carried,
            paid={claim.name: fen for claim, fen in zip(served, paid, strict=True)},
            waiting=short if queues else {},
            refused={} if queues else short,
            left_fen=new + carried - sum(paid),
            by=(*by, carry, when_dry),
        )
        outcomes.append(outcome)
        carried = outcome.left_fen if carry.value else 0
        waiting = [
            Claim(claim.name, outcome.waiting[claim.name], claim.complete_at)
            for claim in served
            if claim.name in outcome.waiting
        ]
    return outcomes


def pool_of(package: Package, name: str) -> Pool:
    """A pool by its name. Refuses ``policy_pool_unknown``."""
    if name not in package.pools:
        raise NotFound("policy_pool_unknown", pool=name, policy=package.name)
    return package.pools[name]


def money_of_year(package: Package, pool: Pool, year: int) -> tuple[Fen, tuple[Parameter, ...]]:
    """The new money of a calendar year, and what it stands on.

    A year in which the validity ends before 31 December gets none, unless the policy says so (A4).
    """
    first = max(date(year, 1, 1), package.valid_from)
    figure = package.parameter(pool.year_fen, first)
    by: tuple[Parameter, ...] = (figure,)
    if not package.valid_from.year <= year <= package.valid_to.year:
        return 0, by
    if pool.last_year and package.valid_to < date(year, 12, 31):
        switch = package.parameter(pool.last_year, first)
        by = (*by, switch)
        if not switch.value:
            return 0, by
    return int(Fraction(str(figure.value))), by


def _year(claim: Claim) -> int:
    return claim.complete_at.astimezone(CITY_ZONE).year
