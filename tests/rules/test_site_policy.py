"""A centre's last word: what its policy lets in, by whom, how large and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from suanwang.agent.gate import BROKEN, DRAINING, Gate
from suanwang.agent.site_policy import SitePolicy, Work, decide
from suanwang.agent.yaml_file import BYTES_MAX, FileWrong, read

THURSDAY = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)  # noon in Shanghai
WORK = Work(
    organisation="0b6f7c9e-0000-0000-0000-000000000001",
    organisation_name="虚构公司",
    image="registry.example/lab/torch:2.6",
    cores=8,
    memory_mib=4096,
    accelerators=2,
    nodes=2,
    walltime_seconds=3600,
)


def policy(text: str) -> SitePolicy:
    return read(text.encode(), SitePolicy)


def code(text: str, work: Work = WORK, at: datetime = THURSDAY) -> str:
    refusal = decide(policy(text), work, at)
    return refusal.code if refusal is not None else ""


def test_nothing_said_refuses_nothing() -> None:
    assert code("") == ""
    assert code("organisations: {}\nresources: {}") == ""


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("organisations: {allow: ['0b6f7c9e-*']}", ""),
        ("organisations: {allow: [虚构公司]}", ""),
        ("organisations: {allow: [别的公司]}", "site_organisation_refused"),
        ("organisations: {deny: [虚构*]}", "site_organisation_refused"),
        ("organisations: {allow: ['*'], deny: [虚构公司]}", "site_organisation_refused"),
        ("organisations: {allow: []}", "site_organisation_refused"),
        ("images: {allow: ['registry.example/lab/*']}", ""),
        ("images: {allow: ['registry.example/city/*']}", "site_image_refused"),
        ("images: {deny: ['*:latest']}", ""),
        ("images: {deny: ['REGISTRY.example/lab/torch:2.6']}", ""),
    ],
)
def test_who_and_what_is_let_in_goes_by_patterns_denials_first(text: str, refused: str) -> None:
    assert code(text) == refused


@pytest.mark.parametrize("image", ["python", "library/python", "DOCKER.io/python:latest"])
def test_no_other_way_of_writing_an_image_gets_around_the_policy(image: str) -> None:
    work = replace(WORK, image=image)
    assert code("images: {deny: ['docker.io/library/python:*']}", work) == "site_image_refused"
    assert code("images: {deny: ['*:latest']}", work) == "site_image_refused"
    assert code("images: {allow: ['docker.io/library/*']}", work) == ""


def test_a_job_without_an_image_is_no_matter_of_images() -> None:
    assert code("images: {allow: []}", replace(WORK, image="")) == ""


def test_where_only_some_are_let_in_nobody_unnamed_is() -> None:
    nobody = replace(WORK, organisation="", organisation_name="")
    assert code("organisations: {allow: [虚构公司]}", nobody) == "site_organisation_refused"


@pytest.mark.parametrize(
    ("limit", "field", "refused"),
    [
        ("cores_max", "cores", "site_cores_exceeded"),
        ("memory_mib_max", "memory_mib", "site_memory_exceeded"),
        ("accelerators_max", "accelerators", "site_accelerators_exceeded"),
        ("nodes_max", "nodes", "site_nodes_exceeded"),
        ("walltime_seconds_max", "walltime_seconds", "site_walltime_exceeded"),
    ],
)
def test_the_largest_job_is_let_in_and_one_more_is_not(
    limit: str, field: str, refused: str
) -> None:
    most = getattr(WORK, field)
    rules = policy(f"resources: {{{limit}: {most}}}")
    assert decide(rules, WORK, THURSDAY) is None
    larger: dict[str, Any] = {field: most + 1}
    told = decide(rules, replace(WORK, **larger), THURSDAY)
    assert told is not None
    assert (told.code, told.facts) == (refused, {"asked": most + 1, "limit": most})


NIGHTS = """
timezone: Asia/Shanghai
hours:
  - {days: [mon, tue, wed, thu, fri], from: 20:00, to: 08:00}
  - {days: [sat, sun], from: "00:00", to: "24:00"}
