"""A job as asked for: what is taken, and that every wrong field is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from suanwang.core.jobspec import JobSpec, problems
from suanwang.core.refusals import catalogue

_FILE = {"name": "a/b.txt", "sha256": "0" * 64, "size": 1}


def refused(**fields: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        JobSpec(**({"script": "true"} | fields))
    found = problems(caught.value)
    for problem in found:
        words = catalogue()[problem.code]
        for language in ("zh", "en"):
            assert words[language].format_map(problem.facts)
    return [(problem.field, problem.code) for problem in found]


def test_a_script_alone_is_a_job() -> None:
    spec = JobSpec(script="echo hello\r\n")
    assert spec.script == "echo hello\n"
    assert (spec.cores, spec.accelerators, spec.walltime_seconds) == (1, 0, 3600)


@pytest.mark.parametrize(
    ("fields", "where", "code"),
    [
        ({"script": "echo \x00"}, "script", "job_script_control_character"),
        ({"script": "echo \x1b[2J"}, "script", "job_script_control_character"),
        ({"script": "echo \ud800"}, "script", "job_script_control_character"),
        ({"script": " \n"}, "script", "job_script_empty"),
        ({"script": "é" * 131073}, "script", "job_script_too_long"),
        ({"name": "a\nb"}, "name", "job_control_character"),
        ({"name": "a\u202eb"}, "name", "job_control_character"),
        ({"name": ""}, "name", "job_field_empty"),
        ({"cores": 0}, "cores", "job_field_too_small"),
        ({"cores": True}, "cores", "job_field_wrong"),
        ({"cores": "4"}, "cores", "job_field_wrong"),
        ({"memory_mib": 10**10}, "memory_mib", "job_field_too_large"),
        ({"accelerators": -1}, "accelerators", "job_field_too_small"),
        ({"accelerator_model": "A100"}, "job", "job_model_without_accelerators"),
        ({"walltime_seconds": 0}, "walltime_seconds", "job_field_too_small"),
        ({"walltime_seconds": 2_592_001}, "walltime_seconds", "job_field_too_large"),
        ({"environment": {"A-B": ""}}, "environment", "job_environment_name"),
        ({"environment": {"A\n": ""}}, "environment", "job_environment_name"),
        ({"environment": {"SUANWANG_JOB": "x"}}, "environment", "job_environment_name"),
        ({"environment": {"A": "\x00"}}, "environment", "job_environment_value"),
        ({"environment": {"A": "x" * 32769}}, "environment", "job_environment_too_large"),
        ({"goal": "free"}, "goal", "job_field_wrong"),
        ({"nodes": 3, "cores": 4}, "job", "job_nodes_uneven"),
        ({"nodes": 0}, "nodes", "job_field_too_small"),
        ({"card_milli": 500}, "job", "job_card_without_accelerators"),
        ({"accelerators": 1, "card_milli": 1001}, "card_milli", "job_field_too_large"),
        (
            {"accelerators": 1, "accelerator_model": "h20", "capability": {}},
            "job",
            "job_model_and_capability",
        ),
        (
            {"not_before": "2026-12-02T00:00Z", "deadline": "2026-12-01T00:00Z"},
            "job",
            "job_deadline_before_start",
        ),
        ({"deadline": "2026-12-01T00:00"}, "deadline", "job_field_wrong"),
        ({"where": {"latency_us_max": 5}}, "where", "job_latency_to_nowhere"),
        ({"where": {"tiers": ["moon"]}}, "where.tiers.0", "job_field_wrong"),
        *(
            ({"image": image}, "image", "job_image_wrong")
            for image in (
                "",
                " ",
                "a b",
                "a\nb",
                "a\x00b",
                "-v=/:/host",
                "--privileged",
                "a;reboot",
                "$(id)",
                "a|b",
                "a&&b",
                "`id`",
                "../a",
                "/a",
                "a/",
                "a//b",
                "a:",
                "a@",
                "http://a/b",
                "a:b:c",
                "a@sha256:12",
                "a@md5:" + "0" * 32,
                "A/B",
                "a/B",
                "a\u202eb",
                "图像",
                "a:\t1",
                "a:-x",
                "-a/b",
                "a.-b/c",
                "a:" + "x" * 129,
                "a/" * 150 + "a",
                "a" * 301,
                "a:1\n",
                "host:x/a",
            )
        ),
        ({"image": 5}, "image", "job_field_wrong"),
        ({"colour": "red"}, "colour", "job_field_unknown"),
        ({"files_in": [_FILE, _FILE]}, "job", "job_file_twice"),
        ({"files_in": [_FILE, _FILE | {"name": "a"}]}, "job", "job_file_twice"),
        ({"files_in": [_FILE | {"size": 2**25 + 1}]}, "files_in.0.size", "job_field_too_large"),
        ({"files_in": [_FILE | {"sha256": "A" * 64}]}, "files_in.0.sha256", "job_field_wrong"),
        ({"files_out": ["x"] * 101}, "files_out", "job_list_too_long"),
    ],
)
def test_every_wrong_field_is_refused_by_name(
    fields: dict[str, Any], where: str, code: str
) -> None:
    assert refused(**fields) == [(where, code)]


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "a\\b"])
def test_a_file_name_cannot_leave_the_folder(name: str) -> None:
    assert refused(files_out=[name]) == [("files_out.0", "job_file_name")]
    assert refused(files_in=[_FILE | {"name": name}]) == [("files_in.0.name", "job_file_name")]


@given(st.text(max_size=200))
def test_any_text_as_a_file_name_is_taken_safely_or_refused(name: str) -> None:
    try:
        JobSpec(script="true", files_out=[name])
    except ValidationError as error:
        assert problems(error)
    else:
        assert not name.startswith("/")
        assert not {"", ".", ".."} & set(name.split("/"))


def test_newlines_and_quotes_in_the_environment_are_data() -> None:
    value = "line one\nline 'two'\t\"three\" $(id) `id` \\ %s"
    assert JobSpec(script="true", environment={"A": value}).environment["A"] == value


def test_quantities_are_what_was_allocated_times_whole_seconds() -> None:
    spec = JobSpec(script="true", cores=3, memory_mib=100, accelerators=2)
    assert spec.quantities(7) == {
        "core_seconds": 21,
        "card_seconds": 14,
        "memory_mib_seconds": 700,
    }
    assert "card_seconds" not in JobSpec(script="true").quantities(7)


def test_amounts_of_several_nodes_are_totals_and_metered_as_totals() -> None:
    spec = JobSpec(script="true", nodes=4, cores=16, memory_mib=4096, accelerators=8)
    assert spec.per_node == (4, 1024, 2)
    assert spec.quantities(10) == {
        "core_seconds": 160,
        "card_seconds": 80,
        "memory_mib_seconds": 40960,
    }


def test_what_is_left_open_is_the_usual_on_each_node() -> None:
    spec = JobSpec(script="true", nodes=3)
    assert (spec.cores, spec.memory_mib, spec.per_node) == (3, 3072, (1, 1024, 0))


@given(cards=st.integers(1, 64), milli=st.integers(1, 1000), seconds=st.integers(1, 30 * 24 * 3600))
def test_a_share_of_a_card_is_rounded_up_once(cards: int, milli: int, seconds: int) -> None:
    spec = JobSpec(script="true", accelerators=cards, card_milli=milli)
    exact, metered = cards * milli * seconds, 1000 * spec.quantities(seconds)["card_seconds"]
    assert 0 <= metered - exact < 1000


def test_a_job_without_wishes_is_stored_without_them() -> None:
    stored = JobSpec(script="true").as_stored()
    assert "where" not in stored and "nodes" not in stored
    wished = JobSpec(script="true", nodes=2, where={"tiers": ["edge", "edge"]})
    assert JobSpec.model_validate(wished.as_stored()) == wished
    assert wished.where.tiers == ["edge"]
