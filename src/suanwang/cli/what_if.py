"""``suanwang policy simulate``: today's rules beside changed ones."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from suanwang.core.errors import NotFound, Refused
from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language

if TYPE_CHECKING:
    from suanwang.policy import Package
    from suanwang.policy.simulate import Comparison
    from suanwang.policy.vector import Table

SEED = 20240125
BAR = 30
WORDS: dict[Language, dict[str, str]] = {
    "zh": {"units": "单位", "gains": "增加", "loses": "减少", "same": "不变", "dry": "资金用尽于第",
           "never": "未用尽", "by": "按", "measure": "措施", "level": "负担", "before": "现行",
           "after": "修改后", "change": "变化", "city": "市", "county": "县（市、区）",
           "to_confirm": "待确认", "pool": "年度资金"},
    "en": {"units": "units", "gains": "gain", "loses": "lose", "same": "stay the same",
           "dry": "dry at unit", "never": "not used up", "by": "by", "measure": "measure",
           "level": "borne by", "before": "today", "after": "changed", "change": "change",
           "city": "city", "county": "counties", "to_confirm": "to confirm", "pool": "pool"},
}  # fmt: skip
Rows = list[tuple[str, str, int, int]]
"""What it is by, which one, and the fen of today's and of the changed rules."""


def population_of(package: Package, told: str) -> Table:
    """``synthetic:N`` or a CSV file whose first row names facts."""
    from suanwang.policy.simulate import synthetic
    from suanwang.policy.vector import tabulate_facts

    kind, _, number = told.partition(":")
    if kind == "synthetic":
        if not number.isdigit() or not 0 < int(number) <= 10_000_000:
            raise Refused("policy_population_unreadable", found=told, problem="synthetic:1000")
        return synthetic(package, int(number), SEED)
    try:
        with Path(told).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as wrong:
        raise Refused("policy_population_unreadable", found=told, problem=str(wrong)) from wrong
    names = [name for name in (rows[0] if rows else ()) if name in package.facts]
    if not names:
        raise Refused("policy_population_unreadable", found=told, problem="no facts in row 1")
    truths: Mapping[str | None, object] = {"true": True, "false": False}
    return tabulate_facts(
        package,
        names,
        {name: [truths.get(row[name], row[name]) for row in rows] for name in names},
    )


def changes_of(package: Package, told: list[str]) -> dict[str, object]:
    """``voucher.use_ratio=0.4``, or ``5c.ratio=0.4`` where the measure has one such parameter."""
    changes: dict[str, object] = {}
    for text in told:
        name, sign, value = text.partition("=")
        if not sign:
            raise Refused("policy_change_unreadable", found=text)
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


def rows_of(package: Package, compared: Comparison, population: Table, on: date) -> Rows:
    """The money by measure, level of government, division and kind of applicant."""
    from suanwang.policy.simulate import by_group, by_level

    before, after = compared.before, compared.after
    rows: Rows = [
        ("measure", name, int(before.awards[name].sum()), int(after.awards[name].sum()))
        for name in before.awards
    ]
    for fact in ("division_code", "applicant_kind"):
        if fact in population.columns:
            column = population.columns[fact]
            then = by_group(before, package.facts[fact], column)
            now = by_group(after, package.facts[fact], column)
            rows += [(fact, value, then[value], now[value]) for value in then]
    if "division_code" in population.columns and package.divisions:
        codes = population.columns["division_code"]
        shares = by_level(package, before, codes, on), by_level(package, after, codes, on)
        rows += [("level", level, shares[0][level], shares[1][level]) for level in shares[0]]
    return rows


def report(compared: Comparison, rows: Rows, tongue: Language) -> list[str]:
    """The comparison for the terminal, with bars."""
    words = WORDS[tongue]
    units = len(compared.before.total)
    same = units - compared.gains - compared.loses
    lines = [
        f"{units:,} {words['units']}: {words['gains']} {compared.gains:,}, "
        f"{words['loses']} {compared.loses:,}, {words['same']} {same:,}"
    ]
    for when in ("before", "after"):
        dry = getattr(compared, when).dry_after
        said = words["never"] if dry is None else f"{words['dry']} {dry + 1:,}"
        lines.append(f"{words['pool']} ({words[when]}): {said}")
    for group in dict.fromkeys(row[0] for row in rows):
        lines += ["", f"{words['by']} {words.get(group, group)}"]
        most = max(1, *(max(row[2], row[3]) for row in rows if row[0] == group))
        for _, name, then, now in (row for row in rows if row[0] == group):
            bar = "█" * round(BAR * now / most)
            change = now - then
            sign = "+" if change > 0 else ""
            lines.append(
                f"  {words.get(name, name):<14} {format_yuan(then):>22} → {format_yuan(now):>22} "
                f"{sign}{format_yuan(change):>18}  {bar}"
            )
    return lines


def write_csv(path: Path, rows: Rows) -> None:
    """The rows as a file, amounts in fen."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["by", "which", "before_fen", "after_fen", "change_fen"])
        writer.writerows((*row, row[3] - row[2]) for row in rows)
