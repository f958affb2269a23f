"""The dispatcher's process: wakes when something may be placed, and every few seconds anyway.

Any number may run; what keeps them apart is in ``services.dispatch``. It outlives a restart of the
database. Leases are not given up in the first minutes after a start or an outage: the agents had
nobody to renew them with, and an outage of ours must not cost anybody a run.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime

import structlog
from django.db import DatabaseError, close_old_connections, connection

from suanwang.jobs import bells
from suanwang.jobs.rules import LEASE_RENEWED
from suanwang.jobs.services import Memory, abandon_expired, dispatch_once
from suanwang.site import clock

log = structlog.get_logger(__name__)

TICK_SECONDS = 2.0
"""A ring that was missed costs at most so long."""
_BATCH_SECONDS = 0.02
"""After a ring, wait so long for others: one decision for a burst of submissions."""


class Dispatcher:
    """What one process remembers between steps: since when it can trust that leases are old,
    and what it learned."""

    def __init__(self) -> None:
        self._seeing_since: datetime | None = None
        self._memory = Memory()

    def step(self, at: datetime) -> int:
        """Give up what expired, then place what can start; how many jobs were placed.

        A database that cannot be reached is logged and waited for; leases then get their time
        again from when it is back.
        """
        try:
            if self._seeing_since is None:
                self._seeing_since = at
            if at - self._seeing_since > LEASE_RENEWED:
                given_up = abandon_expired(at)
                if given_up:
                    log.warning("leases_given_up", count=given_up)
            placed = dispatch_once(at, self._memory)
        except DatabaseError as error:
            self._seeing_since = None
            self._memory = Memory()
            connection.close()
            log.warning("dispatch_failed", error=str(error).strip())
            return 0
        if placed:
            log.info("placed", jobs=placed)
        return placed


def main(stop: threading.Event) -> None:
    """Run until told to stop."""
    dispatcher = Dispatcher()
    last_step = 0.0
    log.info("dispatcher_started")
    for ring in bells.listen((bells.QUEUE,), stop, tick_seconds=TICK_SECONDS):
        if ring is not None and time.monotonic() - last_step < _BATCH_SECONDS:
            stop.wait(_BATCH_SECONDS)
        close_old_connections()
        dispatcher.step(clock.now())
        last_step = time.monotonic()
    connection.close()
    log.info("dispatcher_stopped")
