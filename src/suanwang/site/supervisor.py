"""The process that runs a city on one machine: starts its processes, starts them again, stops them.

Children die with it, however it ends (``processes.spawn``); what they were doing is safe in
PostgreSQL, so the next start comes back by itself.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import suanwang
from suanwang.site import logs, postgres, state
from suanwang.site.bootstrap import welcome_file
from suanwang.site.processes import spawn
from suanwang.site.roles import Role, roles
from suanwang.site.settings import Settings

Say = Callable[[str], None]
_CALM_SECONDS = 60
_LONGEST_WAIT_SECONDS = 30
_STOP_PATIENCE_SECONDS = 15


class CityError(RuntimeError):
    """The city cannot be started; the message says what to do."""


class _StopAsked(BaseException):
    """Someone pressed Ctrl-C or sent SIGTERM."""


class Child:
    """One process that is kept running."""

    def __init__(self, role: Role, folder: Path) -> None:
        self.role = role
        self.log = folder / f"{role.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.state = state.ChildState(role.name)
        self.wait_seconds = 0.5
        self.due_at = 0.0
        self._started_at = 0.0

    def start(self) -> None:
        """Start it, its output appended to its log."""
        with self.log.open("ab") as output:
            self.process = spawn(
                self.role.command, dies_by=self.role.dies_by, output=output.fileno()
            )
        self._started_at = time.monotonic()
        self.state.pid = self.process.pid
        self.state.since = _now()

    def ended(self) -> str | None:
        """How it ended, once; it is then due again after a wait that doubles."""
        if self.process is None or (status := self.process.poll()) is None:
            return None
        _end_group(self.process.pid)
        if time.monotonic() - self._started_at > _CALM_SECONDS:
            self.wait_seconds = 0.5
        self.process, self.state.pid = None, None
        self.state.restarts += 1
        self.due_at = time.monotonic() + self.wait_seconds
        waited, self.wait_seconds = (
            self.wait_seconds,
            min(self.wait_seconds * 2, _LONGEST_WAIT_SECONDS),
        )
        how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return f"{self.role.name} ended {how}; starting it again in {waited:g} s (log: {self.log})"

    def due(self) -> bool:
        """Whether it is time to start it again."""
        return self.process is None and time.monotonic() >= self.due_at

    def stop(self) -> None:
        """Ask it to end, insist after a while, and leave nothing of its session behind."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        _end_group(self.process.pid)
        self.process, self.state.pid = None, None


class Supervisor:
    """Runs the city of one home until asked to stop."""

    def __init__(self, settings: Settings, *, demo: bool, say: Say) -> None:
        self.settings = settings
        self.home = settings.home.resolve()
        self.demo = demo
        self._say = say
        self._folder = self.home / "logs"
        self._database: postgres.Server | None = None
        self._database_child = state.ChildState("postgres")
        self._children: list[Child] = []
        self._told = False
        address = f"http://{settings.host}:{settings.port}"
        self._state = state.CityState(os.getpid(), address, _now(), version=suanwang.__version__)

    def run(self) -> None:
        """Start, look after everything, and stop in order. Returns when asked to stop."""
        lock = state.take(self.home)
        if lock is None:
            running = state.read(self.home)
            where = f" at {running.address}, process {running.pid}" if running else ""
            raise CityError(f"this city runs already{where}; stop it with: suanwang down")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        before = {
            n: signal.signal(n, _ask_to_stop)
            for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            self._start()
            self._look_after()
        except _StopAsked:
            self.say("stopping")
        finally:
            for number in before:
                signal.signal(number, signal.SIG_IGN)
            self._stop()
            state.forget(self.home)
            lock.close()
            for number, handler in before.items():
                signal.signal(number, handler)

    def say(self, line: str) -> None:
        """Tell the person at the terminal, and the supervisor's own log."""
        kept = f"{_now()} {logs.without_secrets(line)}\n"
        with suppress(OSError):  # a full disk stops no city
            self._say(line)
            with (self._folder / "supervisor.log").open("a", encoding="utf-8") as log:
                log.write(kept)

    def _start(self) -> None:
        _refuse_taken_port(self.settings)
        self._tell("starting")
        if self.settings.database_url is None:
            self.say("starting PostgreSQL")
            self._start_database()
        self._state.postgresql = postgres.server_version(self.settings.dsn())
        self._prepare()
        self._children = [Child(role, self._folder) for role in roles(self.settings)]
        self.say("starting " + ", ".join(child.role.name for child in self._children))
        for child in self._children:
            child.start()
        self._tell("starting")
        self._wait_for_first_page()
        self.say(f"the city answers at {self._state.address}")
        for line in welcome_file(self.home).read_text(encoding="utf-8").splitlines():
            self._say(line)
        self._tell("running")

    def _start_database(self) -> None:
        with (self._folder / "postgres.log").open("ab") as output:
            self._database = postgres.start(self.home, progress=self.say, output=output)
        self._database_child.pid = self._database.process.pid
        self._database_child.since = _now()

    def _prepare(self) -> None:
        """Migrate and, on first start, load the demo city: in a process whose memory goes again."""
        command = [sys.executable, "-P", "-m", "suanwang.site.bootstrap"]
        process = spawn([*command, *([] if self.demo else ["--no-demo"])])
        try:
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if status != 0:
            raise CityError("preparing the database failed; what went wrong is said above")

    def _wait_for_first_page(self) -> None:
        url = f"{self._state.address}/readyz"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self._restart_ended()
            try:
                with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own address
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise CityError(f"no page came from {url} within 60 s; see {self._folder / 'web.log'}")

    def _look_after(self) -> None:
        checked_logs_at = time.monotonic()
        while True:
            self._restart_ended()
            if time.monotonic() - checked_logs_at > 10:
                checked_logs_at = time.monotonic()
                with suppress(OSError):
                    logs.turn_over(self._folder)
            time.sleep(0.25)

    def _restart_ended(self) -> None:
        changed = self._restart_database()
        for child in self._children:
            if line := child.ended():
                self.say(line)
                changed = True
            if child.due():
                child.start()
                changed = True
        if changed or not self._told:
            self._tell(self._state.phase)

    def _restart_database(self) -> bool:
        if self._database is None or (status := self._database.process.poll()) is None:
            return False
        self.say(f"postgres ended with status {status}; starting it again")
        self._database.stop()
        self._database = None
        self._database_child.restarts += 1
        self._start_database()
        return True

    def _stop(self) -> None:
        self._state.phase = "stopping"
        for child in reversed(self._children):
            child.stop()
        if self._database is not None:
            self._database.stop()
        self.say("stopped")

    def _tell(self, phase: str) -> None:
        self._state.phase = phase
        database = [self._database_child] if self.settings.database_url is None else []
        self._state.children = [*database, *(child.state for child in self._children)]
        try:
            state.write(self.home, self._state)
            self._told = True
        except OSError:
            self._told = False  # a full disk; told again when there is room


def _ask_to_stop(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise _StopAsked


def _refuse_taken_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise CityError(
                f"port {settings.port} on {settings.host} cannot be used ({error.strerror}); "
                f"choose another: suanwang up --port {settings.port + 1}"
            ) from None


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
