"""What the Ray engine keeps of its promises when Ray, the network or a job misbehaves."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from suanwang.core.jobspec import JobSpec
from suanwang.engines.port import (
    Ability,
    Accelerators,
    EngineState,
    NodeUse,
    Rejected,
    Submission,
)

from .engine_benches import ended, look, output, submit, until
from .ray_bench import RayBench, RayCluster

HOSTILE = {
    "SINGLE": "it's 'quoted'",
    "DOUBLE": 'say "hi" \\" and more',
    "SHELL": "$(touch {pwned}) `touch {pwned}` ; exit 9 #",
    "LINES": "one\ntwo\n\nEOF\n'\n",
    "ENDS": "ends in a backslash \\",
    "PERCENT": "%s %d {0} {} $HOME ${HOME} !! *",
    "UNICODE": "算网 \u2028 🚀 é",
    "EMPTY": "",
    "OPTION": "--help -rf /",
    "LD_LIBRARY_PATH": "/no'where",
}


@pytest.fixture
def bench(ray_cluster: RayCluster, tmp_path: Path) -> Iterator[RayBench]:
    bench = RayBench(ray_cluster.url, tmp_path)
    yield bench
    bench.clear()


def told(bench: RayBench, ref: str) -> dict[str, object] | None:
    """What Ray itself says of a submission."""
    answer = httpx.get(f"{bench.settings.url}/api/jobs/{ref}", trust_env=False)
    if answer.status_code == 404:
        return None
    found: dict[str, object] = answer.json()
    return found


def marked(bench: RayBench) -> dict[str, str]:
    """An environment by which a job's processes are told from those of any other test."""
    return {"MARK": bench.settings.prefix}


def processes_of(bench: RayBench) -> list[int]:
    """Every process on this machine that has it."""
    mark, found = f"MARK={bench.settings.prefix}".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def runner_of(bench: RayBench, ref: str) -> int:
    """The process of ours that accompanies a job: the parent of its first process."""
    until(bench, ref, lambda _: b"ready" in bench.ray.logs(ref, "stdout", 0).data)
    (pid,) = (int(line) for line in output_so_far(bench, ref).split() if line.isdigit())
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def output_so_far(bench: RayBench, ref: str) -> str:
    return bench.ray.logs(ref, "stdout", 0).data.decode()


def rejected(bench: RayBench, key: str, **fields: object) -> Rejected:
    spec = JobSpec.model_validate({"script": "exit 0", "memory_mib": 64} | fields)
    (answer,) = bench.ray.submit([Submission(key, spec)])
    assert isinstance(answer, Rejected), answer
    return answer


# -- taking work ------------------------------------------------------------------


def test_an_agent_that_lost_its_memory_finds_its_jobs(bench: RayBench, tmp_path: Path) -> None:
    ref = submit(bench, "a1", "echo first", walltime_seconds=77)
    ended(bench, ref)
    second = RayBench(bench.settings.url, tmp_path / "new", prefix=bench.settings.prefix)
    assert submit(second, "a1", "echo second") == ref
    assert ended(second, ref).state is EngineState.SUCCEEDED
    assert output(second, ref) == "first\n"
    assert (
        second.ray.usage([ref])[ref].elapsed_seconds == bench.ray.usage([ref])[ref].elapsed_seconds
    )
    second.ray.close()


def test_the_submission_of_somebody_else_is_not_taken_for_ours(bench: RayBench) -> None:
    ref = f"{bench.settings.prefix}a1"
    theirs = {"entrypoint": "true", "submission_id": ref}
    assert httpx.post(f"{bench.settings.url}/api/jobs/", json=theirs, trust_env=False).is_success
    answer = rejected(bench, "a1")
    assert (answer.permanent, answer.code) == (True, "engine_key_unusable")
    assert bench.ray.find(["a1"]) == {}
    assert bench.ray.observe([ref]) == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"cores": 5},
        {"memory_mib": 3 * 1024},
        {"accelerators": 3, "accelerator_model": "A100"},
        {"accelerators": 9, "accelerator_model": "910B"},
        {"accelerators": 1, "accelerator_model": "H100"},
        {"accelerators": 2, "accelerator_model": "A100", "card_milli": 500},
        {"nodes": 2},
    ],
)
def test_what_no_node_can_ever_take_is_refused_and_never_waits_in_ray(
    bench: RayBench, fields: dict[str, object]
) -> None:
    answer = rejected(bench, "a1", **fields)
    assert (answer.permanent, answer.code) == (True, "engine_no_node_fits")
    assert told(bench, f"{bench.settings.prefix}a1") is None


