"""What Slurm does to jobs, and what breaks beside it, seen through the engine on a real one."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from suanwang.core.jobspec import JobSpec
from suanwang.engines.choice import open_engine
from suanwang.engines.port import (
    Ability,
    Accelerators,
    Accepted,
    EngineState,
    EngineUnavailable,
    NodeUse,
    Observation,
    Rejected,
    Submission,
)
from suanwang.engines.slurm.account import Account
from suanwang.engines.slurm.commands import Commands
from suanwang.engines.slurm.engine import SlurmEngine
from suanwang.engines.slurm.rest import SPOKEN, Rest
from suanwang.engines.slurm.spool import Spool
from suanwang.engines.slurm.transport import Batch, NotTaken

from .engine_benches import ended, look, output, submit, until
from .kubernetes_logs import certificate
from .slurm_bench import SlurmBench
from .slurm_cluster import JOB_USER, SlurmCluster, wait_until
from .wire import Wire

Make = Callable[..., SlurmBench]
RUNS = EngineState.RUNNING


@pytest.fixture
def make(slurm: SlurmCluster, tmp_path: Path) -> Iterator[Make]:
    """Benches of a test, ended after it."""
    made: list[SlurmBench] = []

    def one(*, rest: bool = True, **settings: Any) -> SlurmBench:
        made.append(SlurmBench(slurm, tmp_path / str(len(made)), rest=rest, **settings))
        return made[-1]

    yield one
    for bench in made:
        bench.close()


@pytest.fixture
def both(make: Make) -> list[SlurmBench]:
    """Both ways at once, where what is waited for takes long."""
    return [make(rest=True), make(rest=False)]


@pytest.fixture(params=["rest", "commands"])
def bench(request: pytest.FixtureRequest, make: Make) -> SlurmBench:
    return make(rest=request.param == "rest")


def answer(bench: SlurmBench, key: str, **fields: Any) -> Accepted | Rejected:
    spec = JobSpec.model_validate({"script": "true", "memory_mib": 256} | fields)
    found = bench.engine.submit([Submission(key, spec)])[0]
    assert isinstance(found, Accepted | Rejected)
    return found


def running(bench: SlurmBench, ref: str) -> Observation:
    return until(bench, ref, lambda seen: seen.state is RUNS)


def count(bench: SlurmBench, key: str) -> int:
    """How many jobs of this name Slurm ever had, by the controller."""
    said = bench.cluster.run("squeue", "-h", "--states=all", f"--name={bench.prefix}{key}")
    return len(said.splitlines())


# -- what it has and gives ---------------------------------------------------------------


def test_it_tells_its_version_its_abilities_and_its_nodes(bench: SlurmBench) -> None:
    facts = bench.engine.capabilities()
    assert facts.version.startswith("22.05")
    assert {Ability.GANGS, Ability.FREE_STATE, Ability.ESTIMATES} == facts.abilities
    first, second, third = bench.cluster.nodes
    nodes = {node.name: node for node in bench.engine.inventory()}
    assert [*nodes] == [first, second, third]
    assert nodes[first].accelerators == (Accelerators("a100", 2),)
    assert nodes[second].accelerators == (Accelerators("h20", 2),)
    assert nodes[third].others == NodeUse(0, 0)
    bench.cluster.scontrol("update", f"nodename={third}", "state=drain", "reason=test")
    try:
        bench.again()
        still_open = [node.name for node in bench.engine.inventory()]
    finally:
        bench.cluster.scontrol("update", f"nodename={third}", "state=resume")
        wait_until(lambda: third in bench.cluster.idle_nodes(), "the node is open again")
    assert still_open == [first, second]


def test_what_others_run_is_told_apart_from_ours(bench: SlurmBench) -> None:
    """A job of somebody else beside one of ours, and one of our own user under another name."""
    bench.with_settings(accelerators={"H20-96G": "gpu:h20"})
    _, second, third = bench.cluster.nodes
    fields = {"accelerators": 1, "accelerator_model": "H20-96G"}
    ref = submit(bench, "a1", "sleep 60", cores=3, memory_mib=300, **fields)
    gang = submit(bench, "a2", "sleep 60", cores=4, memory_mib=400, nodes=2)
    running(bench, ref)
    running(bench, gang)
    theirs = bench.cluster.run(
        "sbatch", "--parsable", f"--nodelist={second}", "--cpus-per-task=2", "--mem=500M",
        "--gres=gpu:h20:1", "--job-name=theirs", "--output=/dev/null", "--wrap=sleep 60",
    ).strip()  # fmt: skip
    named = bench.cluster.run(
        "sbatch", "--parsable", f"--nodelist={third}", "--cpus-per-task=1", "--mem=100M",
        f"--job-name={bench.prefix}a9", "--output=/dev/null", "--wrap=sleep 60",
    ).strip()  # fmt: skip
    try:
        until_others(bench, second, NodeUse(2, 500, (Accelerators("H20-96G", 1),)))
        until_others(bench, third, NodeUse(1, 100))
        bench.engine.cancel([ref, gang], 0)
        ended(bench, ref)
        ended(bench, gang)
        until_others(bench, second, NodeUse(2, 500, (Accelerators("H20-96G", 1),)))
    finally:
        bench.cluster.run("scancel", theirs, named)
    until_others(bench, second, NodeUse(0, 0, (Accelerators("H20-96G", 0),)))
    until_others(bench, third, NodeUse(0, 0))


def until_others(bench: SlurmBench, name: str, use: NodeUse) -> None:
    """Wait until others are told to use so much of a node; of no node ever what ours use."""

    def told() -> bool:
        return {node.name: node.others for node in bench.engine.inventory()}[name] == use

    wait_until(told, f"others use {use} of {name}")


def test_cards_are_given_by_their_model(bench: SlurmBench) -> None:
    bench.with_settings(accelerators={"H20-96G": "gpu:h20"})
    script = 'echo "$SLURMD_NODENAME $CUDA_VISIBLE_DEVICES"; sleep 30'
    fields = {"accelerators": 1, "accelerator_model": "H20-96G"}
    ref = submit(bench, "a1", script, cores=3, memory_mib=300, **fields)
    running(bench, ref)
    until(bench, ref, lambda _: bench.engine.logs(ref, "stdout", 0).data != b"")
    bench.again()
    second = bench.cluster.nodes[1]
    node = {one.name: one for one in bench.engine.inventory()}[second]
    assert node.accelerators == (Accelerators("H20-96G", 2),)
    assert node.others == NodeUse(0, 0, (Accelerators("H20-96G", 0),))
    bench.engine.cancel([ref], 0)
    ended(bench, ref)
    assert output(bench, ref).split() in ([second, "0"], [second, "2"])
    refused = answer(bench, "a2", accelerators=1, accelerator_model="B300")
    assert isinstance(refused, Rejected)
    assert (refused.permanent, refused.code) == (True, "engine_no_such_card")


def test_usage_is_what_accounting_says_was_given(both: list[SlurmBench]) -> None:
    asked = {"nodes": 2, "cores": 4, "memory_mib": 600, "accelerators": 2}
    for bench in both:
        submit(bench, "a1", "sleep 1", **asked)
    for bench in both:
        ended(bench, "a1")
        wait_until(lambda b=bench: b.engine.usage(["a1"])["a1"].allocated, "accounting has its end")
        used = bench.engine.usage(["a1"])["a1"]
        assert used.allocated == asked
        assert used.elapsed_seconds in (1, 2)
        assert (used.memory_peak_mib or 0) >= 1
        assert used.cpu_milliseconds is not None
        bench.again()
        assert bench.engine.usage(["a1"])["a1"] == used


def test_a_gang_runs_on_all_its_nodes(bench: SlurmBench) -> None:
    script = "srun bash -c 'echo \"$SLURMD_NODENAME $SUANWANG_ATTEMPT $SLURM_CPUS_ON_NODE\"'"
    ref = submit(bench, "a1", script, nodes=2, cores=4, memory_mib=512)
    seen = ended(bench, ref)
    assert seen.state is EngineState.SUCCEEDED, output(bench, ref, "stderr")
    lines = [line.split() for line in output(bench, ref).splitlines()]
    assert len({node for node, _, _ in lines}) == 2
    assert all(rest == ["a1", "2"] for _, *rest in lines)


def test_partition_account_and_qos_are_asked_for(slurm: SlurmCluster, make: Make) -> None:
    for rest in (True, False):
        bench = make(rest=rest, partition="urgent", account="lab", qos="gentle")
        ref = submit(bench, "a1", "true")
        said = slurm.run(
            "squeue", "-h", "--states=all", f"--name={bench.prefix}a1", "-o", "%P %a %q %l"
        )
        assert said.split() == ["urgent", "lab", "gentle", "1:00:00"]
        ended(bench, ref)


def test_a_waiting_job_has_a_start_in_sight(bench: SlurmBench) -> None:
    first = submit(bench, "a1", "sleep 60", nodes=3, cores=24, memory_mib=600, walltime_seconds=120)
    began = running(bench, first).started_at
    second = submit(bench, "a2", "true", nodes=3, cores=24, memory_mib=600)
    seen = until(bench, second, lambda seen: seen.expected_start_at is not None)
    assert seen.state is EngineState.QUEUED
    assert began is not None
    assert seen.expected_start_at is not None
    assert 100 <= (seen.expected_start_at - began).total_seconds() <= 300


# -- what goes in and comes out -----------------------------------------------------------


def test_quotes_and_newlines_in_the_environment_arrive_as_they_are(
    bench: SlurmBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of the agent's own does, nor does it change whom Slurm acts for."""
    for name, value in (
        ("SLURM_JWT", "do-not-tell"), ("SBATCH_PARTITION", "nope"), ("SBATCH_EXPORT", "NONE"),
        ("SLURM_CONF", "/nowhere"), ("SECRET_OF_THE_AGENT", "do-not-tell"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    value = "one\n'two' \"three\" $(touch pwned) `id` \\ ; rm -rf . 保定"
    odd = {
        "ODD": value, "LD_PRELOAD": "/nowhere.so", "BASH_ENV": "/nowhere", "IFS": "x", "UID": "0",
        "SLURM_JOB_ID": "1", "SBATCH_PARTITION": "nope", "EMPTY": "", "POSIXLY_CORRECT": "1",
    }  # fmt: skip
    script = "#!/usr/bin/env python3\nimport os\nprint(os.environ['ODD'], end='')\n"
    script += "import sys; sys.stderr.write(repr((sorted(os.environ), os.listdir())))"
    ref = submit(bench, "a1", script, environment=odd)
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert output(bench, ref) == value
    told = output(bench, ref, "stderr")
    assert told.endswith("[])")  # its folder is empty: nothing was touched
    assert "'EMPTY'" in told
    assert "'SLURM_JOB_NODELIST'" in told
    assert "JWT" not in told
    assert "SECRET" not in told


def test_a_flood_of_output_is_bounded_and_says_so(make: Make) -> None:
    bench = make(stream_bytes_max=100_000)
    ref = submit(bench, "a1", "truncate -s 1G /dev/stdout\necho end >&2")
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    text = output(bench, ref)
    assert len(text) == 100_000
    assert text.startswith("\0\0\0")
    assert text.endswith("\n[suanwang] more than 100000 bytes; the rest is not shown\n")
    assert bench.engine.logs(ref, "stdout", 0).truncated
    assert bench.engine.logs(ref, "stdout", 99_999).data == b"\n"
    assert output(bench, ref, "stderr") == "end\n"


def test_files_go_in_and_only_plain_files_of_the_job_come_out(make: Make, tmp_path: Path) -> None:
    bench = make()
    source = tmp_path / "source"
    source.write_bytes(b"given")
    script = """
        cat in/a.txt > out.txt; mkdir -p d/e; echo deep > d/e/f.txt
        ln -s /etc/passwd link.txt; ln -s /etc folder; mkfifo pipe.txt; ln -s .. up
        ln -sf /etc/shadow ../stderr
    """
    ref = submit(bench, "a1", script, files_out=["**/*.txt"], inputs={"in/a.txt": source})
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    names = [file.name for file in bench.engine.outputs(ref)]
    assert names == ["d/e/f.txt", "in/a.txt", "out.txt"]
    with bench.engine.open_output(ref, "out.txt") as file:
        assert file.read() == b"given"
    for name in ("link.txt", "folder/passwd", "pipe.txt", "up/script", "../script", "/etc/passwd"):
        with pytest.raises(OSError):
            bench.engine.open_output(ref, name)
    assert output(bench, ref, "stderr") == ""


# -- how jobs end ---------------------------------------------------------------------------


def test_a_signal_of_its_own_is_told(bench: SlurmBench) -> None:
    seen = ended(bench, submit(bench, "a1", "kill -SEGV $$"))
    assert (seen.state, seen.exit_code, seen.signal) == (EngineState.FAILED, 139, 11)


def test_the_walltime_ends_what_forked_away_and_will_not_go(
    slurm: SlurmCluster, make: Make
) -> None:
    bench = make(rest=False)
    script = """
        trap '' TERM
        setsid bash -c 'trap "" TERM; echo $$; while :; do sleep 0.2; done' &
        while :; do sleep 0.2; done
    """
    ref = submit(bench, "a1", script, walltime_seconds=1)
    seen = ended(bench, ref)
    assert (seen.state, seen.reason) == (EngineState.TIMEOUT, "walltime")
    assert bench.engine.usage([ref])[ref].elapsed_seconds == 1
    child = Path("/proc", output(bench, ref).strip())
    if slurm.groups:
        wait_until(lambda: not child.exists(), "the process that forked away has gone")
    else:
        assert "forks away" in " ".join(bench.engine.capabilities().notes)


def test_more_memory_than_asked_for_ends_it(bench: SlurmBench) -> None:
    script = "exec python3 -c 'x = [b\"1\" * (4 << 20) for _ in range(100)]; print(len(x))'"
    seen = ended(bench, submit(bench, "a1", script, memory_mib=64))
    if bench.cluster.groups:
        assert (seen.state, seen.reason) == (EngineState.OUT_OF_MEMORY, "memory_limit")
        assert output(bench, "a1") == ""


def test_a_cancel_lets_it_save_as_long_as_granted(bench: SlurmBench) -> None:
    """The cluster's own KillWait is two seconds."""
    saves = "trap 'sleep 3; echo saved; exit 0' TERM\necho ready\nwhile :; do sleep 0.05; done"
    stays = "trap '' TERM\necho ready\nwhile :; do sleep 0.05; done"
    refs = [submit(bench, f"a{number}", stays if number else saves) for number in range(3)]
    for ref in refs:
        until(bench, ref, lambda _, r=ref: b"ready" in bench.engine.logs(r, "stdout", 0).data)
    for ref, grace_seconds in zip(refs, (30, 1, 0), strict=True):
        bench.engine.cancel([ref], grace_seconds, reason="gave_way" if grace_seconds == 1 else "")
    seen = [ended(bench, ref) for ref in refs]
    states = (EngineState.CANCELLED, EngineState.NODE_FAILED, EngineState.CANCELLED)
    assert tuple(one.state for one in seen) == states
    assert seen[1].reason == "gave_way"
    assert output(bench, refs[0]) == "ready\nsaved\n"


def test_an_end_that_the_centre_wished_says_so(make: Make) -> None:
    bench = make()
    ref = submit(bench, "a1", "sleep 60")
    running(bench, ref)
    bench.cluster.run("scancel", f"--name={bench.prefix}a1")
    seen = ended(bench, ref)
    assert (seen.state, seen.reason) == (EngineState.CANCELLED, "cancelled_at_the_centre")


def test_a_job_that_gives_way_is_preempted(make: Make) -> None:
    low, high = make(), make(partition="urgent")
    whole = {"nodes": 3, "cores": 24, "memory_mib": 600}
    ref = submit(low, "a1", "sleep 60", **whole)
    running(low, ref)
    submit(high, "b1", "true", **whole)
    assert ended(low, ref).state is EngineState.PREEMPTED


def test_a_lost_node_fails_what_ran_on_it(make: Make) -> None:
    bench = make()
    ref = submit(bench, "a1", 'echo "$SLURMD_NODENAME"; sleep 600')
    running(bench, ref)
    until(bench, ref, lambda _: bench.engine.logs(ref, "stdout", 0).data != b"")
    node = bench.engine.logs(ref, "stdout", 0).data.decode().strip()
    bench.cluster.end(node, kill=True)
    try:
        # Slurm itself would give up the node after SlurmdTimeout, five minutes.
        bench.cluster.scontrol("update", f"nodename={node}", "state=down", "reason=lost")
        seen = ended(bench, ref)
    finally:
        bench.cluster.start_node(node)
        wait_until(lambda: node in bench.cluster.idle_nodes(), "the node is back")
    assert seen.state is EngineState.NODE_FAILED
    assert count(bench, "a1") == 1


# -- what is refused ---------------------------------------------------------------------------


def test_what_can_never_start_is_refused_for_good(bench: SlurmBench) -> None:
    for fields, code in (
        ({"nodes": 4}, "engine_no_node_fits"),
        ({"memory_mib": 16_001}, "engine_no_node_fits"),
        ({"accelerators": 3}, "engine_no_node_fits"),
        ({"walltime_seconds": 86_401}, "engine_walltime_too_long"),
        ({"accelerators": 1, "card_milli": 500}, "engine_no_card_shares"),
    ):
        refused = answer(bench, "a1", **fields)
        assert isinstance(refused, Rejected), fields
        assert (refused.permanent, refused.code) == (True, code)
    assert count(bench, "a1") == 0
    assert isinstance(answer(bench, "a1"), Accepted)  # a refusal leaves nothing behind


def test_slurms_own_refusals_are_understood(bench: SlurmBench) -> None:
    """slurmrestd answers the first with HTTP 200."""
    account = Account.of(bench.settings)
    speaks = Rest if bench.settings.url else Commands
    transport = speaks(bench.settings, account)
    usual = {
        "script": "#!/bin/bash\n", "folder": "/tmp", "log": "/dev/null",  # noqa: S108
        "environment": {"PATH": "/bin"}, "nodes": 1, "cores_per_node": 1,
        "memory_mib_per_node": 64, "gres": None, "minutes": 1, "requeue": False,
    }  # fmt: skip
    for fields, code in (
        ({"memory_mib_per_node": 1 << 20}, "engine_no_node_fits"),
        ({"gres": "gpu:a100:3"}, "engine_no_node_fits"),
        ({"partition": "nope"}, "engine_no_partition"),
    ):
        with pytest.raises(NotTaken) as refused:
            transport.submit(Batch(name="x1", **usual | fields))  # type: ignore[arg-type]
        assert (refused.value.permanent, refused.value.code) == (True, code), refused.value
    transport.close()


def test_what_cannot_start_just_now_is_taken_once_and_waits(
    slurm: SlurmCluster, make: Make
) -> None:
    """Over REST the answer names an error beside the job id while every node is drained."""
    benches = [make(rest=rest, partition="p0") for rest in (True, False)]
    node = slurm.nodes[0]
    slurm.scontrol("update", f"nodename={node}", "state=drain", "reason=test")
    try:
        refs = [submit(bench, "a1", "true") for bench in benches]
        for bench, ref in zip(benches, refs, strict=True):
            assert look(bench, ref).state is EngineState.QUEUED
    finally:
        slurm.scontrol("update", f"nodename={node}", "state=resume")
    for bench, ref in zip(benches, refs, strict=True):
        assert ended(bench, ref).state is EngineState.SUCCEEDED
        assert count(bench, "a1") == 1


def test_a_partition_that_is_not_there_is_a_refusal(make: Make) -> None:
    for rest in (True, False):
        refused = answer(make(rest=rest, partition="nope"), "a1")
        assert isinstance(refused, Rejected)
        assert (refused.permanent, refused.code) == (True, "engine_no_partition")


@pytest.mark.parametrize("key", ["", "..", "a/b", ".x", "a" * 65, "a\nb", "é", "-w"])
def test_a_key_that_could_be_something_else_is_refused(make: Make, key: str) -> None:
    refused = answer(make(), key)
    assert isinstance(refused, Rejected)
    assert refused.permanent


def test_nobodys_jobs_run_as_root(make: Make, tmp_path: Path) -> None:
    options = {"folder": str(tmp_path / "jobs")}
    with pytest.raises(ValueError, match="never run as root"):
        open_engine("slurm", options, tmp_path)
    with pytest.raises(ValueError, match="no user"):
        open_engine("slurm", options | {"user": "nobody-of-this-name"}, tmp_path)
    assert isinstance(make().engine, SlurmEngine)


# -- what a crash or an outage cuts off -----------------------------------------------------------


class Crash(BaseException):
    """The agent dies."""


def crashing(bench: SlurmBench) -> SlurmBench:
    """With an engine whose process dies between Slurm's answer and writing it down."""
    account = Account.of(bench.settings)
    base = Rest if bench.settings.url else Commands

    class Dies(base):  # type: ignore[misc, valid-type]
        def submit(self, batch: Batch) -> int:
            super().submit(batch)
            raise Crash

    bench.engine.close()
    bench.engine = SlurmEngine(bench.settings, bench.home, Dies(bench.settings, account))
    return bench


def test_a_crash_between_submitting_and_recording_finds_the_job_again(bench: SlurmBench) -> None:
    with pytest.raises(Crash):
        submit(crashing(bench), "a1", "echo once; sleep 1")
    bench.again()
    assert bench.engine.find(["a1"]) == {"a1": "a1"}
    ref = submit(bench, "a1", "echo twice")
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert output(bench, ref) == "once\n"
    assert count(bench, "a1") == 1


def test_what_the_controller_forgot_is_found_in_accounting(both: list[SlurmBench]) -> None:
    """One job of which only its name is known, one that was taken; then the controller loses
    all it knew.
    """
    for bench in both:
        submit(bench, "a2", "exit 6")
        with pytest.raises(Crash):
            submit(crashing(bench), "a1", "echo once; exit 7")
    for bench in both:
        for key in ("a1", "a2"):
            bench.cluster.wait_for_accounting(f"{bench.prefix}{key}")
    both[0].cluster.end("slurmctld")
    both[0].cluster.start_controller(forgetful=True)
    for bench in both:
        bench.again()
        ref = submit(bench, "a1", "echo twice")
        seen = ended(bench, ref)
        assert (seen.state, seen.exit_code, seen.source) == (EngineState.FAILED, 7, "accounting")
        assert output(bench, ref) == "once\n"
        assert bench.engine.usage([ref])[ref].allocated["memory_mib"] == 256
        seen = ended(bench, "a2")
        assert (seen.state, seen.exit_code, seen.source) == (EngineState.FAILED, 6, "accounting")


def test_an_agent_whose_home_is_gone_finds_its_jobs_again(bench: SlurmBench) -> None:
    submit(bench, "a1", "echo once; sleep 2")
    bench.home = bench.home.with_name("another")
    bench.again()
    ref = submit(bench, "a1", "echo twice; sleep 2")
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert output(bench, ref) == "once\n"
    assert count(bench, "a1") == 1


def test_of_two_slurm_jobs_of_one_attempt_one_runs(bench: SlurmBench) -> None:
    """An answer was lost and the question repeated: the worst that can be."""
    transport, batches = bench.engine._transport, []
    real = transport.submit
    transport.submit = lambda batch: batches.append(batch) or real(batch)
    ref = submit(bench, "a1", "echo ran >> ran; sleep 1", files_out=["ran"])
    real(batches[0])
    wait_until(lambda: not queued(bench), "both have ended")
    assert count(bench, "a1") == 2
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    with bench.engine.open_output(ref, "ran") as file:
        assert file.read() == b"ran\n"


def queued(bench: SlurmBench) -> str:
    return bench.cluster.run("squeue", "-h", f"--user={JOB_USER}")


def test_a_controller_that_restarts_loses_no_job(both: list[SlurmBench]) -> None:
    for bench in both:
        running(bench, submit(bench, "a1", "sleep 2; echo done"))
    cluster = both[0].cluster
    cluster.end("slurmctld")
    try:
        for bench in both:
            bench.with_settings(timeout_seconds=2)
            with pytest.raises(EngineUnavailable):
                bench.engine.observe(["a1"])
            with pytest.raises(EngineUnavailable):
                submit(bench, "a2", "true")
            assert Spool(bench.home / "slurm.db").rows(["a1"])["a1"].last is RUNS
    finally:
        cluster.start_controller()
    for bench in both:
        bench.with_settings(timeout_seconds=30)
        assert ended(bench, "a1").state is EngineState.SUCCEEDED
        assert output(bench, "a1") == "done\n"
        # What Slurm itself says: until the controller was back, nobody told it of the end.
        cluster.wait_for_accounting(f"{bench.prefix}a1")
        words = ["sacct", "-n", "-X", "-S", "now-1days", f"--name={bench.prefix}a1"]
        elapsed = int(cluster.run(*words, "-o", "ElapsedRaw"))
        assert bench.engine.usage(["a1"])["a1"].elapsed_seconds == elapsed


def test_while_accounting_is_down_no_state_changes(both: list[SlurmBench]) -> None:
    """The controller still tells ends; what only accounting could tell waits for it."""
    for bench in both:
        submit(bench, "a1", "exit 3")
        submit(bench, "a2", "true")
    cluster = both[0].cluster
    wait_until(lambda: not queued(both[0]), "all have ended")
    cluster.end("slurmdbd")
    try:
        for bench in both:
            bench.with_settings(timeout_seconds=3)
            Spool(bench.home / "slurm.db").taken("a2", 900_000)  # the controller has no such job
            with pytest.raises(EngineUnavailable):
                bench.engine.observe(["a2"])
            seen = bench.engine.observe(["a1", "a2"])
            assert seen["a1"].state is EngineState.FAILED
            assert not seen["a2"].state.final
            assert bench.engine.usage(["a1"])["a1"].elapsed_seconds == 1
    finally:
        cluster.start_accounting()
    for bench in both:
        bench.with_settings(timeout_seconds=30, lost_after_seconds=600)
        wait_until(lambda b=bench: answers(b, "a2"), "accounting answers")
        assert not look(bench, "a2").state.final  # both answered without it, but not for long
        bench.with_settings(lost_after_seconds=0)
        last = ended(bench, "a2")
        assert (last.state, last.native_state) == (EngineState.LOST, "missing")
        assert "a2" not in bench.engine.usage(["a2"])


def answers(bench: SlurmBench, ref: str) -> bool:
    with suppress(EngineUnavailable):
        return bool(bench.engine.observe([ref]))
    return False


# -- slurmrestd ---------------------------------------------------------------------------------


class Garbler(BaseHTTPRequestHandler):
    """A slurmrestd that has lost its mind: it answers everything with the same words."""

    words = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.words)))
        self.end_headers()
        self.wfile.write(self.words)

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


