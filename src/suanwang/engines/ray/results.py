"""Output and files of jobs, fetched from the nodes through the dashboard."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import IO, Final

from suanwang.engines.port import EngineUnavailable, LogChunk, Stream
from suanwang.engines.ray.cluster import Roster
from suanwang.engines.ray.dashboard import Dashboard, FileMissing, NodeUnreachable
from suanwang.engines.ray.records import Record
from suanwang.engines.ray.runner import OUTPUTS, PART_BYTES, PLACE
from suanwang.engines.ray.settings import RaySettings

_QUIET_POLLS: Final = 2
_QUIET_MAX: Final = 20_000


class Results:
    """What lies on the nodes, in parts small enough to be asked for whole."""

    def __init__(
        self, dashboard: Dashboard, roster: Roster, settings: RaySettings, folder: Path
    ) -> None:
        self._dashboard = dashboard
        self._roster = roster
        self._quiet_seconds = settings.poll_seconds * _QUIET_POLLS
        self._folder = folder
        self._quiet: dict[tuple[str, str], float] = {}

    def log(self, record: Record, stream: Stream, offset: int, limit: int) -> LogChunk:
        """A piece of a stream, never across the end of a part."""
        ending = record.ending
        size = ending.sizes[stream] if ending is not None and ending.sizes is not None else None
        cut = ending is not None and stream in ending.truncated
        began = record.started_at is not None or ending is not None
        if record.node is None or not began or (size is not None and offset >= size):
            return LogChunk(b"", offset, ending is not None, cut)
        if ending is None and self._is_quiet(record.ref, stream):
            return LogChunk(b"", offset, False)
        part, at = divmod(offset, PART_BYTES)
        data = self._part(record, f"{stream}.{part}")
        if data is None:
            return LogChunk(b"", offset, ending is not None, cut or size is not None)
        data = data[at : at + limit]
        if ending is None and not data:
            self._now_quiet(record.ref, stream)
        reached = offset + len(data)
        over = ending is not None and (reached >= size if size is not None else not data)
        return LogChunk(data, reached, over, cut)

    def open(self, record: Record, number: int, size: int) -> IO[bytes]:
        """An output by its number, no more of it than it had at the end. Raises ``OSError`` when
        it is gone for good.
        """
        into = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - handed on open
        try:
            if record.node is None:
                raise FileNotFoundError(number)
            name = f"{PLACE}/{record.folder}/{OUTPUTS}/{number}"
            self._dashboard.copy_log_file(record.node, name, into, size)
        except FileMissing as error:
            into.close()
            raise FileNotFoundError(str(error)) from error
        except NodeUnreachable as error:
            into.close()
            self._raise_if_alive(record.node, error)
            raise FileNotFoundError(str(error)) from error
        except BaseException:
            into.close()
            raise
        into.seek(0)
        return into

    def _part(self, record: Record, name: str) -> bytes | None:
        """None when it is not there, or will never be reached again."""
        if record.node is None:
            return None
        try:
            place = f"{PLACE}/{record.folder}/{name}"
            return self._dashboard.read_log_file(record.node, place, 2 * PART_BYTES)
        except FileMissing:
            return None
        except NodeUnreachable as error:
            self._raise_if_alive(record.node, error)
            return None

    def _raise_if_alive(self, node: str | None, error: Exception) -> None:
        if node in {one.node_id for one in self._roster.alive()}:
            raise EngineUnavailable(f"node {node} cannot be asked: {error}") from error

    def _is_quiet(self, ref: str, stream: str) -> bool:
        return time.monotonic() < self._quiet.get((ref, stream), 0)

    def _now_quiet(self, ref: str, stream: str) -> None:
        """Nothing new: no need to ask again at once. An agent asks for each job twice a second."""
        if len(self._quiet) > _QUIET_MAX:
            self._quiet.clear()
        self._quiet[ref, stream] = time.monotonic() + self._quiet_seconds
