"""Slurm's words, numbers and JSON are read as they are meant, and garbage is never a state."""

from __future__ import annotations

import json

import pytest

from suanwang.core.jobspec import JobSpec
from suanwang.engines.port import EngineState, EngineUnavailable
from suanwang.engines.slurm.answers import document, entries, errors, live_row, past_row
from suanwang.engines.slurm.commands import seconds
from suanwang.engines.slurm.demand import Models, check
from suanwang.engines.slurm.rejections import refusal
from suanwang.engines.slurm.rows import (
    STATES,
    Holds,
    JobRow,
    NodeRow,
    PartitionLimits,
    cards,
    from_wait_status,
    hosts,
    quantities,
    told,
)
from suanwang.engines.slurm.script import batch_script, environment_file
from suanwang.engines.slurm.settings import SlurmSettings
from suanwang.engines.slurm.transport import NotTaken


def test_a_live_exit_code_is_a_wait_status() -> None:
    assert from_wait_status(1792) == (7, None)
    assert from_wait_status(11) == (139, 11)
    assert from_wait_status(139 << 8) == (139, 11)
    assert told(0, 125) == (None, None)  # Slurm's mark for out of memory is no signal


def test_no_word_for_an_end_is_taken_for_another() -> None:
    ends = {word for word, state in STATES.items() if state.final}
    assert ends == {
        "COMPLETED", "FAILED", "CANCELLED", "REVOKED", "TIMEOUT", "DEADLINE", "OUT_OF_MEMORY",
        "NODE_FAIL", "BOOT_FAIL", "LAUNCH_FAILED", "RECONFIG_FAIL", "PREEMPTED",
    }  # fmt: skip
    assert [word for word, state in STATES.items() if state is EngineState.SUCCEEDED] == [
        "COMPLETED"
    ]
    assert JobRow(1, "a1", "BRAND_NEW").state is None


@pytest.mark.parametrize(
    ("text", "found"),
    [("1-02:03:04", 93_784), ("02:03:04", 7384), ("3:04", 184), ("infinite", None), ("", None)],
)
def test_times_are_read(text: str, found: int | None) -> None:
    assert seconds(text) == found


def test_tres_and_gres_are_counted() -> None:
    assert quantities("billing=4,cpu=2,gres/gpu:a100=1,mem=1.50G,node=1,x=?") == {
        "billing": 4, "cpu": 2, "gres/gpu:a100": 1, "mem": 1536, "node": 1,
    }  # fmt: skip
    assert cards("gpu:a100:2(S:0-1,3),gpu:4(IDX:N/A),shm:1") == {"gpu:a100": 2, "gpu": 4, "shm": 1}
    assert cards("(null)") == cards("N/A") == cards("") == {}


def test_a_model_is_found_by_the_table_or_by_its_type() -> None:
    settings = SlurmSettings.model_validate({"folder": "/x", "accelerators": {"A100": "gpu:a"}})
    models = Models(settings)
    nodes = [NodeRow("n1", 8, 0, 1000, 0, "gpu:a:2,gpu:b:1", "gpu:a:1(IDX:0)", True)]
    assert [(one.model, one.count) for one in models.of(nodes[0].gres)] == [("A100", 2), ("b", 1)]

    def wanted(model: str | None) -> str | None:
        return models.gres(JobSpec(script="x", accelerators=1, accelerator_model=model), nodes)

    assert (wanted("A100"), wanted("b"), wanted(None)) == ("gpu:a:1", "gpu:b:1", "gpu:1")
    with pytest.raises(NotTaken) as refused:
        wanted("H20")
    assert (refused.value.permanent, refused.value.code) == (True, "engine_no_such_card")


def test_what_could_never_start_is_refused() -> None:
    nodes = [NodeRow(f"n{number}", 8, 0, 1000, 0, "", "", True) for number in range(2)]
    limits = PartitionLimits(walltime_seconds=3600, nodes=None)
    check(JobSpec(script="x", cores=16, nodes=2, memory_mib=2000), None, nodes, limits)
    for spec, code in (
        (JobSpec(script="x", cores=9), "engine_no_node_fits"),
        (JobSpec(script="x", memory_mib=1001), "engine_no_node_fits"),
        (JobSpec(script="x", nodes=3), "engine_no_node_fits"),
        (JobSpec(script="x", memory_mib=100, walltime_seconds=3601), "engine_walltime_too_long"),
    ):
        with pytest.raises(NotTaken) as refused:
            check(spec, None, nodes, limits)
        assert (refused.value.permanent, refused.value.code) == (True, code)


@pytest.mark.parametrize(
    ("said", "permanent"),
    [
        ("sbatch: error: Batch job submission failed: Invalid partition name specified", True),
        ("Job violates accounting/QOS policy (job submit limit, user's size …)", False),
        ("words nobody has ever heard", True),
        ("sbatch: error: Unable to contact slurm controller (connect failure)", None),
        ("Socket timed out on send/recv operation", None),
    ],
)
def test_a_refusal_is_for_good_for_now_or_none(said: str, permanent: bool | None) -> None:
    found = refusal(said)
    assert (found.permanent if isinstance(found, NotTaken) else None) is permanent


