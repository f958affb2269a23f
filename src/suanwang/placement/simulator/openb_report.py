"""The packing protocol as one page: figures, and what stays unallocated as demand arrives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from suanwang.core.refusals import Language
from suanwang.placement.simulator import charts
from suanwang.placement.simulator.openb import COLUMNS, Real
from suanwang.placement.simulator.problems import Problem, by_code
from suanwang.placement.simulator.report import told
from suanwang.placement.simulator.report_words import STYLE

PROBLEMS_SHOWN = 20
WORDS: dict[Language, dict[str, str]] = {
    "zh": {
        "title": "装箱规程 openb",
        "facts": "{nodes} 个节点，{cards} 张卡，{seeds} 个随机种子",
        "columns": "策略|执行|95%|100%|130%|均值 100%|已发表 100%|每次决定 CPU（微秒）",
        "pool": "算力池",
        "brute force": "穷举",
        "centres": "分中心",
        "cut": "切分为 {centres} 个中心，每 {stale} 次到达更新一次摘要",
        "chart": "有需求而未分配的卡（%）",
        "across": "已到达的需求（占全部卡的 %）",
        "left_out": "未采用的输入",
        "nothing": "输入全部采用。",
        "over": "各列表均值",
        "misled": "事先告知的是列表 {list} 的分布。",
        "how": "各列为已到达需求占全部卡的份额；数值为那时未分配的卡的百分比，取各种子的中位数。"
        "规程：Weng 等，USENIX ATC 2023；“已发表”为作者公布的中位数。",
    },
    "en": {
        "title": "Packing protocol openb",
        "facts": "{nodes} nodes, {cards} cards, {seeds} seeds",
        "columns": "policy|run by|95%|100%|130%|mean 100%|published 100%|CPU µs a decision",
        "pool": "pool",
        "brute force": "brute force",
        "centres": "centres",
        "cut": "cut into {centres} centres, summaries every {stale} arrivals",
        "chart": "Cards unallocated although asked for (%)",
        "across": "demand that has arrived (% of all cards)",
        "left_out": "Left out of the input",
        "nothing": "All of the input was used.",
        "over": "Mean of the lists",
        "misled": "Told beforehand: the mix of the list {list}.",
        "how": "A column is the demand that has arrived as a share of all cards; a figure the "
        "share of cards unallocated then, median of the seeds. Protocol: Weng et al., USENIX ATC "
        "2023; published is the authors' own median.",
    },
}


def page(
    facts: Mapping[str, Any],
    curves: Sequence[Mapping[str, Real]],
    left_out: Mapping[str, Sequence[Problem]],
    language: Language,
) -> str:
    """The page as HTML, of the facts that are told as JSON; ``curves`` by list and policy."""
    words = WORDS[language]
    shape = words["facts"].format(
        nodes=f"{facts['nodes']:,}", cards=f"{facts['cards']:,}", seeds=len(facts["seeds"])
    )
    if facts["centres"]:
        shape += " · " + words["cut"].format(centres=facts["centres"], stale=facts["stale"])
    if facts["start_histogram"]:
        shape += " · " + words["misled"].format(list=facts["start_histogram"])
    body = [f'<header><h1>{words["title"]}</h1><p class="muted">{escape(shape)}</p></header>']
    if len(facts["lists"]) > 1:
        body.append(_section(words["over"], _over(facts, words)))
    for one, lines in zip(facts["lists"], curves, strict=True):
        body.append(_section(f"{one['list']} ({one['pods']:,})", _table(one, words)))
        body.append(_legend(list(lines)) + _chart(lines, words))
    body.append(_left_out(left_out, words, language))
    body.append(f'<section><p class="muted">{words["how"]}</p></section>')
    tongue = "zh-CN" if language == "zh" else "en"
    return (
        f'<!doctype html>\n<html lang="{tongue}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{words['title']}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _section(title: str, inner: str) -> str:
    return f'<section><h2>{escape(title)}</h2><div class="scroll">{inner}</div></section>'


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _table(one: Mapping[str, Any], words: Mapping[str, str]) -> str:
    at = COLUMNS.index(100)
    rows = [
        [
            row["policy"],
            words[row["by"]],
            *map(_percent, row["median"]),
            _percent(row["mean"][at]),
            _percent(row["published_median"] and row["published_median"][at]),
            f"{row['decision_us']:,.1f}",
        ]
        for row in one["policies"]
    ]
    return _rows(words["columns"].split("|"), rows)


def _over(facts: Mapping[str, Any], words: Mapping[str, str]) -> str:
    heads = words["columns"].split("|")
    rows = [
        [row["policy"], words[row["by"]], *map(_percent, row["mean"]),
         f"{row['decision_us_median']:,.1f}"]
        for row in facts["over_lists"]
    ]  # fmt: skip
    return _rows([*heads[:5], heads[-1]], rows)


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"


def _legend(names: Sequence[str]) -> str:
    keys = "".join(
        f'<li><svg viewBox="0 0 24 8" aria-hidden="true"><line class="line s{place % 8}" x1="0" '
        f'x2="24" y1="4" y2="4"/></svg>{escape(name)}</li>'
        for place, name in enumerate(names)
    )
    return f'<ul class="legend">{keys}</ul>'


def _chart(curves: Mapping[str, Real], words: Mapping[str, str]) -> str:
    drawn = []
    for name, curve in curves.items():
        told = np.flatnonzero(np.isfinite(curve))
        lost = curve[told] - np.maximum(0, 100 - told)  # less what nobody has asked for yet
        points = zip(told.tolist(), np.maximum(0, lost).tolist(), strict=True)
        drawn.append((name, [(float(at), value) for at, value in points]))
    title = words["chart"]
    figure = charts.lines(drawn, title=title, across=words["across"], step=20.0)
    return f'<figure style="max-width:720px"><figcaption>{title}</figcaption>{figure}</figure>'


def _left_out(
    left_out: Mapping[str, Sequence[Problem]], words: Mapping[str, str], language: Language
) -> str:
    parts = []
    for name, found in left_out.items():
        if found:
            counts = ", ".join(f"{code}: {count:,}" for code, count in by_code(found).items())
            items = "".join(
                f"<li>{escape(told(problem, language))}</li>" for problem in found[:PROBLEMS_SHOWN]
            )
            parts.append(f"<p>{escape(name)} — {escape(counts)}</p><ul>{items}</ul>")
    inner = "".join(parts) or f"<p>{words['nothing']}</p>"
    return f"<section><h2>{words['left_out']}</h2>{inner}</section>"
