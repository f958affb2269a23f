"""What the local engine keeps in, keeps out and never leaves behind, in a box and without."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from suanwang.core.jobspec import JobSpec
from suanwang.engines.local.plan import read_plan, runner_pid
from suanwang.engines.port import EngineState, Rejected, Submission

from .engine_benches import LocalBench, ended, look, no_skip_in_ci, output, submit, until

ESCAPE = """
import os, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.environ.clear()
for number in range(3):
    if os.fork() == 0: break
time.sleep(600)
"""
"""Forks twice into a session of its own, ignores SIGTERM and multiplies."""


@pytest.fixture(params=["box", "no box"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalBench]:
    boxed = request.param == "box"
    bench = LocalBench(tmp_path, sandbox="auto" if boxed else "session")
    facts = bench.engine.capabilities()
    if boxed and not facts.isolation.startswith("bubblewrap"):
        pytest.skip(no_skip_in_ci(facts.notes[0]))
    yield bench
    for folder in (tmp_path / "engine" / "jobs").iterdir():
        bench.engine.cancel([folder.name], 0)
        ended(bench, folder.name)
        bench.engine.forget([folder.name])


def boxed(bench: LocalBench) -> bool:
    return bench.engine.capabilities().isolation.startswith("bubblewrap")


def grouped(bench: LocalBench) -> bool:
    return "cgroup" in bench.engine.capabilities().isolation


def alive(bench: LocalBench, ref: str) -> list[int]:
    """Every process of this machine that is the job's, by its user or its mark."""
    plan = read_plan(bench.settings.root / "jobs" / ref)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if plan.uid is not None:
                    mine = entry.stat().st_uid == plan.uid
                else:
                    mine = f"SUANWANG_ATTEMPT={ref}".encode() in (entry / "environ").read_bytes()
                if mine:
                    found.append(int(entry.name))
    return found


@pytest.mark.parametrize("how", ["walltime", "cancel", "end"])
def test_a_tree_that_forks_away_is_ended_whole(bench: LocalBench, how: str) -> None:
    wait = "" if how == "end" else "sleep 600"
    script = f"python3 - <<'.'\n{ESCAPE}.\necho forked\n{wait}"
    ref = submit(bench, "a1", script, walltime_seconds=1 if how == "walltime" else 60)
    if how == "cancel":
        until(bench, ref, lambda _: b"forked" in bench.engine.logs(ref, "stdout", 0).data)
        assert len(alive(bench, ref)) >= 3
        bench.engine.cancel([ref], 1)
    seen = ended(bench, ref)
    states = {
        "walltime": EngineState.TIMEOUT,
        "cancel": EngineState.CANCELLED,
        "end": EngineState.SUCCEEDED,
    }
    assert seen.state is states[how]
    assert alive(bench, ref) == []


def test_a_job_is_asked_before_it_is_made_to_end(bench: LocalBench) -> None:
    script = "trap 'echo saving; exit 0' TERM\necho ready\nwhile :; do sleep 0.05; done"
    ref = submit(bench, "a1", script)
    until(bench, ref, lambda _: b"ready" in bench.engine.logs(ref, "stdout", 0).data)
    bench.engine.cancel([ref], 10)
    assert ended(bench, ref).state is EngineState.CANCELLED
    assert output(bench, ref) == "ready\nsaving\n"


def test_a_signal_of_its_own_is_told(bench: LocalBench) -> None:
    seen = ended(bench, submit(bench, "a1", "kill -SEGV $$"))
    assert (seen.state, seen.exit_code, seen.signal) == (EngineState.FAILED, 139, 11)


def test_more_memory_than_asked_for_ends_it(bench: LocalBench) -> None:
    script = "exec python3 -c 'x = [bytes(1 << 20) + b\"1\" for _ in range(120)]; print(len(x))'"
    ref = submit(bench, "a1", script, memory_mib=64)
    assert ended(bench, ref).state is EngineState.OUT_OF_MEMORY or not grouped(bench)
    assert output(bench, ref) == "" or not grouped(bench)
    greedy = (
        "exec python3 -c 'import time\nx=[]\nwhile 1: x.append(b\"1\" * (4<<20)); time.sleep(.02)'"
    )
    ref = submit(bench, "a2", greedy, memory_mib=64)
    assert ended(bench, ref).state is EngineState.OUT_OF_MEMORY
    ref = submit(bench, "a3", "echo within", memory_mib=64)
    assert ended(bench, ref).state is EngineState.SUCCEEDED


