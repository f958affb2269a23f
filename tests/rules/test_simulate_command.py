"""``suanwang simulate``: what a user types, and what comes back."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from suanwang.cli import application
from suanwang.core.errors import Refused
from suanwang.placement import decide
from suanwang.placement.simulator.build import scenario_of
from suanwang.placement.simulator.events import Simulation
from suanwang.placement.simulator.policies import named
from suanwang.placement.simulator.problems import Problems
from suanwang.placement.simulator.reading import read_city
from suanwang.placement.simulator.recording import Recorder

CITY = """suanwang_city: 1
name: 小城
name_en: Small town
starts_at: 2026-11-25T00:00:00+08:00
cards: {a: {watts: 300}}
centres:
  one:
    name: 一中心
    name_en: First
    prices: {core_hour_fen: "1", gib_hour_fen: "0", card_hour_fen: {a: "100"}}
    nodes: [{count: 2, cores: 8, memory: 64GiB, card: a, cards: 4}]
organisations: {x: {name: 甲, name_en: X & Sons <x>}}
workload:
  jobs:
    - {id: bad, walltime: -1}
  streams: [{organisation: x, per_day: 60, cards_choice: [1, 2, 4], seconds: [10m, 3h]}]
"""


@pytest.fixture
def town(tmp_path: Path) -> Path:
    path = tmp_path / "town.yaml"
    path.write_text(CITY, encoding="utf-8")
    return path


def told(*words: str) -> Result:
    """Run the command; a refusal is raised, as ``main`` turns it into a sentence."""
    result = CliRunner().invoke(application(), ["simulate", *words])
    if isinstance(result.exception, Refused):
        raise result.exception
    return result


def test_a_city_is_played_under_several_policies_at_once(town: Path) -> None:
    result = told("city", str(town), "--policy", "ours,sjf", "--json", "--seed", "3")
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert [one["policy"] for one in answer["policies"]] == ["ours", "sjf"]
    assert all(one["jobs"] == sum(one["fates"].values()) > 0 for one in answer["policies"])
    assert answer["left_out"] == {"city_part_wrong": 1}
    assert answer["left_out_first"][0]["line"] == 15


def test_what_was_left_out_is_counted_and_told_beside_the_figures(town: Path) -> None:
    result = told("city", str(town), "--language", "en")
    assert "left out: city_part_wrong 1" in result.stderr
    assert "Line 15" in result.stderr
    assert "mean wait" in result.stdout


def test_nothing_is_left_out_for_whoever_wants_that(town: Path) -> None:
    with pytest.raises(Refused) as raised:
        told("city", str(town), "--malformed", "refuse")
    assert raised.value.code == "input_refused"


def test_the_figures_are_written_as_a_table_and_as_a_page_that_stands_alone(
    town: Path, tmp_path: Path
) -> None:
    sheet, page = tmp_path / "out.csv", tmp_path / "out.html"
    told("city", str(town), "--csv", str(sheet), "--html", str(page), "--language", "en")
    rows = list(csv.DictReader(sheet.read_text(encoding="utf-8").splitlines()))
    assert [row["policy"] for row in rows] == ["ours", "easy"]
    assert int(rows[0]["cost_fen"]) > 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") >= 5
    assert "X &amp; Sons &lt;x&gt;" in text
    assert "Small town" in text
    assert not [word for word in ("<script", "http:", "https:", "url(")
                if word in text.replace("http://www.w3.org/2000/svg", "")]  # fmt: skip


def test_the_page_speaks_chinese(town: Path, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    result = told("city", str(town), "--html", str(page), "--language", "zh")
    text = page.read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in text
    assert "小城" in text
    assert "一中心" in text
    assert "平均等待" in result.stdout


def test_a_trace_is_read_plain_or_packed(tmp_path: Path) -> None:
    lines = "; MaxProcs: 8\n" + "".join(
        f"{n} {n * 60} 0 {60 * n} {n % 8 + 1} -1 -1 8 {90 * n} -1 1 7 1 -1 -1 -1 -1 -1\n"
        for n in range(1, 40)
    )
    plain, packed = tmp_path / "t.swf", tmp_path / "t.swf.gz"
    plain.write_text(lines, encoding="utf-8")
    packed.write_bytes(gzip.compress(lines.encode()))
    answers = [
        told("run", "--trace", str(path), "--format", "swf", "--policy", "easy", "--json").stdout
        for path in (plain, packed)
    ]
    assert answers[0] == answers[1]
    assert json.loads(answers[0])["policies"][0]["fates"] == {"done": 39}


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(b"x" * 10_000)[:-20])
    for path in (broken, tmp_path / "missing", tmp_path):
        with pytest.raises(Refused) as raised:
            told("run", "--trace", str(path), "--format", "swf")
        assert raised.value.code == "trace_file_unreadable"


def test_a_policy_nobody_knows_is_refused_before_anything_runs(town: Path) -> None:
    result = CliRunner().invoke(application(), ["simulate", "city", str(town), "--policy", "magic"])
    assert getattr(result.exception, "code", "") == "simulator_policy_unknown"


def test_what_if_a_centre_more_one_that_fails_another_price(town: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text(
        "centres: {two: {nodes: [{cores: 8, memory: 64GiB, card: a, cards: 4}], "
        'prices: {core_hour_fen: "1", gib_hour_fen: "0", card_hour_fen: {a: "50"}}}}',
        encoding="utf-8",
    )
    for change, better in (
        (("--add-centre", str(more)), "cost_fen"),
        (("--price", "one.a=10"), "cost_fen"),
        (("--to-policy", "sjf"), ""),
    ):
        result = told("what-if", str(town), "--policy", "easy", *change, "--json")
        before, after = json.loads(result.stdout)["policies"]
        assert before["jobs"] == after["jobs"]
        if better:
            assert after[better] < before[better]
    result = told("what-if", str(town), "--policy", "easy", "--fail", "one@2", "--json")
    before, after = json.loads(result.stdout)["policies"]
    assert after["fates"]["never_started"] > 0
    assert after["jobs"] == before["jobs"]


def test_a_what_if_without_a_change_says_what_is_missing(town: Path) -> None:
    assert told("what-if", str(town)).exit_code == 2


def test_a_recording_is_replayed_and_can_be_asked_what_if(tmp_path: Path) -> None:
    city, _ = read_city(CITY)
    scenario = scenario_of(city, Problems("skip"), seed=1)
    chosen, recorder, lines = named("ours", scenario), Recorder(), list[str]()

    def recorded(*asked: object) -> object:
        decisions = decide(*asked)  # type: ignore[arg-type]
        lines.extend(recorder.lines(*asked, decisions))  # type: ignore[arg-type]
        return decisions

    for _ in Simulation(scenario, recorded, chosen.policy).run():  # type: ignore[arg-type]
        pass
    path = tmp_path / "recording.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = told("replay", str(path), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["different"] == 0
    changed = [line.replace('"placed_', '"strange_') for line in lines]
    path.write_text("\n".join(changed), encoding="utf-8")
    result = told("replay", str(path), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["different"] > 0
    result = told("what-if", str(path), "--price", "one.a=10", "--json")
    before, after = json.loads(result.stdout)["policies"]
    assert after["cost_fen"] < before["cost_fen"]


def test_without_numpy_it_says_what_to_install(town: Path) -> None:
    """The client alone has no NumPy; a process of its own, so that nothing stays hidden here."""
    hidden = "import sys; sys.modules['numpy'] = None; from suanwang.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", hidden, "simulate", "city", str(town)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "pip install 'suanwang[server]'" in ended.stderr
    assert "Traceback" not in ended.stderr
