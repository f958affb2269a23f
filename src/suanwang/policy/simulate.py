"""What if? Today's rules beside changed ones, over a population of units and a year.

Every award whose facts the population states is read in columns. Of awards that stand on the same
fee the highest is paid; each yearly pool is shared out as its policy says, to claims in the order
in which they came. Whole fen throughout. Nothing here is a forecast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suanwang.core.errors import Refused
from suanwang.policy.drain import share_out_columns
from suanwang.policy.overlap import payments
from suanwang.policy.parts import Fact
from suanwang.policy.pools import money_of_year
from suanwang.policy.split import heir_of, portions
from suanwang.policy.terms import Pool
from suanwang.policy.vector import COLUMNS, Table, run
from suanwang.policy.why import shown_integer

if TYPE_CHECKING:
    from suanwang.policy.package import Package

Column = NDArray[Any]
COURSE_POINTS = 120
FILED_AFTER = 90
"""Days from the start of a made-up use to its claim."""


@dataclass(frozen=True, slots=True)
class PoolOutcome:
    """What a population asks of a pool in a year, and what it gets."""

    money_fen: int
    asked_fen: int
    paid_fen: int
    when_dry: str
    dry_after: int | None
    """How many units, in the order in which they came, were served before it ran dry, or None."""
    dry_on: date | None
    """On which day, where the population states when each came."""
    course: tuple[tuple[date, int], ...] = ()
    """What is left in fen by what was asked up to a day; empty where nobody states a day."""


@dataclass(frozen=True)
class Outcome:
    """What a policy gives to a population, by measure and unit, after the pools were shared out."""

    awards: Mapping[str, NDArray[np.int64]]
    pools: Mapping[str, PoolOutcome]

    @property
    def dry_after(self) -> int | None:
        """How many units were served before the first pool ran dry, or None."""
        dry = [pool.dry_after for pool in self.pools.values() if pool.dry_after is not None]
        return min(dry, default=None)

    @property
    def total(self) -> NDArray[np.int64]:
        """What each unit gets of all measures."""
        total: NDArray[np.int64] = np.sum(list(self.awards.values()), axis=0, dtype=np.int64)
        return total


@dataclass(frozen=True)
class Comparison:
    """Today's rules beside changed ones."""

    before: Outcome
    after: Outcome

    @property
    def gains(self) -> int:
        """How many units get more."""
        return int((self.after.total > self.before.total).sum())

    @property
    def loses(self) -> int:
        """How many units get less."""
        return int((self.after.total < self.before.total).sum())


def simulate(package: Package, population: Table, on: date) -> Outcome:
    """What every award whose facts the population states gives to each unit."""
    package.in_force(on)
    awards: dict[str, NDArray[np.int64]] = {}
    measures = package.measures_on(on)
    for name, measure in measures.items():
        if measure.steps and measure.is_award and set(measure.facts) <= population.columns.keys():
            own = Table({fact: population.columns[fact] for fact in measure.facts})
            awards[name] = run(package, name, own, on).amount_fen
    _sums_fit(awards)
    for fee in {measures[name].stands_on for name in awards} - {""}:
        rivals = [name for name in awards if measures[name].stands_on == fee]
        paid = payments([awards[name] for name in rivals], COLUMNS)
        awards |= {name: np.asarray(part) for name, part in zip(rivals, paid, strict=True)}
    pools = {}
    for pool in package.pools.values():
        drawing = [name for name in awards if measures[name].pool == pool.name]
        if drawing:
            pools[pool.name] = _shared(package, pool, awards, drawing, population, on)
    return Outcome(awards, pools)


def _sums_fit(awards: Mapping[str, NDArray[np.int64]]) -> None:
    """Refuse before a sum over all units could pass 64 bits unseen."""
    most = sum(int(award.max(initial=0)) * len(award) for award in awards.values())
    if most.bit_length() > 63:
        raise Refused("policy_numbers_too_large", least=0, most=most)


def compare(
    package: Package, changes: Mapping[str, object], population: Table, on: date
) -> Comparison:
    """Simulate with today's parameters and with changed ones. Refuses what ``assuming`` does."""
    changed = package.assuming(changes)
    return Comparison(simulate(package, population, on), simulate(changed, population, on))


