"""``suanwang simulate hpc`` on a file of one's own: figures, both languages, bad lines told."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from suanwang.cli import application
from suanwang.core.errors import Refused

GOOD = (
    "1 0 -1 100 4 -1 -1 4 100 -1 1 1 1 1 1 -1 -1 -1",
    "2 10 -1 50 4 -1 -1 4 60 -1 1 2 1 1 1 -1 -1 -1",
    "3 20 -1 10 1 -1 -1 1 10 -1 1 1 1 1 1 -1 -1 -1",
)
HEAD = "; MaxProcs: 4"


@pytest.fixture
def simulate(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")

    def run(lines, *options: str, tongue: str = "en_GB.UTF-8") -> Result:
        monkeypatch.setenv("LC_ALL", tongue)
        path = tmp_path / "own.swf"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        told = ["simulate", "hpc", "--trace", str(path), *options]
        return CliRunner().invoke(application(), told)

    return run


def test_a_fine_trace_gives_each_policy_its_figures(simulate):
    done = simulate([HEAD, *GOOD], "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert (told["jobs"], told["processors"], told["skipped"]) == (3, 4, {})
    rows = {row["policy"]: row for row in told["policies"]}
    assert list(rows) == ["fcfs", "sjf", "f1", "smallest_area", "ours"]
    # job 2 waits 90 s and job 3, behind it, 130 s; by ours the short one goes first
    assert rows["fcfs"]["mean_bounded_slowdown"] == pytest.approx((1 + 140 / 50 + 140 / 10) / 3)
    assert rows["ours"]["mean_bounded_slowdown"] == pytest.approx((1 + 150 / 50 + 90 / 10) / 3)
    assert rows["ours"]["backfill"] == "pair"


@pytest.mark.parametrize(
    ("tongue", "words"),
    [
        ("en_GB.UTF-8", ("bounded slowdown", "3 jobs", "utilisation")),
        ("zh_CN.UTF-8", ("有界减速比", "3 个作业", "利用率", "预约前两个")),
    ],
)
def test_the_table_speaks_the_readers_language(simulate, tongue, words):
    done = simulate([HEAD, *GOOD], tongue=tongue)
    assert done.exit_code == 0
    assert [word for word in words if word not in done.stdout] == []


def test_lines_that_are_no_jobs_are_counted_with_line_and_reason(simulate):
    bad = ["1 2 3", GOOD[0].replace(" 100 4 ", " x 4 "), GOOD[1].replace(" 4 ", " 9 ")]
    done = simulate([HEAD, *bad, *GOOD])
    assert done.exit_code == 0
    assert "skipped lines: 3" in done.stderr
    assert "1: not 18 fields (line 2)" in done.stderr
    assert "1: not a number, or one too large (line 3)" in done.stderr
    assert "1: wider than the machine (line 4)" in done.stderr
    assert "不足或多于 18 列 (行 2)" in (simulate([HEAD, *bad, *GOOD], tongue="zh_CN.UTF-8").stderr)


def test_strict_refuses_at_the_first_bad_line(simulate):
    done = simulate([HEAD, GOOD[0], "1 2 3"], "--strict")
    assert done.exit_code == 1
    assert isinstance(done.exception, Refused)
    assert done.exception.code == "trace_line_refused"
    assert done.exception.facts["line"] == 3


def test_a_trace_without_a_job_is_refused(simulate):
    done = simulate([HEAD, "nothing"])
    assert isinstance(done.exception, Refused)
    assert done.exception.code == "trace_empty"
