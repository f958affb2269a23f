"""A real agent on an engine that outlives it, as Slurm outlives an agent that is killed.

    python kept_agent.py HOME

The engine keeps its jobs in a database of its own: who submitted what and when, each key once. Jobs
run for as long as their script's first number says, by the wall clock. It notes every submission,
repeats too, so that a test can tell how often each job was really started.
"""

from __future__ import annotations

import io
import json
import re
import signal
import sqlite3
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from suanwang.agent.home import Home
from suanwang.agent.process import Agent
from suanwang.core.jobspec import JobSpec
from suanwang.engines.port import (
    Accepted,
    Capabilities,
    EngineState,
    LogChunk,
    NodeFacts,
    Observation,
    OutputFile,
    Rejected,
    Stream,
    Submission,
    Usage,
)

NODES = [NodeFacts(f"n{number}", 64, 262144) for number in range(4)]


class KeptEngine:
    """Jobs as rows of a file; states follow from the clock."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode=WAL;"
            "CREATE TABLE IF NOT EXISTS jobs (key TEXT PRIMARY KEY, began TEXT, seconds REAL,"
            " stopped TEXT, forgotten INTEGER DEFAULT 0);"
        )

    def capabilities(self) -> Capabilities:
        return Capabilities("memory", "1", "simulated")

    def inventory(self) -> Sequence[NodeFacts]:
        return NODES

    def submit(self, submissions: Sequence[Submission]) -> list[Accepted | Rejected]:
        for one in submissions:
            self._db.execute(
                "INSERT OR IGNORE INTO jobs (key, began, seconds) VALUES (?, ?, ?)",
                (one.key, datetime.now(UTC).isoformat(), _seconds(one.spec)),
            )
        return [Accepted(one.key, one.key) for one in submissions]

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        return {key: key for key in self._rows(keys)}

    def observe(self, refs: Sequence[str]) -> dict[str, Observation]:
        now = datetime.now(UTC)
        found = {}
        for ref, (began, ends, stopped) in self._rows(refs).items():
            state = EngineState.RUNNING
            if ends <= now:
                state = EngineState.CANCELLED if stopped else EngineState.SUCCEEDED
            found[ref] = Observation(
                ref, state, state.value, now, exit_code=0 if state.final else None,
                started_at=began, ended_at=ends if state.final else None,
            )  # fmt: skip
        return found

    def cancel(self, refs: Sequence[str], grace_seconds: int, *, reason: str = "") -> None:
        for ref in refs:
            now = datetime.now(UTC).isoformat()
            self._db.execute(
                "UPDATE jobs SET stopped = ? WHERE key = ? AND stopped IS NULL", (now, ref)
            )

    def logs(self, ref: str, stream: Stream, offset: int, limit: int = 1 << 18) -> LogChunk:
        text = f"{ref}\n".encode() if stream == "stdout" and hash(ref) % 4 == 0 else b""
        data = text[offset : offset + limit]
        return LogChunk(data, offset + len(data), complete=True)

    def usage(self, refs: Sequence[str]) -> dict[str, Usage]:
        now = datetime.now(UTC)
        return {
            ref: Usage(ref, max(1, round((ends - began).total_seconds())), began, ends)
            for ref, (began, ends, _) in self._rows(refs).items()
            if ends <= now
        }

    def outputs(self, ref: str) -> list[OutputFile]:
        return []

    def open_output(self, ref: str, name: str) -> IO[bytes]:
        return io.BytesIO()

    def forget(self, refs: Sequence[str]) -> None:
        for ref in refs:
            self._db.execute("UPDATE jobs SET forgotten = 1 WHERE key = ?", (ref,))

    def _rows(self, keys: Sequence[str]) -> dict[str, tuple[datetime, datetime, bool]]:
        rows = self._db.execute(
            "SELECT key, began, seconds, stopped FROM jobs WHERE NOT forgotten"
            " AND key IN (SELECT value FROM json_each(?))",
            (json.dumps(list(keys)),),
        )
        found = {}
        for key, began, seconds, stopped in rows:
            starts = datetime.fromisoformat(began)
            ends = starts + timedelta(seconds=seconds)
            if stopped is not None:
                ends = min(ends, datetime.fromisoformat(stopped))
            found[key] = (starts, ends, stopped is not None)
        return found


def _seconds(spec: JobSpec) -> float:
    number = re.search(r"\d+(\.\d+)?", spec.script)
    return float(number[0]) if number else 1.0


if __name__ == "__main__":
    home = Home(Path(sys.argv[1]))
    agent = Agent(home, KeptEngine(home.root / "engine.sqlite"), home.lock(), wait_seconds=1)
    signal.signal(signal.SIGTERM, lambda *_: agent.stop())
    agent.run()
