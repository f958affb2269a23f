"""Starts runners: sessions of their own that know nothing of the process they come from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from suanwang.engines.local.plan import HELD_BACK
from suanwang.engines.local.sandbox import CLEAN_PATH

_PACKAGE = str(Path(__file__).resolve().parents[3])


def spawn_runner(folder: Path) -> int:
    """Start the runner of a job's folder; its process id.

    Its environment is made new, so that no secret of the agent's can reach a job; its open files
    are ``/dev/null`` and a log of its own.
    """
    log = os.open(folder / "runner.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return os.posix_spawn(
            sys.executable,
            [
                sys.executable,
                "-s",
                "-S",
                "-P",
                "-m",
                "suanwang.engines.local.runner",
                str(folder),
            ],
            {"PATH": CLEAN_PATH, "LANG": "C.UTF-8", "PYTHONPATH": _PACKAGE},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigmask=HELD_BACK,
        )
    finally:
        os.close(log)
