"""How jobs ended, kept in the engine's own folder: an end never changes again.

Pods are deleted by whoever tidies a cluster, and with them goes what they knew. So the first time
an end is seen it is put on the disk, and from then on it is answered from there.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from suanwang.engines.kubernetes.states import Seen
from suanwang.engines.port import EngineState

_NAME = re.compile(r"[a-z0-9][-a-z0-9]{0,62}")


class Ends:
    """One small file for each job that has ended and is not forgotten."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._known: dict[str, tuple[Seen, int]] = {}
        for file in folder.glob("*.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                self._known[file.stem] = _read(json.loads(file.read_bytes()))

    def get(self, name: str) -> tuple[Seen, int] | None:
        """The end, and the seconds it may at most be billed for."""
        return self._known.get(name)

    def put(self, name: str, seen: Seen, walltime_seconds: int) -> None:
        """On the disk before it is told to anybody."""
        if not _NAME.fullmatch(name):
            raise ValueError(name)
        written = {
            "state": seen.state.value,
            "native": seen.native,
            "reason": seen.reason,
            "exit_code": seen.exit_code,
            "started_at": seen.started_at.isoformat() if seen.started_at else None,
            "ended_at": seen.ended_at.isoformat() if seen.ended_at else None,
            "walltime_seconds": walltime_seconds,
        }
        waiting = self._folder / f"{name}.new"
        with waiting.open("w", encoding="utf-8") as file:
            json.dump(written, file)
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(self._folder / f"{name}.json")
        self._known[name] = (seen, walltime_seconds)

    def drop(self, name: str) -> None:
        if self._known.pop(name, None) is not None:
            (self._folder / f"{name}.json").unlink(missing_ok=True)


def _read(found: dict[str, Any]) -> tuple[Seen, int]:
    started, ended = found["started_at"], found["ended_at"]
    seen = Seen(
        EngineState(found["state"]),
        found["native"],
        found["reason"],
        found["exit_code"],
        datetime.fromisoformat(started) if started else None,
        datetime.fromisoformat(ended) if ended else None,
    )
    return seen, int(found["walltime_seconds"])
