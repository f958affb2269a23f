"""What the agent must not forget: its attempts, and what it still owes the platform.

SQLite with every commit on the disk before it counts. States and usage leave here only when the
platform has taken them; an attempt stays remembered after its end, so that a lease that comes
twice does not run twice.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from suanwang.agent.signing import AgentKey
from suanwang.core.signed import CORRECTS, FIRST_PREVIOUS_HASH, record_hash
from suanwang.engines.port import NodeFacts

_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    attempt_id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    spec TEXT NOT NULL,
    organisation TEXT NOT NULL DEFAULT '',
    organisation_name TEXT NOT NULL DEFAULT '',
    expires_at TEXT NOT NULL,
    phase TEXT NOT NULL,
    ref TEXT NOT NULL DEFAULT '',
    cancel INTEGER NOT NULL DEFAULT 0,
    cancel_sent INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT '',
    sequence INTEGER NOT NULL DEFAULT 0,
    stdout_offset INTEGER NOT NULL DEFAULT 0,
    stderr_offset INTEGER NOT NULL DEFAULT 0,
    output_done INTEGER NOT NULL DEFAULT 0,
    files_sent TEXT NOT NULL DEFAULT '[]',
    usage_due TEXT NOT NULL DEFAULT '',
    usage_ask_at TEXT NOT NULL DEFAULT '',
    metered_seconds INTEGER NOT NULL DEFAULT 0,
    ended_at TEXT NOT NULL DEFAULT '',
    closed_at TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS open_attempts ON attempts (phase) WHERE phase != 'closed';
CREATE INDEX IF NOT EXISTS output_owed ON attempts (phase, attempt_id) WHERE NOT output_done;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    attempt_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    state TEXT NOT NULL,
    at TEXT NOT NULL,
    exit_code INTEGER,
    reason TEXT NOT NULL,
    refusal TEXT NOT NULL DEFAULT '',
    final INTEGER NOT NULL,
    UNIQUE (attempt_id, sequence)
);
CREATE TABLE IF NOT EXISTS usage (
    sequence INTEGER PRIMARY KEY,
    attempt_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    record TEXT NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS usage_of ON usage (attempt_id);
CREATE INDEX IF NOT EXISTS usage_owed ON usage (attempt_id) WHERE NOT delivered;
CREATE TABLE IF NOT EXISTS refusals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    code TEXT NOT NULL,
    about TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_SINCE_THEN = (
    ("attempts", "organisation", "TEXT NOT NULL DEFAULT ''"),
    ("attempts", "organisation_name", "TEXT NOT NULL DEFAULT ''"),
    ("attempts", "usage_due", "TEXT NOT NULL DEFAULT ''"),
    ("attempts", "usage_ask_at", "TEXT NOT NULL DEFAULT ''"),
    ("attempts", "metered_seconds", "INTEGER NOT NULL DEFAULT 0"),
    ("attempts", "ended_at", "TEXT NOT NULL DEFAULT ''"),
    ("events", "refusal", "TEXT NOT NULL DEFAULT ''"),
    ("events", "queue", "TEXT NOT NULL DEFAULT ''"),
)
"""Columns an older version's file does not have yet."""
_INDEX_OF_DUE = (
    "CREATE INDEX IF NOT EXISTS usage_due ON attempts (usage_ask_at) WHERE usage_due != ''"
)
_COLUMNS = (
    "attempt_id, job_id, organisation, organisation_name, expires_at, phase, ref, cancel,"
    " cancel_sent, state, sequence, stdout_offset, stderr_offset, output_done, files_sent,"
    " usage_due, metered_seconds, ended_at"
)
EVENTS_AT_ONCE = 200
USAGE_AT_ONCE = 1000
_USAGE_KEPT = 5000
"""Delivered records kept, should the platform be restored to an earlier state and ask again."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One lease this agent was given, and how far it has got with it.

    ``phase``: ``leased`` → ``submitted`` → ``ended`` → ``closed``.
    """

    attempt_id: str
    job_id: str
    organisation: str
    organisation_name: str
    expires_at: datetime
    phase: str
    ref: str
    cancel: int
    """0: goes on; else it is to stop and has so many seconds for it."""
    cancel_sent: bool
    state: str
    sequence: int
    stdout_offset: int
    stderr_offset: int
    output_done: bool
    files_sent: tuple[str, ...]
    usage_due: str
    """``late``: it ended, and its engine's accounting has not said what it used; ``final``: it was
    metered, but accounting may come to another figure yet; empty: nothing more is asked.
    """
    metered_seconds: int
    ended_at: datetime | None


