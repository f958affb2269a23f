"""What the policy promises holds for every case, not only for those tried."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from suanwang import policy
from suanwang.core.errors import Refused
from suanwang.policy.check import check
from suanwang.policy.prove import prove
from suanwang.policy.split import split

ROOT = Path(__file__).parents[2] / "policies"
DAY = date(2026, 7, 20)
VOUCHER = "measures/05c-use-of-local-compute.yaml"


@pytest.mark.parametrize("folder", policy.packages(ROOT), ids=lambda folder: folder.name)
def test_every_promise_of_every_package_is_proved(folder: Path) -> None:
    package = policy.load(folder)
    on = min(max(DAY, package.valid_from), package.valid_to)
    verdicts = {(proof.name, proof.measure): proof.verdict for proof in prove(package, on)}
    assert {what: verdict for what, verdict in verdicts.items() if verdict != "holds"} == {}


def broken(tmp_path: Path, file: str, right: str, wrong: str) -> dict[str, dict[str, object]]:
    folder = Path(shutil.copytree(ROOT / "baoding-2024", tmp_path / "package"))
    text = (folder / file).read_text(encoding="utf-8")
    assert right in text
    (folder / file).write_text(text.replace(right, wrong, 1), encoding="utf-8")
    proofs = prove(policy.load(folder), DAY)
    return {proof.name: dict(proof.counterexample) for proof in proofs if proof.verdict == "broken"}


def test_a_cap_that_was_forgotten_is_found_with_a_case(tmp_path: Path) -> None:
    right = "at_most: voucher.unit_year_cap_fen - unit_year_used_fen"
    found = broken(tmp_path, VOUCHER, right, f"{right} * 0")
    case = found["no_unit_above_its_yearly_cap"]
    package = policy.load(ROOT / "baoding-2024")
    amount = package.decide("5c", case, on=DAY).amount_if_eligible_fen
    wrong = min(int(str(case["paid_fee_fen"])) // 2, int(str(case["voucher_available_fen"])))
    assert wrong > amount


def test_a_ratio_that_falls_with_the_fee_is_found(tmp_path: Path) -> None:
    found = broken(
        tmp_path,
        VOUCHER,
        "value: rounded(paid_fee_fen * voucher.use_ratio)",
        "value: rounded(voucher.landing_fen - paid_fee_fen * voucher.use_ratio)",
    )
    assert "who_pays_more_gets_no_less" in found


def test_two_exceptions_that_can_meet_are_found_and_refused_when_they_do(tmp_path: Path) -> None:
    exception = """\
    value: rounded(paid_fee_fen * voucher.use_ratio)
    exceptions:
      - name: makers_get_all
        article: "5"
        label: {zh: 创客全额, en: Makers get all}
        when: applicant_kind == "maker"
        value: paid_fee_fen
      - name: early_birds_get_nothing
        article: "5"
        label: {zh: 早申请的没有, en: Early birds get nothing}
        when: paid_on < filed_on
        value: paid_fee_fen * 0
"""
    right = "    value: rounded(paid_fee_fen * voucher.use_ratio)\n"
    found = broken(tmp_path, VOUCHER, right, exception)
    package = policy.load(tmp_path / "package")
    case = found["never_in_conflict"]
    with pytest.raises(Refused, match="policy_rules_conflict"):
        package.decide("5c", case, on=DAY)
    _, mistakes = check(tmp_path / "package")
    assert "policy_rules_can_conflict" in {mistake.code for mistake in mistakes}


def test_shares_add_up_for_every_amount_that_was_tried_and_is_proved_for_all() -> None:
    package = policy.load(ROOT / "baoding-2024")
    for amount in (0, 1, 2, 3, 99_999_999, 100_000_000):
        parts = split(package, "130602", amount, DAY).shares
        assert sum(part.amount_fen for part in parts) == amount
