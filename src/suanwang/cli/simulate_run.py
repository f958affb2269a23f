"""Running simulations for the terminal: files, progress, tables, JSON, CSV, the report."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from suanwang.core.errors import Refused
from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language
from suanwang.placement.simulator import report
from suanwang.placement.simulator.measures import Measures, measure
from suanwang.placement.simulator.problems import Problem, Problems, by_code
from suanwang.placement.simulator.report_words import WORDS
from suanwang.placement.simulator.series import Course, course

if TYPE_CHECKING:
    from suanwang.placement.simulator.city import City
    from suanwang.placement.simulator.recording import Step
    from suanwang.placement.simulator.scenario import Scenario

LINE_MOST = 1 << 20
RECORDED_LINE_MOST = 256 << 20
PROBLEMS_TOLD = 5
JSON_PROBLEMS = 200
WORDS_HERE: dict[Language, dict[str, str]] = {
    "zh": {"left_out": "略去", "not_admitted": "个决定在执行时已不成立，重新决定", "before": "现状",
           "after": "变更后", "change": "变化", "steps": "步", "same": "与记录一致",
           "different": "与记录不同", "written": "已写入"},
    "en": {"left_out": "left out", "not_admitted": "decisions no longer held and were made again",
           "before": "today", "after": "changed", "change": "change", "steps": "steps",
           "same": "decided as recorded", "different": "decided otherwise", "written": "written"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is wanted of a run."""

    seed: int
    days: float | None
    as_json: bool
    csv: Path | None
    html: Path | None
    language: Language


def lines(path: Path, most: int = LINE_MOST) -> Iterator[str]:
    """The lines of a file, gzip or plain; none is read further than it may be long.

    Refuses ``trace_file_unreadable``.
    """
    try:
        with _opened(path) as file:
            while line := file.readline(most):
                yield line
    except (OSError, EOFError, zlib.error) as wrong:
        problem = getattr(wrong, "strerror", None) or str(wrong)
        raise Refused("trace_file_unreadable", file=str(path), problem=problem) from None


def text(path: Path, most: int) -> str:
    """All of a file, up to a character more than it may have. Refuses as ``lines``."""
    try:
        with _opened(path) as file:
            return file.read(most + 1)
    except (OSError, EOFError, zlib.error) as wrong:
        problem = getattr(wrong, "strerror", None) or str(wrong)
        raise Refused("trace_file_unreadable", file=str(path), problem=problem) from None


def _opened(path: Path) -> IO[str]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    if packed:
        return cast(IO[str], gzip.open(path, "rt", encoding="utf-8", errors="replace"))
    return path.open(encoding="utf-8", errors="replace")


def compare(scenario: Scenario, problems: Problems, names: Sequence[str], outputs: Outputs) -> None:
    """Play one scenario under several policies and tell all of it."""
    from suanwang.placement.simulator.policies import named

    for name in names:  # a wrong name is told before the first run, not after
        named(name, scenario)
    results = played([(name, name, scenario) for name in names], outputs)
    _tell(scenario, results, problems, outputs)


def before_and_after(
    before: Scenario,
    after: Scenario,
    problems: Problems,
    policies: tuple[str, str],
    outputs: Outputs,
) -> None:
    """Play the city as it is and as it might be."""
    words = WORDS_HERE[outputs.language]
    labels = [
        f"{words[when]} ({name})" for when, name in zip(("before", "after"), policies, strict=True)
    ]
    runs = [(labels[0], policies[0], before), (labels[1], policies[1], after)]
    results = played(runs, outputs)
    _tell(replace(after, names={**before.names, **after.names}), results, problems, outputs)
    if not outputs.as_json:
        _tell_change(results[0][0], results[1][0], outputs.language)


def played(
    runs: Sequence[tuple[str, str, Scenario]], outputs: Outputs
) -> list[tuple[Measures, Course]]:
    """Run label by label, with a bar on the error stream."""
    from suanwang.placement.simulator.events import Simulation
    from suanwang.placement.simulator.policies import named

    results = []
    with _bar() as bar:
        for label, name, scenario in runs:
            chosen = named(name, scenario, seed=outputs.seed)
            simulation = Simulation(
                scenario,
                chosen.core,
                chosen.policy,
                name=label,
                seed=outputs.seed,
                ends_after=None if outputs.days is None else timedelta(days=outputs.days),
            )
            task = bar.add_task(label, total=max(1, len(scenario.works) + len(scenario.begun)))
            for progress in simulation.run():
                bar.update(task, completed=progress.ended)
            results.append((measure(simulation.journal), course(simulation.journal)))
    return results


def _bar(counted: str = "{task.completed:,.0f}/{task.total:,.0f}") -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(counted),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _tell(
    scenario: Scenario,
    results: Sequence[tuple[Measures, Course]],
    problems: Problems,
    outputs: Outputs,
) -> None:
    measured = [one for one, _ in results]
    if outputs.as_json:
        typer.echo(json.dumps(_json(scenario, measured, problems.found, outputs.seed),
                              ensure_ascii=False, indent=2))  # fmt: skip
    else:
        _table(measured, outputs.language)
    if outputs.csv is not None:
        _written(outputs.csv, outputs, lambda: _write_csv(cast(Path, outputs.csv), measured))
    if outputs.html is not None:
        told = report.page(
            scenario,
            measured,
            [of for _, of in results],
            problems.found,
            seed=outputs.seed,
            language=outputs.language,
        )
        path = outputs.html
        _written(path, outputs, lambda: path.write_text(told, encoding="utf-8"))
    _tell_problems(measured, problems.found, outputs.language)


