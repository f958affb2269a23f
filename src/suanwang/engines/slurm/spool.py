"""What the engine remembers of its jobs: one small SQLite file, every commit on the disk.

A job is written down before it is submitted. So after a crash between submitting and recording
there is a row without a job id, and the engine knows that it must look for that job.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from suanwang.core.jobspec import JobSpec
from suanwang.engines.port import EngineState, Observation, Usage

_TABLES = """
CREATE TABLE IF NOT EXISTS job (
    key TEXT PRIMARY KEY,
    spec TEXT NOT NULL,
    written_at REAL NOT NULL,
    job_id INTEGER,
    last TEXT NOT NULL DEFAULT 'submitting',
    wish TEXT,
    due_at REAL,
    final TEXT,
    elapsed_seconds INTEGER,
    usage TEXT,
    forgotten_at REAL
) STRICT
"""
_KEPT_SECONDS = 2 * 3600
"""How long after it was forgotten accounting may still be asked about a job."""


@dataclass(frozen=True, slots=True)
class SpoolRow:
    """One job of ours."""

    key: str
    written_at: float
    """Unix time of the moment before it was submitted."""
    job_id: int | None
    """None as long as nobody knows whether Slurm took it."""
    last: EngineState
    """The last state that was told."""
    wish: str | None
    """The reason of a cancel of ours; empty when it was the owner's wish, None without one."""
    due_at: float | None
    """When a job that was asked to end must have ended."""
    final: Observation | None
    elapsed_seconds: int | None
    """How long it ran, as whoever told its end says."""
    usage: Usage | None
    """As accounting has it."""
    spec_text: str

    @property
    def spec(self) -> JobSpec:
        return JobSpec.model_validate_json(self.spec_text)


class Spool:
    """Not for two processes at once; its folder belongs to one agent."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(_TABLES)
        known = self._db.execute("SELECT name FROM pragma_table_info('job')").fetchall()
        if ("forgotten_at",) not in known:
            self._db.execute("ALTER TABLE job ADD COLUMN forgotten_at REAL")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it on the disk, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def row(self, key: str) -> SpoolRow | None:
        return self.rows([key]).get(key)

    def rows(self, keys: Sequence[str], *, forgotten: bool = False) -> dict[str, SpoolRow]:
        """Those that are not forgotten; or these too."""
        found = {}
        asked = self._db.execute(
            "SELECT key, written_at, job_id, last, wish, due_at, final, elapsed_seconds, usage,"
            " spec FROM job WHERE key IN (SELECT value FROM json_each(?))"
            " AND (? OR forgotten_at IS NULL)",
            (json.dumps([*keys]), forgotten),
        )
        for key, written, job_id, last, wish, due, final, elapsed, usage, spec in asked:
            found[key] = SpoolRow(
                key, written, job_id, EngineState(last), wish, due,
                _observation(final), elapsed, _usage(usage), spec,
            )  # fmt: skip
        return found

    def open_ids(self) -> set[int]:
        """Slurm's ids of the jobs whose end nobody has told yet."""
        return {
            job_id
            for (job_id,) in self._db.execute(
                "SELECT job_id FROM job WHERE final IS NULL AND job_id IS NOT NULL"
            )
        }

    def write(self, key: str, spec: JobSpec, at: float) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO job (key, spec, written_at) VALUES (?, ?, ?)",
            (key, spec.model_dump_json(), at),
        )

    def taken(self, key: str, job_id: int) -> None:
        self._db.execute("UPDATE job SET job_id = ? WHERE key = ?", (job_id, key))

    def again(self, key: str, at: float) -> None:
        """It is about to be submitted once more, because nobody has it."""
        self._db.execute("UPDATE job SET written_at = ? WHERE key = ?", (at, key))

    def say(self, key: str, state: EngineState) -> None:
        self._db.execute("UPDATE job SET last = ? WHERE key = ?", (state.value, key))

    def wish(self, key: str, reason: str, due_at: float) -> None:
        """The first reason counts, and the last time."""
        self._db.execute(
            "UPDATE job SET wish = coalesce(wish, ?), due_at = ? WHERE key = ?",
            (reason, due_at, key),
        )

    def end(self, one: Observation, elapsed_seconds: int | None) -> None:
        """A final state never changes: the first one stays."""
        self._db.execute(
            "UPDATE job SET final = ?, elapsed_seconds = ?, last = ?"
            " WHERE key = ? AND final IS NULL",
            (_text(one), elapsed_seconds, one.state.value, one.ref),
        )

    def measured(self, usage: Usage) -> None:
        self._db.execute("UPDATE job SET usage = ? WHERE key = ?", (_text(usage), usage.ref))

    def forget(self, keys: Sequence[str], at: float) -> None:
        """Nothing is known of these any more but what accounting is asked with, for a while."""
        asked = [(at, key) for key in keys]
        self._db.executemany("UPDATE job SET forgotten_at = ? WHERE key = ?", asked)
        self._db.execute("DELETE FROM job WHERE forgotten_at < ?", (at - _KEPT_SECONDS,))

    def drop(self, key: str) -> None:
        self._db.execute("DELETE FROM job WHERE key = ?", (key,))


def _text(facts: Observation | Usage) -> str:
    """As JSON, moments as Unix seconds."""
    told = {one.name: getattr(facts, one.name) for one in fields(facts)}
    return json.dumps(
        {
            name: value.timestamp() if isinstance(value, datetime) else value
            for name, value in told.items()
            if value is not None
        }
    )


def _observation(text: str | None) -> Observation | None:
    if text is None:
        return None
    facts = _moments(json.loads(text))
    return Observation(**facts | {"state": EngineState(facts["state"])})


def _usage(text: str | None) -> Usage | None:
    return None if text is None else Usage(**_moments(json.loads(text)))


def _moments(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromtimestamp(value, UTC) if name.endswith("_at") else value
        for name, value in facts.items()
    }