def test_files_too_large_for_the_head_are_refused_by_name(
    ray_cluster: RayCluster, tmp_path: Path
) -> None:
    bench = RayBench(ray_cluster.url, tmp_path, package_mib_max=1)
    large = tmp_path / "large"
    large.write_bytes(os.urandom(2 << 20))
    spec = JobSpec(script="exit 0", memory_mib=64)
    (answer,) = bench.ray.submit([Submission("a1", spec, {"large": large})])
    assert isinstance(answer, Rejected)
    assert (answer.permanent, answer.code) == (True, "engine_files_too_large")
    assert bench.ray.find(["a1"]) == {}
    bench.clear()


# -- cards ------------------------------------------------------------------------


def test_cards_are_counted_told_and_given_to_one_job_at_a_time(bench: RayBench) -> None:
    assert Ability.FREE_STATE in bench.ray.capabilities().abilities
    nodes = {node.name: node for node in bench.ray.inventory()}
    assert nodes["127.0.0.2"].accelerators == ()
    assert nodes["127.0.0.3"].accelerators == (Accelerators("A100", 2),)
    assert nodes["127.0.0.4"].accelerators == (Accelerators("910B", 8),)

    gpu = submit(
        bench, "a1", "echo $CUDA_VISIBLE_DEVICES\nsleep 60", accelerators=1,
        accelerator_model="A100", environment={"CUDA_VISIBLE_DEVICES": "0,1"},
    )  # fmt: skip
    npu = submit(bench, "a2", "sleep 60", accelerators=8, accelerator_model="910B")
    for ref in (gpu, npu):
        until(bench, ref, lambda seen: seen.state is EngineState.RUNNING)
    until(bench, gpu, lambda _: output_so_far(bench, gpu) != "")
    assert output_so_far(bench, gpu) in ("0\n", "1\n")


def test_what_others_hold_is_told_and_what_ours_hold_is_not(bench: RayBench) -> None:
    ours = submit(bench, "a1", "sleep 60", accelerators=8, accelerator_model="910B")
    until(bench, ours, lambda seen: seen.state is EngineState.RUNNING)
    ref = f"theirs-{bench.settings.prefix}"
    theirs = {
        "entrypoint": "sleep 60", "submission_id": ref, "entrypoint_num_cpus": 1.5,
        "entrypoint_num_gpus": 0.5, "entrypoint_memory": 100 << 20,
    }  # fmt: skip
    httpx.post(f"{bench.settings.url}/api/jobs/", json=theirs, trust_env=False).raise_for_status()

    def others() -> dict[str, NodeUse | None]:
        return {node.name: node.others for node in bench.ray.inventory()}

    empty = NodeUse(0, 0)
    held = NodeUse(2, 100, (Accelerators("A100", 1),))
    wait_for(lambda: others()["127.0.0.3"] == held)
    assert others()["127.0.0.4"] == NodeUse(0, 0, (Accelerators("910B", 0),)), "all of it is ours"
    assert others()["127.0.0.2"] == empty
    httpx.post(f"{bench.settings.url}/api/jobs/{ref}/stop", trust_env=False).raise_for_status()
    wait_for(lambda: others()["127.0.0.3"] == NodeUse(0, 0, (Accelerators("A100", 0),)))


