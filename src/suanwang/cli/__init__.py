"""The command ``suanwang``. Every topic is a module here with a function ``register(app)``.

A topic imports what it needs inside its commands: ``pip install suanwang`` alone has neither
Django nor a database, and ``suanwang --help`` must work there.
"""

from __future__ import annotations

import importlib
import importlib.util
import locale
import os
import sys

import typer

from suanwang.core.errors import SuanwangError
from suanwang.core.refusals import Language, explain

TOPICS = ("city", "test", "story", "audit", "jobs", "policy", "simulate", "agent")


def application() -> typer.Typer:
    """The command with all topics that are there."""
    app = typer.Typer(
        name="suanwang",
        help="The software a city runs to bring its computers and its companies together.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(lambda: None)  # keeps the name of a lone command
    for topic in TOPICS:
        name = f"{__name__}.{topic}"
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).register(app)
    return app


def main() -> None:
    """Run the command; a refusal is one sentence on stderr and status 1, never a traceback."""
    try:
        application()(prog_name="suanwang")
    except SuanwangError as error:
        typer.echo(explain(error, language()), err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "suanwang":
            raise
        typer.echo(
            f"this command needs {error.name!r}, which is not installed: "
            f"pip install 'suanwang[server]' (or [agent])",
            err=True,
        )
        sys.exit(1)


def language() -> Language:
    """The language of this terminal, as its locale says."""
    name = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG", "")
    name = name or (locale.getlocale()[0] or "")
    return "zh" if name.lower().startswith("zh") else "en"
