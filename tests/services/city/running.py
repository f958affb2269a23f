"""A real city on this machine for tests: started, watched and stopped through its own command."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suanwang.site.processes import alive, working_in

CHECKOUT = Path(__file__).resolve().parents[3]
PATIENCE_SECONDS = 120


class City:
    """One home, one port."""

    def __init__(self, home: Path, *, demo_days: int = 0) -> None:
        self.home = home
        self.demo_days = demo_days
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "suanwang.cli", *arguments]

    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("SUANWANG_") and name not in {"DATABASE_URL", "CI"}
        }
        return kept | {
            "SUANWANG_HOME": str(self.home),
            "SUANWANG_PORT": str(self.port),
            "SUANWANG_URL": self.address,
            "SUANWANG_DEMO_DAYS": str(self.demo_days or 90),
            "PYTHONPATH": str(CHECKOUT / "src"),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def up(self) -> str:
        done = self.run("up", "--detach", *([] if self.demo_days else ["--no-demo"]))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def down(self) -> None:
        done = self.run("down")
        assert done.returncode == 0, done.stdout + done.stderr

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return told

    def pids(self) -> dict[str, int]:
        return {process["name"]: process["pid"] for process in self.status()["processes"]}

    def answer(self, path: str) -> int:
        """The status of a page; 0 if nothing answers."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=10) as response:  # noqa: S310
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def processes(self) -> list[int]:
        """Everything that runs for this home, whoever started it."""
        mark = f"SUANWANG_HOME={self.home}".encode()
        found = set(working_in(self.home / "postgres" / "data", "postgres"))
        for entry in Path("/proc").iterdir():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except (OSError, ValueError):
                continue
        return sorted(pid for pid in found if alive(pid))

    def leftovers(self) -> list[str]:
        """Locks, sockets and pid files that should be gone with the processes."""
        names = ("up.lock", "up.json", "postgres/data/postmaster.pid")
        left = [name for name in names if (self.home / name).exists()]
        return left + [path.name for path in (self.home / "postgres" / "run").glob(".s.*")]

    def kill_everything(self) -> None:
        """For a test that failed half-way."""
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.processes(), "all processes gone")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)
