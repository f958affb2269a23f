"""Pages made from the code and the policy packages while the docs are built.

MkDocs calls ``on_files``; ``reference/cli.md`` and ``reference/policies/`` exist nowhere else, so
they cannot fall behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {"reference/cli.md": cli_page(), **policy_pages()}
    for place, content in pages.items():
        files.append(File.generated(config, place, content=content))
    return files


def policy_pages() -> dict[str, str]:
    """A page for each policy package, and their list."""
    from suanwang import policy

    folders = policy.packages(Path(__file__).parents[1] / "policies")
    found = [policy.load(folder) for folder in folders]
    listed = "\n".join(f"- [{one.title['en']}]({one.name}.md) ({one.title['zh']})" for one in found)
    pages = {
        f"reference/policies/{one.name}.md": "\n".join(_policy_page(one)) + "\n" for one in found
    }
    intro = "The packages that come with the city, each with the facts its measures ask for.\n\n"
    return {**pages, "reference/policies/index.md": f"# Policies\n\n{intro}{listed}\n"}


def _policy_page(package: Any) -> Iterator[str]:
    from suanwang.policy.printing import print_measure
    from suanwang.policy.publish import example_facts

    on = package.valid_from
    yield f"# {package.title['en']}\n\n{package.title['zh']}. {package.issuer['en']}."
    yield f"\nIn force from {on} to {package.valid_to}; claims until {package.tail_until}."
    if note := package.content["policy"].get("note"):
        yield f"\n{note}"
    for name, measure in package.measures_on(on).items():
        printed = print_measure(package, name, "en", on)
        yield f"\n## `{name}` {printed.title}\n\n{measure.title['zh']}. {printed.article}.\n"
        yield printed.sentence
        yield ""
        yield from (f"- {line}" for line in (*printed.formula, *printed.terms))
        if not measure.facts:
            continue
        yield "\n| fact | type | from | to | meaning |\n|---|---|---|---|---|"
        for fact in (package.facts[one] for one in measure.facts):
            label = f"{fact.label['en']} ({fact.label['zh']})".replace("|", "\\|")
            ends = f"{_end(fact.least)} | {_end(fact.most)}"
            yield f"| `{fact.name}` | {fact.type.shown} | {ends} | {label} |"
        example = json.dumps(example_facts(package, name), ensure_ascii=False, indent=1)
        yield f"\n```json\n{example}\n```"


def _end(value: Any) -> str:
    return "" if value is None else str(value)


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
