"""What the Ray engine decides by itself: settings, what fits, what a job's end was."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from suanwang.core.jobspec import JobSpec
from suanwang.engines.choice import open_engine
from suanwang.engines.others import Amount, Holding
from suanwang.engines.port import Accelerators, NodeUse, Submission
from suanwang.engines.ray.cluster import HOLDS, demand, facts, holding, taken
from suanwang.engines.ray.dashboard import RayJob, RayNode
from suanwang.engines.ray.endings import STATES, conclude, read_left, read_told
from suanwang.engines.ray.package import PackageTooLarge, task, write_package
from suanwang.engines.ray.records import Ending, Record, Records
from suanwang.engines.ray.settings import RaySettings

URL = "http://127.0.0.1:8265"
TWO_MODELS = RaySettings.model_validate(
    {
        "url": URL,
        "accelerators": {
            "A100": {"resource": "GPU", "marker": "accelerator_type:A100"},
            "T4": {"resource": "GPU", "marker": "accelerator_type:T4"},
            "910B": "my_npu",
        },
    }
)


def node(name: str, **resources: float) -> RayNode:
    whole = {"CPU": 8.0, "memory": float(16 << 30)} | resources
    return RayNode(node_id=name * 8, node_name=name, state="ALIVE", resources_total=whole)


NODES = [
    node("plain"),
    node("a", GPU=4, **{"accelerator_type:A100": 1}),
    node("t", GPU=2, **{"accelerator_type:T4": 1}),
    node("n", my_npu=8),
    node("head", CPU=0),
]


def spec(**fields: Any) -> JobSpec:
    return JobSpec.model_validate({"script": "true"} | fields)


# -- settings -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"url": "ftp://x"},
        {"url": "http://x y"},
        {"url": "http://x/?q=1"},
        {"url": URL, "colour": "red"},
        {"url": URL, "python": "python3; rm -rf /"},
        {"url": URL, "prefix": "../"},
        {"url": URL, "prefix": "a b"},
        {"url": URL, "grace_seconds": 0},
        {"url": URL, "package_mib_max": 1000},
        {"url": URL, "pass_environment": ["A=B"]},
        {"url": URL, "accelerators": {"X": "npu two"}},
        {"url": URL, "accelerators": {"X": "npu", "Y": "npu"}},
        {"url": URL, "accelerators": {"X": "GPU", "Y": {"resource": "GPU", "marker": "y"}}},
    ],
)
def test_settings_that_cannot_work_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        open_engine("ray", options, tmp_path)
    assert [*tmp_path.iterdir()] == []


# -- what fits ----------------------------------------------------------------------------


def test_a_job_is_asked_for_in_rays_words() -> None:
    wanted, _ = demand(spec(cores=3, memory_mib=100), TWO_MODELS, NODES)
    assert wanted is not None
    assert wanted.entrypoint == {"entrypoint_num_cpus": 3, "entrypoint_memory": 100 << 20}
    wanted, _ = demand(spec(accelerators=2, accelerator_model="T4"), TWO_MODELS, NODES)
    assert wanted is not None
    assert wanted.entrypoint["entrypoint_num_gpus"] == 2
    assert wanted.entrypoint["entrypoint_resources"] == {"accelerator_type:T4": 0.001}
    wanted, _ = demand(spec(accelerators=8, accelerator_model="910B"), TWO_MODELS, NODES)
    assert wanted is not None
    assert wanted.entrypoint["entrypoint_resources"] == {"my_npu": 8}
    assert "entrypoint_num_gpus" not in wanted.entrypoint


def test_a_share_of_a_card_and_any_model_are_understood() -> None:
    share = spec(accelerators=1, accelerator_model="A100", card_milli=250)
    wanted, _ = demand(share, TWO_MODELS, NODES)
    assert wanted is not None
    assert wanted.entrypoint["entrypoint_num_gpus"] == 0.25
    wanted, _ = demand(spec(accelerators=6), TWO_MODELS, NODES)
    assert wanted is not None
    assert wanted.entrypoint["entrypoint_resources"] == {"my_npu": 6}


@pytest.mark.parametrize(
    "fields",
    [
        {"cores": 9},
        {"memory_mib": 17 * 1024},
        {"accelerators": 3, "accelerator_model": "T4"},
        {"accelerators": 9},
        {"accelerators": 1, "accelerator_model": "H100"},
        {"accelerators": 1, "capability": {"precision": "fp16"}},
        {"nodes": 2, "cores": 2, "memory_mib": 64},
    ],
)
def test_what_no_single_node_has_is_told_in_words(fields: dict[str, Any]) -> None:
    wanted, why = demand(spec(**fields), TWO_MODELS, NODES)
    assert wanted is None
    assert why


def test_nodes_are_told_with_what_others_hold_where_ray_says_what_is_taken() -> None:
    in_use = {"a" * 8: {"CPU": 3.5, "memory": float(1 << 30), "GPU": 0.5}, "n" * 8: {"myNpu": 8.0}}
    others = taken(NODES, in_use, TWO_MODELS)
    told = {one.name: one for one in facts(NODES, others, TWO_MODELS)}
    assert set(told) == {"plain", "a", "t", "n"}, "a head that offers no core takes no job"
    assert told["plain"].others is None
    assert told["a"].accelerators == (Accelerators("A100", 4),)
    assert told["a"].others == NodeUse(4, 1024, (Accelerators("A100", 1),))
    assert told["n"].others == NodeUse(0, 0, (Accelerators("910B", 8),))


def test_a_job_says_itself_what_it_holds() -> None:
    share = spec(cores=2, accelerators=1, accelerator_model="A100", card_milli=250)
    wanted, _ = demand(share, TWO_MODELS, NODES)
    assert wanted is not None
    job = RayJob(status="RUNNING", driver_node_id="a" * 8, metadata={HOLDS: wanted.told})
    assert holding(job) == Holding(("a" * 8,), Amount(2000, share.memory_mib, 250))
    assert holding(job.model_copy(update={"status": "PENDING"})) is None
    assert holding(job.model_copy(update={"status": "SUCCEEDED"})) is None
    assert holding(job.model_copy(update={"metadata": {HOLDS: "-1 all 1"}})) is None


def test_two_nodes_of_one_name_are_told_apart() -> None:
    one, other = node("x"), node("x").model_copy(update={"node_id": "y" * 8})
    names = [each.name for each in facts([one, other], {}, TWO_MODELS)]
    assert len(set(names)) == 2


# -- ends -----------------------------------------------------------------------------


def job(status: str, **fields: Any) -> RayJob:
    return RayJob.model_validate({"status": status, "end_time": 1_700_000_010_500} | fields)


def record(**fields: Any) -> Record:
    return Record("r", "f", "s", walltime_seconds=60, accepted=True, **fields)


LEFT = b'{"status": {"state": "%s", "started_at": 1700000000.0, "ended_at": 1700000009.0, '
LEFT += b'"elapsed_seconds": 900, "exit_code": 3}, "sizes": {"stdout": 5}, "outputs": []}'


def test_every_word_of_ray_has_a_state() -> None:
    assert set(STATES) == {"PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"}


def test_the_runner_is_believed_but_never_beyond_the_walltime() -> None:
    left = read_left(LEFT % b"timeout")
    end = conclude(job("FAILED", driver_exit_code=124), record(), left, None, reached=True)
    assert (end.state, end.elapsed_seconds, end.exit_code) == ("timeout", 60, 3)
    assert end.sizes == {"stdout": 5, "stderr": 0}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (None, ("cancelled", "stopped_at_site")),
        ("", ("cancelled", "")),
        ("agent_stopped", ("node_failed", "agent_stopped")),
    ],
)
def test_a_stop_is_what_it_was_asked_for(wish: str | None, expected: tuple[str, str]) -> None:
    left = read_left(LEFT % b"cancelled")
    end = conclude(job("STOPPED"), record(wish=wish), left, None, reached=True)
    assert (end.state, end.reason) == expected


def test_a_job_that_ended_before_the_stop_reached_it_has_its_own_end() -> None:
    left = read_left(LEFT % b"succeeded")
    end = conclude(job("STOPPED"), record(wish=""), left, None, reached=True)
    assert end.state == "succeeded"


@pytest.mark.parametrize(
    ("ray", "reached", "told", "expected"),
    [
        ({"status": "FAILED", "error_type": "JOB_SUPERVISOR_ACTOR_DIED"}, False, False,
         ("node_failed", "job_supervisor_actor_died", None)),
        ({"status": "FAILED"}, True, True, ("node_failed", "ray_failed", None)),
        ({"status": "FAILED", "driver_exit_code": -9}, True, True, ("lost", "runner_killed", None)),
        ({"status": "FAILED", "driver_exit_code": 1}, True, False,
         ("node_failed", "runner_never_began", None)),
        ({"status": "FAILED", "driver_exit_code": 7}, False, False,
         ("failed", "details_unknown", 7)),
        ({"status": "SUCCEEDED", "driver_exit_code": 0}, False, False,
         ("succeeded", "details_unknown", 0)),
    ],
)  # fmt: skip
def test_without_the_runners_word_only_what_is_known_is_said(
    ray: dict[str, Any], reached: bool, told: bool, expected: tuple[str, str, int | None]
) -> None:
    word = read_told(b'{"state": "running", "started_at": 1700000000.0}') if told else None
    end = conclude(job(**ray), record(), None, word, reached=reached)
    assert (end.state, end.reason, end.exit_code) == expected
    assert end.elapsed_seconds == (11 if told else None)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\x00", b"[]", b'{"status": {}}', b"{" * 100_000,
        LEFT % b"succeeded" + b"x",
        b'{"status": {"state": "failed", "elapsed_seconds": -1}, "sizes": {}, "outputs": []}',
        b'{"status": {"state": "failed", "ended_at": 1e300}, "sizes": {}, "outputs": []}',
        b'{"status": {"state": "failed"}, "sizes": {}, "outputs": [["../../etc/passwd", 1]]}',
        b'{"status": {"state": "failed"}, "sizes": {}, "outputs": [["a\\u0000b", 1]]}',
    ],
)  # fmt: skip
def test_what_a_job_may_have_written_in_the_runners_place_is_not_believed(data: bytes) -> None:
    assert read_left(data) is None


# -- what is kept, and what is sent ----------------------------------------------------------


def test_an_ending_once_written_down_stays(tmp_path: Path) -> None:
    records = Records(tmp_path / "r.sqlite3")
    one = record(ending=Ending("succeeded", "SUCCEEDED", outputs=[("a", 1)]))
    records.add(one)
    records.save(one)
    one.ending = Ending("failed", "FAILED")
    records.save(one)
    records.close()
    again = Records(tmp_path / "r.sqlite3")
    kept = again.get(["r"])["r"].ending
    assert kept is not None
    assert (kept.state, kept.outputs) == ("succeeded", [("a", 1)])
    again.close()


def test_a_package_holds_nothing_by_a_users_name_and_is_bounded(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"x" * 10)
    one = Submission("k", spec(name="../../evil"), {"a/b c": source})
    what = task(one, "folder", TWO_MODELS)
    with (tmp_path / "p.zip").open("w+b") as file:
        write_package(file, what, one.spec.script, one.inputs.values(), mib_max=1)
        with zipfile.ZipFile(file) as package:
            names = package.namelist()
            assert json.loads(package.read("task.json"))["inputs"] == ["a/b c"]
    assert all(
        name in ("run.py", "task.json", "script", "inputs/0") or name.startswith("suanwang/")
        for name in names
    )
    source.write_bytes(os.urandom(3 << 20))
    with (tmp_path / "q.zip").open("w+b") as file, pytest.raises(PackageTooLarge):
        write_package(file, what, one.spec.script, one.inputs.values(), mib_max=1)
