"""Ray or the network breaks: no job is called a success that was none, and none runs twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from suanwang.engines.port import EngineState, EngineUnavailable, NodeFacts
from suanwang.engines.ray.engine import RayEngine

from .engine_benches import ended, look, output, submit, until
from .faulty_door import ANSWERS, FaultyDoor
from .ray_bench import RayBench, RayCluster, require_ray


@pytest.fixture
def door(ray_cluster: RayCluster) -> Iterator[FaultyDoor]:
    door = FaultyDoor(ray_cluster.url)
    yield door
    door.close()


def test_a_submission_whose_answer_got_lost_is_found_and_runs_once(
    door: FaultyDoor, tmp_path: Path
) -> None:
    bench = RayBench(door.url, tmp_path)
    door.fault = "the answer to a submission gets lost"
    with pytest.raises(EngineUnavailable):
        submit(bench, "a1", "echo first")
    door.fault = ""
    bench.again()
    assert bench.ray.find(["a1"]) == {"a1": f"{bench.settings.prefix}a1"}
    ref = submit(bench, "a1", "echo second")
    assert ended(bench, ref).state is EngineState.SUCCEEDED
    assert output(bench, ref) == "first\n"
    bench.clear()


def test_nothing_an_ill_dashboard_says_changes_a_state(door: FaultyDoor, tmp_path: Path) -> None:
    bench = RayBench(door.url, tmp_path, timeout_seconds=5)
    refs = [submit(bench, f"a{number}", "sleep 600") for number in range(1, 3)]
    until(bench, refs[0], lambda seen: seen.state is EngineState.RUNNING)
    questions = (
        lambda: bench.ray.observe(refs[:1]),
        lambda: bench.ray.cancel(refs[1:], 0),
        lambda: bench.ray.find(["a5"]),
        lambda: bench.ray.logs(refs[0], "stdout", 0),
        lambda: submit(bench, "a6", "exit 0"),
        bench.ray.capabilities,
        bench.ray.inventory,
    )
    for fault in [*ANSWERS, "silence"]:
        door.fault = fault
        for ask in questions:
            with pytest.raises(EngineUnavailable):
                ask()
        with pytest.raises(EngineUnavailable):
            RayEngine(bench.settings, tmp_path / "another")
    door.fault = ""
    assert look(bench, refs[0]).state is EngineState.RUNNING
    bench.ray.cancel(refs, 0)
    assert ended(bench, refs[1]).state is EngineState.CANCELLED
    bench.clear()


@pytest.fixture(scope="module")
def spare_cluster() -> Iterator[RayCluster]:
    """One to be broken."""
    require_ray()
    cluster = RayCluster([{"cpus": 1}, {"cpus": 2, "npu": 1}])
    try:
        yield cluster
    finally:
        cluster.stop()


def test_a_node_and_then_the_head_are_lost_and_no_job_is_called_a_success(
    spare_cluster: RayCluster, tmp_path: Path
) -> None:
    bench = RayBench(spare_cluster.url, tmp_path)
    done = submit(bench, "a1", "echo kept")
    on_node = submit(bench, "a2", "sleep 600", accelerators=1, accelerator_model="910B")
    until(bench, on_node, lambda seen: seen.state is EngineState.RUNNING)
    assert ended(bench, done).state is EngineState.SUCCEEDED

    spare_cluster.kill_node(1)
    seen = ended(bench, on_node, 90)
    assert (seen.state, seen.reason) == (EngineState.NODE_FAILED, "job_supervisor_actor_died")
    assert bench.ray.logs(on_node, "stdout", 0).complete

    door = FaultyDoor(spare_cluster.url)
    unsure = RayBench(door.url, tmp_path / "unsure")
    runs, unseen = submit(bench, "a3", "sleep 600"), submit(bench, "a4", "sleep 600")
    until(bench, runs, lambda seen: seen.state is EngineState.RUNNING)
    door.fault = "the answer to a submission gets lost"
    with pytest.raises(EngineUnavailable):
        submit(unsure, "a5", "sleep 600")
    spare_cluster.kill()
    with pytest.raises(EngineUnavailable):
        bench.ray.observe([runs, unseen])
    spare_cluster.start_head()
    door.fault = ""
    again = submit(unsure, "a5", "echo again")
    assert look(unsure, again).state is EngineState.LOST, "it may have run: never again"
    for ref in (runs, unseen):
        seen = look(bench, ref)
        assert (seen.state, seen.reason) == (EngineState.LOST, "head_restarted")
    assert submit(bench, "a3", "echo again") == runs, "it may have run: never again"
    assert look(bench, runs).state is EngineState.LOST
    assert look(bench, done).state is EngineState.SUCCEEDED
    bench.ray.forget([done, on_node, runs, unseen])
    assert bench.ray.find(["a1", "a2", "a3", "a4"]) == {}
    assert [type(node) for node in bench.ray.inventory()] == [NodeFacts]
    for one in (bench.ray, unsure.ray, door):
        one.close()
