"""What ``suanwang simulate openb`` tells: tables, JSON, CSV, the page."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from suanwang.cli.words import shown
from suanwang.core.refusals import Language
from suanwang.placement.simulator.openb import COLUMNS, Figures, figures
from suanwang.placement.simulator.openb_published import published
from suanwang.placement.simulator.problems import Problem, by_code

if TYPE_CHECKING:
    from suanwang.cli.simulate_openb import Done, Setting
    from suanwang.cli.simulate_run import Outputs
    from suanwang.placement.simulator.openb import Real

JSON_PROBLEMS = 200
HUNDRED = COLUMNS.index(100)
Facts = dict[str, Any]


def tell(
    setting: Setting,
    seeds: Sequence[int],
    runs: Sequence[Done],
    left_out: Mapping[str, Sequence[Problem]],
    given: Outputs,
) -> None:
    """All of it, in the ways asked for."""
    from suanwang.cli.simulate_run import tell_left_out, written

    facts = gathered(setting, seeds, runs, left_out)
    if given.as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        _show(facts, given.language)
    if given.csv is not None:
        path = given.csv
        written(path, given, lambda: _write_csv(path, facts))
    if given.html is not None:
        from suanwang.placement.simulator.openb_report import page

        target, told = (
            given.html,
            page(facts, _curves(setting, runs, given.language), left_out, given.language),
        )
        written(target, given, lambda: target.write_text(told, encoding="utf-8"))
    for name, found in left_out.items():
        tell_left_out(f"{shown('left out of', given.language)} {name}", found, given.language)


def gathered(
    setting: Setting,
    seeds: Sequence[int],
    runs: Sequence[Done],
    left_out: Mapping[str, Sequence[Problem]],
) -> Facts:
    """Every figure, as it is told in JSON."""
    lists = []
    for place, (name, pods) in enumerate(setting.lists):
        here = [done for done in runs if done[0].place == place]
        policies = dict.fromkeys((unit.policy, unit.by) for unit, _, _ in here)
        lists.append(
            {
                "list": name,
                "pods": int(pods.kind.size),
                "policies": [
                    _figures_told(name, policy, by, _of(here, policy, by))
                    for policy, by in policies
                ],
            }
        )
    return {
        "nodes": int(setting.cluster.cards.size),
        "cards": int(setting.cluster.cards.sum()),
        "seeds": list(seeds),
        "start_histogram": None if setting.start is None else setting.start[0],
        "centres": setting.centres,
        "stale": setting.stale if setting.centres else None,
        "columns": list(COLUMNS),
        "lists": lists,
        "over_lists": _over_lists(lists),
        "left_out": {name: by_code(found) for name, found in left_out.items()},
        "left_out_first": [
            {"file": name, "line": one.line, "code": one.code, **one.facts}
            for name, found in left_out.items()
            for one in found[:JSON_PROBLEMS]
        ],
    }


def _of(runs: Sequence[Done], policy: str, by: str) -> Figures:
    mine = [done for done in runs if (done[0].policy, done[0].by) == (policy, by)]
    return figures([curve for _, _, curve in mine], [run for _, run, _ in mine])


def _figures_told(name: str, policy: str, by: str, found: Figures) -> Facts:
    cited = published().get(name, {}).get(policy) if by == "brute force" else None
    return {
        "policy": policy,
        "by": by,
        "median": _plain(found.median),
        "mean": _plain(found.mean),
        "published_median": cited,
        "decision_us": round(found.decision_us, 2),
        "learning_us": round(found.learning_us, 2),
        "refusals": found.refusals,
        "by_seed": [_plain(row) for row in found.by_seed],
    }


def _plain(values: Sequence[float]) -> list[float | None]:
    """JSON knows no nan: a list too short has no such column."""
    return [None if math.isnan(value) else round(value, 3) for value in values]


def _over_lists(lists: Sequence[Facts]) -> list[Facts]:
    """Of each policy: the mean of the lists' means, and the processor time of median and worst."""
    found = []
    for place, first in enumerate(lists[0]["policies"]):
        rows = [one["policies"][place] for one in lists]
        means = np.array([row["mean"] for row in rows], np.float64).mean(axis=0)
        spent = [row["decision_us"] for row in rows]
        found.append(
            {
                "policy": first["policy"],
                "by": first["by"],
                "mean": _plain(means.tolist()),
                "decision_us_median": round(float(np.median(spent)), 2),
                "decision_us_worst": max(spent),
            }
        )
    return found


