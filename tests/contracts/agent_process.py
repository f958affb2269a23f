"""The agent as an operator has it: a process in a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from suanwang.core.jobspec import JobSpec

from .platform_double import TOKEN

SOURCE = Path(__file__).resolve().parents[2] / "src"


SMALL_DISK = """
    mkdir "$0.kept" && cp -a "$0"/. "$0.kept" && mount -t tmpfs -o size=3m,mode=711 tmpfs "$0" &&
    cp -a "$0.kept"/. "$0" && exec "$@"
"""
"""To be started with: the home that follows on three MiB of its own, then the rest."""


class Platform(Protocol):
    """Whoever answers there, the double or the real one."""

    @property
    def url(self) -> str: ...


class AgentProcess:
    """``suanwang agent`` in a home of its own; starts and stops as an operator would."""

    program: tuple[str, ...] = ("-m", "suanwang.cli")

    def __init__(self, home: Path, platform: Platform) -> None:
        self.home = home
        self.platform = platform
        self.process: subprocess.Popen[bytes] | None = None
        self.before: tuple[str, ...] = ()
        """Words before the command, such as those that give it a small disk."""
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SOURCE),
            "HOME": str(home),
            "SECRET_OF_THE_AGENT": "do-not-tell",
            "PYTHONWARNINGS": "error",
        }

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "suanwang.cli", "agent", *words, "--home", str(self.home)],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=60,
            check=False,
        )

    def enrol(self, *words: str, token: str = TOKEN) -> None:
        done = self.command("enrol", "--url", self.platform.url, "--token", token, *words)
        assert done.returncode == 0, done.stderr

    def start(self, *options: str) -> None:
        log = self.log_file.open("ab")
        words = ["agent", "run", "--home", str(self.home), *options]
        self.process = subprocess.Popen(
            [*self.before, sys.executable, *self.program, *words],
            env=self.environment,
            stdout=log,
            stderr=log,
        )
        log.close()

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.process = None
        return code

    @property
    def log_file(self) -> Path:
        return self.home.with_name(f"{self.home.name}.log")

    @property
    def log(self) -> str:
        return self.log_file.read_text()


def processes_of(attempt: str) -> list[int]:
    """The runner and all processes of an attempt that are alive on this machine."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if attempt.encode() in words:
                found.append(int(entry.name))
    return found


def until(what: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def job(script: str, **fields: Any) -> JobSpec:
    return JobSpec.model_validate({"script": script, "memory_mib": 256} | fields)