def test_a_list_is_read_in_pieces_of_any_size() -> None:
    jobs = [{"job_id": number, "name": 'a "jobs": [ ]} b', "x": [{}]} for number in range(5)]
    text = json.dumps({"meta": {}, "errors": [], "jobs": jobs}, indent=1)
    for size in (1, 7, 100, len(text)):
        pieces = [text[begin : begin + size] for begin in range(0, len(text), size)]
        assert list(entries(pieces, "jobs")) == jobs


@pytest.mark.parametrize(
    "text",
    [
        "", "nothing", "[]", "null", '{"errors": []}', '{"jobs": 3}', '{"jobs": [1]}',
        '{"jobs": [{"job_id": 1}', '{"jobs": [{"job_id": 1}], "errors": [{"error": "no"}]}',
        '{"errors": ["no"], "jobs": []}', '{"jobs": [' + "[" * 100_000, "\x00\xff",
    ],
)  # fmt: skip
def test_garbage_is_an_engine_that_did_not_answer(text: str) -> None:
    with pytest.raises(EngineUnavailable):
        list(entries([text], "jobs"))


def test_an_answer_is_judged_by_its_body() -> None:
    said = '{"job_id": 0, "errors": [{"error_code": 2014, "error": "Requested node …"}]}'
    assert errors(document(said)) == "Requested node … 2014"
    assert errors(document('{"errors": []}')) == ""
    with pytest.raises(EngineUnavailable):
        document("[1]")


def test_fields_of_a_wrong_kind_are_not_known() -> None:
    row = live_row({"job_id": 7, "job_state": "FAILED", "exit_code": "x", "start_time": None})
    assert row is not None
    assert (row.exit_code, row.started_at, row.nodes) == (None, None, False)
    assert live_row({"job_id": "7", "job_state": "FAILED"}) is None
    assert past_row({"job_id": 7, "state": "FAILED", "time": {}}) is None


def test_a_failed_job_that_accounting_calls_success_has_no_exit_code() -> None:
    facts = {
        "job_id": 7,
        "state": {"current": "FAILED"},
        "time": {"start": 5, "end": 9, "elapsed": 4},
        "exit_code": {"status": "SUCCESS", "return_code": 0},
        "steps": None,
    }
    row = past_row(facts)
    assert row is not None
    assert (row.state, row.exit_code) == (EngineState.FAILED, None)
    facts["state"] = {"current": "COMPLETED"}
    done = past_row(facts)
    assert done is not None
    assert done.exit_code == 0


def test_nothing_of_a_job_but_its_folder_is_in_the_batch_script() -> None:
    spec = JobSpec(script="echo '; rm -rf /'", environment={"ODD": "$(touch x)"})
    text = batch_script("/a b/$(id)'", spec, requeue=False)
    assert "rm -rf" not in text
    assert "touch" not in text
    assert """place='/a b/$(id)'"'"''""" in text
    assert environment_file({"A": "1\n2", "B": ""}) == b"A=1\n2\0B=\0"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"folder": "relative"},
        {"folder": "/x", "unknown": 1},
        {"folder": "/x", "partition": "a b"},
        {"folder": "/x", "partition": "--wrap=id"},
        {"folder": "/x", "url": "file:///etc/passwd"},
        {"folder": "/x", "accelerators": {"A": "gpu:a;id"}},
        {"folder": "/x", "poll_seconds": 0},
        {"folder": "/x\n"},
    ],
)
def test_settings_are_strict(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        SlurmSettings.model_validate(options)


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        ("n1", ["n1"]),
        ("n[1-3,07],m2", ["n1", "n2", "n3", "n07", "m2"]),
        ("n[008-010]-ib", ["n008-ib", "n009-ib", "n010-ib"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("", []),
    ],
)
def test_a_host_list_is_read(listed: str, names: list[str]) -> None:
    assert list(hosts(listed)) == names


@pytest.mark.parametrize("listed", ["n[1-", "n[1-99999999]", "n]1[", "n[a-b]"])
def test_what_is_no_host_list_is_no_answer(listed: str) -> None:
    with pytest.raises(ValueError, match="host"):
        hosts(listed)


def test_what_a_running_job_holds_is_read_from_the_controllers_answer() -> None:
    entry = {
        "job_id": 7, "name": "a1", "job_state": "RUNNING", "nodes": "n[1-2]", "cpus": 6,
        "memory_per_node": 500, "tres_per_node": "gres:gpu:h20:1",
    }  # fmt: skip
    row = live_row(entry)
    assert row is not None
    assert row.holds == Holds(("n1", "n2"), 3, 500, "gres:gpu:h20:1")
    assert cards(row.holds.gres) == {"gpu:h20": 1}
    waiting = live_row(entry | {"job_state": "PENDING", "nodes": ""})
    assert waiting is not None
    assert waiting.holds is None
    with pytest.raises(EngineUnavailable):
        live_row(entry | {"nodes": "n[1-"})