def test_a_fork_bomb_fills_its_own_box_only(bench: LocalBench) -> None:
    bench.with_settings(processes_max=64)
    bomb = "python3 - <<'.'\nimport os, time\nborn = 0\nwhile True:\n  try:\n    pid = os.fork()\n"
    bomb += "  except OSError:\n    print(born, flush=True); break\n"
    bomb += "  if pid == 0:\n    time.sleep(600)\n    os._exit(0)\n  born += 1\n.\n"
    ref = submit(bench, "a1", bomb)
    seen = ended(bench, ref)
    assert seen.state is EngineState.SUCCEEDED
    assert 30 < int(output(bench, ref)) < 64
    assert alive(bench, ref) == []


def test_a_flood_of_output_is_bounded_and_says_so(bench: LocalBench) -> None:
    bench.with_settings(stream_bytes_max=100_000)
    ref = submit(bench, "a1", "yes xxx | head -c 1G\necho end >&2")
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    text = output(bench, ref)
    assert len(text) == 100_000
    assert text.startswith("xxx\nxxx")
    assert text.endswith("\n[suanwang] more than 100000 bytes; the rest was dropped\n")
    assert bench.engine.logs(ref, "stdout", 0).truncated
    assert output(bench, ref, "stderr") == "end\n"


def test_more_disk_than_allowed_ends_it(bench: LocalBench) -> None:
    bench.with_settings(disk_mib=8)
    ref = submit(bench, "a1", "head -c 30000000 /dev/zero > big || exit 9")
    assert ended(bench, ref).state is EngineState.FAILED
    with suppress(FileNotFoundError):
        plan = read_plan(bench.settings.root / "jobs" / ref)
        assert Path(plan.work, "big").stat().st_size <= 8 << 20


def test_quotes_and_newlines_in_the_environment_arrive_as_they_are(bench: LocalBench) -> None:
    value = "one\n'two' \"three\" $(touch pwned) `id` \\ ; rm -rf . 保定"
    script = "python3 -c 'import os,sys; sys.stdout.write(os.environ[\"ODD\"])'; ls >&2"
    ref = submit(bench, "a1", script, environment={"ODD": value})
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert output(bench, ref) == value
    assert output(bench, ref, "stderr") == ""


def test_nothing_of_our_environment_reaches_the_job(
    bench: LocalBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "do-not-tell")
    ref = submit(bench, "a1", "env; cat /proc/$PPID/environ 2>/dev/null; true")
    ended(bench, ref)
    assert "do-not-tell" not in output(bench, ref)
    assert "SUANWANG_ATTEMPT=a1" in output(bench, ref)


def test_what_the_job_preloads_is_loaded_by_the_job_alone(bench: LocalBench) -> None:
    ref = submit(bench, "a1", "true", environment={"LD_PRELOAD": "/nowhere.so"})
    ended(bench, ref)
    log = (bench.settings.root / "jobs" / ref / "runner.log").read_text()
    assert "nowhere" not in log


def test_a_script_may_name_its_own_interpreter(bench: LocalBench) -> None:
    ref = submit(bench, "a1", "#!/usr/bin/env python3\nprint(6 * 7)")
    ended(bench, ref)
    assert output(bench, ref) == "42\n"


def test_an_interpreter_that_is_not_there_is_a_failure(bench: LocalBench) -> None:
    seen = ended(bench, submit(bench, "a1", "#!/no/such/thing\n"))
    assert seen.state is EngineState.FAILED


