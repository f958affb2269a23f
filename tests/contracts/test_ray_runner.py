"""How the Ray runner tidies a node: no Ray is needed for that."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from suanwang.core.jobspec import JobSpec
from suanwang.engines.local.plan import BEGAN, Plan, Status, write_json
from suanwang.engines.port import Submission
from suanwang.engines.ray.endings import read_left
from suanwang.engines.ray.package import task, write_package
from suanwang.engines.ray.runner import END, PART_BYTES, PartedStream, leave, sweep
from suanwang.engines.ray.settings import RaySettings

HOLD = "import sys; from pathlib import Path; from suanwang.engines.local.plan import hold_lock\n"
HOLD += "assert hold_lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"


def job(place: Path, name: str, key: str) -> Path:
    """A folder as a runner leaves it when it is killed."""
    folder = place / name
    folder.mkdir()
    plan = Plan(
        key=key, place=str(folder), interpreter=[], environment={}, cpus=[], memory_mib=16,
        walltime_seconds=60, processes_max=16, disk_mib=1, stream_bytes_max=4096,
        sandbox="session", isolation="session+rlimits",
    )  # fmt: skip
    write_json(folder, "plan.json", plan)
    write_json(folder, "status.json", Status("running", started_at=1.7e9, elapsed_seconds=5))
    (folder / "stdout.0").write_bytes(b"so far")
    (folder / BEGAN).touch()
    return folder


@pytest.fixture
def left_behind() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A process that carries the mark of an attempt and has nobody to end it."""
    key = secrets.token_hex(8)
    process = subprocess.Popen(["sleep", "600"], env={**os.environ, "SUANWANG_ATTEMPT": key})
    yield key, process
    process.kill()
    process.wait()


def test_what_lost_its_runner_and_its_guard_is_ended_and_called_lost(
    tmp_path: Path, left_behind: tuple[str, subprocess.Popen[bytes]]
) -> None:
    key, process = left_behind
    folder = job(tmp_path, "abandoned", key)
    sweep(tmp_path, 3600)
    assert process.wait(10) == -9
    left = read_left((folder / END).read_bytes())
    assert left is not None
    assert (left.status.state, left.status.reason) == ("lost", "runner_killed")
    assert (left.status.ended_at, left.sizes["stdout"]) == (1.7e9 + 5, 6)


def test_what_runs_is_left_alone_however_old(
    tmp_path: Path, left_behind: tuple[str, subprocess.Popen[bytes]]
) -> None:
    key, process = left_behind
    folder = job(tmp_path, "runs", key)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        os.utime(folder, (1, 1))
        sweep(tmp_path, 3600)
        assert (folder / BEGAN).exists()
        assert not (folder / END).exists()
        assert process.poll() is None
        holder.communicate(b"")


def test_what_is_kept_no_longer_goes_and_the_rest_stays(tmp_path: Path) -> None:
    old, new = job(tmp_path, "old", "k1"), job(tmp_path, "new", "k2")
    for folder in (old, new):
        leave(folder, Status("succeeded"), {"stdout": 6}, [])
    os.utime(old, (1, 1))
    sweep(tmp_path, 3600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["new"]


def test_a_stream_is_parted_without_a_gap(tmp_path: Path) -> None:
    stream = PartedStream(tmp_path / "stdout", 4 * PART_BYTES)
    data = os.urandom(2 * PART_BYTES + 1)
    for at in range(0, len(data), 60_000):
        os.write(stream.write_end, data[at : at + 60_000])
        stream.drain()
    stream.close_write_end()
    while stream.drain():
        pass
    parts = [(tmp_path / f"stdout.{number}").read_bytes() for number in range(3)]
    assert [len(part) for part in parts] == [PART_BYTES, PART_BYTES, 1]
    assert b"".join(parts) == data
    assert stream.size == len(data)


def unpacked(folder: Path, script: str) -> Path:
    """A job's package as Ray unpacks it on a node."""
    settings = RaySettings(url="http://127.0.0.1:1", grace_seconds=1)
    spec = JobSpec(script=script, memory_mib=64)
    what = task(Submission("k", spec), "job", settings)
    with tempfile.TemporaryFile(dir=folder) as file:
        write_package(file, what, spec.script, [], mib_max=1)
        zipfile.ZipFile(file).extractall(folder / "package")
    return folder / "package"


def test_a_stop_is_heard_whenever_it_comes(tmp_path: Path) -> None:
    """Ray stops a job that waited in the same breath as it starts it."""
    ends = set()
    for milliseconds in range(0, 240, 8):
        folder = tmp_path / str(milliseconds)
        folder.mkdir()
        package = unpacked(folder, "sleep 600")
        with (folder / "job-driver.log").open("wb") as log:
            runner = subprocess.Popen(
                [sys.executable, "-I", "-S", "run.py"], cwd=package, stdout=log, stderr=log
            )
        with suppress(subprocess.TimeoutExpired):
            runner.wait(milliseconds / 1000)
        runner.terminate()
        code = runner.wait(20)
        end = folder / "suanwang" / "job" / END
        left = read_left(end.read_bytes()) if end.exists() else None
        assert left is not None or code == -15, (folder / "job-driver.log").read_text()
        ends.add(left.status.state if left is not None else "never began")
    assert ends == {"cancelled", "never began"}
