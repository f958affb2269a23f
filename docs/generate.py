"""The reference pages that come from the code itself, made while the docs are built.

MkDocs calls ``on_files``; the pages ``reference/cli.md`` and ``reference/api.md`` exist nowhere
else, so they cannot fall behind the code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

HERE = Path(__file__).parent


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for name, content in (("reference/cli.md", cli_page()), ("reference/api.md", api_page())):
        files.append(File.generated(config, name, content=content))
    return files


def cli_page() -> str:
    """Every command with its arguments and options, as ``suanwang --help`` says them."""
    import typer.main

    from suanwang.cli import application

    lines = [
        "# Command line",
        "",
        "In a checkout every command is called as `./suanwang …`; where the client is installed, "
        "as `suanwang …`.",
    ]
    lines += _command("suanwang", typer.main.get_command(application()), 2)
    return "\n".join(lines)


def _command(name: str, command: Any, depth: int) -> Iterator[str]:
    if command.hidden:
        return
    yield f"\n{'#' * min(depth, 4)} `{name}`\n\n{(command.help or '').strip()}\n"
    rows = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    if rows:
        yield "| | |\n|---|---|"
        for parameter in rows:
            shown = (
                ", ".join(parameter.opts)
                if parameter.param_type_name == "option"
                else (parameter.name or "").upper()
            )
            text = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
            yield f"| `{shown}` | {text} |"
    for child in getattr(command, "commands", {}).values():
        yield from _command(f"{name} {child.name}", child, depth + 1)


def api_page() -> str:
    """Every operation of the OpenAPI document, by tag."""
    document = json.loads((HERE / "reference" / "openapi.json").read_text(encoding="utf-8"))
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            row = f"| `{method.upper()}` | `{path}` | {operation.get('summary', '')} |"
            by_tag.setdefault(operation.get("tags", ["other"])[0], []).append(row)
    lines = [
        "# API",
        "",
        "OpenAPI 3.1 is served at `/api/v1/openapi.json` and kept in the repository; a test holds "
        "the two together. Every write takes an `Idempotency-Key`; every list has a cursor; every "
        "refusal is `application/problem+json` (RFC 9457) with a stable code. Amounts are integer "
        "fen, times carry a zone.",
    ]
    for tag, rows in sorted(by_tag.items()):
        lines += [f"\n## {tag}\n", "| | | |\n|---|---|---|", *rows]
    return "\n".join(lines)
