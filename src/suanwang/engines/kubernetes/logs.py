"""A job's output, brought over line by line into a file of our own.

Kubernetes offers no offset: it tells a log from its beginning or from a second on, forgets the
first part when the kubelet rotates the file (10 MiB, usually), and all of it with the Pod. So what
was read is kept here, and offsets are those of this file.

Lines come with their times. After a reading we know how many lines of the last two seconds were
taken; the next reading begins at the first of these and leaves out as many. The times of stdout
and stderr are taken before their lines are written, so neighbours may stand in the wrong order:
two seconds are far more than that.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

_PIECE = 1 << 20
_STAMPED = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\dZ:+-]{1,24} ")
_CUT = b"\n[suanwang] more than %d bytes; the rest was dropped\n"
_ROTATED = b"[suanwang] some lines are missing here: the node had rotated the log away\n"

Read = Callable[[str | None, int], bytes]
"""A log with times, from a second on (or the beginning), at most so many bytes."""


@dataclass
class _State:
    size: int = 0
    """Of our file; a longer one was cut off while being written to."""
    lines: dict[str, list[int]] = field(default_factory=dict)
    """By second (in UTC), the last two: how many lines and bytes of the log were taken."""
    last: str = ""
    """The stamp of the last line."""
    truncated: bool = False
    complete: bool = False


class LogFile:
    """What is kept of one Job's output."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self._text, self._note = folder / "log", folder / "log.json"
        self._bytes_max = bytes_max
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._state = _State()
        with suppress(OSError, ValueError, TypeError):
            self._state = _State(**json.loads(self._note.read_bytes()))

    @property
    def complete(self) -> bool:
        return self._state.complete

    @property
    def truncated(self) -> bool:
        return self._state.truncated

    def pull(self, read: Read, *, ended: bool) -> None:
        """Take what is new; once the job has ended, all there is. What is over the bound is not
        even asked for.
        """
        while not self._state.complete:
            if self._state.truncated:
                if ended:
                    self.close(cut_off=True)
                return
            if not self._pull_piece(read, ended=ended) or not ended:
                return

    def close(self, *, cut_off: bool) -> None:
        """Nothing more can come."""
        self._state.complete = True
        self._state.truncated |= cut_off
        self._write(b"")

    def piece(self, offset: int, limit: int) -> tuple[bytes, bool]:
        """Some bytes, and whether they reach the end of what is kept."""
        try:
            with self._text.open("rb") as file:
                file.seek(offset)
                data = file.read(max(min(limit, self._state.size - offset), 0))
        except FileNotFoundError:
            data = b""
        return data, offset + len(data) >= self._state.size

    def _pull_piece(self, read: Read, *, ended: bool) -> bool:
        """True if there may be more at once."""
        state = self._state
        had = sum(taken[1] for taken in state.lines.values())
        since = f"{min(state.lines)}Z" if state.lines else None
        asked = had + _PIECE
        found = read(since, asked)
        full = len(found) >= asked
        lines = found.splitlines(keepends=True)
        cut = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        new = self._new(lines)
        endless = bool(cut) and full and not new
        if cut and (endless or (ended and not full)):
            new.append(cut)
        if new:
            self._take(new)
        if endless:  # a line of more than a piece cannot be waited for, nor found again
            self.close(cut_off=True)
            return False
        if ended and not full:
            state.complete = True
            self._write(b"")
        return full

    def _new(self, lines: list[bytes]) -> list[bytes]:
        """Without those already taken; all of them, with a note, if the log was rotated."""
        state = self._state
        skip = sum(taken[0] for taken in state.lines.values())
        if not skip or (len(lines) >= skip and self._split(lines[skip - 1])[0] == state.last):
            return lines[skip:]
        state.lines.clear()
        self._write(_ROTATED)
        last = _utc_second(state.last)
        return [line for line in lines if _utc_second(self._split(line)[0]) > last]

    def _split(self, line: bytes) -> tuple[str, bytes]:
        """The time and the text. What has no time goes on with the line before it."""
        if _STAMPED.match(line) is None:
            return self._state.last, line
        stamp, _, rest = line.partition(b" ")
        return stamp.decode("ascii"), rest

    def _take(self, lines: list[bytes]) -> None:
        state = self._state
        seconds: OrderedDict[str, list[int]] = OrderedDict(state.lines)
        text = bytearray()
        for line in lines:
            stamp, rest = self._split(line)
            second = _utc_second(stamp)
            taken = seconds.setdefault(second, [0, 0])
            taken[0] += 1
            taken[1] += len(line)
            state.last = stamp
            text += rest
        kept = sorted(seconds)[-2:]
        state.lines = {second: seconds[second] for second in kept}
        self._write(bytes(text))

    def _write(self, text: bytes) -> None:
        """Text first, then how long it is: a crash between the two is repeated, not doubled."""
        state = self._state
        if text and not state.truncated:
            note = _CUT % self._bytes_max
            room = self._bytes_max - len(note) - state.size
            if len(text) > room:
                text, state.truncated = text[: max(room, 0)] + note, True
            mode = "r+b" if self._text.exists() else "w+b"
            with self._text.open(mode) as file:
                file.seek(state.size)
                file.truncate()
                file.write(text)
            state.size += len(text)
        waiting = self._note.with_suffix(".new")
        waiting.write_text(json.dumps(asdict(state)), encoding="utf-8")
        waiting.replace(self._note)


def _utc_second(stamp: str) -> str:
    if stamp.endswith("Z"):
        return stamp[:19]
    try:
        return datetime.fromisoformat(stamp).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return stamp[:19]
