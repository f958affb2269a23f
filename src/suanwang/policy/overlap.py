"""Best, highest, not twice: when several policies would support the same fees.

Of awards that overlap on one fee exactly the highest is paid (``payments``, proved for all
amounts). Over many fee lines the caps of the policies make it a puzzle: a line may be worth less
under the policy with the higher ratio once that one is used up. ``best_combination`` gives each
line to one policy so that the total is the most there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import TYPE_CHECKING, Any

from suanwang.policy.decision import verdict
from suanwang.policy.language import Algebra

if TYPE_CHECKING:
    from suanwang.policy.package import Package

COMBINATIONS = 20_000
"""Up to so many ways to deal out the lines all are tried; beyond, lines are moved one by one."""


def payments(awards: Sequence[Any], algebra: Algebra) -> list[Any]:
    """What each of several overlapping awards pays: the highest all, the others nothing.

    Of equal ones the first is taken, so the order is that of preference.
    """
    highest = awards[0]
    for award in awards[1:]:
        highest = algebra.most(highest, award)
    paid: list[Any] = []
    taken: Any = False
    for award in awards:
        takes = algebra.both(award >= highest, algebra.opposite(taken))
        paid.append(algebra.choose(takes, award, 0))
        taken = algebra.either(taken, takes)
    return paid


@dataclass(frozen=True)
class Offer:
    """A measure of a policy that could support some of the fees."""

    package: Package
    measure: str
    facts: Mapping[str, object]
    """Everything but the fee."""
    fee_fact: str = "paid_fee_fen"

    @property
    def name(self) -> str:
        """``baoding-2024/5c``."""
        return f"{self.package.name}/{self.measure}"

    def award(self, fee_fen: int, on: date) -> int:
        """What it gives for so much of the fees, in fen."""
        if fee_fen == 0:
            return 0
        return verdict(self.package, self.measure, {**self.facts, self.fee_fact: fee_fen}, on)[0]


@dataclass(frozen=True, slots=True)
class Combination:
    """Which policy supports which fee line, and what comes of it."""

    lines: Mapping[str, str]
    """For each fee line the name of its offer."""
    awards: Mapping[str, int]
    """For each offer the amount in fen."""
    total_fen: int
    exact: bool
    """Whether every combination was tried; if not, it is the best that moving lines found."""


def best_combination(offers: Sequence[Offer], fees: Mapping[str, int], on: date) -> Combination:
    """Give each fee line to one offer so that the sum of all awards is highest.

    Of equal combinations the first in the order of the offers is taken. Refuses what deciding the
    measures refuses.
    """
    names = list(fees)
    if not names or not offers:
        return Combination({}, {}, 0, True)
    if len(offers) ** len(names) <= COMBINATIONS:
        dealings = product(range(len(offers)), repeat=len(names))
        found = max(dealings, key=lambda dealing: sum(_awards(offers, fees, dealing, on)))
        return _combination(offers, fees, found, on, exact=True)
    return _combination(offers, fees, _moved(offers, fees, on), on, exact=False)


def _awards(
    offers: Sequence[Offer], fees: Mapping[str, int], dealing: Sequence[int], on: date
) -> list[int]:
    sums = [0] * len(offers)
    for fee, at in zip(fees.values(), dealing, strict=True):
        sums[at] += fee
    return [offer.award(fee, on) for offer, fee in zip(offers, sums, strict=True)]


def _moved(offers: Sequence[Offer], fees: Mapping[str, int], on: date) -> tuple[int, ...]:
    """Start with every line at the first offer; move single lines as long as the total grows."""
    dealing = [0] * len(fees)
    best = sum(_awards(offers, fees, dealing, on))
    improved = True
    while improved:
        improved = False
        for line in range(len(dealing)):
            for at in range(len(offers)):
                other = [*dealing[:line], at, *dealing[line + 1 :]]
                total = sum(_awards(offers, fees, other, on))
                if total > best:
                    dealing, best, improved = other, total, True
    return tuple(dealing)


def _combination(
    offers: Sequence[Offer],
    fees: Mapping[str, int],
    dealing: Sequence[int],
    on: date,
    *,
    exact: bool,
) -> Combination:
    awards = _awards(offers, fees, dealing, on)
    lines = {name: offers[at].name for name, at in zip(fees, dealing, strict=True)}
    named = {offer.name: award for offer, award in zip(offers, awards, strict=True)}
    return Combination(lines, named, sum(awards), exact)
