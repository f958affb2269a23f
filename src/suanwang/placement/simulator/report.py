"""One page that holds a whole comparison: figures, charts, definitions; stands alone and prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language, sentence
from suanwang.placement.simulator import charts
from suanwang.placement.simulator.measures import Measures
from suanwang.placement.simulator.problems import Problem, by_code
from suanwang.placement.simulator.report_words import STYLE, WORDS
from suanwang.placement.simulator.scenario import Scenario
from suanwang.placement.simulator.series import Course

PROBLEMS_SHOWN = 50


def page(
    scenario: Scenario,
    measured: Sequence[Measures],
    courses: Sequence[Course],
    problems: Sequence[Problem],
    *,
    seed: int,
    language: Language,
    labels: Sequence[str] = (),
) -> str:
    """The page as HTML. ``labels``: what each run is called, where not by its policy."""
    words = WORDS[language]
    names = list(labels) or [one.policy for one in measured]
    name = scenario.name_en if language == "en" and scenario.name_en else scenario.name
    title = f"{words['title']} · {name}" if name else words["title"]
    cards = sum(machine.whole.cards for machine in scenario.machines)
    cores = sum(machine.whole.core_milli for machine in scenario.machines) // 1000
    facts = words["facts"].format(
        starts=f"{scenario.starts_at:%Y-%m-%d %H:%M}",
        nodes=f"{len(scenario.machines):,}",
        cores=f"{cores:,}",
        cards=f"{cards:,}",
        jobs=f"{measured[0].jobs:,}" if measured else "0",
        seed=seed,
    )
    body = [
        f'<header><h1>{escape(title)}</h1><p class="muted">{escape(facts)}</p></header>',
        _summary(measured, names, words),
        _legend(names),
        '<div class="charts"><div>',
        *_over_time(courses, names, words, has_cards=bool(cards)),
        "</div><div>",
        *_by_place(scenario, measured, names, words, language),
        "</div></div>",
        _tenants(scenario, measured, names, words, language),
        _left_out(problems, words, language),
        f"<section><h2>{words['how']}</h2><ul class='muted'>"
        + "".join(f"<li>{escape(one)}</li>" for one in words["definitions"].split("\n"))
        + "</ul></section>",
    ]
    tongue = "zh-CN" if language == "zh" else "en"
    return (
        f'<!doctype html>\n<html lang="{tongue}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _summary(measured: Sequence[Measures], names: Sequence[str], words: Mapping[str, str]) -> str:
    heads = words["columns"].split("|")
    rows = []
    for place, (one, name) in enumerate(zip(measured, names, strict=True)):
        mark = f'<i class="mark s{place % 8}"></i>'
        rows.append(
            f'<tr><th scope="row">{mark}{escape(name)}</th>'
            + "".join(f"<td>{cell}</td>" for cell in cells(one))
            + "</tr>"
        )
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    return (
        f'<section><h2>{words["summary"]}</h2><div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def cells(one: Measures) -> list[str]:
    """The figures of a policy, in the order of the words' columns."""
    return [
        hours(one.wait_seconds.mean),
        hours(one.wait_seconds.p95),
        hours(one.wait_seconds.p99),
        f"{one.slowdown.mean:,.2f}",
        f"{one.card_share:.1%}",
        f"{one.core_share:.1%}",
        f"{one.jain:.3f}",
        format_yuan(one.cost_fen),
        f"{one.kwh:,.0f}",
        f"{one.green_share:.1%}",
        f"{one.fates.get('done', 0):,} / {one.jobs:,}",
    ]


