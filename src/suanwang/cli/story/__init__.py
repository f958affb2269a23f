"""``suanwang story``: play the main job through the public API, from a centre to a paid voucher."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from suanwang.cli.story.stage import Step, StoryBroken
from suanwang.cli.words import shown
from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language

_out = Console(highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(story)


def story(
    url: Annotated[
        str | None,
        typer.Option(envvar="SUANWANG_URL", help="The city; default the one of this home."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    patience: Annotated[
        float, typer.Option(help="Seconds to go on trying while the city cannot answer.")
    ] = 60.0,
    engine: Annotated[
        Path | None,
        typer.Option(
            help="An engine.yaml: the job runs there, on Slurm, Kubernetes or Ray, not here.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Play the main job through the public API and audit the city afterwards.

    Needs a demo city on this machine: it signs in as the demo's offices, and runs one real agent.
    Exit status 0 only if every step and the final audit hold.
    """
    from suanwang.cli import language
    from suanwang.cli.story.play import play
    from suanwang.sdk import CityError

    tongue = language()
    steps: list[Step] = []
    failure = None
    try:
        city = url or _own_city()
        for step in play(city, patience_seconds=patience, language=tongue, engine_file=engine):
            steps.append(step)
            if not as_json:
                _tell(step, tongue)
    except (CityError, StoryBroken, TimeoutError) as error:
        failure = str(error)
    audit = _audit(patience)
    if as_json:
        told = {
            "held": failure is None and audit["kept"],
            "failure": failure,
            "steps": [asdict(step) for step in steps],
            "audit": audit,
        }
        typer.echo(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        _close(failure, audit, tongue)
    raise typer.Exit(0 if failure is None and audit["kept"] else 1)


def _own_city() -> str:
    """Where the city of this home answers: the one that will be audited, and no other."""
    from suanwang.sdk.keyring import DEFAULT_URL
    from suanwang.site import state
    from suanwang.site.settings import settings

    running = state.read(settings().home.resolve())
    return running.address if running else DEFAULT_URL


def _tell(step: Step, language: Language) -> None:
    article = f"  [dim]{step.article[language]}[/dim]" if step.article else ""
    _out.print(f"[bold]{step.number:>2}[/bold]  {step.title[language]}{article}")
    rows = Table.grid(padding=(0, 2))
    rows.add_column(min_width=14)
    for name, fen in step.amounts.items():
        rows.add_row(shown(name, language), format_yuan(fen))
    for name, value in step.facts.items():
        rows.add_row(shown(name, language), Text(value))
    _out.print(Padding(rows, (0, 0, 0, 4)))


def _audit(patience_seconds: float) -> dict[str, object]:
    """The audit in a process of its own: the story itself knows only the public API."""
    give_up_at = time.monotonic() + patience_seconds
    while True:
        done = subprocess.run(
            [sys.executable, "-m", "suanwang.cli", "audit", "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            told: dict[str, object] = json.loads(done.stdout)
        except ValueError:  # no findings at all: the database did not answer
            if time.monotonic() > give_up_at:
                return {"kept": False, "findings": [], "failure": done.stderr.strip()[-2000:]}
            time.sleep(1)
        else:
            return told


def _close(failure: str | None, audit: dict[str, object], language: Language) -> None:
    findings = audit["findings"]
    checked = len(findings) if isinstance(findings, list) else 0
    words = {
        ("zh", True): f"审计：{checked} 项不变量全部成立。",
        ("en", True): f"Audit: all {checked} invariants hold.",
        ("zh", False): "审计：有不变量不成立，见 suanwang audit。",
        ("en", False): "Audit: an invariant is broken, see suanwang audit.",
    }
    if failure is not None:
        _out.print(f"[red]✗ {failure}[/red]")
    _out.print(words[language, bool(audit["kept"])])
