"""What Ray starts on a node for one job: ``python3 run.py`` in the unpacked package.

It puts the job's folder beside Ray's own logs, where the dashboard can read it on whichever node
it is, accompanies the job as the local engine's runner does, and leaves behind what came of it.
No shell has read anything the user wrote, except as his script.

Standard library only, Python 3.10: nodes have no Suanwang.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from suanwang.engines import files
from suanwang.engines.local import processes
from suanwang.engines.local.plan import (
    BEGAN,
    PLAN,
    Plan,
    Status,
    hold_lock,
    read_plan,
    read_status,
    runner_pid,
    write_json,
)
from suanwang.engines.local.runner import Runner
from suanwang.engines.local.streams import BoundedStream

PLACE, TASK, SCRIPT, END = "suanwang", "task.json", "script", "end.json"
PART_BYTES = 256 << 10
"""Output is kept in parts of this size: the dashboard can only be asked for whole files."""
OUTPUTS = "out"
_EXIT_CODES = {"succeeded": 0, "timeout": 124, "out_of_memory": 137}
_SWEPT_MAX = 200
_STOPS = (signal.SIGTERM, signal.SIGINT)


class PartedStream(BoundedStream):
    """A bounded stream in files of ``PART_BYTES``: ``stdout.0``, ``stdout.1``, …"""

    def __init__(self, file: Path, bytes_max: int) -> None:
        self.size = 0
        self._base = file
        super().__init__(self._part(), bytes_max)

    def _part(self) -> Path:
        return self._base.with_name(f"{self._base.name}.{self.size // PART_BYTES}")

    def _write(self, data: bytes) -> None:
        while data:
            if self.size and self.size % PART_BYTES == 0:
                os.close(self._file)
                self._file = os.open(self._part(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            written = os.write(self._file, data[: PART_BYTES - self.size % PART_BYTES])
            self.size += written
            data = data[written:]


class RayRunner(Runner):
    """One job, ended by Ray's SIGTERM or together with the guard beside it."""

    def __init__(self, folder: Path, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        super().__init__(folder)

    def sizes(self) -> dict[str, int]:
        return {
            name: one.size for name, one in self.streams.items() if isinstance(one, PartedStream)
        }

    def _stream(self, name: str) -> BoundedStream:
        return PartedStream(self.folder / name, self.plan.stream_bytes_max)

    def _look_for_end(self) -> None:
        if self.stopped:
            self._end("cancelled", "cancelled", self._grace_seconds)

    def _supervisor_gone(self) -> None:
        """Ray has given the room to others by now: there is no time for grace."""
        if self.tied is not None:
            os.close(self.tied)
            self.tied = None
        self._end("node_failed", "supervisor_gone", 0)


def main() -> int:
    """Two processes of one program: the one Ray knows keeps watch over the one that works.

    Whichever of the two is killed, the other ends the job whole and says so.
    """
    package = Path.cwd()
    task: dict[str, Any] = json.loads((package / TASK).read_text(encoding="utf-8"))
    # Ray has made its driver log our output: that says where its logs are.
    folder = Path("/proc/self/fd/1").readlink().parent / PLACE / task["folder"]
    folder.mkdir(mode=0o700, parents=True)  # fails if it was begun before
    guard = Guard(folder)
    _prepare(task, package, folder)
    os.chdir("/")
    print(f"attempt {task['key']} in {folder}", flush=True)  # noqa: T201 - for the site's staff
    code = guard.fork()
    if code is None:
        code = work(task, folder)
    return code


class Guard:
    """The process Ray knows. It works nothing, so there is little that could end it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runner: int | None = None
        self._stopped = False
        self._supervisor = os.pidfd_open(os.getppid())
        for number in _STOPS:
            signal.signal(number, self._signalled)

    def fork(self) -> int | None:
        """None in the process that works; in this one, once that has ended, the exit code."""
        processes.become_subreaper()
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # until somebody there can hear them
        self._runner = os.fork()
        if self._runner == 0:
            os.setsid()  # apart: what kills this process and its group is survived, and noticed
            return None
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        if self._stopped:
            processes.send([self._runner], signal.SIGTERM)
        runner = os.pidfd_open(self._runner)
        poll = select.poll()
        for descriptor in (runner, self._supervisor):
            poll.register(descriptor, select.POLLIN)
        if runner not in {descriptor for descriptor, _ in poll.poll()}:
            return 1  # Ray's own process is gone: the runner sees us go, and ends the job
        code = os.waitstatus_to_exitcode(os.waitpid(self._runner, 0)[1])
        if code < 0:
            self._runner_killed()
        return code & 255

    def _signalled(self, _number: int, _frame: object) -> None:
        self._stopped = True
        if self._runner:
            processes.send([self._runner], signal.SIGTERM)

    def _runner_killed(self) -> None:
        processes.kill_below(os.getpid())  # its orphans are ours
        abandon(self._folder)


def work(task: dict[str, Any], folder: Path) -> int:
    """Run the job to its end and put away what came of it."""
    if hold_lock(folder) is None:
        raise RuntimeError("another runner has it")
    (folder / BEGAN).touch(mode=0o600)
    runner = RayRunner(folder, task["grace_seconds"])
    runner._say()
    runner.run()
    status = runner.status
    outputs = _take_outputs(folder, task["files_out"])
    leave(folder, status, runner.sizes(), outputs)
    files.remove(folder / "work")
    print(f"{status.state} {status.reason}", flush=True)  # noqa: T201
    with contextlib.suppress(OSError):
        sweep(folder.parent, task["keep_seconds"])
    return _EXIT_CODES.get(status.state, (status.exit_code or 1) & 255 or 1)


def leave(
    folder: Path, status: Status, sizes: dict[str, int], outputs: list[tuple[str, int]]
) -> None:
    """The last word, for whoever asks."""
    end: dict[str, object] = {"status": asdict(status), "sizes": sizes, "outputs": outputs}
    write_json(folder, END, end)


def abandon(folder: Path) -> None:
    """Say of a job whose runner was killed that nobody saw its end."""
    status = read_status(folder) or Status("lost")
    if status.started_at is not None:
        status.ended_at = status.started_at + (status.elapsed_seconds or 0)
    status.state, status.reason = "lost", "runner_killed"
    sizes = {
        name: sum(part.stat().st_size for part in folder.glob(f"{name}.*"))
        for name in ("stdout", "stderr")
    }
    leave(folder, status, sizes, [])


def _prepare(task: dict[str, Any], package: Path, folder: Path) -> None:
    work = folder / "work"
    work.mkdir(mode=0o700)
    names = task["inputs"]
    files.place_inputs(work, {name: package / "inputs" / str(i) for i, name in enumerate(names)})
    shutil.copyfile(package / SCRIPT, folder / SCRIPT)
    (folder / SCRIPT).chmod(0o500)
    guard = os.getpid()
    began = processes.start_time(guard)
    plan = Plan(
        key=task["key"],
        place=str(folder),
        interpreter=task["interpreter"],
        environment=_environment(task, str(work)),
        cpus=[],
        memory_mib=task["memory_mib"],
        walltime_seconds=task["walltime_seconds"],
        processes_max=task["processes_max"],
        disk_mib=task["disk_mib"],
        stream_bytes_max=task["stream_bytes_max"],
        sandbox="session",
        isolation=task["isolation"],
        tied_to=[guard, -1 if began is None else began],
    )
    write_json(folder, PLAN, plan)


def _environment(task: dict[str, Any], home: str) -> dict[str, str]:
    """Little of the node's own; the job may override the first part, not the last."""
    usual = {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": home, "TMPDIR": home,
        "SHELL": "/bin/bash", "OMP_NUM_THREADS": str(task["cores"]),
    }  # fmt: skip
    passed = {name: os.environ[name] for name in task["pass_environment"] if name in os.environ}
    devices = {
        name: value for name, value in os.environ.items() if name.endswith("_VISIBLE_DEVICES")
    }
    ray: dict[str, str] = {}
    if task["reach_ray"]:
        ray = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    asked: dict[str, str] = task["environment"]
    marks: dict[str, str] = task["marks"]
    return usual | passed | ray | asked | marks | devices


def _take_outputs(folder: Path, globs: list[str]) -> list[tuple[str, int]]:
    """Move what was asked for out of the job's own folder, each under its number."""
    if not globs:
        return []
    work, out = folder / "work", folder / OUTPUTS
    out.mkdir(mode=0o700)
    found = files.outputs(work, globs, os.geteuid())
    for number, (name, _) in enumerate(found):
        (work / name).rename(out / str(number))
    return found


def sweep(place: Path, keep_seconds: int) -> None:
    """Tidy this node: end what lost its runner and its guard, and remove what is kept no longer."""
    before = time.time() - keep_seconds
    with os.scandir(place) as entries:
        found = [(one.name, one.stat(follow_symlinks=False).st_mtime) for one in entries]
    for name, changed in found[:_SWEPT_MAX]:
        folder = place / name
        if runner_pid(folder) is not None:
            continue
        if (folder / BEGAN).exists() and not (folder / END).exists():
            processes.send(processes.marked(read_plan(folder).key), signal.SIGKILL)
            abandon(folder)
        if changed < before:
            files.remove(folder)


if __name__ == "__main__":
    sys.exit(main())
