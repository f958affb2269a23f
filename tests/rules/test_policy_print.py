"""A rule reads as a sentence, a formula and a table in both languages, and is open data."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import jsonschema_rs
import pytest

from suanwang import policy
from suanwang.core.refusals import Language
from suanwang.policy.printing import print_measure
from suanwang.policy.publish import example_facts, facts_schema, publish, publish_text

ROOT = Path(__file__).parents[2] / "policies"
BAODING = policy.load(ROOT / "baoding-2024")
DAY = date(2026, 7, 20)
MEASURES = [
    (package, name)
    for package in map(policy.load, policy.packages(ROOT))
    for name in package.measures
]


def test_the_voucher_rule_reads_as_a_formula() -> None:
    assert print_measure(BAODING, "5c", "en", DAY).formula == (
        "Half of the compute fees paid = "
        "⌊compute fees paid in full, with tax, net of refunds and other support × 50%⌋",
        "What the unit may still get this year = "
        "¥1,000,000.00 − voucher awards already approved for the unit in the year",
        "What is left of the voucher = what is left of the voucher",
        "amount = max(0, min(Half of the compute fees paid, "
        "What the unit may still get this year, What is left of the voucher))",
    )


def test_strict_and_inclusive_thresholds_read_differently() -> None:
    zh = print_measure(BAODING, "2", "zh", DAY)
    said = {row.asked: row.holds for row in zh.table}
    assert said["计算功能占比超过下限"] == "改造后计算功能占比大于70%"
    assert said["机架数达到下限"] == "在用机架数不低于1,000架"
    assert said["PUE低于上限"] == "改造后实测PUE（不修约）低于1.25"


def test_a_switch_that_is_on_does_not_show_its_other_side() -> None:
    sentence = print_measure(BAODING, "5c", "en", DAY).sentence
    assert "one of: divisions the policy reaches;" in sentence


def test_sums_of_days_are_printed_as_the_day() -> None:
    assert "申请兑付日期不晚于2027-04-24" in print_measure(BAODING, "5c", "zh", DAY).sentence


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    ("package", "measure"), MEASURES, ids=lambda part: getattr(part, "name", part)
)
def test_every_measure_reads_in_both_languages_without_a_bare_name(
    package: policy.Package, measure: str, language: Language
) -> None:
    on = min(max(DAY, package.valid_from), package.valid_to)
    printed = print_measure(package, measure, language, on)
    text = " ".join([printed.sentence, *printed.formula, *(row.holds for row in printed.table)])
    assert "_" not in text
    assert printed.article
    assert len(printed.table) == len(package.measures[measure].conditions)


@pytest.mark.parametrize(
    ("package", "measure"), MEASURES, ids=lambda part: getattr(part, "name", part)
)
def test_the_example_facts_fit_their_schema_and_can_be_decided(
    package: policy.Package, measure: str
) -> None:
    facts = example_facts(package, measure)
    jsonschema_rs.validate(facts_schema(package, measure), facts)
    on = min(max(DAY, package.valid_from), package.valid_to)
    package.decide(measure, facts, on)


def test_the_published_package_is_the_package() -> None:
    again = policy.load_published(publish_text(BAODING))
    assert again.content_hash == BAODING.content_hash
    assert publish(again) == publish(BAODING)
    assert json.loads(publish_text(BAODING))["format"] == "suanwang-policy/1"


def test_what_follows_a_decision_is_printed_in_both_languages() -> None:
    english = print_measure(BAODING, "5c", "en", DAY).terms
    assert english[0] == (
        "The money comes from the city's vouchers of a year, at most ¥10,000,000.00 a year; when "
        "it runs dry, who had complete papers first is served first; what a year leaves lapses."
    )
    assert english[1].startswith("The user pays the provider the whole price")
    assert "for 3 years nothing is granted" in english[-2]
    chinese = print_measure(BAODING, "9a", "zh", DAY).terms
    assert "付款前须经：专家评审，由市工信局负责、名单公示，由市工信局负责（5天）。" in chinese


@pytest.mark.parametrize("folder", policy.packages(ROOT), ids=lambda folder: folder.name)
def test_every_measure_of_every_package_prints_its_terms(folder: Path) -> None:
    package = policy.load(folder)
    for name, measure in package.measures.items():
        tongues: tuple[Language, ...] = ("zh", "en")
        for tongue in tongues:
            terms = print_measure(package, name, tongue, package.valid_from).terms
            assert bool(terms) == bool(measure.settlement or measure.pool), name
            assert all(not set("{}") & set(line) for line in terms)
