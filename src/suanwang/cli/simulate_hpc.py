"""``suanwang simulate hpc``: the batch protocol on a trace, policies side by side."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suanwang.core.errors import Refused

if TYPE_CHECKING:
    from suanwang.placement.simulator.hpc import Workload
    from suanwang.placement.simulator.swf import Trace

BESIDE = ("fcfs", "sjf", "f1", "smallest_area")
WITH = {"smith": "conservative", "ours": "pair"}
LARGEST_BYTES = 1 << 30
SHOWN_LINES = 10
REASONS = {
    "fields": "not 18 fields",
    "number": "not a number, or one too large",
    "submitted": "submitted before the trace begins",
    "ran": "no run time",
    "processors": "no processors",
    "too_large": "wider than the machine",
}
"""Why a line of a trace is no job, by the reader's code."""
Rows = list[dict[str, Any]]


def folder_of(told: Path | None) -> Path:
    """Where traces are: the option, SUANWANG_TRACES, or ../shared/data beside the checkout."""
    named = told or os.environ.get("SUANWANG_TRACES")
    return Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "data"


def hpc(
    trace: Annotated[str, typer.Option(help="A name in the traces folder's hpc/, or a file.")],
    backfill: Annotated[bool, typer.Option(help="Let jobs pass where nobody loses.")] = True,
    policy: Annotated[
        str, typer.Option(help="fcfs, sjf, f1, smallest_area, smith, ours.")
    ] = "ours",
    load: Annotated[float | None, typer.Option(help="Draw arrivals together to this load.")] = None,
    traces: Annotated[Path | None, typer.Option(help="The folder of traces.")] = None,
    sequences: Annotated[
        str, typer.Option(help="Where sequences of 1,024 jobs begin: 0,5000. Or: ten")
    ] = "",
    whole: Annotated[bool, typer.Option("--whole", help="The whole trace as one.")] = False,
    processors: Annotated[int | None, typer.Option(min=1, help="Instead of the header's.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse at the first bad line.")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Print mean bounded slowdown and p99 wait of a policy beside four well-known ones.

    The ten published sequences for lublin_256, otherwise the whole trace, unless told.
    """
    from suanwang.placement.simulator import hpc as protocol
    from suanwang.placement.turn import POLICIES

    if policy not in POLICIES:
        raise typer.BadParameter(", ".join(POLICIES), param_hint="--policy")
    read = read_trace(trace, folder_of(traces), strict, processors)
    if whole or (not sequences and not trace.startswith("lublin_256")):
        works = [protocol.workload(read.jobs)]
    else:
        works = protocol.sequences(read.jobs, starts_of(sequences), protocol.SEQUENCE_JOBS)
    if load is not None:
        works = [protocol.at_load(work, read.processors, load) for work in works]
    names = [*BESIDE, *([policy] if policy not in BESIDE else [])]
    rows = compare(works, read.processors, names, backfill, quiet=as_json)
    told = {
        "trace": trace,
        "jobs": sum(work.submitted.size for work in works),
        "sequences": len(works),
        "processors": read.processors,
        "load": load,
        "skipped": read.skipped_by_reason(),
        "skipped_lines": {
            reason: [bad.line for bad in read.skipped if bad.reason == reason][:SHOWN_LINES]
            for reason in read.skipped_by_reason()
        },
    }
    if as_json:
        typer.echo(json.dumps(told | {"policies": rows}, ensure_ascii=False, indent=2))
    else:
        show(told, rows)


def starts_of(told: str) -> tuple[int, ...]:
    from suanwang.placement.simulator.hpc import LUBLIN_STARTS

    if told in ("", "ten"):
        return LUBLIN_STARTS
    words = told.split(",")
    if not all(word.strip().isdigit() for word in words):
        raise typer.BadParameter("0,5000", param_hint="--sequences")
    return tuple(int(word) for word in words)


def read_trace(name: str, folder: Path, strict: bool, processors: int | None) -> Trace:
    """A file, or a name in the folder. Refuses ``trace_unreadable`` and what ``read_swf`` does."""
    from suanwang.placement.simulator.swf import read_swf

    known = [folder / "hpc" / f"{name}{ending}" for ending in (".swf.gz", ".swf")]
    path = next((path for path in (Path(name), *known) if path.is_file()), None)
    if path is None:
        raise Refused("trace_unreadable", path=name, problem=f"not in {folder / 'hpc'}")
    try:
        reader: Any = gzip.open if path.suffix == ".gz" else open
        with reader(path, "rt", encoding="utf-8", errors="replace") as file:
            lines = file.readlines(LARGEST_BYTES)
    except (OSError, EOFError) as wrong:
        raise Refused("trace_unreadable", path=str(path), problem=str(wrong)) from wrong
    return read_swf(lines, on_bad_line="refuse" if strict else "skip", processors=processors)


def compare(
    works: list[Workload], processors: int, names: list[str], backfill: bool, *, quiet: bool
) -> Rows:
    """The figures of each policy, with the backfill it goes with: EASY unless ``WITH`` says."""
    from rich.console import Console
    from rich.progress import Progress

    from suanwang.placement.simulator.hpc import measure

    rows: Rows = []
    with Progress(console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("hpc", total=len(names) * len(works))
        for name in names:
            mode: Any = WITH.get(name, "easy") if backfill else "strict"
            chosen: Any = name
            progress.update(task, description=name)
            found = measure(works, processors, chosen, mode, tick=lambda: progress.advance(task))
            rows.append(
                {
                    "policy": name,
                    "backfill": mode,
                    "mean_bounded_slowdown": found.slowdown,
                    "wait_p99_seconds": found.wait_p99_seconds,
                    "wait_mean_seconds": found.wait_mean_seconds,
                    "utilisation": found.utilisation,
                    "slowdown_by_sequence": list(found.slowdowns),
                }
            )
    return rows


def show(told: dict[str, Any], rows: Rows) -> None:
    """A table, and what was left out of the trace, in the reader's language."""
    from rich.console import Console
    from rich.table import Table

    from suanwang.cli import language
    from suanwang.cli.words import shown

    tongue = language()
    facts = [f"{told[name]} {shown(name, tongue)}" for name in ("jobs", "sequences", "processors")]
    if told["load"]:
        facts.append(f"{shown('load', tongue)} {told['load']}")
    table = Table(title=f"{told['trace']}: {', '.join(facts)}")
    for head in ("policy", "backfill"):
        table.add_column(shown(head, tongue), no_wrap=True, min_width=13)
    for head in ("bounded slowdown", "p99 wait h", "x FCFS", "mean wait h", "utilisation"):
        table.add_column(shown(head, tongue), justify="right", overflow="fold")
    fcfs = rows[0]["wait_p99_seconds"]
    for row in rows:
        p99 = row["wait_p99_seconds"]
        table.add_row(
            row["policy"],
            shown(row["backfill"], tongue),
            f"{row['mean_bounded_slowdown']:.2f}",
            f"{p99 / 3600:.1f}",
            f"{p99 / fcfs:.2f}" if fcfs else "-",
            f"{row['wait_mean_seconds'] / 3600:.1f}",
            f"{row['utilisation']:.3f}",
        )
    Console().print(table)
    if told["skipped"]:
        typer.echo(f"{shown('skipped lines', tongue)}: {sum(told['skipped'].values())}", err=True)
    for reason, count in told["skipped"].items():
        lines = ", ".join(str(line) for line in told["skipped_lines"][reason])
        more = ", …" if count > SHOWN_LINES else ""
        why = shown(REASONS[reason], tongue)
        typer.echo(f"  {count}: {why} ({shown('line', tongue)} {lines}{more})", err=True)
