"""Bells: PostgreSQL's LISTEN/NOTIFY, so that nobody has to ask again and again.

A bell rung inside a transaction is heard when it commits, and not at all if it does not. A bell
may be missed (a connection was down), so every listener also looks by itself now and then.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import psycopg
import structlog
from django.db import connection

from suanwang.site.settings import settings

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

QUEUE: Final = "suanwang_queue"
"""There may be something to place."""
CLUSTER: Final = "suanwang_cluster"
"""There is something for the agent of this cluster (payload: its id)."""
JOB: Final = "suanwang_job"
"""A job changed or wrote something (payload: its id)."""

_BACK_OFF_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_LOOK_ANYWAY_SECONDS: Final = 2.0


def ring(channel: str, payload: object = "") -> None:
    """Ring a bell when the current transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel, str(payload)])


def ring_all(channel: str, payloads: Iterable[object]) -> None:
    """Ring one bell for each of several, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_notify(%s, one) FROM unnest(%s::text[]) AS one",
            [channel, [str(one) for one in payloads]],
        )


def connect() -> psycopg.Connection[tuple[object, ...]]:
    """A connection of its own to the same database, for listening; nothing is ever written."""
    ours = ("context", "cursor_factory", "prepare_threshold", "server_side_binding", "pool")
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name not in ours
    }
    parameters |= {"connect_timeout": 5, "application_name": "suanwang-bells"}
    return psycopg.connect(**parameters, autocommit=True)


def listen(
    channels: tuple[str, ...], stop: threading.Event, *, tick_seconds: float
) -> Iterator[tuple[str, str] | None]:
    """Yield each ring as ``(channel, payload)``, and None at least once per tick and after every
    reconnection. Ends when ``stop`` is set; outlives a restart of the database.
    """
    failures = 0
    while not stop.is_set():
        try:
            with connect() as heard:
                for channel in channels:
                    heard.execute(f'LISTEN "{channel}"')
                failures = 0
                yield None
                while not stop.is_set():
                    any_heard = False
                    for notice in heard.notifies(timeout=tick_seconds, stop_after=1):
                        any_heard = True
                        yield notice.channel, notice.payload
                    if not any_heard:
                        yield None
        except psycopg.OperationalError as error:
            wait = _BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)]
            failures += 1
            log.warning("bells_lost_database", error=str(error).strip(), retry_seconds=wait)
            stop.wait(wait)


class Switchboard:
    """One listening connection per process; any number of threads wait on it by topic.

    A waiting thread holds no database connection of its own while it waits.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rings: dict[tuple[str, str], int] = defaultdict(int)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.listening = threading.Event()
        """Set once bells are heard; until then a waiting thread looks by itself."""

    def count(self, channel: str, payload: object) -> int:
        """How often a bell rang so far; take it before looking, wait for it to grow after."""
        with self._changed:
            return self._rings[channel, str(payload)]

    def wait(self, channel: str, payload: object, since: int, seconds: float) -> bool:
        """Wait until the bell rang again after ``since``; False when the time is up."""
        key = channel, str(payload)
        with self._changed:
            return self._changed.wait_for(lambda: self._rings[key] > since, timeout=seconds)

    def close(self) -> None:
        """Stop listening and let the connection go, until somebody opens it again."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.listening.clear()

    def open(self) -> None:
        """See that somebody listens. Who only goes on waiting does not open it again."""
        with self._changed:
            if self._thread is not None and self._thread.is_alive():
                return
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._listen, name="bells", daemon=True)
            self._thread.start()

    def _listen(self) -> None:
        for heard in listen((CLUSTER, JOB), self._stop, tick_seconds=1.0):
            if heard is None:
                self.listening.set()
                continue
            with self._changed:
                if len(self._rings) > 50_000:
                    self._rings.clear()
                self._rings[heard] += 1
                self._changed.notify_all()


switchboard = Switchboard()
_places = threading.BoundedSemaphore(max(1, settings().web_threads // 2))


def wait_for(
    look: Callable[[], Answer | None], channel: str, payload: object, *, seconds: float
) -> Answer | None:
    """Look, and look again at every ring, until there is something or the time is up.

    At most half of the server's threads wait at once; whoever comes then is answered at once,
    so that waiting agents never keep people out.
    """
    found = look()
    if found is not None or seconds <= 0 or not _places.acquire(blocking=False):
        return found
    try:
        return _look_again(look, channel, payload, seconds)
    finally:
        _places.release()


def _look_again(
    look: Callable[[], Answer | None], channel: str, payload: object, seconds: float
) -> Answer | None:
    deadline = time.monotonic() + seconds
    switchboard.open()
    while True:
        since = switchboard.count(channel, payload)
        found = look()
        left = deadline - time.monotonic()
        if found is not None or left <= 0:
            return found
        switchboard.wait(channel, payload, since, min(left, _LOOK_ANYWAY_SECONDS))
