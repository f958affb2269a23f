"""A backup is one file: the database as it was at one moment, and the keys that go with it.

``pg_dump`` reads in one snapshot, so the city goes on while it is backed up.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psycopg

import suanwang
from suanwang.site import postgres, state
from suanwang.site.settings import Settings

_HELD = re.compile(r"about\.json|database\.dump|(keys|agent)/[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_NOT_KEPT = {"postgres.passfile", "welcome"}
"""What belongs to one server or one start and is made anew."""


class BackupError(RuntimeError):
    """The backup or the restore cannot be done; the message says what to do."""


def backup(city: Settings, target: Path, *, at: datetime) -> None:
    """Write the city that runs in this home, or the external database, to a file of mode 0600."""
    home = city.home.resolve()
    if target.exists():
        raise BackupError(f"{target} exists; a backup overwrites nothing")
    if city.database_url is None and not state.held(home):
        raise BackupError("no city runs in this home; start it first: suanwang up --detach")
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    try:
        with (
            tempfile.TemporaryDirectory(dir=target.parent) as folder,
            tarfile.open(part, "w") as tar,
        ):
            dump = Path(folder) / "database.dump"
            _run("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={city.dsn()}")
            about = {"suanwang": suanwang.__version__, "at": at.isoformat()}
            _add(tar, "about.json", json.dumps(about).encode())
            tar.add(dump, "database.dump")
            for path in _kept(home):
                tar.add(path, str(path.relative_to(home)))
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)


def restore(city: Settings, source: Path) -> dict[str, str]:
    """Fill an empty home, or an empty external database, from a backup; says what it held."""
    home = city.home.resolve()
    if state.held(home):
        raise BackupError("a city runs in this home; restore into another SUANWANG_HOME")
    state.make_home(home)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        opened = Path(folder)
        try:
            _unpack(source, opened)
            about: dict[str, str] = json.loads((opened / "about.json").read_text(encoding="utf-8"))
        except (tarfile.TarError, OSError, ValueError) as error:
            raise BackupError(f"{source} is not a backup of a city: {error}") from None
        with _server(city, home) as dsn:
            _refuse_if_filled(dsn)
            dump = str(opened / "database.dump")
            _run("pg_restore", "--exit-on-error", "--single-transaction", "--no-owner",
                 f"--dbname={dsn}", dump)  # fmt: skip
        for path in sorted(opened.glob("*/*")):
            place = home / path.relative_to(opened)
            place.parent.mkdir(mode=0o700, exist_ok=True)
            place.unlink(missing_ok=True)
            path.rename(place)
            place.chmod(0o600)
    return about


@contextmanager
def _server(city: Settings, home: Path) -> Iterator[str]:
    if city.database_url is not None:
        yield city.database_url
        return
    server = postgres.start(home)
    try:
        yield server.dsn
    finally:
        server.stop()


def _refuse_if_filled(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
    if tables and tables[0]:
        raise BackupError("the database is not empty; restore into a new one (SUANWANG_HOME)")


def _kept(home: Path) -> Iterator[Path]:
    for folder in ("keys", "agent"):
        for path in sorted((home / folder).glob("*")):
            small = path.suffix in {".key", ".json"} or folder == "keys"
            if path.is_file() and small and path.name not in _NOT_KEPT:
                yield path


def _unpack(source: Path, folder: Path) -> None:
    """Only what a backup holds, by name; Debian 12's tarfile has no filter for the rest."""
    with tarfile.open(source) as tar:
        for entry in tar:
            if not entry.isfile() or not _HELD.fullmatch(entry.name):
                raise BackupError(f"{source} holds {entry.name!r}, which no backup does")
            content = tar.extractfile(entry)
            place = folder / entry.name
            place.parent.mkdir(mode=0o700, exist_ok=True)
            with place.open("wb") as file:
                if content is not None:
                    shutil.copyfileobj(content, file)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _run(program: str, *arguments: str) -> None:
    command = [str(postgres.binaries() / "bin" / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackupError(f"{program} failed: {done.stderr.strip()}")
