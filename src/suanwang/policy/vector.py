"""The second reading: the same compiled rule over columns of a million rows, to the same fen.

Nothing is restated here: ``Columns`` and ``Spans`` are two more algebras for the integer program
that ``decide`` runs. Before any column is touched, the program runs once over the *ranges* the
facts are declared in, so that no 64-bit integer can overflow unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suanwang.core.errors import Refused
from suanwang.policy.facts import encode_one
from suanwang.policy.language import nodes
from suanwang.policy.parts import Fact, Measure
from suanwang.policy.rule import Rule, compile_measure
from suanwang.policy.spans import SPANS, Span, span_of

if TYPE_CHECKING:
    from suanwang.policy.package import Package

Column = NDArray[Any]

EPOCH = date(1970, 1, 1).toordinal()
CHUNK = 16_384
"""Rows worked on at a time, so that every intermediate column stays in the cache."""


@dataclass(frozen=True, slots=True)
class Table:
    """Checked columns of integers: numbers in units of their last decimal, days, codes, truths."""

    columns: Mapping[str, Column]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values()))) if self.columns else 0


class Columns:
    """NumPy columns: many applicants at once. See ``language.compile.Algebra``."""

    def floor(self, value: Any, by: int) -> Any:
        shift = by.bit_length() - 1
        return value >> shift if by == 1 << shift else value // by

    def least(self, a: Any, b: Any) -> Any:
        return np.minimum(a, b)

    def most(self, a: Any, b: Any) -> Any:
        return np.maximum(a, b)

    def both(self, a: Any, b: Any) -> Any:
        return a & b

    def either(self, a: Any, b: Any) -> Any:
        return a | b

    def opposite(self, a: Any) -> Any:
        return np.logical_not(a)

    def choose(self, test: Any, yes: Any, no: Any) -> Any:
        if isinstance(test, bool | np.bool):
            return yes if test else no
        return np.where(test, yes, no)

    def member(self, item: Any, codes: frozenset[int]) -> Any:
        if not codes:
            return np.zeros(item.shape, dtype=bool)
        first, last = min(codes), max(codes)
        known = np.zeros(last - first + 2, dtype=bool)
        known[[code - first for code in codes]] = True
        # What lies before the first code wraps round to a large number and reads as the last row.
        offset = (item.astype(np.int32) - first).view(np.uint32)
        return known[np.minimum(offset, last - first + 1)]

    def stairs(self, value: Any, starts: Sequence[int], values: Sequence[int]) -> Any:
        return np.asarray(values, dtype=np.int64)[np.searchsorted(starts, value, side="right")]


COLUMNS = Columns()


@dataclass(frozen=True, slots=True)
class Awards:
    """What a measure gives to each row."""

    amount_fen: NDArray[np.int64]
    eligible: NDArray[np.bool]


def decide_all(package: Package, measure: str, columns: Mapping[str, Any], on: date) -> Awards:
    """Decide one measure for every row; each row gets what ``decide`` would give it.

    ``columns`` holds, per fact, a NumPy array or a list: numbers exact (whole, in base units, or
    text), dates as ``datetime64[D]`` or ISO text, choices and divisions as text. Refuses what
    ``decide`` refuses, with the number of the row.
    """
    package.in_force(on)
    return run(package, measure, tabulate(package, measure, columns), on)


def run(package: Package, measure: str, table: Table, on: date) -> Awards:
    """Decide every row of a table that ``tabulate`` made."""
    rule = compile_columns(package, measure, on)
    amount = np.empty(table.rows, dtype=np.int64)
    eligible = np.empty(table.rows, dtype=np.bool)
    for start in range(0, table.rows, CHUNK):
        part = slice(start, start + CHUNK)
        env: dict[str, Any] = {name: column[part] for name, column in table.columns.items()}
        met = eligible[part]
        met[:] = rule.met(env)
        np.multiply(rule.award(env), met, out=amount[part])
        _no_conflict(rule, env, start)
    return Awards(amount, eligible)


def compile_columns(package: Package, measure: str, on: date) -> Rule:
    """The measure compiled for columns. Refuses ``policy_numbers_too_large``."""
    key = (f"{measure} in columns", package.era(on))
    rule = package.rules.get(key)
    if rule is None:
        wanted = package.measure(measure, on)
        values = package.values(on)
        _fits(compile_measure(wanted, values, SPANS), package)
        rule = package.rules[key] = compile_measure(wanted, values, COLUMNS)
    return rule


def tabulate(package: Package, measure: str, columns: Mapping[str, Any]) -> Table:
    """The columns of a measure's facts as checked integers."""
    return tabulate_facts(package, package.measure(measure).facts, columns)


