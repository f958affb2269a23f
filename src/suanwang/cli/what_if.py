"""``suanwang policy simulate``: today's rules beside changed ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from suanwang.core.errors import Refused
from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language

if TYPE_CHECKING:
    from datetime import date

    from suanwang.policy import Package
    from suanwang.policy.vector import Table
    from suanwang.policy.what_if import WhatIf

ROWS_MAX: Final = 10_000_000
BAR: Final = 30
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


def population_of(package: Package, told: str, on: date | None = None) -> Table:
    """``synthetic:N`` or a CSV file whose first row names facts."""
    from suanwang.policy.population import read_csv
    from suanwang.policy.simulate import synthetic
    from suanwang.policy.what_if import SEED

    kind, _, number = told.partition(":")
    if kind == "synthetic":
        if not number.isdecimal() or not 0 < int(number) <= ROWS_MAX:
            raise Refused("policy_population_unreadable", found=told, problem="synthetic:1000")
        return synthetic(package, int(number), SEED, on)
    try:
        with Path(told).open(encoding="utf-8-sig", newline="") as file:
            return read_csv(package, file, found=told, rows_max=ROWS_MAX)
    except OSError as wrong:
        raise Refused("policy_population_unreadable", found=told, problem=str(wrong)) from wrong


def report(found: WhatIf, tongue: Language) -> list[str]:
    """The comparison for the terminal, with bars."""
    words, compared = WORDS[tongue], found.comparison
    lines = [
        f"{found.units:,} {words['units']}: "
        f"{words['gains']} {compared.gains:,} (+{format_yuan(found.gained_fen)}), "
        f"{words['loses']} {compared.loses:,} (-{format_yuan(found.lost_fen)}), "
        f"{words['same']} {found.same:,}"
    ]
    for when in ("before", "after"):
        for pool in getattr(compared, when).pools.values():
            dry = f"{words['dry']} {(pool.dry_after or 0) + 1:,}"
            said = words["never"] if pool.dry_after is None else dry
            day = f" ({pool.dry_on})" if pool.dry_on else ""
            lines.append(f"{words['pool']} ({words[when]}): {said}{day}")
    for group in dict.fromkeys(row.by for row in found.rows):
        rows = found.rows_by(group)
        lines += ["", f"{words['by']} {words.get(group, group)}"]
        most = max(1, *(max(row.before_fen, row.after_fen) for row in rows))
        for row in rows:
            name = row.label[tongue] if group == "level" else row.which
            bar = "█" * round(BAR * row.after_fen / most)
            sign = "+" if row.change_fen > 0 else ""
            lines.append(
                f"  {name:<14} {format_yuan(row.before_fen):>22} → "
                f"{format_yuan(row.after_fen):>22} "
                f"{sign}{format_yuan(row.change_fen):>18}  {bar}"
            )
    return lines
