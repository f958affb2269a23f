"""``suanwang audit``: hold every promise of the city against every row of its database."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from suanwang.core.errors import Refused
from suanwang.core.findings import Finding
from suanwang.core.refusals import Language


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


def audit(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    seal: Annotated[
        Path | None,
        typer.Option(help="Write a seal of the books into this new file, for later comparison."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Also check that everything under this earlier seal is still there."),
    ] = None,
) -> None:
    """Check every invariant over the whole database; exit 1 if any is broken. Changes nothing."""
    from suanwang.cli import language
    from suanwang.site.audit import run

    earlier = None if against is None else _read(against)
    findings = []
    keep_seal = None if seal is None else partial(_write, seal)
    for finding in run(against=earlier, keep_seal=keep_seal):
        findings.append(finding)
        if not as_json:
            for line in _lines(finding, language()):
                typer.echo(line)
    kept = all(finding.kept for finding in findings)
    if as_json:
        shown = [asdict(finding) | {"kept": finding.kept} for finding in findings]
        typer.echo(json.dumps({"kept": kept, "findings": shown}, ensure_ascii=False, indent=1))
    else:
        typer.echo(_verdict(findings, language()))
    raise typer.Exit(0 if kept else 1)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise Refused("seal_unreadable") from error


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Refused("seal_not_written", path=str(path), reason=error.strerror or "") from error


def _lines(finding: Finding, language: Language) -> list[str]:
    mark = "✓" if finding.kept else "✗"
    article = f"  [{finding.article}]" if finding.article else ""
    rows = f"{finding.checked_rows:>10,}"
    first = f"{mark} {rows}  {finding.promise[language]}{article}"
    return [first, *(f"              {row}" for row in finding.broken)]


def _verdict(findings: list[Finding], language: Language) -> str:
    broken = sum(not finding.kept for finding in findings)
    rows = f"{sum(finding.checked_rows for finding in findings):,}"
    if language == "zh":
        said = "全部成立" if not broken else f"{broken} 项不成立"
        return f"共核对 {len(findings)} 项、{rows} 行：{said}。"
    said = "all hold" if not broken else f"{broken} broken"
    return f"{len(findings)} promises held against {rows} rows: {said}."
