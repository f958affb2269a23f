"""``suanwang up`` and its company: the city as processes on this machine."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the city's commands."""
    app.command()(check)


def check() -> None:
    """Validate the settings and say what to fix."""
    from suanwang.site.settings import settings

    typer.echo(settings())
