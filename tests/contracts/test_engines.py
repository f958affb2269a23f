"""One contract for every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from suanwang.core.image import full_name
from suanwang.core.jobspec import JobSpec
from suanwang.engines.port import Ability, Accepted, EngineState, Rejected, Submission

from .engine_benches import (
    Bench,
    ImageBench,
    LocalBench,
    MemoryBench,
    ended,
    look,
    no_skip_in_ci,
    output,
    submit,
    until,
)
from .image_store import IMAGE
from .kubernetes_bench import KubernetesBench
from .kubernetes_cluster import NAMED, ClusterBench
from .ray_bench import RayBench
from .slurm_bench import SlurmBench

ENGINES = [
    "memory",
    "local in a box",
    "local without",
    "local in an image",
    "slurm rest",
    "slurm commands",
    "ray",
    "kubernetes",
    *(["kubernetes on a cluster"] if NAMED else []),
]


@pytest.fixture(params=ENGINES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    match request.param:
        case "memory":
            yield MemoryBench()
        case "slurm rest" | "slurm commands":
            cluster = request.getfixturevalue("slurm")
            slurm = SlurmBench(cluster, tmp_path, rest=request.param == "slurm rest")
            yield slurm
            slurm.close()
        case "ray":
            ray = RayBench(request.getfixturevalue("ray_cluster").url, tmp_path)
            yield ray
            ray.clear()
        case "kubernetes":
            double = KubernetesBench(tmp_path)
            yield double
            double.close()
        case "kubernetes on a cluster":
            real = ClusterBench(tmp_path, request.getfixturevalue("kubernetes_cluster"))
            yield real
            real.close()
        case "local in an image":
            request.getfixturevalue("images")
            yield from local_bench(LocalBench(tmp_path, IMAGE, images="podman"), "bubblewrap")
        case "local in a box":
            yield from local_bench(LocalBench(tmp_path), "bubblewrap")
        case _:
            yield from local_bench(LocalBench(tmp_path, sandbox="session"), "session")


def local_bench(local: LocalBench, sandbox: str) -> Iterator[Bench]:
    facts = local.engine.capabilities()
    if not facts.isolation.startswith(sandbox):
        pytest.skip(no_skip_in_ci(facts.notes[0]))
    assert (Ability.IMAGES in facts.abilities) == bool(local.image), facts.notes
    yield local
    local.close()


def test_it_says_what_it_is_and_has(bench: Bench) -> None:
    facts = bench.engine.capabilities()
    assert facts.engine
    assert facts.isolation
    nodes = bench.engine.inventory()
    assert nodes
    assert all(node.cores >= 1 and node.memory_mib >= 16 for node in nodes)


def test_a_job_runs_to_its_end_and_is_measured(bench: Bench) -> None:
    ref = submit(bench, "a1", "echo hello\nsleep 1\necho oops >&2")
    seen = ended(bench, ref)
    assert (seen.state, seen.exit_code, seen.signal) == (EngineState.SUCCEEDED, 0, None)
    assert seen.started_at is not None
    assert seen.ended_at is not None
    assert seen.isolation
    used = bench.engine.usage([ref])[ref]
    assert used.elapsed_seconds in (1, 2)
    assert used.started_at <= used.ended_at
    if getattr(bench, "streams_apart", True):
        assert output(bench, ref) == "hello\n"
        assert output(bench, ref, "stderr") == "oops\n"
    else:
        assert output(bench, ref) == "hello\noops\n"
        assert output(bench, ref, "stderr") == ""


@pytest.mark.parametrize("code", [1, 7, 255])
def test_an_exit_code_comes_back_as_it_is(bench: Bench, code: int) -> None:
    seen = ended(bench, submit(bench, "a1", f"exit {code}"))
    assert (seen.state, seen.exit_code) == (EngineState.FAILED, code)


def test_the_same_key_again_is_the_same_job(bench: Bench) -> None:
    first = submit(bench, "a1", "echo once\nsleep 1")
    assert submit(bench, "a1", "echo once\nsleep 1") == first
    bench.again()
    assert submit(bench, "a1", "echo twice") == first
    ended(bench, first)
    assert submit(bench, "a1", "echo thrice") == first
    assert output(bench, first) == "once\n"


def test_a_batch_answers_each_for_itself(bench: Bench) -> None:
    small, large = JobSpec(script="exit 0"), JobSpec(script="exit 0", cores=100_000)
    answers = bench.engine.submit([Submission("a1", large), Submission("a2", small)])
    assert isinstance(answers[0], Rejected)
    assert answers[0].permanent
    assert answers[0].code == "engine_no_node_fits"
    assert isinstance(answers[1], Accepted)
    assert bench.engine.find(["a1", "a2", "a3"]) == {"a2": answers[1].ref}


def test_a_job_runs_in_the_image_it_names_or_is_refused_for_good(bench: Bench) -> None:
    """Never in another image, nor in none: the owner would not know what ran."""
    if Ability.IMAGES not in bench.engine.capabilities().abilities:
        spec = JobSpec(script="exit 0", image="registry.example/lab/tool:1")
        answer = bench.engine.submit([Submission("a1", spec)])[0]
        assert isinstance(answer, Rejected)
        assert (answer.permanent, answer.code) == (True, "image_not_supported")
        assert bench.engine.find(["a1"]) == {}
        return
    bench = cast(ImageBench, bench)
    image = bench.image
    ref = submit(bench, "a1", "#!/bin/sh\necho from within\nexit 3", image=image)
    seen = ended(bench, ref)
    assert (seen.state, seen.exit_code) == (EngineState.FAILED, 3)
    assert output(bench, ref) == "from within\n"
    assert bench.image_of(ref) == full_name(image)


def test_what_was_never_submitted_is_left_out(bench: Bench) -> None:
    assert bench.engine.observe(["never", "../jobs", ""]) == {}
    assert bench.engine.find(["never", "..", "/"]) == {}
    assert bench.engine.usage(["never"]) == {}
    bench.engine.cancel(["never"], 0)
    bench.engine.forget(["never"])


def test_the_walltime_ends_it(bench: Bench) -> None:
    ref = submit(bench, "a1", "sleep 60", walltime_seconds=1)
    seen = ended(bench, ref)
    assert seen.state is EngineState.TIMEOUT
    assert bench.engine.usage([ref])[ref].elapsed_seconds == 1


def test_a_cancel_at_once_is_a_cancel(bench: Bench) -> None:
    ref = submit(bench, "a1", "sleep 60")
    bench.engine.cancel([ref], 0)
    assert ended(bench, ref).state is EngineState.CANCELLED


def test_a_cancel_while_it_runs_is_a_cancel_and_is_measured(bench: Bench) -> None:
    ref = submit(bench, "a1", "echo begun\nsleep 60")
    until(bench, ref, lambda seen: seen.state is EngineState.RUNNING)
    bench.let_pass()
    bench.engine.cancel([ref], 5)
    bench.engine.cancel([ref], 5)
    assert ended(bench, ref).state is EngineState.CANCELLED
    assert 1 <= bench.engine.usage([ref])[ref].elapsed_seconds < 20


def test_a_cancel_after_the_end_changes_nothing(bench: Bench) -> None:
    ref = submit(bench, "a1", "exit 3")
    before = ended(bench, ref)
    bench.engine.cancel([ref], 0)
    bench.let_pass()
    after = look(bench, ref)
    assert (after.state, after.exit_code) == (before.state, 3)


def test_an_end_that_nobody_wished_is_a_failed_node(bench: Bench) -> None:
    ref = submit(bench, "a1", "sleep 60")
    until(bench, ref, lambda seen: seen.state is EngineState.RUNNING)
    bench.engine.cancel([ref], 0, reason="agent_stopped")
    seen = ended(bench, ref)
    assert (seen.state, seen.reason) == (EngineState.NODE_FAILED, "agent_stopped")


def test_output_is_read_from_any_offset(bench: Bench) -> None:
    ref = submit(bench, "a1", "echo 0123456789\necho abcdef")
    ended(bench, ref)
    piece = bench.engine.logs(ref, "stdout", 5, 4)
    assert (piece.data, piece.next_offset, piece.complete) == (b"5678", 9, False)
    last = bench.engine.logs(ref, "stdout", 11)
    assert (last.data, last.next_offset, last.complete) == (b"abcdef\n", 18, True)
    assert bench.engine.logs(ref, "stdout", 18).complete


def test_files_asked_for_are_there_after_the_end(bench: Bench) -> None:
    if not getattr(bench, "brings_files", True):
        spec = JobSpec(script="touch result.txt", files_out=["*.txt"])
        answer = bench.engine.submit([Submission("a1", spec)])[0]
        assert isinstance(answer, Rejected)  # refused beforehand rather than lost afterwards
        assert (answer.permanent, answer.code) == (True, "engine_no_files_out")
        return
    ref = submit(bench, "a1", "touch result.txt\nsleep 1", files_out=["*.txt"])
    assert bench.engine.outputs(ref) == []
    ended(bench, ref)
    assert [file.name for file in bench.engine.outputs(ref)] == ["result.txt"]
    with bench.engine.open_output(ref, "result.txt") as file:
        assert file.read() == b""
    for name in ("../result.txt", "d/../../result.txt", "/etc/hostname", "nothing.txt"):
        with pytest.raises(OSError):
            bench.engine.open_output(ref, name)


def test_what_is_forgotten_is_gone_and_what_runs_is_not_forgotten(bench: Bench) -> None:
    over, runs = submit(bench, "a1", "exit 0"), submit(bench, "a2", "sleep 60")
    ended(bench, over)
    bench.engine.forget([over, runs])
    assert bench.engine.find(["a1", "a2"]) == {"a2": runs}
    bench.engine.cancel([runs], 0)
    ended(bench, runs)


def test_a_restarted_engine_takes_up_what_runs(bench: Bench) -> None:
    ref = submit(bench, "a1", "sleep 1\necho still here")
    until(bench, ref, lambda seen: seen.state is EngineState.RUNNING)
    bench.again()
    assert bench.engine.find(["a1"]) == {"a1": ref}
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert output(bench, ref) == "still here\n"
