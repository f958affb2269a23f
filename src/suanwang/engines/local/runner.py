"""The process that stays beside one job: ``python -m suanwang.engines.local.runner <folder>``.

It is a session of its own and outlives the agent. It starts the job, drains its output, ends it at
the walltime, on request or when the supervisor it is tied to is gone, and says what happened. If
it is killed itself, its status stays unfinished and its lock is free: the engine then knows that
the job's end is unknown, and calls it lost, never a success.

Standard library only: about 12 MiB resident, one for each running job.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from suanwang.engines.local import limits, processes
from suanwang.engines.local.cgroups import Group, Support
from suanwang.engines.local.plan import (
    BEGAN,
    CANCEL,
    HELD_BACK,
    STATUS,
    Plan,
    Status,
    hold_lock,
    read_plan,
    write_json,
)
from suanwang.engines.local.sandbox import (
    CLEAN_PATH,
    bubblewrap_options,
    bubblewrap_path,
    limited,
)
from suanwang.engines.local.streams import BoundedStream

_WALLTIME_GRACE_SECONDS = 5
_TIED_GRACE_SECONDS = 1
_HEARTBEAT_SECONDS = 5
_WATCH_SECONDS = 0.2
_DISK_SECONDS = 5


class Runner:
    """One job from its start to its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan: Plan = read_plan(folder)
        self.status = Status("starting", self.plan.isolation)
        self.group: Group | None = None
        if self.plan.cgroup_version:
            support = Support(self.plan.cgroup_version, self.plan.cgroup_parents)
            self.group = Group(support, self.plan.group or self.plan.key)
        self.streams: dict[str, BoundedStream] = {}
        self.child: subprocess.Popen[bytes] | None = None
        self.tied: int | None = None
        self.cause: tuple[str, str] | None = None  # final state and reason, once decided
        self.kill_at: float | None = None
        self.killed = False
        self.stopped = False
        self.began = 0.0
        self._next_watch = self._next_disk = self._next_heartbeat = 0.0
        self._wake, wake_end = os.pipe()
        os.set_blocking(wake_end, False)
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        for number in (*HELD_BACK, signal.SIGCHLD):
            signal.signal(number, self._signalled)
        # It was started with these held back: what came meanwhile comes now, and killed nobody.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)

    # -- the life of a job, in order ----------------------------------------------------------

    def run(self) -> None:
        self._look_for_supervisor()
        self._look_for_end()
        if self.cause is None:
            try:
                self._start()
            except (OSError, subprocess.SubprocessError) as error:
                self.cause = ("failed", f"not_started: {error}")
        if self.child is not None:
            self._accompany()
        self._clear()
        self._conclude()

    def _start(self) -> None:
        plan = self.plan
        processes.become_subreaper()
        if self.group is not None:
            cores = max(len(plan.cpus), 1)
            self.group.create(
                memory_mib=plan.memory_mib, processes_max=plan.processes_max, cores=cores
            )
        for name in ("stdout", "stderr"):
            self.streams[name] = self._stream(name)
        if plan.sandbox == "bubblewrap":
            command, environment, passed = self._boxed()
        else:
            command = [*plan.interpreter, plan.script]
            environment, passed = plan.environment, ()
        self.began = time.monotonic()
        self.status.started_at = time.time()
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.streams["stdout"].write_end,
            stderr=self.streams["stderr"].write_end,
            env=environment,
            cwd=plan.work,
            pass_fds=passed,
            start_new_session=True,
            preexec_fn=self._become_the_job,  # noqa: PLW1509 - this process has one thread
        )
        for descriptor in passed:
            os.close(descriptor)
        for stream in self.streams.values():
            stream.close_write_end()
        self.status.state, self.status.elapsed_seconds = "running", 0
        self._say()

    def _stream(self, name: str) -> BoundedStream:
        return BoundedStream(self.folder / name, self.plan.stream_bytes_max)

    def _boxed(self) -> tuple[list[str], dict[str, str], tuple[int, ...]]:
        """Options go through a pipe: no other user of this machine can read them in ``ps``."""
        program = bubblewrap_path()
        if program is None:
            raise OSError("bubblewrap is gone")
        options = b"".join(os.fsencode(word) + b"\0" for word in bubblewrap_options(self.plan))
        descriptor = os.memfd_create("options")
        os.write(descriptor, options)
        os.lseek(descriptor, 0, os.SEEK_SET)
        inside = limited(self.plan, [*self.plan.interpreter, "/script"])
        command = [program, "--args", str(descriptor), "--", *inside]
        # Never the job's environment: what is in it must not reach a program outside the box.
        return command, {"PATH": CLEAN_PATH}, (descriptor,)

    def _become_the_job(self) -> None:
        """Between fork and exec: take on the limits, then the user."""
        plan = self.plan
        if self.group is not None:
            self.group.enter()
        with contextlib.suppress(PermissionError):  # it is already likelier to be taken than that
            Path("/proc/self/oom_score_adj").write_text("500")
        if plan.cpus:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, plan.cpus)
        limits.at_most(resource.RLIMIT_CORE, 0)
        limits.at_most(resource.RLIMIT_FSIZE, plan.disk_mib << 20)
        limits.at_most(resource.RLIMIT_NOFILE, 4096)
        if self.group is None:
            # A guard between two looks at the memory; the limit itself is kept by _watch_memory.
            limits.at_most(resource.RLIMIT_DATA, (2 * plan.memory_mib + 64) << 20)
        if plan.uid is not None:
            if self.group is None:
                limits.at_most(resource.RLIMIT_NPROC, plan.processes_max)
            os.setgroups([])
            os.setgid(plan.uid)
            os.setuid(plan.uid)
        elif self.group is None and plan.sandbox == "session":
            limits.at_most(resource.RLIMIT_NPROC, plan.processes_max + limits.tasks_of(os.getuid()))
        processes.die_with_parent()
        if plan.sandbox == "session":
            os.umask(0o077)
            processes.gain_nothing_by_exec()

    def _accompany(self) -> None:
        """Until the job's first process has ended, on its own or not."""
        child = self._child()
        self._next_heartbeat = self._next_disk = self.began + _HEARTBEAT_SECONDS
        while child.poll() is None:
            self._wait()
            now = time.monotonic()
            processes.reap_orphans(child.pid)
            if self.cause is None and now >= self.began + self.plan.walltime_seconds:
                self._end("timeout", "walltime", _WALLTIME_GRACE_SECONDS)
            if self.kill_at is not None and now >= self.kill_at and not self.killed:
                self._kill()
            self._watch_memory(now)
            self._watch_disk(now)
            if now >= self._next_heartbeat:
                self._next_heartbeat = now + _HEARTBEAT_SECONDS
                self.status.elapsed_seconds = math.ceil(now - self.began)
                with contextlib.suppress(OSError):
                    self._say()
        if self.stopped:  # whoever ended us may have ended the job first
            self._look_for_end()
        self.status.ended_at = time.time()
        self.status.elapsed_seconds = max(math.ceil(time.monotonic() - self.began), 1)

    def _wait(self) -> None:
        now = time.monotonic()
        deadlines = [self._next_heartbeat, self._next_disk]
        if self.group is None:
            deadlines.append(self._next_watch)
        if self.cause is None:
            deadlines.append(self.began + self.plan.walltime_seconds)
        elif not self.killed and self.kill_at is not None:
            deadlines.append(self.kill_at)
        poll = select.poll()
        sources = {self._wake: "wake"}
        if self.tied is not None:
            sources[self.tied] = "tied"
        for name, stream in self.streams.items():
            if stream.read_end is not None:
                sources[stream.read_end] = name
        for descriptor in sources:
            poll.register(descriptor, select.POLLIN)
        timeout = max(min(deadlines) - now, 0)
        for descriptor, _ in poll.poll(math.ceil(timeout * 1000)):
            match sources[descriptor]:
                case "wake":
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake, 512)
                    self._look_for_end()
                case "tied":
                    self._supervisor_gone()
                case name:
                    self.streams[name].drain()

    def _clear(self) -> None:
        """Leave no process of the job, whatever it did to stay; then take the last output."""
        if self.group is not None:
            self.group.kill()
        processes.kill_below(os.getpid())
        if self.plan.uid is not None and self.status.started_at is not None:
            processes.kill_all_of(self.plan.uid)
        processes.reap_orphans(None)
        until = time.monotonic() + 2
        for stream in self.streams.values():
            while stream.drain() and time.monotonic() < until:
                pass
            stream.close()

    def _conclude(self) -> None:
        """Decide the final state and make it durable; a full disk is waited out."""
        status = self.status
        status.truncated = [name for name, one in self.streams.items() if one.truncated]
        if self.child is not None:
            code = self.child.returncode
            status.exit_code = 128 - code if code < 0 else code
            status.signal = status.exit_code - 128 if 128 < status.exit_code < 160 else None
            self._take_measure()
        oom = self.group is not None and self.group.oom_kills() > 0
        if self.cause is not None:
            status.state, status.reason = self.cause
        elif oom and status.exit_code:
            status.state, status.reason = "out_of_memory", "memory_limit"
        else:
            status.state = "failed" if status.exit_code else "succeeded"
            status.reason = "memory_limit_met" if oom else status.reason
        if not status.reason and any(stream.lost for stream in self.streams.values()):
            status.reason = "output_lost"
        if self.group is not None:
            self.group.remove()
        for _ in range(600):
            try:
                self._say()
            except OSError:
                time.sleep(1)
            else:
                return

    def _take_measure(self) -> None:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = peak = None
        if self.group is not None:
            cpu, peak = self.group.cpu_milliseconds(), self.group.memory_peak_mib()
        if cpu is None:
            cpu = int((spent.ru_utime + spent.ru_stime) * 1000)
        self.status.cpu_milliseconds = cpu
        self.status.memory_peak_mib = peak or -(-spent.ru_maxrss // 1024)

    # -- reasons to end it ------------------------------------------------------------

    def _end(self, state: str, reason: str, grace_seconds: float) -> None:
        """Ask everything in the job to end, and set the moment when it is made to."""
        if self.cause is not None:
            return
        self.cause = (state, reason)
        if self.child is None:
            return
        self.kill_at = time.monotonic() + grace_seconds
        if grace_seconds > 0:
            members = self._members()
            processes.send(members, signal.SIGTERM)
            processes.send(members, signal.SIGCONT)

    def _kill(self) -> None:
        self.killed = True
        if self.group is not None:
            self.group.kill()
        processes.kill_below(os.getpid(), waited_for=self._child().pid)

    def _members(self) -> list[int]:
        """The job's own processes: without those that only hold up its box."""
        if self.plan.sandbox != "bubblewrap":
            return processes.descendants(os.getpid())
        return processes.descendants(self._child().pid)[1:]  # the first is process 1 of the box

    def _child(self) -> subprocess.Popen[bytes]:
        if self.child is None:
            raise RuntimeError("the job has not been started")
        return self.child

    def _signalled(self, number: int, _frame: object) -> None:
        """Only noted, for it may come between any two steps; the pipe wakes whoever waits."""
        if number in (signal.SIGTERM, signal.SIGINT):
            self.stopped = True

    def _look_for_end(self) -> None:
        """Whether somebody wants the job ended, or this runner."""
        self._look_for_cancel()
        if self.stopped:
            self._end("node_failed", "runner_stopped", _TIED_GRACE_SECONDS)

    def _look_for_cancel(self) -> None:
        try:
            asked = json.loads((self.folder / CANCEL).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        reason = str(asked.get("reason", ""))
        state = "node_failed" if reason else "cancelled"
        self._end(state, reason or "cancelled", float(asked.get("grace_seconds", 0)))

    def _look_for_supervisor(self) -> None:
        if self.plan.tied_to is None:
            return
        self.tied = processes.open_exact(self.plan.tied_to[0], self.plan.tied_to[1])
        if self.tied is None:
            self._supervisor_gone()

    def _supervisor_gone(self) -> None:
        if self.tied is not None:
            os.close(self.tied)
            self.tied = None
        self._end("node_failed", "supervisor_gone", _TIED_GRACE_SECONDS)

    def _watch_memory(self, now: float) -> None:
        """Without control groups the runner itself keeps the limit, several times a second."""
        if self.group is not None or now < self._next_watch:
            return
        self._next_watch = now + _WATCH_SECONDS
        members, limit = self._members(), self.plan.memory_mib
        over = processes.memory_mib(members) > limit
        if over and processes.proportional_memory_mib(members) > limit:
            self._end("out_of_memory", "memory_limit", 0)

    def _watch_disk(self, now: float) -> None:
        if now < self._next_disk:
            return
        self._next_disk = now + _DISK_SECONDS
        if limits.disk_mib(Path(self.plan.work)) > self.plan.disk_mib:
            self._end("failed", "disk_limit", 0)

    def _say(self) -> None:
        write_json(self.folder, STATUS, self.status)


def main() -> int:
    folder = Path(sys.argv[1])
    os.chdir("/")
    if hold_lock(folder) is None:
        return 75  # another runner has it
    try:
        os.close(os.open(folder / BEGAN, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return 75  # it was begun before: what became of it is for the engine to say
    runner = Runner(folder)
    runner._say()
    runner.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