def wait_for(what: Callable[[], bool]) -> None:
    """Ray tells some seconds later, and the engine believes it at the second look."""
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_job_cancelled_while_it_waits_is_over_at_once_and_never_runs(
    bench: RayBench, tmp_path: Path
) -> None:
    all_cards = {"accelerators": 8, "accelerator_model": "910B"}
    first = submit(bench, "a1", "sleep 60", **all_cards)
    until(bench, first, lambda seen: seen.state is EngineState.RUNNING)
    mark = tmp_path / "ran"
    second = submit(bench, "a2", f"touch {mark}", **all_cards)
    third = submit(bench, "a3", "echo after", **all_cards)
    assert look(bench, second).state is EngineState.QUEUED
    bench.ray.cancel([second], 0)
    seen = ended(bench, second)
    assert (seen.state, seen.started_at) == (EngineState.CANCELLED, None)
    still = told(bench, second)
    assert still is not None
    assert still["status"] == "PENDING", "Ray was to keep it waiting"
    bench.ray.forget([second])
    assert bench.ray.find(["a2"]) == {}
    assert bench.ray.usage([second]) == {}

    bench.ray.cancel([first], 0)
    assert ended(bench, third).state is EngineState.SUCCEEDED

    def let_go(_: object) -> bool:
        bench.ray.forget([])
        return told(bench, second) is None

    until(bench, third, let_go)
    assert not mark.exists()


# -- what users write -------------------------------------------------------------------


def test_no_shell_reads_an_environment_a_name_or_a_file(bench: RayBench, tmp_path: Path) -> None:
    pwned, odd = tmp_path / "pwned", tmp_path / "in"
    odd.write_bytes(bytes(range(256)))
    hostile = {name: value.replace("{pwned}", str(pwned)) for name, value in HOSTILE.items()}
    title = f"$(touch {pwned})'\""
    names = ["a b'c\"d$(x).bin", "deep/下 ;&.bin"]
    script = "#!/usr/bin/env python3\nimport json, os\nprint(json.dumps([dict(os.environ), "
    script += f"[open(n, 'rb').read().hex() for n in {names!r}]]))"
    ref = submit(
        bench, "a1", script, name=title, environment=hostile, inputs=dict.fromkeys(names, odd)
    )  # fmt: skip
    assert ended(bench, ref).state is EngineState.SUCCEEDED, output(bench, ref, "stderr")
    environment, contents = json.loads(output(bench, ref))
    assert {name: environment[name] for name in hostile} == hostile
    assert environment["SUANWANG_JOB_NAME"] == title
    assert contents == [bytes(range(256)).hex()] * 2
    assert not [name for name in environment if name.startswith("RAY_")]
    assert not pwned.exists()


def test_a_script_is_run_byte_for_byte(bench: RayBench) -> None:
    script = 'cat "$0" | sha256sum | cut -c1-64\n'
    script += ": 'ü算\u2028\u00a0' \"$(echo '\\\\' )\" # \\\n\tcat <<'E'"
    script += "\n%s \\n `x` EOF\nE\nprintf '\\377\\000end'"
    ref = submit(bench, "a1", script)
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    data = bench.ray.logs(ref, "stdout", 0).data
    assert data == (
        hashlib.sha256(script.encode()).hexdigest().encode() + b"\n%s \\n `x` EOF\n\xff\x00end"
    )


def test_output_of_many_parts_comes_back_whole_and_files_as_they_were(bench: RayBench) -> None:
    script = "python3 -c 'import sys; [print(n) for n in range(120000)]'\n"
    script += "python3 -c 'import sys; sys.stderr.write(\"e\" * 262144)'\n"
    script += "head -c 300000 /dev/urandom > r.bin; sha256sum r.bin > 'sum 1.txt'\n"
    script += "ln -s /etc/passwd stolen.txt; mkdir d; cp 'sum 1.txt' d/deep.txt"
    ref = submit(bench, "a1", script, files_out=["*.bin", "**/*.txt"])
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert output(bench, ref) == "".join(f"{number}\n" for number in range(120_000))
    assert output(bench, ref, "stderr") == "e" * 262_144
    files = {file.name: file.size for file in bench.ray.outputs(ref)}
    assert files == {"r.bin": 300_000, "sum 1.txt": 72, "d/deep.txt": 72}
    with bench.ray.open_output(ref, "r.bin") as file:
        data = file.read()
    with bench.ray.open_output(ref, "d/deep.txt") as file:
        assert file.read().decode().split()[0] == hashlib.sha256(data).hexdigest()
    for name in ("stolen.txt", "../script", "nothing"):
        with pytest.raises(OSError, match=name):
            bench.ray.open_output(ref, name)


