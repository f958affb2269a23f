"""What the story is told with: its steps, its people, and the agent it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from suanwang.core.refusals import Language
from suanwang.sdk.connection import Connection
from suanwang.site.demo.data import city

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """One step as it was played: what happened, the amounts in fen, the article behind it."""

    number: int
    title: dict[str, str]
    article: dict[str, str] | None = None
    amounts: dict[str, int] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)


class StoryBroken(Exception):
    """A step did not hold; the message says which promise it was."""


def must(holds: bool, promise: str) -> None:
    """Stop the story where a promise does not hold."""
    if not holds:
        raise StoryBroken(promise)


class Stage:
    """The city as the story's people reach it, each with a session of their own."""

    def __init__(self, url: str, *, patience_seconds: float, language: Language) -> None:
        self.url = url
        self.patience_seconds = patience_seconds
        self._language = language
        self._open: list[Connection] = []

    def stranger(self) -> Connection:
        """Somebody who has not signed in."""
        connection = Connection(
            self.url, patience_seconds=self.patience_seconds, language=self._language
        )
        self._open.append(connection)
        return connection

    def sign_in(self, username: str, password: str | None = None) -> Connection:
        """Somebody who has; without a password one of the demo's people."""
        connection = self.stranger()
        secret = password or str(city()["password"])
        connection.post("/sign-in", {"username": username, "password": secret})
        return connection

    def close(self) -> None:
        for connection in self._open:
            connection.close()

    def until(self, look: Callable[[], T | None], what: str) -> T:
        """Wait for what another process brings about; ``TimeoutError`` names what did not come."""
        deadline = time.monotonic() + 60 + self.patience_seconds
        while (found := look()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            time.sleep(0.25)
        return found


@contextmanager
def running_agent(url: str, token: str, engine_file: Path | None) -> Iterator[None]:
    """A real agent on this machine for as long as the story lasts; it leaves nothing behind.

    It runs jobs on the engine of an ``engine.yaml``; without one on two cores of this machine.
    """
    home = Path(tempfile.mkdtemp(prefix="sw-story-"))
    agent = [sys.executable, "-m", "suanwang.cli", "agent"]
    enrol = [*agent, "enrol", "--url", url, "--home", str(home)]
    given = {**os.environ, "SUANWANG_AGENT_TOKEN": token}
    offer = ["--cores", "2", "--memory-mib", "1024"] if engine_file is None else []
    run = [*agent, "run", "--home", str(home), "--tied-to", str(os.getpid()), "--stop-jobs", *offer]
    if engine_file is not None:
        shutil.copyfile(engine_file, home / "engine.yaml")
    try:
        enrolled = False
        deadline = time.monotonic() + 60
        while not enrolled:
            done = subprocess.run(enrol, env=given, capture_output=True, text=True, check=False)
            enrolled = done.returncode == 0
            if not enrolled and time.monotonic() > deadline:
                raise TimeoutError(done.stderr.strip())
        with (home / "log").open("wb") as log, subprocess.Popen(run, stdout=log, stderr=log) as it:
            try:
                yield
            finally:
                it.terminate()
                it.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)
