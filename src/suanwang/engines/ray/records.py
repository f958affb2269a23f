"""What the engine itself remembers of each submission, so that a final state never changes and an
agent that died finds its jobs again. One SQLite file in the agent's folder.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
  ref TEXT PRIMARY KEY,
  folder TEXT NOT NULL,
  session TEXT NOT NULL,
  walltime_seconds INTEGER NOT NULL,
  accepted INTEGER NOT NULL DEFAULT 0,
  forgotten INTEGER NOT NULL DEFAULT 0,
  stopped INTEGER NOT NULL DEFAULT 0,
  wish TEXT,
  node TEXT,
  started_at REAL,
  ending TEXT
) WITHOUT ROWID
"""
_BATCH = 500


@dataclass
class Ending:
    """How a job ended, for good. ``state`` uses the words of ``EngineState``; times are Unix."""

    state: str
    native_state: str
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    started_at: float | None = None
    ended_at: float | None = None
    elapsed_seconds: int | None = None
    cpu_milliseconds: int | None = None
    memory_peak_mib: int | None = None
    sizes: dict[str, int] | None = None
    """Of the streams, in bytes; None when the node did not say."""
    truncated: list[str] = field(default_factory=list)
    outputs: list[tuple[str, int]] = field(default_factory=list)
    """Names and sizes; each lies on the node under its number in this list."""


@dataclass
class Record:
    """One submission."""

    ref: str
    folder: str
    """Its name on whichever node it runs."""
    session: str
    """The life of the head it was given to."""
    walltime_seconds: int
    accepted: bool = False
    """Ray is known to have taken it; before that it may or may not have."""
    forgotten: bool = False
    """Delivered; only Ray has not let go of it yet."""
    stopped: bool = False
    """Ray has passed the wish to end on."""
    wish: str | None = None
    """None until its end is asked for; then the reason, empty when it is the owner's wish."""
    node: str | None = None
    started_at: float | None = None
    ending: Ending | None = None


class Records:
    """Safe to use from several threads; every change is on the disk when the call returns."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._base = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._base.row_factory = sqlite3.Row
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = FULL")
        self._base.execute(_TABLE)

    def get(self, refs: Iterable[str]) -> dict[str, Record]:
        wanted = [*dict.fromkeys(refs)]
        found = {}
        for at in range(0, len(wanted), _BATCH):
            piece = wanted[at : at + _BATCH]
            marks = ",".join("?" * len(piece))
            with self._held() as base:
                rows = base.execute(f"SELECT * FROM jobs WHERE ref IN ({marks})", piece).fetchall()  # noqa: S608
            found.update({row["ref"]: _record(row) for row in rows})
        return found

    def add(self, record: Record) -> None:
        with self._held() as base:
            base.execute(
                "INSERT INTO jobs (ref, folder, session, walltime_seconds, accepted)"
                " VALUES (?, ?, ?, ?, ?)",
                (
                    record.ref, record.folder, record.session, record.walltime_seconds,
                    record.accepted,
                ),
            )  # fmt: skip

    def save(self, record: Record) -> None:
        """Write down what has changed. An ending that is there stays as it is."""
        ending = json.dumps(asdict(record.ending)) if record.ending is not None else None
        with self._held() as base:
            base.execute(
                "UPDATE jobs SET accepted = ?, forgotten = ?, stopped = ?, wish = ?, node = ?,"
                " started_at = ?, ending = coalesce(ending, ?) WHERE ref = ?",
                (
                    record.accepted, record.forgotten, record.stopped, record.wish, record.node,
                    record.started_at, ending, record.ref,
                ),
            )  # fmt: skip

    def drop(self, ref: str) -> None:
        with self._held() as base:
            base.execute("DELETE FROM jobs WHERE ref = ?", (ref,))

    def held_back(self, at_most: int) -> list[Record]:
        """Those that are forgotten here and not yet by Ray."""
        with self._held() as base:
            rows = base.execute("SELECT * FROM jobs WHERE forgotten LIMIT ?", (at_most,)).fetchall()
        return [_record(row) for row in rows]

    def close(self) -> None:
        with self._held() as base:
            base.close()

    @contextmanager
    def _held(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            yield self._base


def _record(row: sqlite3.Row) -> Record:
    values: dict[str, Any] = dict(row)
    for name in ("accepted", "forgotten", "stopped"):
        values[name] = bool(values[name])
    if values["ending"] is not None:
        ending = json.loads(values["ending"])
        ending["outputs"] = [(str(name), int(size)) for name, size in ending["outputs"]]
        values["ending"] = Ending(**ending)
    return Record(**values)