def test_a_gigabyte_of_output_is_contained(ray_cluster: RayCluster, tmp_path: Path) -> None:
    bench = RayBench(ray_cluster.url, tmp_path, stream_bytes_max=400_000)
    ref = submit(bench, "a1", "head -c 1000000000 /dev/zero\necho end >&2")
    assert ended(bench, ref, 60).state is EngineState.SUCCEEDED
    text = output(bench, ref)
    assert len(text) == 400_000
    assert text.endswith("\n[suanwang] more than 400000 bytes; the rest was dropped\n")
    assert bench.ray.logs(ref, "stdout", 0).truncated
    assert output(bench, ref, "stderr") == "end\n"
    log = httpx.get(f"{ray_cluster.url}/api/jobs/{ref}/logs", trust_env=False).json()["logs"]
    assert len(log) < 2_000, "Ray's own log was to hold nothing of it"
    bench.clear()


# -- ends -------------------------------------------------------------------------


def test_a_tree_that_forks_away_is_ended_whole_at_the_walltime(bench: RayBench) -> None:
    script = "for i in 1 2 3; do setsid bash -c 'trap \"\" TERM; (sleep 600 & wait)' & done; wait"
    ref = submit(bench, "a1", script, walltime_seconds=1, environment=marked(bench))
    assert ended(bench, ref).state is EngineState.TIMEOUT
    assert bench.ray.usage([ref])[ref].elapsed_seconds == 1
    assert processes_of(bench) == []


def test_more_memory_than_asked_for_ends_it(bench: RayBench) -> None:
    greedy = (
        "exec python3 -c 'import time\nx=[]\nwhile 1: x.append(b\"1\" * (4<<20)); time.sleep(.02)'"
    )
    seen = ended(bench, submit(bench, "a1", greedy, memory_mib=64))
    assert (seen.state, seen.reason) == (EngineState.OUT_OF_MEMORY, "memory_limit")


def test_a_job_is_asked_before_it_is_made_to_end_and_a_signal_is_told(bench: RayBench) -> None:
    asked = submit(
        bench, "a1", "trap 'echo saved; exit 0' TERM\necho ready\nwhile :; do sleep 0.05; done"
    )
    killed = submit(bench, "a2", "kill -SEGV $$")
    until(bench, asked, lambda _: b"ready" in bench.ray.logs(asked, "stdout", 0).data)
    bench.ray.cancel([asked], 10)
    assert ended(bench, asked).state is EngineState.CANCELLED
    assert output(bench, asked) == "ready\nsaved\n"
    seen = ended(bench, killed)
    assert (seen.state, seen.exit_code, seen.signal) == (EngineState.FAILED, 139, 11)


def test_a_stop_pressed_at_the_site_is_told_as_such(bench: RayBench) -> None:
    ref = submit(bench, "a1", "sleep 60")
    until(bench, ref, lambda seen: seen.state is EngineState.RUNNING)
    httpx.post(f"{bench.settings.url}/api/jobs/{ref}/stop", trust_env=False).raise_for_status()
    seen = ended(bench, ref)
    assert (seen.state, seen.reason) == (EngineState.CANCELLED, "stopped_at_site")


@pytest.mark.parametrize("who", ["runner", "Ray's process beside it"])
def test_a_job_whose_company_is_killed_is_no_success_and_leaves_nothing(
    bench: RayBench, who: str
) -> None:
    script = "echo ready; echo $$; sleep 600 & exec sleep 600"
    ref = submit(bench, "a1", script, environment=marked(bench))
    victim = runner_of(bench, ref)
    until(bench, ref, lambda _: len(processes_of(bench)) == 2)
    if who != "runner":
        victim = int(Path(f"/proc/{victim}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(victim, signal.SIGKILL)
    seen = ended(bench, ref)
    expected = EngineState.LOST if who == "runner" else EngineState.NODE_FAILED
    assert seen.state is expected, seen
    assert output(bench, ref).startswith("ready\n")
    assert processes_of(bench) == []
