"""Output of a job into a file that never grows past its bound.

Standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path

_CHUNK = 1 << 18


class BoundedStream:
    """Drains a pipe for as long as it is open; keeps the first so many bytes and says so."""

    def __init__(self, file: Path, bytes_max: int) -> None:
        read_end, self.write_end = os.pipe()
        os.set_blocking(read_end, False)
        self.read_end: int | None = read_end
        self.truncated = False
        self.lost = False
        """Something could not be written: there is not even a note of it in the file."""
        self._note = f"\n[suanwang] more than {bytes_max} bytes; the rest was dropped\n".encode()
        self._left = max(bytes_max - len(self._note), 0)
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def close_write_end(self) -> None:
        """Once the job holds its own copy."""
        os.close(self.write_end)

    def drain(self) -> bool:
        """Take what is there; False once the last writer has gone."""
        if self.read_end is None:
            return False
        try:
            data = os.read(self.read_end, _CHUNK)
        except BlockingIOError:
            return True
        if data:
            self._keep(data)
            return True
        self.close()
        return False

    def _keep(self, data: bytes) -> None:
        if self.truncated:
            return
        kept, over = data[: self._left], len(data) > self._left
        try:
            self._write(kept)
            self._left -= len(kept)
            if over:
                self._write(self._note)
        except OSError:  # the disk is full: the job's own output is what may be lost
            over = self.lost = True
        self.truncated = over

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        if self.read_end is not None:
            os.close(self.read_end)
            os.close(self._file)
            self.read_end = None
