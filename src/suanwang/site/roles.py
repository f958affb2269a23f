"""The processes of a city and how each is started; any of them may also be run alone."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass

from suanwang.site.settings import Settings


@dataclass(frozen=True)
class Role:
    """One process of the city."""

    name: str
    command: tuple[str, ...]
    dies_by: signal.Signals = signal.SIGKILL
    """What it gets when the supervisor is killed. With PostgreSQL going at the same moment,
    asking nicely only makes an orphan that waits for a database."""


def roles(city: Settings) -> list[Role]:
    """The city's own processes, in the order they start; they stop in the opposite one."""
    suanwang = (sys.executable, "-P", "-m", "suanwang.cli")
    found = [Role(name, (*suanwang, name)) for name in ("web", "worker", "dispatcher")]
    if city.builtin_centre:
        home = str(city.home.resolve() / "agent")
        # Stopping the city stops its own centre: nothing is left running.
        tied = ("--stop-jobs", "--tied-to", str(os.getpid()))
        run = (*suanwang, "agent", "run", "--home", home, *tied)
        found.append(Role("agent", run, signal.SIGTERM))  # it ends its jobs first
    return found
