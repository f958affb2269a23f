"""Who runs the city of a home: one lock, and one small file that says where it answers.

The lock (``up.lock``) is the truth; the file (``up.json``) is only believed while it is held, so
a file left by a ``kill -9`` misleads nobody.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any


@dataclass
class ChildState:
    """One supervised process, as the supervisor last saw it."""

    name: str
    pid: int | None = None
    since: str | None = None
    restarts: int = 0


@dataclass
class CityState:
    """What the supervisor tells about the city it runs."""

    pid: int
    address: str
    since: str
    phase: str = "starting"
    version: str = ""
    postgresql: str = ""
    children: list[ChildState] = field(default_factory=list)


def make_home(home: Path) -> None:
    """Make the folder of a city's state, closed to others; as root, others may pass through it.

    The embedded PostgreSQL, which root runs under another account, lives inside.
    """
    if not home.exists():
        home.mkdir(parents=True)
        home.chmod(0o711 if os.geteuid() == 0 else 0o700)


def take(home: Path, *, patience_seconds: float = 1) -> IO[bytes] | None:
    """Take the lock of a home for as long as the file stays open; ``None`` if another has it."""
    make_home(home)
    path = home / "up.lock"
    deadline = time.monotonic() + patience_seconds
    while True:
        lock = path.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.samefile(f"/proc/self/fd/{lock.fileno()}"):
                return lock  # else its last holder has just removed it
        except BlockingIOError:
            if time.monotonic() > deadline:
                lock.close()
                return None
        lock.close()
        time.sleep(0.05)


def held(home: Path) -> bool:
    """Whether a supervisor runs in this home."""
    try:
        with (home / "up.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def read(home: Path) -> CityState | None:
    """The state of the city that runs in this home, if one does."""
    if not held(home):
        return None
    try:
        said: dict[str, Any] = json.loads((home / "up.json").read_text(encoding="utf-8"))
        children = [ChildState(**child) for child in said.pop("children")]
        return CityState(**said, children=children)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def write(home: Path, state: CityState) -> None:
    """Replace the file whole, so that a reader never sees half of it."""
    part = home / "up.json.part"
    part.write_text(json.dumps(asdict(state), indent=2), encoding="utf-8")
    part.rename(home / "up.json")


def forget(home: Path) -> None:
    """Remove the files of a city that has stopped, the lock last."""
    (home / "up.json").unlink(missing_ok=True)
    (home / "up.lock").unlink(missing_ok=True)
