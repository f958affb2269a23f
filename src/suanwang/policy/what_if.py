"""What a comparison says: who gains, who loses, the money by whatever it can be told apart by.

The command line, the API, the console's page and the report show the same of these.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from suanwang.core.errors import NotFound, Refused
from suanwang.policy.parts import Series, Version
from suanwang.policy.reader import Text
from suanwang.policy.simulate import Comparison, Outcome, by_group, by_level, compare
from suanwang.policy.vector import Table

if TYPE_CHECKING:
    from suanwang.policy.package import Package

SEED: Final = 20240125
"""Of the synthetic units everywhere: the same number of them is always the same units."""
GROUPS: Final = ("measure", "level", "division_code", "applicant_kind")
LEVELS: Final[Mapping[str, Text]] = {
    "city": {"zh": "市级", "en": "city"},
    "county": {"zh": "县（市、区）级", "en": "counties"},
    "to_confirm": {"zh": "待确认", "en": "to confirm"},
}
HEAD: Final = ("by", "which", "before_fen", "after_fen", "change_fen", "gains", "loses")


@dataclass(frozen=True, slots=True)
class Row:
    """Money under both rules, and how many units get more and less; None where none stand."""

    by: str
    which: str
    label: Text
    before_fen: int
    after_fen: int
    gains: int | None = None
    loses: int | None = None

    @property
    def change_fen(self) -> int:
        """What the changed rules give more."""
        return self.after_fen - self.before_fen


@dataclass(frozen=True, slots=True)
class Change:
    """A parameter as it stands on the day and as it is assumed."""

    series: Series
    before: Version | None
    after: Any


@dataclass(frozen=True)
class WhatIf:
    """Today's rules beside changed ones, ready to be shown."""

    package: Package
    on: date
    units: int
    changes: tuple[Change, ...]
    comparison: Comparison
    gained_fen: int
    lost_fen: int
    rows: tuple[Row, ...]

    @property
    def same(self) -> int:
        """How many units get as much as before."""
        return self.units - self.comparison.gains - self.comparison.loses

    def rows_by(self, group: str) -> list[Row]:
        """The rows of one of ``GROUPS``, in the order of the package."""
        return [row for row in self.rows if row.by == group]


def what_if(package: Package, changes: Mapping[str, object], population: Table, on: date) -> WhatIf:
    """Compare and sum up. Refuses what ``compare`` refuses."""
    compared = compare(package, changes, population, on)
    changed = package.assuming(changes)
    differs = compared.after.total - compared.before.total
    return WhatIf(
        package=package,
        on=on,
        units=population.rows,
        changes=tuple(
            Change(
                package.parameters[name],
                package.parameters[name].on(on),
                changed.parameters[name].versions[0].value,
            )
            for name in changes
        ),
        comparison=compared,
        gained_fen=int(differs[differs > 0].sum()),
        lost_fen=-int(differs[differs < 0].sum()),
        rows=tuple(_rows(package, compared, population, on)),
    )


def changes_of(package: Package, told: Sequence[str]) -> dict[str, object]:
    """``voucher.use_ratio=0.4``, or ``5c.ratio=0.4`` where the measure has one such parameter.

    Refuses ``policy_change_unreadable``, ``policy_parameter_unknown``.
    """
    changes: dict[str, object] = {}
    for text in told:
        name, sign, value = text.partition("=")
        if not sign:
            raise Refused("policy_change_unreadable", found=text[:80])
        plain: object = {"true": True, "false": False}.get(value, value)
        changes[_parameter(package, name)] = plain
    return changes


def _parameter(package: Package, name: str) -> str:
    measure, _, ending = name.partition(".")
    if name in package.parameters or measure not in package.measures:
        return name
    fitting = [own for own in package.measures[measure].parameters() if own.endswith(ending)]
    if len(fitting) != 1:
        raise NotFound("policy_parameter_unknown", parameter=name, policy=package.name)
    return fitting[0]


def csv_text(found: WhatIf) -> str:
    """The rows as a CSV file, amounts in fen."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(HEAD)
    for row in found.rows:
        money = (row.before_fen, row.after_fen, row.change_fen)
        writer.writerow((row.by, row.which, *money, row.gains, row.loses))
    return buffer.getvalue()


def _rows(package: Package, compared: Comparison, population: Table, on: date) -> Iterator[Row]:
    """By measure, level of government, division and kind of applicant."""
    before, after = compared.before, compared.after
    for name, then in before.awards.items():
        now = after.awards[name]
        sums = int(then.sum()), int(now.sum())
        more, less = int((now > then).sum()), int((now < then).sum())
        yield Row("measure", name, package.measure(name, on).title, *sums, more, less)
    if "division_code" in population.columns and package.divisions:
        codes = population.columns["division_code"]
        shares = by_level(package, before, codes, on), by_level(package, after, codes, on)
        for level, then_fen in shares[0].items():
            label = LEVELS.get(level, {"zh": level, "en": level})
            yield Row("level", level, label, then_fen, shares[1][level])
    for fact in ("division_code", "applicant_kind"):
        if fact in population.columns:
            yield from _by_fact(package, fact, before, after, population.columns[fact])


def _by_fact(
    package: Package, fact: str, before: Outcome, after: Outcome, column: NDArray[Any]
) -> Iterator[Row]:
    declared = package.facts[fact]
    then, now = by_group(before, declared, column), by_group(after, declared, column)
    _, places = np.unique(column, return_inverse=True)
    differs = after.total - before.total
    more = np.bincount(places[differs > 0], minlength=len(then)).tolist()
    less = np.bincount(places[differs < 0], minlength=len(then)).tolist()
    for at, value in enumerate(then):
        row = package.divisions.get(value)
        label = row.name if row else declared.labels.get(value, {"zh": value, "en": value})
        yield Row(fact, value, label, then[value], now[value], more[at], less[at])
