"""Mistakes in a package are named, each with its file and line, and never yield a number."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from suanwang import policy
from suanwang.core.errors import NotFound, Refused
from suanwang.core.refusals import catalogue
from suanwang.policy.build import read_package
from suanwang.policy.cases import read_all_cases
from suanwang.policy.check import check
from suanwang.policy.mutants import put
from suanwang.policy.reader import Mistakes

BAODING = Path(__file__).parents[2] / "policies" / "baoding-2024"

VOUCHER = "measures/05c-use-of-local-compute.yaml"
WRONG = [
    (VOUCHER, "voucher.use_ratio)", "voucher.use_raito)", "policy_name_unknown"),
    (VOUCHER, "holds: platform_is_local", "holds: paid_fee_fen", "policy_type_wrong"),
    (VOUCHER, "at_most: voucher_available_fen", "at_most: filed_on", "policy_type_wrong"),
    (VOUCHER, "paid_fee_fen * voucher", "paid_fee_fen + voucher", "policy_unit_wrong"),
    (VOUCHER, "voucher.use_ratio)", "0.5)", "policy_expression_not_allowed"),
    (VOUCHER, "voucher.use_ratio)", "50)", "policy_literal_number"),
    (VOUCHER, "rounded(paid_fee_fen * voucher.use_ratio)", "open('x')", "policy_type_wrong"),
    (VOUCHER, 'article: "5"', 'article: "55"', "policy_article_unknown"),
    (VOUCHER, "- paid_in_time", "- paid_in_tim", "policy_name_unknown"),
    (VOUCHER, "zh: 已付算力费用的一半, ", "", "policy_translation_missing"),
    (VOUCHER, "pool: voucher", "puddle: voucher", "policy_entry_unknown"),
    (VOUCHER, "lead: ndrc_local", "lead: nobody", "policy_unit_responsible_unknown"),
    (VOUCHER, "benefit: percent_capped", "benefit: generous", "policy_entry_wrong"),
    (VOUCHER, "caps:\n", "caps: [\n", "policy_file_unreadable"),
    ("parameters/voucher.yaml", "value: 1/2", "value: half", "policy_entry_wrong"),
    ("parameters/voucher.yaml", "unit: ratio", "unit: bushel", "policy_unit_unknown"),
    ("parameters/voucher.yaml", "{from: 2024-01-25, value: 3/5", "{from: 2024-01-26, value: 3/5",
     "policy_parameter_gap"),
    ("parameters/voucher.yaml", "value: 3/5,", "until: 2027-04-23, value: 3/5,",
     "policy_parameter_gap"),
    ("parameters/voucher.yaml", "[compute], status", "[computing], status", "policy_code_unknown"),
    ("facts.yaml", "paid_on:", "paid_on: {}\npaid_on:", "policy_entry_twice"),
    ("facts.yaml", "fee_item:", "shoe_size: {type: bool, label: {zh: 鞋, en: Shoe}}\nfee_item:",
     "policy_fact_unused"),
    ("divisions.yaml", "{city: 1/2, county: 1/2}", "{city: 1/2, county: 1/3}",
     "policy_shares_not_whole"),
    ("cases.yaml", "amount_fen: 15_000_000", "amount_fen: 15_000_001", "policy_case_fails"),
    (VOUCHER, "holds: platform_is_local", "holds: platform_is_local or not platform_is_local",
     "policy_fact_changes_nothing"),
    ("policy.yaml", "  - funding.outside\n", "", "policy_parameter_unused"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "right", "wrong", "code"), WRONG)
def test_a_mistake_is_named_with_its_file_and_line(
    tmp_path: Path, file: str, right: str, wrong: str, code: str
) -> None:
    folder = Path(shutil.copytree(BAODING, tmp_path / "package"))
    text = (folder / file).read_text(encoding="utf-8")
    assert right in text
    (folder / file).write_text(text.replace(right, wrong, 1), encoding="utf-8")
    _, mistakes = check(folder)
    found = {mistake.code: mistake for mistake in mistakes}
    assert code in found, [str(mistake) for mistake in mistakes]
    place, _, line = found[code].place.rpartition(":")
    assert place.endswith(".yaml")
    assert int(line) >= 1
    assert code in catalogue()


def test_a_wrong_line_is_the_line_reported(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BAODING, tmp_path / "package"))
    lines = (folder / VOUCHER).read_text(encoding="utf-8").splitlines()
    at = next(n for n, line in enumerate(lines, 1) if "holds: platform_is_local" in line)
    text = "\n".join(lines).replace("holds: platform_is_local", "holds: platform_was_local")
    (folder / VOUCHER).write_text(text, encoding="utf-8")
    _, (mistake, *_) = check(folder)
    assert mistake.place == f"package/{VOUCHER}:{at}"


def test_a_wrong_package_is_refused_and_an_absent_one_is_not_found(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BAODING, tmp_path / "package"))
    (folder / "facts.yaml").write_text("[]", encoding="utf-8")
    with pytest.raises(Refused, match="policy_package_invalid"):
        policy.load(folder)
    with pytest.raises(NotFound, match="policy_package_unknown"):
        policy.load(tmp_path / "nowhere")


def test_a_published_package_that_was_tampered_with_is_refused() -> None:
    import json

    package = policy.load(BAODING)
    content = json.loads(json.dumps(package.content))
    content["parameters"]["voucher"]["use_ratio"]["values"][0]["value"] = "1"
    published = {"name": package.name, "hash": package.content_hash, "content": content}
    with pytest.raises(Refused, match="policy_hash_differs"):
        policy.load_published(json.dumps(published))


def parts(part: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where every part of a document is."""
    yield path
    entries = part.items() if isinstance(part, dict) else ()
    if isinstance(part, list):
        entries = enumerate(part)
    for key, value in entries:
        yield from parts(value, (*path, key))


NONSENSE: list[Any] = [
    None, "", [], {}, "x < ", "__import__('os')", -1, True, ["a"], {"zh": 1}, "2024-13-45", "1/0",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_nonsense_anywhere_in_a_package_is_a_named_mistake_and_never_a_crash(seed: int) -> None:
    document = policy.load(BAODING).document
    places = [path for path in parts(document) if path]
    dice = random.Random(seed)
    for _ in range(40):
        path, nonsense = dice.choice(places), dice.choice(NONSENSE)
        mistakes = Mistakes({(): "package"})
        package = read_package(put(document, path, nonsense), mistakes)
        if not mistakes.found:
            read_all_cases(package, mistakes)
        assert {mistake.code for mistake in mistakes.found} <= catalogue().keys(), path