"""


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ((26, 12, 0), None),  # Thursday 20:00 in Shanghai
        ((26, 11, 59), (26, 12, 0)),
        ((26, 23, 59), None),  # Friday 07:59, the night of Thursday
        ((27, 0, 0), (27, 12, 0)),  # Friday 08:00
        ((27, 16, 0), None),  # Saturday 00:00
        ((29, 15, 59), None),  # Sunday 23:59
        ((29, 16, 0), (30, 12, 0)),  # Monday 00:00: the night of Sunday is not said
    ],
)
def test_hours_are_the_centres_own_and_run_past_midnight(
    at: tuple[int, int, int], opens: tuple[int, int, int] | None
) -> None:
    told = decide(policy(NIGHTS), WORK, datetime(2026, 11, *at, tzinfo=UTC))
    if opens is None:
        assert told is None
    else:
        assert told is not None
        assert (told.code, told.until) == (
            "site_hours_closed", datetime(2026, 11, *opens, tzinfo=UTC)
        )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "organisation: {allow: [x]}",  # a name that nobody knows
        "organisations: [x]",
        "organisations: {allow: [1]}",
        "resources: {cores_max: many}",
        "resources: {cores_max: -1}",
        "resources: {cores_max: 4.5}",
        "hours: [{from: 20:00, to: 08:00}]",  # no zone
        "timezone: Middle/Earth",
        "{timezone: Asia/Shanghai, hours: []}",
        "{timezone: Asia/Shanghai, hours: [{from: '25:00', to: '08:00'}]}",
        "{timezone: Asia/Shanghai, hours: [{days: [montag], from: '1:00', to: '2:00'}]}",
        "organisations: {allow: [a]}\norganisations: {allow: [b]}",  # which one counts?
        "- a list",
        "a: [",
        "!!python/object/apply:os.system ['true']",
        "\x00",
        "{" * 5000,
    ],
)
def test_what_cannot_be_understood_is_wrong_and_never_a_yes(text: str) -> None:
    with pytest.raises(FileWrong):
        policy(text)


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("# " + "x" * BYTES_MAX)
    gate = Gate(site, tmp_path / "draining")
    assert gate.closed() == BROKEN
    assert "bytes" in gate.site.wrong


def test_the_file_is_read_again_when_it_changes_and_a_broken_one_keeps_all_out(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site.yaml"
    gate = Gate(site, tmp_path / "draining")
    assert (gate.closed(), gate.refuse(WORK, THURSDAY), gate.site.version) == ("", None, "")

    site.write_text("resources: {cores_max: 4}")
    told = gate.refuse(WORK, THURSDAY)
    assert told is not None and told.code == "site_cores_exceeded"
    first = gate.site.version

    site.write_text("resources: {cores_max: 4")
    told = gate.refuse(replace(WORK, cores=1), THURSDAY)
    assert told is not None and told.code == BROKEN
    assert gate.closed() == BROKEN and gate.site.wrong

    site.write_text("resources: {cores_max: 8}")
    assert gate.refuse(WORK, THURSDAY) is None
    assert gate.site.version not in ("", first) and gate.site.wrong == ""

    site.unlink()
    site.mkdir()  # a folder is no policy
    assert gate.closed() == BROKEN


def test_draining_keeps_all_out_whoever_ordered_it(tmp_path: Path) -> None:
    ordered = [False]
    gate = Gate(tmp_path / "site.yaml", tmp_path / "draining", lambda: ordered[0])
    assert gate.closed() == ""
    ordered[0] = True
    told = gate.refuse(WORK, THURSDAY)
    assert told is not None and told.code == DRAINING
    ordered[0] = False
    (tmp_path / "draining").touch()
    assert gate.closed() == DRAINING
