"""``suanwang simulate``: workloads played through the scheduling core."""

from __future__ import annotations

import typer

from suanwang.cli.simulate_hpc import hpc


def register(app: typer.Typer) -> None:
    """Add the topic."""
    topic = typer.Typer(help="Play workloads through the scheduling core.", no_args_is_help=True)
    topic.callback()(lambda: None)
    topic.command("hpc")(hpc)
    app.add_typer(topic, name="simulate")