class Watched(NamedTuple):
    """As much of an attempt as a look at the engine needs; thousands are gone through."""

    attempt_id: str
    ref: str
    state: str
    cancel: int
    cancel_sent: int


class Spool:
    """The agent's memory. One thread uses it; ``status`` may read beside it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
        path.chmod(0o600)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        for table, column, kind in _SINCE_THEN:
            known = self._db.execute(f"SELECT name FROM pragma_table_info('{table}')")  # noqa: S608
            if column not in {row["name"] for row in known}:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        self._db.execute(_INDEX_OF_DUE)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it durable, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk may have rolled it back already
                self._db.execute("ROLLBACK")
            raise

    # -- attempts ------------------------------------------------------------

    def take(
        self,
        attempt_id: str,
        job_id: str,
        spec: str,
        expires_at: datetime,
        organisation: tuple[str, str] = ("", ""),
    ) -> bool:
        """Remember a lease, and whose it is (id and name); False if it was known."""
        cursor = self._db.execute(
            "INSERT OR IGNORE INTO attempts (attempt_id, job_id, spec, expires_at, phase,"
            " organisation, organisation_name) VALUES (?, ?, ?, ?, 'leased', ?, ?)",
            (attempt_id, job_id, spec, expires_at.isoformat(), *organisation),
        )
        return cursor.rowcount > 0

    def in_phase(self, phase: str) -> list[AttemptRow]:
        """The attempts that are as far as that, in the order they came."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM attempts WHERE phase = ? ORDER BY rowid",  # noqa: S608
            (phase,),
        )
        return [_attempt(row) for row in rows]

    def watched(self, at_once: int) -> Iterator[list[Watched]]:
        """What the engine has, in the order it came, some at a time: never all in memory."""
        cursor, after = self._db.cursor(), 0
        cursor.row_factory = None
        while True:
            rows = cursor.execute(
                "SELECT rowid, attempt_id, ref, state, cancel, cancel_sent FROM attempts"
                " WHERE phase = 'submitted' AND rowid > ? ORDER BY rowid LIMIT ?",
                (after, at_once),
            ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            yield [Watched(*row[1:]) for row in rows]

    @property
    def changes(self) -> int:
        """Grows with whatever is written here."""
        return self._db.total_changes

    def with_output(self, phase: str, after: str, limit: int) -> list[AttemptRow]:
        """Some attempts whose output is not handed over yet, by their ids from one on."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM attempts WHERE phase = ? AND NOT output_done"  # noqa: S608
            " AND attempt_id > ? ORDER BY attempt_id LIMIT ?",
            (phase, after, limit),
        )
        return [_attempt(row) for row in rows]

    def open_ids(self) -> list[str]:
        """The attempts the platform is told of: all that are not closed."""
        rows = self._db.execute(
            "SELECT attempt_id FROM attempts WHERE phase != 'closed' ORDER BY rowid"
        )
        return [row["attempt_id"] for row in rows]

    def attempt(self, attempt_id: str) -> AttemptRow | None:
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM attempts WHERE attempt_id = ?",  # noqa: S608
            (attempt_id,),
        )
        row = found.fetchone()
        return None if row is None else _attempt(row)

    def usage_due(self, now: datetime) -> list[AttemptRow]:
        """Attempts that ended, closed ones too, whose engine's accounting is to be asked again."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM attempts WHERE usage_due != ''"  # noqa: S608
            " AND usage_ask_at <= ? ORDER BY usage_ask_at LIMIT 1000",
            (now.isoformat(),),
        )
        return [_attempt(row) for row in rows]

    def settled(self) -> list[AttemptRow]:
        """Attempts that have ended and of which nothing is owed any more. That accounting is asked
        about their use once more keeps none open.
        """
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM attempts WHERE phase = 'ended' AND output_done"  # noqa: S608
            " AND usage_due != 'late'"
            " AND NOT EXISTS (SELECT 1 FROM events WHERE events.attempt_id = attempts.attempt_id)"
            " AND NOT EXISTS (SELECT 1 FROM usage WHERE usage.attempt_id = attempts.attempt_id"
            " AND NOT delivered)"
        )
        return [_attempt(row) for row in rows]

    def spec(self, attempt_id: str) -> str:
        """The specification as JSON. Thousands are open at a time: it is read when needed."""
        found = self._db.execute("SELECT spec FROM attempts WHERE attempt_id = ?", (attempt_id,))
        return str(found.fetchone()["spec"])

    def free(self, nodes: Iterable[NodeFacts]) -> dict[str, int]:
        """What the nodes have beyond what is leased here."""
        leased = self._db.execute(
            "SELECT coalesce(sum(json_extract(spec, '$.cores')), 0) AS cores,"
            " coalesce(sum(json_extract(spec, '$.memory_mib')), 0) AS memory_mib,"
            " coalesce(sum(json_extract(spec, '$.accelerators')), 0) AS accelerators"
            " FROM attempts WHERE phase IN ('leased', 'submitted') AND spec != ''"
        ).fetchone()
        whole = {"cores": 0, "memory_mib": 0, "accelerators": 0}
        for node in nodes:
            whole["cores"] += node.cores
            whole["memory_mib"] += node.memory_mib
            whole["accelerators"] += sum(one.count for one in node.accelerators)
        return {name: max(amount - int(leased[name]), 0) for name, amount in whole.items()}

    def change(self, attempt_id: str, **columns: object) -> None:
        """Set columns of an attempt; their names are this program's own."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(
            f"UPDATE attempts SET {names} WHERE attempt_id = ?",  # noqa: S608
            (*columns.values(), attempt_id),
        )

    def forget_closed(self, before: datetime) -> None:
        self._db.execute(
            "DELETE FROM attempts WHERE phase = 'closed' AND closed_at < ?", (before.isoformat(),)
        )

    # -- states ------------------------------------------------------------

    def say(
        self,
        attempt_id: str,
        state: str,
        at: datetime,
        *,
        exit_code: int | None = None,
        reason: str = "",
        refusal: str = "",
        queue: str = "",
        final: bool = False,
    ) -> None:
        """Owe the platform one more state event, the next of its attempt. As JSON ``refusal``:
        what the site's policy had against it; ``queue``: what it waits for at the centre.
        """
        self._db.execute(
            "UPDATE attempts SET sequence = sequence + 1, state = ? WHERE attempt_id = ?",
            (state, attempt_id),
        )
        self._db.execute(
            "INSERT INTO events"
            " (attempt_id, sequence, state, at, exit_code, reason, refusal, queue, final)"
            " SELECT attempt_id, sequence, ?, ?, ?, ?, ?, ?, ? FROM attempts WHERE attempt_id = ?",
            (state, at.isoformat(), exit_code, reason[:500], refusal, queue, final, attempt_id),
        )

    def owed_events(self) -> list[dict[str, Any]]:
        """The next events in order. An end waits until the output before it is handed over."""
        rows = self._db.execute(
            "SELECT events.*, attempts.output_done FROM events JOIN attempts USING (attempt_id)"
            " WHERE NOT events.final OR attempts.output_done ORDER BY events.id LIMIT ?",
            (EVENTS_AT_ONCE,),
        )
        return [
            {
                "attempt_id": row["attempt_id"],
                "sequence": row["sequence"],
                "state": row["state"],
                "at": row["at"],
                "exit_code": row["exit_code"],
                "reason": row["reason"],
                **{name: json.loads(row[name]) for name in ("refusal", "queue") if row[name]},
            }
            for row in rows
        ]

    def events_settled(self, events: Iterable[Mapping[str, Any]]) -> None:
        self._db.executemany(
            "DELETE FROM events WHERE attempt_id = ? AND sequence = ?",
            [(event["attempt_id"], event["sequence"]) for event in events],
        )

    # -- usage ------------------------------------------------------------

    def meter(
        self,
        key: AgentKey,
        attempt_id: str,
        quantities: Mapping[str, int],
        started_at: datetime,
        ended_at: datetime,
    ) -> None:
        """Add one signed record for each meter to the end of the chain.

        What this attempt was metered before is corrected: each record points at the one it
        replaces, so that neither is counted beside the other.
        """
        replaced = self._newest(attempt_id)
        last = self._db.execute("SELECT sequence, hash FROM usage ORDER BY sequence DESC LIMIT 1")
        row = last.fetchone()
        sequence, previous = (0, FIRST_PREVIOUS_HASH) if row is None else tuple(row)
        for meter, quantity in quantities.items():
            sequence += 1
            record: dict[str, object] = {
                "record_id": str(uuid4()),
                "attempt_id": attempt_id,
                "meter": meter,
                "quantity": quantity,
                "started_at": started_at.isoformat(),
                "ended_at": ended_at.isoformat(),
                "sequence": sequence,
            }
            if meter in replaced:
                record[CORRECTS] = replaced[meter]
            link = record_hash(previous, record)
            record |= {
                "previous_hash": previous,
                "hash": link,
                "signature": key.sign(link.encode()),
            }
            self._db.execute(
                "INSERT INTO usage (sequence, attempt_id, hash, record) VALUES (?, ?, ?, ?)",
                (sequence, attempt_id, link, json.dumps(record)),
            )
            previous = link

    def _newest(self, attempt_id: str) -> dict[str, str]:
        """The newest record of an attempt by meter."""
        rows = self._db.execute(
            "SELECT record FROM usage WHERE attempt_id = ? ORDER BY sequence", (attempt_id,)
        )
        records = [json.loads(row["record"]) for row in rows]
        return {record["meter"]: record["record_id"] for record in records}

    def owed_usage(self) -> list[dict[str, Any]]:
        rows = self._db.execute(
            "SELECT record FROM usage WHERE NOT delivered ORDER BY sequence LIMIT ?",
            (USAGE_AT_ONCE,),
        )
        return [json.loads(row["record"]) for row in rows]

    def usage_settled(self, up_to: int) -> None:
        """All records up to this one are with the platform."""
        self._db.execute(
            "UPDATE usage SET delivered = 1 WHERE sequence <= ? AND NOT delivered", (up_to,)
        )
        self._db.execute(
            "DELETE FROM usage WHERE delivered AND sequence <= ?", (up_to - _USAGE_KEPT,)
        )

    def usage_wanted_from(self, sequence: int) -> bool:
        """Owe the records from this one on again; False if they are no longer kept."""
        self._db.execute("UPDATE usage SET delivered = 0 WHERE sequence >= ?", (sequence,))
        found = self._db.execute("SELECT 1 FROM usage WHERE sequence = ?", (sequence,))
        return found.fetchone() is not None

    # -- notes ------------------------------------------------------------

    def refused(self, at: datetime, code: str, about: str) -> None:
        """Keep what the platform or the engine would not take, for ``status`` to show."""
        self._db.execute(
            "INSERT INTO refusals (at, code, about) VALUES (?, ?, ?)",
            (at.isoformat(), code, about[:500]),
        )
        self._db.execute("DELETE FROM refusals WHERE id <= (SELECT max(id) FROM refusals) - 1000")

    def note(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def noted(self, name: str) -> str:
        """What was noted under a name; empty if nothing."""
        row = self._db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row["value"])

    def backlog(self) -> dict[str, int]:
        """How much is owed to the platform."""
        return {
            "states": self._count("SELECT count(*) FROM events"),
            "usage": self._count("SELECT count(*) FROM usage WHERE NOT delivered"),
        }

    def _count(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])

    def summary(self) -> dict[str, Any]:
        """Counts and notes for ``suanwang agent status``."""
        owed = self.backlog()
        refusals = self._db.execute("SELECT * FROM refusals ORDER BY id DESC LIMIT 5")
        return {
            "open_attempts": self._count("SELECT count(*) FROM attempts WHERE phase != 'closed'"),
            "events_owed": owed["states"],
            "usage_owed": owed["usage"],
            "usage_records": self._count("SELECT coalesce(max(sequence), 0) FROM usage"),
            "refusals": [dict(row) for row in refusals],
            **{row["name"]: row["value"] for row in self._db.execute("SELECT * FROM notes")},
        }


def _attempt(row: sqlite3.Row) -> AttemptRow:
    return AttemptRow(
        attempt_id=row["attempt_id"],
        job_id=row["job_id"],
        organisation=row["organisation"],
        organisation_name=row["organisation_name"],
        expires_at=datetime.fromisoformat(row["expires_at"]),
        phase=row["phase"],
        ref=row["ref"],
        cancel=row["cancel"],
        cancel_sent=bool(row["cancel_sent"]),
        state=row["state"],
        sequence=row["sequence"],
        stdout_offset=row["stdout_offset"],
        stderr_offset=row["stderr_offset"],
        output_done=bool(row["output_done"]),
        files_sent=tuple(json.loads(row["files_sent"])) if row["files_sent"] != "[]" else (),
        usage_due=row["usage_due"],
        metered_seconds=row["metered_seconds"],
        ended_at=datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else None,
    )
