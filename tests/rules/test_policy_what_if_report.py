"""The report of a what-if: one file, both languages, nothing from elsewhere, nothing unescaped."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from suanwang import policy
from suanwang.cli import application
from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language
from suanwang.policy.simulate import synthetic
from suanwang.policy.vector import Table
from suanwang.policy.what_if import SEED, WhatIf, what_if
from suanwang.policy.what_if_html import WORDS, fragment, page

BAODING = policy.load(Path(__file__).parents[2] / "policies" / "baoding-2024")
DAY = date(2026, 7, 20)
CHANGES = {"voucher.use_ratio": "2/5", "voucher.pool_year_fen": "2000000000"}


@pytest.fixture(scope="module")
def found() -> WhatIf:
    return what_if(BAODING, CHANGES, synthetic(BAODING, 2_000, SEED, DAY), DAY)


@pytest.mark.parametrize("tongue", ["zh", "en"])
def test_the_report_needs_nothing_but_itself(found: WhatIf, tongue: Language) -> None:
    text = page(found, tongue)
    assert not re.search(r"https?:|src=|href=|url\(|<script|<link|@import", text)
    for tag in ("html", "body", "section", "table", "svg", "dl"):
        assert text.count(f"<{tag}") == text.count(f"</{tag}>") > 0, tag


@pytest.mark.parametrize("tongue", ["zh", "en"])
def test_the_report_shows_every_figure_of_the_comparison(found: WhatIf, tongue: Language) -> None:
    text = page(found, tongue)
    for row in found.rows:
        assert row.label[tongue] in text
        assert format_yuan(row.before_fen) in text
        assert format_yuan(row.after_fen) in text
    for side in (found.comparison.before, found.comparison.after):
        assert str(side.pools["voucher"].dry_on) in text
    assert "50%" in text
    assert "40%" in text
    assert "¥20,000,000.00" in text
    assert text.count("<polyline") == 2


def test_both_languages_say_the_same_things() -> None:
    assert WORDS["zh"].keys() == WORDS["en"].keys()


def test_a_chart_stays_inside_its_frame(found: WhatIf) -> None:
    for svg in re.findall(r"<svg.*?</svg>", page(found, "en")):
        tree = ElementTree.fromstring(svg)  # noqa: S314 - our own text
        wide = float(tree.attrib["viewBox"].split()[2])
        for rect in tree.iter("rect"):
            x, width = float(rect.get("x", 0)), float(rect.attrib["width"])
            assert 0 <= x <= x + width <= wide + 0.1, svg


def test_what_a_package_says_is_text_and_never_markup(found: WhatIf) -> None:
    label = {"zh": "<script>1</script>", "en": "<script>1</script>"}
    crafted = replace(found, rows=tuple(replace(row, label=label) for row in found.rows))
    assert "<script" not in fragment(crafted, "zh")


def test_a_population_that_no_measure_can_read_says_so() -> None:
    nothing = what_if(
        BAODING, {}, Table({"score": synthetic(BAODING, 3, SEED).columns["score"]}), DAY
    )
    assert nothing.rows == ()
    assert WORDS["en"]["nothing"] in page(nothing, "en")


@pytest.mark.parametrize(("tongue", "words"), [("zh", "谁增谁减"), ("en", "Who gains")])
def test_the_shell_writes_the_report_and_the_table(tongue: str, words: str, tmp_path: Path) -> None:
    report, table = tmp_path / "report.html", tmp_path / "table.csv"
    asked = ["policy", "simulate", "baoding-2024", "--population", "synthetic:200"]
    asked += ["--set", "5c.ratio=0.4", "--on", "2026-07-20", "--lang", tongue]
    done = CliRunner().invoke(application(), [*asked, "--html", str(report), "--csv", str(table)])
    assert done.exit_code == 0, done.output
    assert words in report.read_text(encoding="utf-8")
    units = synthetic(BAODING, 200, SEED, DAY)
    rows = what_if(BAODING, {"voucher.use_ratio": "0.4"}, units, DAY).rows
    written = table.read_text(encoding="utf-8").splitlines()[1:]
    assert [line.split(",")[3] for line in written] == [str(row.after_fen) for row in rows]
