"""Every package the city ships: free of mistakes, and every case comes out as written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from suanwang import policy
from suanwang.policy.cases import Case, read_cases
from suanwang.policy.check import check
from suanwang.policy.facts import encode_one
from suanwang.policy.language import INTEGERS, Compiler
from suanwang.policy.language.compile import scale_of
from suanwang.policy.language.nodes import Comparison, FactName, Node
from suanwang.policy.reader import Mistakes

ROOT = Path(__file__).parents[2] / "policies"
FOLDERS = policy.packages(ROOT)
DAY = date(2026, 7, 20)
BAODING = policy.load(ROOT / "baoding-2024")


def all_cases() -> list[tuple[policy.Package, Case]]:
    loaded = [policy.load(folder) for folder in FOLDERS]
    return [(package, case) for package in loaded for case in read_cases(package, Mistakes({}))]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_package_has_no_mistakes(folder: Path) -> None:
    _, mistakes = check(folder)
    assert [str(mistake) for mistake in mistakes] == []


@pytest.mark.parametrize(
    ("package", "case"), all_cases(), ids=lambda part: getattr(part, "name", None)
)
def test_a_case_comes_out_as_written(package: policy.Package, case: Case) -> None:
    assert case.outcome(package) == case.expected


def test_all_fifteen_articles_have_a_measure_and_every_measure_a_lead() -> None:
    articles = {measure.article for measure in BAODING.measures.values()}
    assert articles == {str(number) for number in range(1, 16)}
    assert all(measure.lead in BAODING.units for measure in BAODING.measures.values())
    assert {"5a", "5b", "5c"} <= BAODING.measures.keys()


def test_every_open_question_is_a_named_default_with_its_reason() -> None:
    answered = {s.decision: s for s in BAODING.parameters.values() if s.decision}
    assert answered.keys() == {f"A{number}" for number in range(1, 42)}
    for series in answered.values():
        assert all(version.status == "default" for version in series.versions), series.name
        assert series.reason["zh"], series.name
        assert series.reason["en"], series.name


def test_what_the_text_states_is_confirmed_and_nothing_else() -> None:
    for name, series in BAODING.parameters.items():
        confirmed = all(version.status == "confirmed" for version in series.versions)
        assert confirmed == (not series.decision), name


def thresholds() -> Iterator[tuple[str, str, int]]:
    """Every figure or day a rule compares a fact with: condition, fact, integer of the fact."""
    values = BAODING.values(DAY)
    compiler = Compiler(values, INTEGERS)
    for measure in BAODING.measures.values():
        for condition in measure.conditions:
            for node in condition.node.walk():
                if not isinstance(node, Comparison) or node.left.type.kind not in (
                    "number",
                    "date",
                ):
                    continue
                sides = sorted((node.left, node.right), key=lambda side: not _facts(side))
                fact, figure = sides
                if isinstance(fact, FactName) and not _facts(figure):
                    limit = compiler.compile(figure)
                    scale = scale_of(fact.type.decimals)
                    yield condition.name, fact.name, int(limit.run({}) * limit.scale / scale)


def _facts(node: Node) -> list[Node]:
    return [part for part in node.walk() if isinstance(part, FactName)]


@pytest.mark.parametrize(("condition", "fact", "limit"), sorted(set(thresholds())))
def test_every_threshold_has_a_case_below_at_and_above_it(
    condition: str, fact: str, limit: int
) -> None:
    shared = {
        measure.name
        for measure in BAODING.measures.values()
        if condition in {one.name for one in measure.conditions}
    }
    tried = {
        encode_one(BAODING.facts[fact], case.facts[fact])
        for case in read_cases(BAODING, Mistakes({}))
        if case.measure in shared
    }
    wanted = {limit - 1, limit, limit + 1} - {-1}  # nothing lies below a zero
    assert wanted <= tried, sorted(wanted - tried)


def test_a_decision_can_be_replayed_from_the_published_package() -> None:
    import json

    published = {
        "name": BAODING.name,
        "hash": BAODING.content_hash,
        "content": dict(reversed(BAODING.content.items())),
    }
    again = policy.load_published(json.dumps(published))
    for case in read_cases(BAODING, Mistakes({})):
        then = BAODING.decide(case.measure, case.facts, case.on).as_json()
        assert again.decide(case.measure, case.facts, case.on).as_json() == then
