"""The agent as a process: one thread that works, one that waits at the platform's door."""

from __future__ import annotations

import logging
import os
import queue
import random
import select
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from suanwang import __version__
from suanwang.agent.client import PlatformClient, PlatformRefused, PlatformUnavailable
from suanwang.agent.delivery import Delivery
from suanwang.agent.home import Home
from suanwang.agent.keeper import FileInLater, FileInWrong, Keeper
from suanwang.agent.messages import Orders
from suanwang.agent.spool import Spool
from suanwang.engines.port import Ability, Engine, EngineUnavailable

log = logging.getLogger("suanwang.agent")

_ROUND_SECONDS = 0.5
_REPORT_SECONDS = 300
_WAIT_SECONDS = 20
_POLL_SECONDS = 0.25
_STOP_SECONDS = 8
_REMEMBERED = timedelta(days=30)
_PASSING = (PlatformUnavailable, PlatformRefused, EngineUnavailable, OSError, sqlite3.Error)
"""What keeps something from being done now and may not the next time."""


class Backoff:
    """Waits that grow with every failure and never agree between agents."""

    def __init__(self, first_seconds: float = 0.5, most_seconds: float = 60.0) -> None:
        self._first, self._most = first_seconds, most_seconds
        self._failures = 0

    def failed(self) -> float:
        """How many seconds to wait now."""
        longest = min(self._first * 2.0**self._failures, self._most)
        self._failures = min(self._failures + 1, 16)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

    def worked(self) -> bool:
        """Start small again; True if this ends a time of failures."""
        recovered, self._failures = self._failures > 0, 0
        return recovered


@dataclass
class Door:
    """What the waiting thread is told and what it brings."""

    free: dict[str, int]
    running: Sequence[str]


