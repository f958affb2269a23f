"""The page of the command line, made from the code while the docs are built.

MkDocs calls ``on_files``; ``reference/cli.md`` exists nowhere else, so it cannot fall behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated page."""
    files.append(File.generated(config, "reference/cli.md", content=cli_page()))
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
