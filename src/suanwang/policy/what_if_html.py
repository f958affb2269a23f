"""A what-if to look at: tables with their charts, and the same as one file that needs no other.

The console's page shows ``fragment`` inside its frame; ``page`` is the report that is sent around.
Every text from a package or a file is escaped. No script, no address of anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from html import escape
from typing import TYPE_CHECKING, Any, Final

from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language
from suanwang.policy import what_if_charts as charts
from suanwang.policy.parts import Series
from suanwang.policy.reader import Text
from suanwang.policy.simulate import PoolOutcome
from suanwang.policy.what_if import GROUPS, WhatIf

if TYPE_CHECKING:
    from suanwang.policy.package import Package

WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "zh": {
        "title": "政策推演", "lang": "zh-Hans", "changes": "修改的参数", "who": "谁增谁减",
        "pool": "年度资金", "measure": "按措施", "level": "由谁负担",
        "division_code": "按县（市、区）", "applicant_kind": "按申请单位类别",
        "then": "现行", "now": "修改后", "change": "变化", "more": "增加",
        "less": "减少", "same": "不变",
        "units": "单位数", "gained": "合计增加",
        "lost": "合计减少", "all": "资金合计", "figure": "参数", "article": "条款",
        "source": "出处", "name": "名称", "chart": "图示", "money": "资金", "asked": "申请",
        "paid": "支付", "dry": "用尽于", "never": "未用尽", "after": "第{n}个单位",
        "left": "按申请先后累计，资金剩余", "total": "合计", "none": "没有修改参数：两侧相同。",
        "nothing": "没有一项措施能按所给的事实计算。",
        "note": "推演不是预测：只比较同一批单位在两套参数下的结果，申请行为不随政策变化。",
        "stands": "政策包哈希 {hash}，按{on}的取值。", "confirmed": "已确认", "default": "默认口径",
        "yes": "是", "no": "否",
    },
    "en": {
        "title": "What if", "lang": "en", "changes": "What is changed",
        "who": "Who gains, who loses",
        "pool": "The pool of the year", "measure": "By measure", "level": "Borne by",
        "division_code": "By division", "applicant_kind": "By kind of applicant", "then": "today",
        "now": "changed", "change": "change", "more": "gain", "less": "lose",
        "same": "stay the same", "units": "units", "gained": "gained in all", "lost": "lost in all",
        "all": "money in all", "figure": "parameter", "article": "article", "source": "source",
        "name": "name", "chart": "chart", "money": "money", "asked": "asked for", "paid": "paid",
        "dry": "used up", "never": "not used up", "after": "at unit {n}",
        "left": "What is left by what was asked so far", "total": "total",
        "none": "Nothing is changed: both sides are the same.",
        "nothing": "No measure can be decided by the facts that were given.",
        "note": "No forecast: the same units under two sets of parameters; nobody applies "
                "otherwise because the policy changed.",
        "stands": "Package {hash}, with the figures of {on}.", "confirmed": "confirmed",
        "default": "default, not confirmed", "yes": "yes", "no": "no",
    },
}  # fmt: skip
SHOWN_MAX: Final = 60
"""Rows of a group that are drawn; the CSV has all."""

STYLE: Final = """
:root{color-scheme:light dark;--text:#1b1f24;--muted:#57606a;--line:#d8dee4;--paper:#fff;
--then:#8c959f;--now:#0b57a4;--more:#1a7f37;--less:#b3261e}
@media(prefers-color-scheme:dark){:root{--text:#e4e8ed;--muted:#9ba6b2;--line:#30363d;
--paper:#0f1318;--then:#6e7781;--now:#78b4f2;--more:#6fcf86;--less:#ff9a90}}
@media print{:root{color-scheme:light;--text:#000;--muted:#444;--paper:#fff;--then:#8c959f;
--now:#0b57a4;--more:#1a7f37;--less:#b3261e}section{break-inside:avoid}}
body{margin:0 auto;padding:24px;max-width:1080px;background:var(--paper);color:var(--text);
font:14px/1.6 system-ui,"PingFang SC","Noto Sans CJK SC","Microsoft YaHei",sans-serif}
h1{font-size:24px;line-height:1.3;margin:0}h2{font-size:16px;margin:32px 0 8px}
p{margin:4px 0}.muted{color:var(--muted)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:12px 24px;
margin:12px 0}
dt{color:var(--muted);font-size:12px}dd{margin:0;font-size:18px;font-variant-numeric:tabular-nums}
.wrap{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{padding:5px 10px;border-bottom:1px solid var(--line);text-align:start;vertical-align:middle}
th{font-weight:400}th[scope=row]{min-width:150px}
thead th{color:var(--muted);font-size:12px;white-space:nowrap}
.number{text-align:end;white-space:nowrap;font-variant-numeric:tabular-nums}
svg{display:block}.bars{width:150px;height:17px}.swing{width:90px;height:17px}
.parts{width:100%;height:16px}.course{width:100%;height:auto}
.legend span{margin-inline-end:16px;font-size:12px;color:var(--muted);white-space:nowrap}
.legend svg{display:inline-block;width:10px;height:10px;margin-inline-end:4px}
svg text{font:12px system-ui,sans-serif;fill:var(--muted)}svg line{stroke:var(--line)}
rect.then{fill:var(--then)}rect.now{fill:var(--now)}rect.more{fill:var(--more)}
rect.less{fill:var(--less)}rect.same{fill:var(--line)}
polyline{fill:none;stroke-width:2}polyline.then{stroke:var(--then);stroke-dasharray:6 4}
polyline.now{stroke:var(--now)}
"""


def page(found: WhatIf, tongue: Language) -> str:
    """The whole report as one HTML file."""
    words = WORDS[tongue]
    title = f"{words['title']} · {found.package.title[tongue]}"
    return (
        f'<!doctype html>\n<html lang="{words["lang"]}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>{fragment(found, tongue)}</body></html>\n"
    )


def fragment(found: WhatIf, tongue: Language) -> str:
    """What a what-if found: changes, who gains, the pool, and a table with bars for each group."""
    words = WORDS[tongue]
    stands = words["stands"].format(hash=found.package.content_hash[:12], on=found.on)
    sections = [
        f'<p class="muted">{escape(stands)} {escape(words["note"])}</p>',
        _section("changes", words["changes"], _changes(found, tongue)),
    ]
    if not found.rows:
        return "".join([*sections, f"<p><strong>{escape(words['nothing'])}</strong></p>"])
    sections.append(_section("who", words["who"], _who(found, tongue)))
    for name in found.comparison.before.pools:
        label = found.package.pools[name].label[tongue]
        sections.append(_section(f"pool-{name}", label, _pool(found, name, tongue)))
    for group in GROUPS:
        if found.rows_by(group):
            sections.append(_section(group, words[group], _group(found, group, tongue)))
    return "".join(sections)


def _section(name: str, title: str, body: str) -> str:
    here = escape(f"w-{name}")
    return (
        f'<section class="panel" aria-labelledby="{here}"><header><h2 id="{here}">'
        f'{escape(title)}</h2></header><div class="body stack">{body}</div></section>'
    )


def _table(head: list[tuple[str, bool]], rows: Iterator[str]) -> str:
    cells = "".join(
        f'<th scope="col"{_number(number)}>{escape(title)}</th>' if title else "<td></td>"
        for title, number in head
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    table = f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wrap table-wrap">{table}</div>'


def _number(number: bool) -> str:
    return ' class="number"' if number else ""


def _changes(found: WhatIf, tongue: Language) -> str:
    words = WORDS[tongue]
    if not found.changes:
        return f'<p class="muted">{escape(words["none"])}</p>'

    def rows() -> Iterator[str]:
        for change in found.changes:
            series, version = change.series, change.before
            article = found.package.articles.get(series.article, {}).get(tongue, series.article)
            status = f" ({words[version.status]})" if version else ""
            source = f"{version.source}{status}" if version else ""
            before = shown_value(found.package, series, version.value, tongue) if version else ""
            after = shown_value(found.package, series, change.after, tongue)
            yield (
                f'<th scope="row">{escape(series.label[tongue])}</th><td>{escape(before)}</td>'
                f"<td><strong>{escape(after)}</strong></td>"
                f'<td class="muted">{escape(article)}</td><td class="muted">{escape(source)}</td>'
            )

    titles = ("figure", "then", "now", "article", "source")
    return _table([(words[title], False) for title in titles], rows())


def shown_value(package: Package, series: Series, value: Any, tongue: Language) -> str:
    """A parameter's value in words: money in yuan, a ratio in per cent, a code by its name."""
    words = WORDS[tongue]
    if isinstance(value, bool):
        return words["yes" if value else "no"]
    if isinstance(value, frozenset | set):
        named = names_of(package, series)
        comma = "、" if tongue == "zh" else ", "
        return comma.join(sorted(named[one][tongue] if one in named else one for one in value))
    if isinstance(value, tuple):
        return "; ".join(f"{_plain(start)} → {_plain(amount)}" for start, amount in value)
    if isinstance(value, Fraction):
        if series.unit.startswith("fen") and value.denominator == 1:
            return format_yuan(int(value)) + series.unit.removeprefix("fen").replace("/", " / ")
        if series.unit == "ratio":
            share = value * 100
            return f"{_plain(share)}%" if (share * 100).denominator == 1 else str(value)
        return f"{_plain(value)} {series.unit}"
    reading = names_of(package, series).get(str(value))
    return reading[tongue] if reading else str(value)


def names_of(package: Package, series: Series) -> dict[str, Text]:
    """The words for every code a parameter may name: readings, choices, divisions."""
    named: dict[str, Text] = {code: row.name for code, row in package.divisions.items()}
    for fact in package.facts.values():
        named |= fact.labels
    return named | dict(series.readings)


def _plain(value: Fraction) -> str:
    """A fraction as a decimal of at most four places if it is one, else as it is."""
    scaled = value * 10_000
    if scaled.denominator != 1:
        return str(value)
    whole, rest = divmod(abs(int(scaled)), 10_000)
    decimals = f".{rest:04d}".rstrip("0") if rest else ""
    return f"{'-' if value < 0 else ''}{whole}{decimals}"


def _figures(figures: list[tuple[str, str]]) -> str:
    shown = "".join(
        f'<div><dt>{escape(name)}</dt><dd class="value small-value">{escape(value)}</dd></div>'
        for name, value in figures
    )
    return f'<dl class="figures">{shown}</dl>'


def _legend(tongue: Language, *names: str) -> str:
    keys = "".join(
        f'<span><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="{name}" width="10" '
        f'height="10" rx="2"/></svg>{escape(WORDS[tongue][name])}</span>'
        for name in names
    )
    return f'<p class="legend">{keys}</p>'


def _who(found: WhatIf, tongue: Language) -> str:
    words, compared = WORDS[tongue], found.comparison
    then, now = int(compared.before.total.sum()), int(compared.after.total.sum())
    counts = [(words["less"], compared.loses), (words["same"], found.same),
              (words["more"], compared.gains)]  # fmt: skip
    label = ", ".join(f"{name} {count:,}" for name, count in counts)
    figures = [
        (words["units"], f"{found.units:,}"),
        *((name, f"{count:,}") for name, count in counts),
        (words["lost"], format_yuan(found.lost_fen)),
        (words["gained"], format_yuan(found.gained_fen)),
        (f"{words['all']} ({words['then']})", format_yuan(then)),
        (f"{words['all']} ({words['now']})", format_yuan(now)),
    ]
    drawn = charts.parts(compared.loses, found.same, compared.gains, label)
    return f"{_figures(figures)}{drawn}{_legend(tongue, 'less', 'same', 'more')}"


def _pool(found: WhatIf, name: str, tongue: Language) -> str:
    words = WORDS[tongue]
    then, now = (side.pools[name] for side in (found.comparison.before, found.comparison.after))

    def rows() -> Iterator[str]:
        for title, pool in ((words["then"], then), (words["now"], now)):
            money = "".join(
                f'<td class="number">{format_yuan(fen)}</td>'
                for fen in (pool.money_fen, pool.asked_fen, pool.paid_fen)
            )
            yield f'<th scope="row">{escape(title)}</th>{money}<td>{escape(_dry(pool, words))}</td>'

    head = [("", False), *((words[one], True) for one in ("money", "asked", "paid"))]
    table = _table([*head, (words["dry"], False)], rows())
    if not then.course or not now.course:
        return table
    most = max(then.money_fen, now.money_fen)
    drawn = charts.course(most, then.course, now.course, words["left"])
    legend = _legend(tongue, "then", "now")
    return f'{table}<p class="muted small">{escape(words["left"])}</p>{drawn}{legend}'


def _dry(pool: PoolOutcome, words: Mapping[str, str]) -> str:
    if pool.dry_after is None:
        return words["never"]
    at = words["after"].format(n=f"{pool.dry_after + 1:,}")
    return f"{pool.dry_on} · {at}" if pool.dry_on else at


def _group(found: WhatIf, group: str, tongue: Language) -> str:
    words = WORDS[tongue]
    rows = found.rows_by(group)
    counted = any(row.gains is not None for row in rows)
    most = max(1, *(max(row.before_fen, row.after_fen) for row in rows))
    swing = max(1, *(abs(row.change_fen) for row in rows))

    def drawn() -> Iterator[str]:
        for row in rows[:SHOWN_MAX]:
            label = row.label[tongue]
            code = f' <span class="muted small">{escape(row.which)}</span>'
            cells = [
                f'<th scope="row">{escape(label)}{code if group == "measure" else ""}</th>',
                f"<td>{charts.bars(row.before_fen, row.after_fen, most)}</td>",
                f'<td class="number">{format_yuan(row.before_fen)}</td>',
                f'<td class="number">{format_yuan(row.after_fen)}</td>',
                f'<td class="number">{_signed(row.change_fen)}</td>',
                f"<td>{charts.swing(row.change_fen, swing)}</td>",
            ]
            if counted:
                cells += [f'<td class="number">{row.gains:,}</td>',
                          f'<td class="number">{row.loses:,}</td>']  # fmt: skip
            yield "".join(cells)
        sums = sum(row.before_fen for row in rows), sum(row.after_fen for row in rows)
        total = f'<th scope="row"><strong>{escape(words["total"])}</strong></th><td></td>'
        total += "".join(
            f'<td class="number"><strong>{format_yuan(one)}</strong></td>' for one in sums
        )
        total += f'<td class="number"><strong>{_signed(sums[1] - sums[0])}</strong></td><td></td>'
        yield total + ("<td></td><td></td>" if counted else "")

    head = [(words["name"], False), (words["chart"], False), (words["then"], True),
            (words["now"], True), (words["change"], True), ("", False)]  # fmt: skip
    head += [(words["more"], True), (words["less"], True)] if counted else []
    return f"{_legend(tongue, 'then', 'now')}{_table(head, drawn())}"


def _signed(fen: int) -> str:
    return f"+{format_yuan(fen)}" if fen > 0 else format_yuan(fen)