PING = b'{"errors": [], "meta": {"Slurm": {"release": "22.05.8"}}, '
GARBAGE = {
    "nothing": b"",
    "a page": b"<html>502 Bad Gateway</html>",
    "a number": b"7",
    "no lists": PING + b'"pings": []}',
    "lists of nonsense": PING + b'"jobs": [1], "nodes": [null], "partitions": ["x"]}',
    "empty things": PING + b'"jobs": [{}], "nodes": [{}], "partitions": [{}]}',
    "a broken end": PING + b'"jobs": [{"job_id": 1, ',
    "a deep hole": PING + b'"jobs": ' + b"[" * 50_000,
    "no text": bytes(range(128, 256)),
}


def test_garbage_from_slurmrestd_changes_nothing(make: Make) -> None:
    bench = make()
    ref = submit(bench, "a1", "sleep 60")
    running(bench, ref)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Garbler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    real = bench.settings.url
    submission = Submission("a2", JobSpec(script="true", memory_mib=256))
    try:
        for what, words in GARBAGE.items():
            Garbler.words = words
            url = f"http://127.0.0.1:{server.server_port}"
            bench.with_settings(url=url, timeout_seconds=2)
            with pytest.raises(EngineUnavailable):
                pytest.fail(f"{what}: {bench.engine.submit([submission])}")
            with suppress(EngineUnavailable):
                assert bench.engine.observe([ref])[ref].state is RUNS, what
            with suppress(EngineUnavailable):
                bench.engine.cancel([ref], 0)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    bench.with_settings(url=real, timeout_seconds=30)
    assert look(bench, ref).state is RUNS
    assert answer(bench, "a2") == Accepted("a2", "a2")
    bench.engine.cancel([ref], 0)