def test_files_go_in_and_only_plain_files_of_the_job_come_out(
    bench: LocalBench, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"given")
    script = """
        cat in/a.txt > out.txt; mkdir -p d/e 'n\nl'; echo deep > d/e/f.txt; touch 'n\nl/x.txt'
        ln -s /etc/passwd link.txt; ln -s /etc folder; mkfifo pipe.txt; ln -s .. up
        ln /etc/hostname hard.txt 2>/dev/null; ln -s loop loop
        exit 0
    """
    ref = submit(bench, "a1", script, files_out=["**/*.txt", "*.txt"], inputs={"in/a.txt": source})
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    names = [file.name for file in bench.engine.outputs(ref)]
    assert [name for name in names if name != "hard.txt"] == ["d/e/f.txt", "in/a.txt", "out.txt"]
    with bench.engine.open_output(ref, "d/e/f.txt") as file:
        assert file.read() == b"deep\n"
    for name in ("link.txt", "folder/passwd", "pipe.txt", "up/script", "../script", "/etc/passwd"):
        with pytest.raises(OSError):
            bench.engine.open_output(ref, name)


def test_a_killed_runner_is_a_lost_job_never_a_success(bench: LocalBench) -> None:
    ref = submit(bench, "a1", "echo on; setsid sleep 600 & sleep 600")
    until(bench, ref, lambda _: b"on" in bench.engine.logs(ref, "stdout", 0).data)
    runner = runner_pid(bench.settings.root / "jobs" / ref)
    assert runner is not None
    os.kill(runner, signal.SIGKILL)
    seen = ended(bench, ref)
    assert (seen.state, seen.reason) == (EngineState.LOST, "runner_killed")
    until(bench, ref, lambda _: alive(bench, ref) == [])
    bench.again()
    assert look(bench, ref).state is EngineState.LOST
    assert submit(bench, "a1", "echo again") == ref
    assert look(bench, ref).state is EngineState.LOST


def test_a_job_ends_with_the_supervisor_it_is_tied_to(bench: LocalBench) -> None:
    supervisor = subprocess.Popen(["sleep", "600"])
    bench.with_settings(tied_to=supervisor.pid)
    ref = submit(bench, "a1", "setsid sleep 600 & sleep 600")
    until(bench, ref, lambda seen: seen.state is EngineState.RUNNING)
    supervisor.kill()
    supervisor.wait()
    seen = ended(bench, ref)
    assert (seen.state, seen.reason) == (EngineState.NODE_FAILED, "supervisor_gone")
    assert alive(bench, ref) == []
    late = submit(bench, "a2", "echo never")
    assert ended(bench, late).state is EngineState.NODE_FAILED
    assert output(bench, late) == ""


def test_cores_and_memory_are_given_out_once(bench: LocalBench) -> None:
    node = bench.engine.inventory()[0]
    ref = submit(bench, "a1", "nproc; sleep 60", cores=node.cores)
    until(bench, ref, lambda seen: seen.state is EngineState.RUNNING)
    bench.again()
    spec = {"script": "true", "cores": 1, "memory_mib": 16}
    answer = bench.engine.submit([Submission("a2", spec_of(spec))])[0]
    assert isinstance(answer, Rejected)
    assert not answer.permanent
    bench.engine.cancel([ref], 0)
    ended(bench, ref)
    assert output(bench, ref) == f"{node.cores}\n"
    assert ended(bench, submit(bench, "a2", "true")).state is EngineState.SUCCEEDED


@pytest.mark.parametrize("key", ["", "..", "a/b", ".x", "a" * 65, "a\nb", "é"])
def test_a_key_that_could_name_another_folder_is_refused(bench: LocalBench, key: str) -> None:
    answer = bench.engine.submit([Submission(key, spec_of({"script": "true"}))])[0]
    assert isinstance(answer, Rejected)
    assert answer.permanent