def _shared(
    package: Package,
    pool: Pool,
    awards: dict[str, NDArray[np.int64]],
    drawing: list[str],
    population: Table,
    on: date,
) -> PoolOutcome:
    """Cut what a pool cannot pay; within a unit the measures go in their order."""
    money, _ = money_of_year(package, pool, on.year)
    when_dry = str(package.parameter(pool.when_dry, on).value)
    asked = np.stack([awards[name] for name in drawing], axis=1)
    total = int(asked.sum())
    came = population.columns.get(pool.arrival)
    course = () if came is None else _course(money, asked.sum(axis=1), came)
    if total <= money:
        return PoolOutcome(money, total, total, when_dry, None, None, course)
    order = np.arange(len(asked)) if came is None else np.argsort(came, kind="stable")
    paid = np.empty_like(asked)
    shared = share_out_columns(money, asked[order].ravel(), when_dry).reshape(asked.shape)
    paid[order] = shared
    for at, name in enumerate(drawing):
        awards[name] = np.ascontiguousarray(paid[:, at])
    served = int(np.searchsorted(np.cumsum(asked[order].sum(axis=1)), money, side="right"))
    day = None if came is None else date.fromordinal(int(came[order[served]]))
    return PoolOutcome(money, total, int(shared.sum()), when_dry, served, day, course)


def _course(money: int, asked: NDArray[np.int64], came: Column) -> tuple[tuple[date, int], ...]:
    """What is left of a pool by what was asked, day by day, thinned out for drawing."""
    if not len(came):
        return ()
    first = int(came.min())
    sums = np.zeros(int(came.max()) - first + 1, dtype=np.int64)
    np.add.at(sums, came - first, asked)
    left = np.maximum(money - np.cumsum(sums), 0)
    drawn = np.unique(np.linspace(0, len(sums) - 1, COURSE_POINTS).astype(np.int64))
    return tuple((date.fromordinal(first + int(at)), int(left[at])) for at in drawn)


def by_group(outcome: Outcome, fact: Fact, group: Column) -> dict[str, int]:
    """The money by the value of a fact, such as the division or the kind of applicant."""
    values, places = np.unique(group, return_inverse=True)
    sums = np.zeros(len(values), dtype=np.int64)
    np.add.at(sums, places, outcome.total)
    named = (str(shown_integer(fact.type, int(value))) for value in values)
    return dict(zip(named, sums.tolist(), strict=True))


def by_level(package: Package, outcome: Outcome, divisions: Column, on: date) -> dict[str, int]:
    """What each level bears, each award split alone; and what waits for a confirmed rule (or, where
    levels are stacked, for the decisions themselves)."""
    levels = dict.fromkeys((*package.levels, "to_confirm"), 0)
    total = outcome.total
    for code in np.unique(divisions).tolist():
        row = package.divisions.get(f"{code:06d}")
        rule = row.funding_on(on) if row else None
        paid = total[(divisions == code) & (total > 0)]
        if rule is None or not rule.shares:
            levels["to_confirm"] += int(paid.sum())
            continue
        parts = portions(paid, rule.shares, heir_of(package, rule, on), COLUMNS)
        for level, part in parts.items():
            levels[level] += int(part.sum())
    return levels


def synthetic(package: Package, rows: int, seed: int, on: date | None = None) -> Table:
    """Made-up units: small ones many, large ones few. The same seed gives the same units.

    With ``on`` they file in the year of that day, as far as the validity allows; without it over
    the whole validity. Not drawn from any real city: good for comparing rules, not for budgets.
    """
    rng = np.random.default_rng(seed)
    first, last = package.valid_from.toordinal(), package.valid_to.toordinal() - 200
    if on is not None:
        first = max(first, date(on.year, 1, 1).toordinal() - FILED_AFTER)
        last = min(package.valid_to, date(on.year, 12, 31)).toordinal() - FILED_AFTER
    start = np.sort(rng.integers(first, max(first + 1, last), rows)).astype(np.int32)
    after = {"service_start": 0, "service_end": 60, "paid_on": 75}
    return Table(
        {
            name: start + np.int32(after.get(name, FILED_AFTER))
            if fact.type.kind == "date"
            else _drawn(package, name, fact, rows, rng)
            for name, fact in package.facts.items()
        }
    )


def _drawn(package: Package, name: str, fact: Fact, rows: int, rng: np.random.Generator) -> Column:
    least, most = fact.limits
    match fact.type.kind:
        case "bool":
            return rng.random(rows) < 0.5
        case "choice":
            return rng.integers(0, most + 1, rows, dtype=np.int32)
        case "division":
            codes = [int(code) for code, row in package.divisions.items() if row.in_scope]
            return rng.choice(np.array(codes or [0], dtype=np.int32), rows)
    if name.endswith(("used_fen", "issued_fen", "refunded_fen", "support_fen")):
        return np.zeros(rows, dtype=np.int64)
    if fact.type.unit == (("fen", 1),):
        drawn = np.exp(rng.normal(16.0, 1.6, rows)).astype(np.int64)  # median about 90,000 yuan
        return np.clip(drawn, least, most)
    if fact.type.unit == (("unit", 1),):
        return np.minimum(rng.geometric(0.6, rows), most)  # most have one thing to show
    scale = 10 ** (fact.type.decimals or 0)
    return rng.integers(least, min(most, 2_000 * scale) + 1, rows)