class Agent:
    """Everything between one start and one stop."""

    def __init__(
        self,
        home: Home,
        engine: Engine,
        *,
        stop_jobs: bool = False,
        tied_to: int | None = None,
        wait_seconds: int = _WAIT_SECONDS,
    ) -> None:
        identity = home.identity()
        self._lock = home.lock()
        self._engine = engine
        self._client = PlatformClient(identity.url, home.key(), identity.agent_id)
        self._spool = Spool(home.spool)
        self._keeper = Keeper(engine, self._spool, home.key(), home.inbound, self._fetch, self._now)
        self._delivery = Delivery(self._client, self._spool, engine, self._keeper, self._now)
        self._stop_jobs = stop_jobs
        self._tied = _watch(tied_to)
        self._wait_seconds = wait_seconds
        self._orders: queue.Queue[Orders] = queue.Queue()
        self._taken = threading.Event()
        self._wake = threading.Event()
        self._knock = threading.Event()
        """The platform has answered something: knock at its door again without waiting."""
        self._stopping = threading.Event()
        self._door = Door({}, [])
        self._report_at = self._deliver_at = 0.0
        self._report_backoff, self._deliver_backoff = Backoff(), Backoff()
        self._trouble = Backoff(most_seconds=10.0)

    def stop(self) -> None:
        """Ask the agent to end; safe from a signal handler."""
        self._stopping.set()
        self._wake.set()
        self._knock.set()

    def run(self) -> None:
        """Work until stopped. Whatever was not delivered is delivered by the next run."""
        self._spool.forget_closed(self._now() - _REMEMBERED)
        self._spool.note("isolation", self._engine.capabilities().isolation)
        log.info("agent %s at %s", __version__, self._engine.capabilities().isolation)
        self._show_door()
        waiting = threading.Thread(target=self._wait_at_the_door, name="poll", daemon=True)
        waiting.start()
        while not self._stopping.is_set():
            self._round()
            if self._tied is not None and select.select([self._tied], [], [], 0)[0]:
                log.warning("the supervisor is gone")
                self._stop_jobs = True
                self.stop()
        self._finish()

    def _round(self) -> None:
        more = False
        try:
            self._obey()
            self._keeper.round()
            self._show_door()
            if time.monotonic() >= self._report_at:
                self._report()
            if time.monotonic() >= self._deliver_at:
                more = self._deliver()
            self._trouble.worked()
        except (OSError, sqlite3.Error) as error:  # a full disk, say: by waiting nothing is lost
            log.error("this machine fails us: %s", error)
            self._stopping.wait(self._trouble.failed())
        except Exception:  # whatever it is, jobs that run must go on being seen
            log.exception("a round failed")
            self._stopping.wait(self._trouble.failed())
        if not more:
            self._wake.wait(_ROUND_SECONDS)
            self._wake.clear()

    def _obey(self) -> None:
        while True:
            try:
                orders = self._orders.get_nowait()
            except queue.Empty:
                return
            try:
                self._keeper.take_cancels([str(one) for one in orders.cancel])
                self._keeper.take_give_ways(
                    {str(one.attempt_id): one.grace_seconds for one in orders.give_way}
                )
                self._keeper.take_leases(orders.leases)
                self._show_door()
            finally:  # what could not be written down the platform says again
                self._taken.set()

    def _show_door(self) -> None:
        running = [row.attempt_id for row in self._spool.open_attempts()]
        self._door = Door(self._keeper.free(), running)

    def _report(self) -> None:
        facts = self._engine.capabilities()
        nodes = [
            {
                "name": node.name,
                "cores": node.cores,
                "memory_mib": node.memory_mib,
                "accelerators": [
                    {"model": one.model, "count": one.count} for one in node.accelerators
                ],
            }
            for node in self._engine.inventory()
        ]
        try:
            self._client.report(
                {
                    "nodes": nodes,
                    "engine": facts.engine,
                    "version": __version__,
                    "isolation": facts.isolation,
                    "gangs": Ability.GANGS in facts.abilities,
                }
            )
        except (PlatformUnavailable, PlatformRefused) as error:
            self._report_at = time.monotonic() + self._report_backoff.failed()
            log.warning("the report did not arrive: %s", error)
            return
        if self._report_backoff.worked():
            self._knock.set()
        self._report_at = time.monotonic() + _REPORT_SECONDS * random.uniform(0.9, 1.0)  # noqa: S311
        self._spool.note("last_report", self._now().isoformat())

    def _deliver(self) -> bool:
        try:
            more = self._delivery.round()
        except (PlatformUnavailable, PlatformRefused) as error:
            wait = self._deliver_backoff.failed()
            self._deliver_at = time.monotonic() + wait
            log.warning("delivery waits %.0f s: %s", wait, error)
            return False
        if self._deliver_backoff.worked():
            self._knock.set()
            log.info("delivery goes on")
        return more

    def _wait_at_the_door(self) -> None:
        """Long polls, one after another; what they bring is worked off before the next."""
        backoff = Backoff()
        while not self._stopping.is_set():
            door, began = self._door, time.monotonic()
            try:
                orders = self._client.poll(door.free, door.running, self._wait_seconds)
            except (PlatformUnavailable, PlatformRefused) as error:
                wait = backoff.failed()
                log.warning("the platform does not answer, again in %.1f s: %s", wait, error)
                self._knock.wait(wait)
                self._knock.clear()
                continue
            except Exception:  # this thread must not end while the agent lives
                log.exception("a poll failed")
                self._stopping.wait(backoff.failed())
                continue
            if backoff.worked():
                self._report_at = self._deliver_at = 0.0
                log.info("the platform answers again")
            if orders.leases or orders.cancel or orders.give_way:
                self._taken.clear()
                self._orders.put(orders)
                self._wake.set()
                self._taken.wait(30)
            if time.monotonic() - began < _POLL_SECONDS:  # never a busy loop, whatever it answers
                self._stopping.wait(_POLL_SECONDS)

    def _finish(self) -> None:
        """Stop the jobs if we are to, write down how they ended, deliver what still can be."""
        try:
            if self._stop_jobs:
                self._obey()
                self._keeper.stop_all("agent_stopped")
                until = time.monotonic() + _STOP_SECONDS
                while time.monotonic() < until and self._any_running():
                    self._keeper.look()
                    time.sleep(0.05)
            for _ in range(3):
                if not self._delivery.round():
                    break
        except _PASSING as error:
            log.warning("the rest is delivered next time: %s", error)
        self._spool.close()
        self._client.close()
        os.close(self._lock)
        log.info("agent stopped")

    def _any_running(self) -> bool:
        return any(row.phase == "submitted" for row in self._spool.open_attempts())

    def _fetch(self, attempt: str, name: str, into: Path, size: int) -> str:
        try:
            with into.open("wb") as file:
                return self._client.get_file(attempt, name, file, size)
        except PlatformUnavailable as error:
            raise FileInLater(str(error)) from None
        except PlatformRefused as error:
            raise FileInWrong(f"file_in_missing: {name} ({error.code})") from None

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._client.skew_seconds)


def _watch(pid: int | None) -> int | None:
    return None if pid is None else os.pidfd_open(pid)