def tabulate_facts(package: Package, facts: Sequence[str], columns: Mapping[str, Any]) -> Table:
    """The columns of some facts as checked integers; good for every measure that asks for them."""
    missing = [name for name in facts if name not in columns]
    if missing:
        raise Refused("policy_facts_missing", facts=", ".join(missing))
    multiplies = any(_counts_days(measure) for measure in package.measures.values())
    days = np.int64 if multiplies else np.int32
    checked = {
        name: _column(package.facts[name], np.asarray(columns[name]), days) for name in facts
    }
    lengths = {len(column) for column in checked.values()}
    if len(lengths) > 1:
        raise Refused("policy_columns_differ", lengths=", ".join(map(str, sorted(lengths))))
    return Table(checked)


def _column(fact: Fact, given: Column, days: type[np.signedinteger[Any]]) -> Column:
    """One column as checked integers; what is not of a fast kind is read value by value."""
    match fact.type.kind, given.dtype.kind:
        case "bool", "b":
            return given
        case "number", "i":
            scale = 10 ** (fact.type.decimals or 0)
            _within(fact, given, scale)
            whole = given.astype(np.int64, copy=False)
            return whole if scale == 1 else whole * scale
        case "date", "M":
            ordinals = given.astype("datetime64[D]").astype(np.int64) + EPOCH
            _within(fact, ordinals, 1)
            return ordinals.astype(days)
        case "choice", "U":
            codes = np.full(given.shape, -1, dtype=np.int32)
            for code, choice in enumerate(fact.type.choices):
                codes[given == choice] = code
            if codes.min(initial=0) >= 0:
                return codes
        case "division", "U" if given.dtype.itemsize == 6 * 4:
            digits = np.ascontiguousarray(given).view(np.uint32).reshape(-1, 6).astype(np.int64)
            digits -= ord("0")
            if digits.min(initial=0) >= 0 and digits.max(initial=0) <= 9:
                return (digits @ 10 ** np.arange(5, -1, -1)).astype(np.int32)
    return _one_by_one(fact, given, days)


def _within(fact: Fact, given: Column, scale: int) -> None:
    """Refuse the first row outside the fact's range. ``scale`` is that of the range's integers."""
    span = span_of(fact)
    least, most = -(-span.least // scale), span.most // scale
    if given.size and (given.min() < least or given.max() > most):
        row = int(np.argmax((given < least) | (given > most)))
        raise Refused(
            "policy_fact_out_of_range",
            fact=fact.name,
            least=least,
            most=most,
            found=f"{given[row]} in row {row}",
        )


def _one_by_one(fact: Fact, given: Column, days: type[np.signedinteger[Any]]) -> Column:
    encoded = []
    for row, value in enumerate(given.tolist()):
        try:
            encoded.append(encode_one(fact, value))
        except Refused as refused:
            found = f"{refused.facts.get('found')} in row {row}"
            raise Refused(refused.code, **{**refused.facts, "found": found}) from refused
    kinds: dict[str, Any] = {"bool": np.bool, "date": days, "number": np.int64}
    return np.array(encoded, dtype=kinds.get(fact.type.kind, np.int32))


def _counts_days(measure: Measure) -> bool:
    """Whether a rule subtracts dates: the days may then be multiplied and need the room."""
    return any(
        isinstance(part, nodes.Arithmetic) and part.type.kind == "number"
        and part.left.type.kind == "date"
        for node in measure.nodes() for part in node.walk()
    )  # fmt: skip


def _fits(rule: Rule, package: Package) -> None:
    env: dict[str, Any] = {name: span_of(package.facts[name]) for name in rule.measure.facts}
    award = rule.award(env)
    rule.met(env)
    if not isinstance(award, Span | int):
        raise TypeError(award)


def _no_conflict(rule: Rule, env: Mapping[str, Any], start: int) -> None:
    for step in (*rule.steps, *rule.caps):
        if len(step.exceptions) < 2:
            continue
        fired = sum(np.asarray(when.run(env), dtype=np.int8) for when, _ in step.exceptions)
        if np.any(np.asarray(fired) > 1):
            row = start + int(np.argmax(np.asarray(fired) > 1))
            raise Refused("policy_rules_conflict", step=step.rule.name, rules=f"row {row}")