def test_in_the_box_there_is_no_network_and_no_way_to_write_or_look_outside(
    bench: LocalBench, tmp_path: Path
) -> None:
    if not boxed(bench):
        assert "share files" in " ".join(bench.engine.capabilities().notes)
        return
    probes = f"""
        for place in / /usr /etc /opt /script /var /run /proc/sys/kernel/hostname; do
          touch $place/x 2>/dev/null && echo "wrote $place"
        done
        echo x 2>/dev/null > /script && echo "wrote the script"
        ls -d {tmp_path} /root /home /sys /boot 2>/dev/null
        echo interfaces: $(ls /proc/sys/net/ipv4/conf | grep -v -e all -e default)
        echo processes: $(ls -d /proc/[0-9]* | wc -l)
        exec 3<>/dev/tcp/127.0.0.1/22 && echo connected
        unshare --user true 2>/dev/null && echo "made a namespace"
        cat /etc/shadow 2>/dev/null; id -u; hostname; pwd
        touch /tmp/a ./b /dev/shm/c && echo scratch
    """
    ref = submit(bench, "a1", probes)
    ended(bench, ref)
    lines = output(bench, ref).split("\n")
    assert lines[0] == "interfaces: lo"
    assert re.fullmatch(r"processes: [2-8]", lines[1])
    assert int(lines[2]) not in (0, os.getuid())
    assert lines[3:] == ["suanwang", "/work", "scratch", ""]
    assert not Path("/tmp/a").exists()  # noqa: S108


def test_as_root_no_job_is_root_and_no_two_jobs_are_the_same_user(bench: LocalBench) -> None:
    if os.geteuid() != 0:
        assert read_uids(bench, 1) == [os.getuid()] or boxed(bench)
        return
    first, second = read_uids(bench, 2)
    assert 0 not in (first, second)
    assert first != second


def read_uids(bench: LocalBench, count: int) -> list[int]:
    refs = [submit(bench, f"u{n}", "id -u; sleep 1", memory_mib=16) for n in range(count)]
    for ref in refs:
        ended(bench, ref)
    return [int(output(bench, ref)) for ref in refs]


def spec_of(fields: dict[str, object]) -> JobSpec:
    return JobSpec.model_validate(fields)


def test_a_submission_cut_off_leaves_nothing_after_the_next_start(bench: LocalBench) -> None:
    ref = submit(bench, "a1", "sleep 60")
    jobs = bench.settings.root / "jobs"
    (jobs / ".new-half").mkdir()
    place = Path(read_plan(jobs / ref).place)
    half = place.parent / "half-built"
    if place != jobs / ref:  # beside a closed home
        half.mkdir()
    bench.again()
    assert [entry.name for entry in jobs.iterdir()] == [ref]
    assert not half.exists()
    assert place.is_dir()


def test_two_engines_of_one_machine_never_end_each_others_jobs(
    bench: LocalBench, tmp_path: Path
) -> None:
    ref = submit(bench, "a1", "echo ready\nsleep 2\necho still here")
    until(bench, ref, lambda _: b"ready" in bench.engine.logs(ref, "stdout", 0).data)
    ends, other = (LocalBench(tmp_path / n, sandbox=bench.settings.sandbox) for n in ("b", "c"))
    assert ended(ends, submit(ends, "a1", "true")).state is EngineState.SUCCEEDED
    killed = submit(other, "a1", "sleep 600")
    until(other, killed, lambda seen: seen.state is EngineState.RUNNING)
    runner = runner_pid(other.settings.root / "jobs" / killed)
    assert runner is not None
    os.kill(runner, signal.SIGKILL)
    assert ended(other, killed).state is EngineState.LOST
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert output(bench, ref) == "ready\nstill here\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_while_the_runner_starts_is_heeded_and_kills_nobody(
    bench: LocalBench, number: signal.Signals
) -> None:
    """It is sent before the runner has read a line of its program."""
    ref = submit(bench, "a1", "sleep 0.2\necho done")
    [runner] = bench.engine._runners.values()  # type: ignore[attr-defined]
    os.kill(runner, number)
    seen = ended(bench, ref)
    if number == signal.SIGTERM:
        assert (seen.state, seen.reason) == (EngineState.NODE_FAILED, "runner_stopped")
    else:  # without a wish it means nothing
        assert seen.state is EngineState.SUCCEEDED