def test_slurmrestd_on_a_socket_and_behind_a_certificate(
    slurm: SlurmCluster, make: Make, tmp_path: Path
) -> None:
    bench = make(url=f"unix://{slurm.rest_socket}")
    assert ended(bench, submit(bench, "a1", "true")).state is EngineState.SUCCEEDED

    pem = tmp_path / "pem"
    pem.write_bytes(certificate("127.0.0.1"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    wire = Wire(slurm.ports["rest"], tls)
    try:
        bench.with_settings(url=wire.url, ca_file=pem)
        assert ended(bench, submit(bench, "a2", "true")).state is EngineState.SUCCEEDED
        bench.with_settings(ca_file=None)
        with pytest.raises(EngineUnavailable, match="certificate"):
            bench.engine.inventory()
        with pytest.raises(EngineUnavailable, match="ca_file"):
            bench.with_settings(ca_file=tmp_path / "nothing")
    finally:
        wire.close()


@pytest.mark.parametrize("version", SPOKEN)
def test_every_version_spoken_is_spoken_by_the_real_one(make: Make, version: str) -> None:
    bench = make()
    account = Account.of(bench.settings)
    bench.engine.close()
    speaks = Rest(bench.settings, account, [version])
    bench.engine = SlurmEngine(bench.settings, bench.home, speaks)
    assert version in bench.engine.capabilities().version
    fields = {"nodes": 2, "cores": 2, "memory_mib": 200}
    ref = submit(bench, "a1", "exit 5", **fields)
    gone = submit(bench, "a2", "sleep 60")
    seen = ended(bench, ref)
    assert (seen.state, seen.exit_code) == (EngineState.FAILED, 5)
    said = bench.cluster.run(
        "squeue", "-h", "--states=all", f"--name={bench.prefix}a1", "-O", "numnodes,requeue,mincpus"
    )
    assert said.split() == ["2", "0", "1"]
    bench.engine.cancel([gone], 0)
    assert ended(bench, gone).state is EngineState.CANCELLED
    assert len(bench.engine.inventory()) == 3


def test_the_newest_version_both_sides_speak_is_used(make: Make) -> None:
    bench = make()
    account = Account.of(bench.settings)
    speaks = Rest(bench.settings, account, ["v0.0.99", "v0.0.38", "v0.0.37"])
    assert speaks.version().endswith("(slurmrestd v0.0.38)")
    stranger = Rest(bench.settings, account, ["v0.0.99"])
    with pytest.raises(EngineUnavailable, match="none of"):
        stranger.version()
    for transport in (speaks, stranger):
        transport.close()


def test_a_token_is_made_anew_where_no_file_has_one(make: Make, tmp_path: Path) -> None:
    bench = make(token_file=None)
    assert ended(bench, submit(bench, "a1", "true")).state is EngineState.SUCCEEDED
    bad = tmp_path / "token"
    bad.write_text("no.real.token")
    bench.with_settings(token_file=bad)
    with pytest.raises(EngineUnavailable):
        bench.engine.inventory()
    bad.unlink()
    with pytest.raises(EngineUnavailable, match="cannot be read"):
        bench.engine.inventory()
