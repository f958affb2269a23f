"""Starting a city that stays when the terminal goes, and stopping it from another terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from suanwang.site import state
from suanwang.site.processes import alive
from suanwang.site.supervisor import CityError

Say = Callable[[str], None]


def start(home: Path, *, demo: bool, say: Say) -> None:
    """Start the supervisor in a session of its own and repeat its words until the city runs."""
    logs = home / "logs"
    state.make_home(home)
    logs.mkdir(mode=0o700, exist_ok=True)
    said = logs / "up.log"
    command = [sys.executable, "-P", "-m", "suanwang.cli", "up", *([] if demo else ["--no-demo"])]
    with said.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with said.open(encoding="utf-8", errors="replace") as lines:
        while True:
            ended = process.poll()
            running = state.read(home)
            for line in lines:
                say(line.rstrip("\n"))
            if ended is not None:
                raise CityError("the city did not start; what went wrong is said above")
            if running and running.pid == process.pid and running.phase == "running":
                for line in lines:
                    say(line.rstrip("\n"))
                return
            time.sleep(0.1)


def stop(home: Path, *, say: Say, patience_seconds: float = 90) -> bool:
    """Ask the supervisor of a home to stop and wait until it has; says whether it did."""
    running = state.read(home)
    if running is None:
        if state.held(home):
            say("the city is just starting or stopping; try again in a moment")
            return False
        say("no city runs in this home")
        return True
    try:
        os.kill(running.pid, signal.SIGTERM)
    except PermissionError:
        say(f"the city is run by another user (process {running.pid})")
        return False
    deadline = told = time.monotonic()
    deadline += patience_seconds
    while state.held(home) or alive(running.pid):
        if time.monotonic() > deadline:
            say(f"process {running.pid} still stops after {patience_seconds:.0f} s")
            return False
        if time.monotonic() - told > 5:
            told = time.monotonic()
            say("waiting for it to stop")
        time.sleep(0.05)
    say("stopped")
    return True
