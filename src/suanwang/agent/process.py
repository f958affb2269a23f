"""The agent as a process: one thread that works, one that waits at the platform's door."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import random
import select
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from suanwang import __version__
from suanwang.agent import energy
from suanwang.agent.client import PlatformClient, PlatformRefused, PlatformUnavailable
from suanwang.agent.delivery import Delivery
from suanwang.agent.gate import Gate
from suanwang.agent.home import Home
from suanwang.agent.inventory import Inventory
from suanwang.agent.keeper import FileInLater, FileInWrong, Keeper
from suanwang.agent.measure import Measurer
from suanwang.agent.messages import Orders
from suanwang.agent.spool import Spool
from suanwang.agent.yaml_file import FileWrong
from suanwang.engines.port import Engine, EngineUnavailable, NodeFacts

log = logging.getLogger("suanwang.agent")

_ROUND_SECONDS = 0.5
_ENGINE_PAUSE_SECONDS = 1.0
_RECONCILE_SECONDS = 15
_LOOK_SECONDS = 30
"""How often the engine is asked what it has; only what changed is reported."""
_REPORT_SECONDS = 300
"""How often the platform is told, even if nothing changed."""
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
    """What the waiting thread tells the platform."""

    free: dict[str, int]
    running: Sequence[str]
    closed: str = ""
    """Why no new work is taken, as a code; empty: it is."""
    site_policy: str = ""
    backlog: dict[str, int] = field(default_factory=dict)


class Agent:
    """Everything between one start and one stop."""

    def __init__(
        self,
        home: Home,
        engine: Engine,
        lock: int,
        *,
        stop_jobs: bool = False,
        tied_to: int | None = None,
        wait_seconds: int = _WAIT_SECONDS,
    ) -> None:
        identity = home.identity()
        self._home = home
        self._lock = lock
        self._engine = engine
        self._client = PlatformClient(
            identity.url, home.key(), identity.agent_id, identity.platform_key
        )
        self._spool = Spool(home.spool)
        self._drain_ordered = self._spool.noted("drain_ordered") == "yes"
        self._gate = Gate(home.site_file, home.drain_mark, lambda: self._drain_ordered)
        self._keeper = Keeper(
            engine, self._spool, home.key(), home.inbound, self._fetch, self._now, self._gate
        )
        self._inventory = Inventory(engine)
        self._delivery = Delivery(self._client, self._spool, engine, self._keeper, self._now)
        self._measurer = Measurer(home.measure_file, self._client.link)
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
        self._door_seen: tuple[int, Sequence[NodeFacts]] = (-1, ())
        self._reconcile_at = 0.0
        self._engine_at = self._look_at = self._report_at = self._deliver_at = 0.0
        self._report_backoff, self._deliver_backoff = Backoff(), Backoff()
        self._trouble = Backoff(most_seconds=10.0)

    def stop(self) -> None:
        """Ask the agent to end; safe from a signal handler."""
        self._stopping.set()
        self._wake.set()
        self._knock.set()
        self._measurer.stop()

    def run(self) -> None:
        """Work until stopped. Whatever was not delivered is delivered by the next run."""
        self._spool.forget_closed(self._now() - _REMEMBERED)
        log.info("agent %s", __version__)
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
            if time.monotonic() >= self._engine_at:
                self._work_the_engine()
            self._show_door()
            if time.monotonic() >= min(self._look_at, self._report_at):
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

    def _work_the_engine(self) -> None:
        """One round with the engine; a slow one is asked less often, within a second or so."""
        began = time.monotonic()
        self._keeper.round()
        if began >= self._reconcile_at:
            self._reconcile_at = _soon(_RECONCILE_SECONDS)
            with contextlib.suppress(EngineUnavailable):
                self._keeper.reconcile()
        ended = time.monotonic()
        self._engine_at = ended + min(ended - began, _ENGINE_PAUSE_SECONDS)

    def _obey(self) -> None:
        while True:
            try:
                orders = self._orders.get_nowait()
            except queue.Empty:
                return
            try:
                self._drain(ordered=orders.drain)
                self._keeper.take_cancels([str(one) for one in orders.cancel])
                self._keeper.take_give_ways(
                    {str(one.attempt_id): one.grace_seconds for one in orders.give_way}
                )
                self._keeper.take_leases(orders.leases)
                self._show_door()
            finally:  # what could not be written down the platform says again
                self._taken.set()

    def _show_door(self) -> None:
        seen = self._spool.changes, self._inventory.nodes
        door = self._door
        if seen != self._door_seen:
            free, running = self._spool.free(self._inventory.nodes), self._spool.open_ids()
            door = Door(free, running, backlog=self._spool.backlog())
            self._door_seen = seen
        closed, version = self._gate.closed(), self._gate.site.version
        self._door = replace(door, closed=closed, site_policy=version)
        if self._gate.site.wrong != self._spool.noted("site_policy_wrong"):
            self._spool.note("site_policy_wrong", self._gate.site.wrong)

    def _drain(self, *, ordered: bool) -> None:
        """The platform wants no new work taken here, or takes that back."""
        if ordered != self._drain_ordered:
            self._spool.note("drain_ordered", "yes" if ordered else "no")
            self._drain_ordered = ordered
            log.warning("the platform orders: %s", "no new work" if ordered else "work again")

    def _report(self) -> None:
        """Look at the engine, and tell the platform what changed, or at least that we live."""
        due, self._look_at = time.monotonic() >= self._report_at, _soon(_LOOK_SECONDS)
        try:
            self._inventory.look()
        except EngineUnavailable as error:
            self._report_at = time.monotonic() + self._report_backoff.failed()
            self._spool.note("engine_wrong", str(error)[:300])
            log.warning("the engine does not say what it has: %s", error)
            return
        self._spool.note("engine_wrong", "")
        self._spool.note("engine_looked_at", self._now().isoformat())
        if not due and not self._inventory.changed:
            return
        report = self._inventory.report() | {"version": __version__}
        report["measure_address"] = self._measurer.address()
        try:
            answer = self._client.report(report)
        except (PlatformUnavailable, PlatformRefused) as error:
            self._look_at = self._report_at = time.monotonic() + self._report_backoff.failed()
            if isinstance(error, PlatformRefused):
                self._spool.note("report_refused", str(error)[:300])
            log.warning("the report did not arrive: %s", error)
            return
        self._spool.note("report_refused", "")
        if self._report_backoff.worked():
            self._knock.set()
        self._hand_in_energy()
        settled = self._inventory.acknowledged(
            report, answer.revision, full_wanted=answer.full_wanted
        )
        self._report_at = _soon(_REPORT_SECONDS) if settled else 0.0
        if answer.unknown_models is not None:
            self._note_unknown(answer.unknown_models)
        self._spool.note("isolation", report["isolation"])
        self._spool.note("last_report", self._now().isoformat())

    def _note_unknown(self, models: Sequence[str]) -> None:
        told = ", ".join(models)[:300]
        if told and told != self._spool.noted("unknown_models"):
            log.warning("cards the platform's catalogue does not have are not offered: %s", told)
        self._spool.note("unknown_models", told)

    def _hand_in_energy(self) -> None:
        """The next finished readings of the centre's meters, each until it is taken or refused."""
        after = self._spool.noted("energy_until")
        try:
            since = datetime.fromisoformat(after) if after else None
            owed = energy.owed(self._home.energy_file, self._home.root, since, self._now())
            if not owed:
                return
            answer = self._client.energy([one.as_json() for one in owed])
        except FileWrong as error:
            log.error("the meters' readings cannot be read: %s", error)
            return
        except (PlatformUnavailable, PlatformRefused) as error:
            log.warning("the meters' readings did not arrive: %s", error)
            return
        for refusal in answer.refused:
            self._spool.refused(self._now(), refusal.code, f"energy {refusal.facts}")
        self._spool.note("energy_until", owed[-1].end.isoformat())

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
                orders = self._client.poll(vars(door), self._wait_seconds)
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
            self._measurer.take(orders.measure)
            if backoff.worked():
                self._report_at = self._deliver_at = 0.0
                log.info("the platform answers again")
            drain = orders.drain != self._drain_ordered
            if orders.leases or orders.cancel or orders.give_way or drain:
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
        return bool(self._spool.in_phase("submitted"))

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


def _soon(seconds: float) -> float:
    """A moment of the monotonic clock about so far off; agents never agree on it."""
    return time.monotonic() + seconds * random.uniform(0.9, 1.0)  # noqa: S311 - jitter


def _watch(pid: int | None) -> int | None:
    return None if pid is None else os.pidfd_open(pid)
