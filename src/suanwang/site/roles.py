"""The processes of a city and how each is started; any of them may also be run alone."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Role:
    """One process of the city."""

    name: str
    command: tuple[str, ...]
    module: str
    """The module that does the work; without it the role is not there yet."""
    dies_by: signal.Signals = signal.SIGKILL
    """What it gets when the supervisor is killed. With PostgreSQL going at the same moment,
    asking nicely only makes an orphan that waits for a database."""

    def available(self) -> bool:
        """Whether its code is installed."""
        try:
            return importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:
            return False


def roles(home: Path) -> list[Role]:
    """The city's own processes, in the order they start; they stop in the opposite one."""
    suanwang = (sys.executable, "-P", "-m", "suanwang.cli")
    return [
        Role("web", (*suanwang, "web"), "suanwang.site.web"),
        Role("worker", (*suanwang, "worker"), "suanwang.site.worker"),
        Role("dispatcher", (*suanwang, "dispatcher"), "suanwang.jobs.dispatcher"),
        Role(
            "agent",
            (
                *(*suanwang, "agent", "run", "--home", str(home / "agent")),
                # Stopping the city stops its own centre: nothing is left running.
                *("--stop-jobs", "--tied-to", str(os.getpid())),
            ),
            "suanwang.cli.agent",
            signal.SIGTERM,  # it ends its jobs first
        ),
    ]