def _curves(setting: Setting, runs: Sequence[Done], tongue: Language) -> list[dict[str, Real]]:
    """By list and policy: unallocated at every per cent, mean over the seeds."""
    found: list[dict[str, Real]] = []
    for place in range(len(setting.lists)):
        by_policy: dict[str, list[Real]] = {}
        for unit, _, curve in runs:
            if unit.place == place:
                name = f"{unit.policy} ({shown(unit.by, tongue)})"
                by_policy.setdefault(name, []).append(curve)
        found.append({name: np.mean(curves, axis=0) for name, curves in by_policy.items()})
    return found


def _show(facts: Facts, tongue: Language) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(head(facts, tongue))
    for one in facts["lists"]:
        table = Table(title=f"{one['list']}: {one['pods']:,} {shown('pods', tongue)}")
        for name in ("policy", "run by"):
            table.add_column(shown(name, tongue), no_wrap=True)
        for column in COLUMNS:
            table.add_column(f"{column}%", justify="right")
        for name, at in (("mean", "100%"), ("published", "100%"), ("CPU us", "")):
            label = shown(name, tongue)
            table.add_column(f"{label}\n{at}".strip(), justify="right", min_width=len(label))
        for row in one["policies"]:
            cited = row["published_median"]
            table.add_row(
                row["policy"],
                shown(row["by"], tongue),
                *map(percent, row["median"]),
                percent(row["mean"][HUNDRED]),
                percent(None if cited is None else cited[HUNDRED]),
                f"{row['decision_us']:,.1f}",
            )
        console.print(table)
    if len(facts["lists"]) > 1:
        _show_over_lists(facts, tongue, console)


def _show_over_lists(facts: Facts, tongue: Language, console: Any) -> None:
    from rich.table import Table

    table = Table(title=f"{shown('mean of lists', tongue)}: {len(facts['lists'])}")
    for name in ("policy", "run by"):
        table.add_column(shown(name, tongue), no_wrap=True)
    for column in COLUMNS:
        table.add_column(f"{column}%", justify="right")
    for name in ("CPU us", "worst list"):
        table.add_column(shown(name, tongue), justify="right")
    for row in facts["over_lists"]:
        table.add_row(
            row["policy"],
            shown(row["by"], tongue),
            *map(percent, row["mean"]),
            f"{row['decision_us_median']:,.1f}",
            f"{row['decision_us_worst']:,.1f}",
        )
    console.print(table)


def head(facts: Facts, tongue: Language) -> str:
    """On what, in a line."""
    told = [
        f"{shown('unallocated %', tongue)} ({shown('median', tongue)})",
        f"{facts['nodes']:,} {shown('nodes', tongue)}",
        f"{facts['cards']:,} {shown('cards', tongue)}",
        f"{len(facts['seeds'])} {shown('seeds', tongue)}",
    ]
    if facts["centres"]:
        centres, stale = shown("centres", tongue), shown("arrivals between summaries", tongue)
        told.append(f"{facts['centres']} {centres}, {facts['stale']} {stale}")
    if facts["start_histogram"]:
        told.append(f"{shown('start histogram of', tongue)} {facts['start_histogram']}")
    return ", ".join(told)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _write_csv(path: Path, facts: Facts) -> None:
    """A row for each list, policy and seed; the seed's row holds its own figures."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = [f"unallocated_{column}" for column in COLUMNS]
        writer.writerow(["list", "policy", "by", "seed", *names, "decision_us"])
        for one in facts["lists"]:
            for row in one["policies"]:
                for seed, values in zip(facts["seeds"], row["by_seed"], strict=True):
                    cells = [one["list"], row["policy"], row["by"], seed, *values]
                    writer.writerow([*cells, row["decision_us"]])
