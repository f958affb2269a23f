"""Random cases of a measure: anywhere in the declared ranges, and often right at an edge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np

from suanwang.policy import Package
from suanwang.policy.parts import Fact
from suanwang.policy.spans import span_of
from suanwang.policy.vector import Table


def random_table(package: Package, measure: str, rows: int, seed: int) -> Table:
    """Rows of checked integers, as ``tabulate`` would make them."""
    rng = np.random.default_rng(seed)
    edges = edges_of(package, measure)
    facts = package.measures[measure].facts
    return Table({name: _column(package, package.facts[name], edges, rows, rng) for name in facts})


def edges_of(package: Package, measure: str) -> tuple[int, ...]:
    """The integers of every parameter of the measure, at scale 1 and of days."""
    values: list[int] = []
    for name in package.measures[measure].parameters():
        for version in package.parameters[name].versions:
            if isinstance(version.value, date):
                values.append(version.value.toordinal())
            elif isinstance(version.value, Fraction):
                values.append(int(version.value))
    return tuple(values)


def _column(
    package: Package, fact: Fact, edges: Sequence[int], rows: int, rng: np.random.Generator
) -> Any:
    match fact.type.kind:
        case "bool":
            return rng.random(rows) < 0.8
        case "choice":
            return rng.integers(0, len(fact.type.choices), rows).astype(np.int32)
        case "division":
            codes = np.array([*(int(code) for code in package.divisions), 110108], dtype=np.int32)
            return rng.choice(codes, rows)
        case "date":
            days = np.array([package.valid_from.toordinal(), package.valid_to.toordinal()])
            anywhere = rng.integers(days[0] - 400, days[1] + 400, rows)
            inside = rng.integers(days[0], days[1] + 1, rows)
            near = rng.choice(days, rows) + rng.integers(-2, 120, rows)
            pick = rng.integers(0, 3, rows)
            return np.choose(pick, [anywhere, inside, near]).astype(np.int32)
    span = span_of(fact)
    scale = 10 ** (fact.type.decimals or 0)
    small = rng.integers(0, min(span.most, 4 * 10**8) + 1, rows)
    anywhere = rng.integers(span.least, span.most, rows, endpoint=True)
    near = rng.choice(np.array([*edges, 0]), rows) * scale + rng.integers(-2, 3, rows)
    column = np.choose(rng.integers(0, 3, rows), [small, anywhere, near])
    return np.clip(column, span.least, span.most).astype(np.int64)