def hours(seconds: float) -> str:
    """A wait as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"


def _legend(names: Sequence[str]) -> str:
    keys = "".join(
        f'<li><svg viewBox="0 0 24 8" aria-hidden="true"><line class="line s{place % 8}" x1="0" '
        f'x2="24" y1="4" y2="4"/></svg>{escape(name)}</li>'
        for place, name in enumerate(names)
    )
    return f'<ul class="legend">{keys}</ul>'


def _over_time(
    courses: Sequence[Course], names: Sequence[str], words: Mapping[str, str], *, has_cards: bool
) -> list[str]:
    named = list(zip(names, courses, strict=True))
    waiting = [(name, [(p.hours, p.waiting) for p in of.points]) for name, of in named]
    use = [
        (name, [(p.hours, p.card_share if has_cards else p.core_share) for p in of.points])
        for name, of in named
    ]
    waits = [(name, _cumulative(of.waits_hours)) for name, of in named]
    used = words["cards_used"] if has_cards else words["cores_used"]
    return [
        _figure(words["queue"], charts.lines(waiting, title=words["queue"], across=words["hours"])),
        _figure(
            used,
            charts.lines(use, title=used, across=words["hours"], up_to=1.0, told=charts.percent),
        ),
        _figure(
            words["wait_cdf"],
            charts.lines(
                waits,
                title=words["wait_cdf"],
                across=words["wait_hours"],
                up_to=1.0,
                told=charts.percent,
                logarithmic=True,
            ),
        ),
    ]


def _cumulative(waits: Sequence[float]) -> list[tuple[float, float]]:
    return [(wait, (place + 1) / len(waits)) for place, wait in enumerate(waits)]


def _by_place(
    scenario: Scenario,
    measured: Sequence[Measures],
    names: Sequence[str],
    words: Mapping[str, str],
    language: Language,
) -> list[str]:
    with_cards = {machine.site.code for machine in scenario.machines if machine.whole.cards}
    codes = list(dict.fromkeys(centre.code for one in measured for centre in one.centres))
    groups = []
    for code in codes:
        by_run = [{centre.code: centre for centre in one.centres}.get(code) for one in measured]
        shares = [
            0.0 if of is None else of.card_share if code in with_cards else of.core_share
            for of in by_run
        ]
        unit = words["of_cards"] if code in with_cards else words["of_cores"]
        groups.append((f"{called(scenario, code, language)} · {unit}", shares))
    tenants = list(dict.fromkeys(tenant.code for one in measured for tenant in one.tenants))
    services = [
        (
            called(scenario, code, language) or words["nobody"],
            [{t.code: t.service for t in one.tenants}.get(code, 0.0) for one in measured],
        )
        for code in tenants[:30]
    ]
    by_centre, fair = words["by_centre"], words["fairness"]
    return [
        _figure(by_centre, charts.bars(groups, names, title=by_centre, up_to=1.0)),
        _figure(fair, charts.bars(services, names, title=fair, up_to=1.0)),
    ]


def called(scenario: Scenario, code: str, language: Language) -> str:
    """A centre or an organisation by its name."""
    zh, en = scenario.names.get(code, (code, code))
    return zh if language == "zh" else en


def _figure(title: str, drawn: str) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption>{drawn}</figure>"


def _tenants(
    scenario: Scenario,
    measured: Sequence[Measures],
    names: Sequence[str],
    words: Mapping[str, str],
    language: Language,
) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(called(scenario, tenant.code, language) or words["nobody"])}'
        f'</th><td class="text">{escape(name)}</td><td>{tenant.jobs:,}</td>'
        f"<td>{hours(tenant.wait_mean_seconds)}</td><td>{tenant.slowdown_mean:,.2f}</td>"
        f"<td>{tenant.service:.1%}</td><td>{format_yuan(tenant.cost_fen)}</td></tr>"
        for code in dict.fromkeys(t.code for one in measured for t in one.tenants)
        for one, name in zip(measured, names, strict=True)
        for tenant in one.tenants
        if tenant.code == code
    )
    heads = "".join(
        f'<th scope="col"{" class=text" if place < 2 else ""}>{one}</th>'
        for place, one in enumerate(words["tenant_columns"].split("|"))
    )
    return (
        f'<section><h2>{words["tenants"]}</h2><div class="scroll"><table><thead><tr>{heads}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div></section>"
    )


def _left_out(problems: Sequence[Problem], words: Mapping[str, str], language: Language) -> str:
    if not problems:
        return f"<section><h2>{words['left_out']}</h2><p>{words['nothing_left_out']}</p></section>"
    counts = ", ".join(f"{code}: {count:,}" for code, count in by_code(problems).items())
    items = "".join(
        f"<li>{escape(told(problem, language))}</li>" for problem in problems[:PROBLEMS_SHOWN]
    )
    return f"<section><h2>{words['left_out']}</h2><p>{escape(counts)}</p><ul>{items}</ul></section>"


def told(problem: Problem, language: Language) -> str:
    """A problem as a sentence."""
    said = sentence(problem.code, {"line": problem.line, **problem.facts}, language)
    return said or problem.code
