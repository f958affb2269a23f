"""A job's folder on the shared file system: what goes in, and what is read out past links.

``work`` is the job's; beside it lie its script, its environment, its two streams, and the marks
of the batch script. All of it belongs to the jobs' user: nothing in it is trusted.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from suanwang.core.jobspec import JobSpec
from suanwang.engines.local import files
from suanwang.engines.port import LogChunk, OutputFile, Stream
from suanwang.engines.slurm.account import Account
from suanwang.engines.slurm.script import (
    BEGUN,
    EXIT,
    GRACE,
    WALLTIME,
    environment_file,
    job_environment,
)


class Places:
    """All jobs' folders, by key."""

    def __init__(self, root: Path, account: Account, stream_bytes_max: int) -> None:
        self._root = root
        self._account = account
        note = f"\n[suanwang] more than {stream_bytes_max} bytes; the rest is not shown\n"
        self._note = note.encode()
        self._kept = stream_bytes_max - len(self._note)
        root.mkdir(parents=True, exist_ok=True, mode=0o711 if account.other else 0o700)

    def path(self, key: str) -> Path:
        return self._root / key

    def exists(self, key: str) -> bool:
        return self.path(key).is_dir()

    def build(self, key: str, spec: JobSpec, inputs: Mapping[str, Path]) -> Path:
        """Build aside and put it in place in one step: a crash leaves nothing half-built."""
        place = self.path(key)
        building = self._root / f".new-{secrets.token_hex(6)}"
        building.mkdir(mode=0o700)
        try:
            if inputs:  # otherwise the batch script makes it, on the node
                (building / "work").mkdir(mode=0o700)
                files.place_inputs(building / "work", inputs)
            home, user = str(place / "work"), self._account.name
            pairs = job_environment(key, spec, home=home, user=user)
            _write(building / "environment", environment_file(pairs), 0o400)
            _write(building / "script", spec.script.encode(), 0o500)
            if self._account.other:
                files.give_to(building, self._account.uid, self._account.gid)
            building.rename(place)
        except OSError:
            files.remove(building)
            raise
        return place

    def remove(self, key: str) -> None:
        """Out of the way first, so that a half-deleted folder is never taken for a job's."""
        going = self._root / f".gone-{secrets.token_hex(6)}"
        with contextlib.suppress(FileNotFoundError):
            self.path(key).rename(going)
            files.remove(going)

    def sweep(self) -> None:
        """Delete what a process that died left half-built or half-deleted."""
        for entry in self._root.iterdir():
            if re.fullmatch(r"\.(new|gone)-[0-9a-f]{12}", entry.name):
                files.remove(entry)

    # -- the marks of the batch script ----------------------------------------------------

    def begun_by(self, key: str) -> int | None:
        """The Slurm job that began it; None if none did."""
        try:
            told = str((self.path(key) / BEGUN).readlink())
        except OSError:
            return None
        return int(told) if told.isdecimal() and len(told) < 12 else None

    def met_walltime(self, key: str) -> bool:
        return self._read(key, WALLTIME) is not None

    def exit_code(self, key: str) -> int | None:
        text = (self._read(key, EXIT) or b"").strip()
        return int(text) if text.isdigit() and len(text) <= 3 else None

    def say_grace(self, key: str, seconds: int) -> None:
        """How long the batch script lets the job go on once it is asked to end."""
        with contextlib.suppress(OSError):
            path = self.path(key) / GRACE
            _write(path, str(max(seconds, 0)).encode(), 0o444)
            if self._account.other:
                os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)

    def _read(self, key: str, name: str) -> bytes | None:
        try:
            with files.open_output(self.path(key), name, self._account.uid) as file:
                return file.read(64)
        except OSError:
            return None

    # -- what the job wrote --------------------------------------------------------------

    def log(self, key: str, stream: Stream, offset: int, limit: int, *, ended: bool) -> LogChunk:
        """Some of a stream, as if it ended with a note where it grew past its bound."""
        try:
            file = files.open_output(self.path(key), stream, self._account.uid)
        except OSError:
            return LogChunk(b"", offset, ended)
        with file:
            size = os.fstat(file.fileno()).st_size
            over = size > self._kept
            file.seek(offset)
            data = file.read(max(min(limit, self._kept - offset), 0))
        reached = offset + len(data)
        if over and reached >= self._kept:
            begin = reached - self._kept
            data += self._note[begin : begin + limit - len(data)]
            reached = offset + len(data)
        whole = self._kept + len(self._note) if over else size
        return LogChunk(data, reached, ended and reached >= whole, over)

    def outputs(self, key: str, globs: Sequence[str]) -> list[OutputFile]:
        if not globs or not self.exists(key):
            return []
        return files.outputs(self.path(key) / "work", globs, self._account.uid)

    def open_output(self, key: str, name: str) -> IO[bytes]:
        return files.open_output(self.path(key) / "work", name, self._account.uid)


def _write(path: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(data)