def _written(path: Path, outputs: Outputs, write: Callable[[], object]) -> None:
    try:
        write()
    except OSError as wrong:
        problem = wrong.strerror or str(wrong)
        raise Refused("trace_file_unreadable", file=str(path), problem=problem) from None
    typer.echo(f"{WORDS_HERE[outputs.language]['written']}: {path}", err=True)


def _json(
    scenario: Scenario, measured: Sequence[Measures], found: Sequence[Problem], seed: int
) -> dict[str, Any]:
    return {
        "scenario": scenario.name,
        "starts_at": scenario.starts_at.isoformat(),
        "seed": seed,
        "nodes": len(scenario.machines),
        "left_out": by_code(found),
        "left_out_first": [
            {"line": one.line, "code": one.code, **one.facts} for one in found[:JSON_PROBLEMS]
        ],
        "policies": [one.as_json() for one in measured],
    }


def _table(measured: Sequence[Measures], language: Language) -> None:
    """A column for each policy: a terminal is narrower than a page."""
    heads = WORDS[language]["columns"].split("|")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(heads[0], no_wrap=True)
    for one in measured:
        table.add_column(one.policy, justify="right", no_wrap=True)
    columns = [report.cells(one) for one in measured]
    for place, head in enumerate(heads[1:]):
        table.add_row(head, *(column[place] for column in columns))
    Console().print(table)


def _tell_change(before: Measures, after: Measures, language: Language) -> None:
    words = WORDS_HERE[language]
    heads = WORDS[language]["columns"].split("|")
    told = [
        (heads[1], report.hours, before.wait_seconds.mean, after.wait_seconds.mean),
        (heads[3], report.hours, before.wait_seconds.p99, after.wait_seconds.p99),
        (heads[5], lambda x: f"{x:.1%}", before.card_share, after.card_share),
        (heads[8], lambda x: format_yuan(round(x)), before.cost_fen, after.cost_fen),
        (heads[9], lambda x: f"{x:,.0f}", before.kwh, after.kwh),
    ]
    typer.echo("")
    for head, shown, was, now in told:
        change = f"{(now - was) / was:+.1%}" if was else "—"
        typer.echo(f"{head}: {shown(was)} → {shown(now)}  ({words['change']} {change})")


def _tell_problems(
    measured: Sequence[Measures], found: Sequence[Problem], language: Language
) -> None:
    words = WORDS_HERE[language]
    for one in measured:
        if one.not_admitted:
            typer.echo(f"{one.policy}: {one.not_admitted:,} {words['not_admitted']}", err=True)
    if found:
        counts = ", ".join(f"{code} {count:,}" for code, count in by_code(found).items())
        typer.echo(f"{words['left_out']}: {counts}", err=True)
        for problem in found[:PROBLEMS_TOLD]:
            typer.echo(f"  {report.told(problem, language)}", err=True)
        if len(found) > PROBLEMS_TOLD:
            typer.echo("  …", err=True)


def _write_csv(path: Path, measured: Sequence[Measures]) -> None:
    """A row for each policy, amounts in fen, times in seconds."""
    nested = ("fates", "centres", "tenants", "wait_seconds", "slowdown")
    rows = []
    for one in measured:
        told = one.as_json()
        row = {name: value for name, value in told.items() if name not in nested}
        row |= {f"wait_seconds_{name}": value for name, value in told["wait_seconds"].items()}
        row |= {f"slowdown_{name}": value for name, value in told["slowdown"].items()}
        row |= {f"jobs_{fate}": told["fates"].get(fate, 0) for fate in _FATES}
        rows.append(row)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


_FATES = ("done", "timed_out", "failed", "blocked", "never_started", "cut_off")


def last_recorded(path: Path) -> City | None:
    """The live city at the last step of a recording; None: the file is none."""
    from suanwang.placement.simulator.export import city_of
    from suanwang.placement.simulator.recording import is_header, read

    first = next(lines(path), "")
    if not is_header(first):
        return None
    step: Step | None = None
    for found in read(lines(path, RECORDED_LINE_MOST)):
        step = found
    if step is None:
        raise Refused("trace_file_unreadable", file=str(path), problem="no step is recorded")
    return city_of(step.snapshot, step.queue, step.now, step.policy)


def replayed(path: Path, *, as_json: bool) -> bool:
    """Whether the core answers a recording as production was answered; tells where not."""
    from suanwang.cli import language
    from suanwang.placement import decide
    from suanwang.placement.simulator.recording import read
    from suanwang.placement.simulator.recording import replay as again

    steps, different = 0, []
    with _bar("{task.completed:,.0f}") as bar:
        task = bar.add_task(path.name, total=None)
        for _, differences in again(read(lines(path, RECORDED_LINE_MOST)), decide):
            steps += 1
            different += differences
            bar.update(task, completed=steps)
    words = WORDS_HERE[language()]
    if as_json:
        found = [
            {"line": d.line, "at": d.now.isoformat(), "job": str(d.job_id),
             "recorded": d.recorded, "decided": d.decided}
            for d in different[:JSON_PROBLEMS]
        ]  # fmt: skip
        typer.echo(json.dumps({"steps": steps, "different": len(different), "first": found},
                              ensure_ascii=False, indent=2))  # fmt: skip
        return not different
    verdict = f"{len(different):,} {words['different']}" if different else words["same"]
    typer.echo(f"{steps:,} {words['steps']}: {verdict}")
    for one in different[:PROBLEMS_TOLD]:
        typer.echo(f"  {one.line} {one.now.isoformat()} {one.job_id}")
        typer.echo(f"    − {one.recorded[:200]}\n    + {one.decided[:200]}")
    return not different
