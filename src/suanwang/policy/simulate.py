"""What if? Today's rules beside changed ones, over a population of units and a year.

Every award whose facts the population states is read in columns. Of awards that stand on the same
fee the highest is paid; the yearly pool runs down first come, first served, in the order of the
rows. Whole fen throughout. Nothing here is a forecast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suanwang.policy.overlap import payments
from suanwang.policy.parts import Fact
from suanwang.policy.split import ODD_FEN_TO, portions
from suanwang.policy.vector import COLUMNS, Table, run
from suanwang.policy.why import shown_integer

if TYPE_CHECKING:
    from suanwang.policy.package import Package

POOL = "voucher.pool_year_fen"
"""The parameter that holds the yearly pool of the measures that draw on one."""
Column = NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """What a policy gives to a population, by measure and unit, after the pool ran down."""

    awards: Mapping[str, NDArray[np.int64]]
    dry_after: int | None
    """The row at which the yearly pool was used up, or None."""

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
    for name, measure in package.measures.items():
        if measure.steps and measure.is_award and set(measure.facts) <= population.columns.keys():
            own = Table({fact: population.columns[fact] for fact in measure.facts})
            awards[name] = run(package, name, own, on).amount_fen
    for fee in {package.measures[name].stands_on for name in awards} - {""}:
        rivals = [name for name in awards if package.measures[name].stands_on == fee]
        paid = payments([awards[name] for name in rivals], COLUMNS)
        awards |= {name: np.asarray(part) for name, part in zip(rivals, paid, strict=True)}
    pooled = [name for name in awards if package.measures[name].pool]
    dry_after: int | None = None
    if pooled and POOL in package.parameters:
        pool_fen = package.parameter(POOL, on).value
        assert isinstance(pool_fen, int)  # noqa: S101 - a pool is whole fen, the check saw to it
        dry_after = _drain(awards, pooled, pool_fen)
    return Outcome(awards, dry_after)


def compare(
    package: Package, changes: Mapping[str, object], population: Table, on: date
) -> Comparison:
    """Simulate with today's parameters and with changed ones. Refuses what ``assuming`` does."""
    changed = package.assuming(changes)
    return Comparison(simulate(package, population, on), simulate(changed, population, on))


def _drain(awards: dict[str, NDArray[np.int64]], pooled: list[str], pool_fen: int) -> int | None:
    """Cut what goes past the pool; within a row the measures go in their order."""
    table = np.stack([awards[name] for name in pooled], axis=1)
    used = np.cumsum(table.ravel()).reshape(table.shape)
    over = used > pool_fen
    if not over.any():
        return None
    kept = np.clip(pool_fen - (used - table), 0, table)
    for at, name in enumerate(pooled):
        awards[name] = np.ascontiguousarray(kept[:, at])
    return int(np.argmax(over.any(axis=1)))


def by_group(outcome: Outcome, fact: Fact, group: Column) -> dict[str, int]:
    """The money by the value of a fact, such as the division or the kind of applicant."""
    values, places = np.unique(group, return_inverse=True)
    sums = np.zeros(len(values), dtype=np.int64)
    np.add.at(sums, places, outcome.total)
    named = (str(shown_integer(fact.type, int(value))) for value in values)
    return dict(zip(named, sums.tolist(), strict=True))


def by_level(package: Package, outcome: Outcome, divisions: Column, on: date) -> dict[str, int]:
    """What city and counties bear, each award split alone; and what waits for a confirmed rule."""
    levels = {"city": 0, "county": 0, "to_confirm": 0}
    total = outcome.total
    for code in np.unique(divisions).tolist():
        row = package.divisions.get(f"{code:06d}")
        paid = total[(divisions == code) & (total > 0)]
        if row is None or row.funding is None or not row.funding.shares:
            levels["to_confirm"] += int(paid.sum())
            continue
        heir = str(package.parameter(ODD_FEN_TO, on).value)
        for level, part in portions(paid, row.funding.shares, heir, COLUMNS).items():
            levels[level] += int(part.sum())
    return levels


def synthetic(package: Package, rows: int, seed: int) -> Table:
    """Made-up units: small ones many, large ones few. The same seed gives the same units.

    Not drawn from any real city: good for comparing rules, not for budgets.
    """
    rng = np.random.default_rng(seed)
    first, last = package.valid_from.toordinal(), package.valid_to.toordinal()
    start = np.sort(rng.integers(first, max(first + 1, last - 200), rows)).astype(np.int32)
    after = {"service_start": 0, "service_end": 60, "paid_on": 75}
    return Table(
        {
            name: start + np.int32(after.get(name, 90))
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
