"""Pools, payments, recoveries, amendments: carried out as the package says, not a fen lost."""

from __future__ import annotations

import shutil
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang import policy
from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import NotFound, Refused
from suanwang.policy.drain import share_out_columns
from suanwang.policy.pools import Claim, over_years, share_out
from suanwang.policy.prove import prove
from suanwang.policy.recovery import recover
from suanwang.policy.settlement import settle
from suanwang.policy.simulate import simulate, synthetic
from suanwang.policy.terms import WHEN_DRY

ROOT = Path(__file__).parents[2] / "policies"
BAODING = policy.load(ROOT / "baoding-2024")
DAY = date(2026, 7, 20)
ASKED = st.lists(st.integers(0, 10**11), max_size=30)


@given(st.sampled_from(WHEN_DRY), st.integers(0, 10**12), ASKED)
def test_a_pool_is_used_up_and_never_exceeded(when_dry: str, pool: int, asked: list[int]) -> None:
    paid = share_out(pool, asked, when_dry)
    assert sum(paid) == min(pool, sum(asked))
    assert all(0 <= part <= one for part, one in zip(paid, asked, strict=True))


@given(st.integers(0, 10**12), ASKED)
def test_pro_rata_nobody_is_a_fen_away_from_the_exact_part(pool: int, asked: list[int]) -> None:
    total = sum(asked)
    for part, one in zip(share_out(pool, asked, "pro_rata"), asked, strict=True):
        assert abs(part * total - one * min(pool, total)) < max(total, 1)


@given(
    st.sampled_from(WHEN_DRY),
    st.integers(0, 10**17),
    st.lists(st.integers(0, 10**14), max_size=40),
)
def test_columns_share_a_pool_to_the_same_fen(when_dry: str, pool: int, asked: list[int]) -> None:
    column = np.array(asked, dtype=np.int64)
    assert share_out_columns(pool, column, when_dry).tolist() == share_out(pool, asked, when_dry)


@pytest.mark.parametrize("when_dry", WHEN_DRY)
def test_columns_share_a_pool_to_the_same_fen_among_many(when_dry: str) -> None:
    asked = np.random.default_rng(7).integers(0, 10**9, 20_000)
    pool = int(asked.sum()) // 3
    shared = share_out_columns(pool, asked, when_dry)
    assert shared.tolist() == share_out(pool, asked.tolist(), when_dry)


def claim(name: str, asked_fen: int, *when: int) -> Claim:
    return Claim(name, asked_fen, datetime(*when, tzinfo=CITY_ZONE))  # type: ignore[misc]


def test_a_claim_belongs_to_the_year_of_the_city_in_which_it_was_complete() -> None:
    claims = [claim("old", 5, 2025, 12, 31, 23, 59), claim("new", 7, 2026, 1, 1, 0, 0)]
    years = {one.year: one for one in over_years(BAODING, "voucher", claims)}
    assert years[2025].paid == {"old": 5}
    assert years[2026].paid == {"new": 7}
    assert (years[2027].new_fen, years[2027].money_fen) == (0, 0)
    assert {parameter.decision for parameter in years[2027].by} == {"", "A4", "A8", "A9"}


@given(st.booleans(), st.sampled_from(WHEN_DRY), st.lists(st.integers(0, 10**10), max_size=8))
def test_over_the_years_no_more_is_paid_than_was_put_out(
    carry: bool, when_dry: str, asked: list[int]
) -> None:
    package = BAODING.assuming({"voucher.pool_carries_over": carry, "voucher.pool_order": when_dry})
    claims = [claim(str(n), fen, 2024 + n % 3, 6, 1) for n, fen in enumerate(asked)]
    put_out = paid = 0
    for year in over_years(package, "voucher", claims):
        put_out += year.new_fen
        paid += sum(year.paid.values())
        assert paid <= put_out
        assert year.money_fen == sum(year.paid.values()) + year.left_fen


def test_an_unknown_pool_is_not_found() -> None:
    with pytest.raises(NotFound, match="policy_pool_unknown"):
        over_years(BAODING, "puddle", [])


@pytest.mark.parametrize("when_dry", WHEN_DRY)
def test_a_population_never_gets_more_than_the_pool(when_dry: str) -> None:
    package = BAODING.assuming({"voucher.pool_order": when_dry})
    outcome = simulate(package, synthetic(package, 5_000, seed=3), DAY)
    pool = outcome.pools["voucher"]
    assert pool.asked_fen > pool.money_fen == pool.paid_fen == 1_000_000_000
    assert pool.dry_after is not None
    assert pool.dry_on is not None
    drawn = [n for n, awards in outcome.awards.items() if BAODING.measures[n].pool and awards.any()]
    assert sum(int(outcome.awards[name].sum()) for name in drawn) == pool.paid_fen


MODES = [
    ("baoding-2024", "5c", DAY),
    ("baoding-2024", "6", DAY),
    ("guizhou-2023", "deduct", date(2024, 6, 15)),
    ("chengdu-2023", "project", date(2024, 6, 15)),
    ("qingyang-2024", "target", date(2025, 6, 15)),
]


@pytest.mark.parametrize(("name", "measure", "on"), MODES)
def test_however_it_is_settled_all_payments_add_up_to_nothing(
    name: str, measure: str, on: date
) -> None:
    package = policy.load(ROOT / name)
    if name == "chengdu-2023":
        package = package.assuming({"voucher.reserve_fen": 17})
    for award in (0, 1, 17, 18, 101):
        net = settle(package, measure, price_fen=101, award_fen=award, on=on).net()
        assert sum(net.values()) == 0
        assert net.get("fund", 0) == -award
        assert net.get("reserve", 0) == 0


def test_each_budget_bears_its_part_through_every_payment() -> None:
    paid = settle(BAODING, "5c", price_fen=9, award_fen=3, on=DAY, division="130602")
    assert paid.net() == {"user": -6, "provider": 9, "city": -2, "county": -1}
    assert {move.division for move in paid.movements} == {"", "130600", "130602"}


def test_a_list_is_paid_only_after_its_public_notice() -> None:
    done = {"approved", "expert_review"}
    paid = settle(BAODING, "9a", price_fen=0, award_fen=1, on=DAY, done=done, division="130600")
    (move,) = paid.movements
    assert move.waits_for == ("public_notice",)
    assert paid.days == {"public_notice": 5}
    assert paid.words["public_notice"]["zh"]


def test_what_cannot_be_settled_is_refused() -> None:
    with pytest.raises(Refused, match="policy_settlement_unstated"):
        settle(BAODING, "4", price_fen=1, award_fen=1, on=DAY)
    with pytest.raises(Refused, match="policy_event_unknown"):
        settle(BAODING, "5c", price_fen=1, award_fen=1, on=DAY, done={"full_moon"})


def test_recovery_says_by_which_reading_and_keeps_the_reasons() -> None:
    facts = {"is_selected": True, "score": 75}
    back = recover(
        BAODING, "9a", cause="refund", paid_fen=50_000_000, facts=facts,
        decided_on=DAY, found_on=DAY,
    )  # fmt: skip
    assert (back.due_fen, back.recover_fen, back.kept_fen) == (20_000_000, 30_000_000, 20_000_000)
    assert [parameter.decision for parameter in back.by] == ["A38"]
    assert back.decision is not None
    ignored = BAODING.assuming({"award.refund_treatment": "ignore"})
    left = recover(
        ignored, "9a", cause="refund", paid_fen=50_000_000, facts=facts,
        decided_on=DAY, found_on=DAY,
    )  # fmt: skip
    assert left.recover_fen == 0


def test_a_policy_without_terms_of_recovery_recovers_nothing_by_guess() -> None:
    package = policy.load(ROOT / "henan-2023")
    with pytest.raises(Refused, match="policy_recovery_unstated"):
        recover(
            package, "use", cause="deceit", paid_fen=1, facts={},
            decided_on=date(2024, 6, 15), found_on=DAY,
        )  # fmt: skip


# ---- amendments: other texts, other splits, another policy from a day on
AMENDED = """\
measure: 5c
from: 2026-01-01
article: "5"
title: {zh: 使用本地算力，费用返还（修订）, en: "Fees back for using local compute, amended"}
benefit: percent_capped
settlement: post_reimburse
lead: industry_it
conditions:
  - name: platform_is_local
    article: "5"
    label: {zh: 使用认定的本地平台, en: A recognised local platform was used}
    holds: platform_is_local
award:
  - name: six_tenths
    article: "5"
    label: {zh: 六成, en: Six tenths}
    value: rounded(paid_fee_fen * voucher.project_ratio)
"""
FACTS: dict[str, object] = {
    "applicant_kind": "enterprise", "division_code": "130606", "paid_fee_fen": 100,
    "platform_is_local": True, "service_start": "2025-03-01", "service_end": "2025-06-30",
    "paid_on": "2025-07-10", "filed_on": "2025-07-20", "unit_year_used_fen": 0,
    "voucher_available_fen": 1_000,
}  # fmt: skip


def changed(tmp_path: Path, *changes: tuple[str, str, str]) -> policy.Package:
    folder = Path(shutil.copytree(ROOT / "baoding-2024", tmp_path / "package"))
    for file, right, wrong in changes:
        path = folder / file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        assert right in text
        path.write_text(text.replace(right, wrong, 1) if right else wrong, encoding="utf-8")
    return policy.load(folder)


def test_an_amended_measure_decides_by_the_text_of_its_day(tmp_path: Path) -> None:
    package = changed(tmp_path, ("measures/05c-amended.yaml", "", AMENDED))
    assert package.decide("5c", FACTS, date(2025, 12, 31)).amount_fen == 50
    now = package.decide("5c", FACTS, date(2026, 1, 1))
    assert (now.amount_fen, now.title["en"]) == (60, "Fees back for using local compute, amended")
    assert package.measure("5c", date(2025, 12, 31)).until == date(2025, 12, 31)
    assert package.content_hash != BAODING.content_hash


def test_an_amendment_that_drops_a_cap_breaks_the_promise_and_says_how(tmp_path: Path) -> None:
    package = changed(tmp_path, ("measures/05c-amended.yaml", "", AMENDED))
    broken = {proof.name for proof in prove(package, DAY) if proof.verdict == "broken"}
    assert {
        "no_unit_above_its_yearly_cap",
        "a_voucher_is_never_overdrawn",
        "half_at_most",
    } <= broken
    before = prove(package, date(2025, 12, 31))
    assert {proof.verdict for proof in before} == {"holds"}


def test_a_repealed_measure_is_refused_from_then_on(tmp_path: Path) -> None:
    file = "measures/09b-products.yaml"
    package = changed(tmp_path, (file, "measure: 9b\n", "measure: 9b\nuntil: 2025-12-31\n"))
    facts = {"is_selected": True, "selected_products": 1}
    assert package.decide("9b", facts, date(2025, 12, 31)).eligible
    with pytest.raises(Refused, match="policy_measure_not_in_force"):
        package.decide("9b", facts, date(2026, 1, 1))
    assert "9b" not in package.measures_on(date(2026, 1, 1))


def test_a_division_is_split_by_the_rule_of_the_day(tmp_path: Path) -> None:
    was = 'code: "130623", kind: county, in_scope: true, funding: to_confirm'
    now = was.replace(
        "to_confirm", "[{from: 2024-01-25, rule: to_confirm}, {from: 2026-08-01, rule: half}]"
    )
    package = changed(tmp_path, ("divisions.yaml", was, now))
    assert package.split("130623", 5, date(2026, 7, 31)).status == "to_confirm"
    later = package.split("130623", 5, date(2026, 8, 1))
    assert [(share.level, share.amount_fen) for share in later.shares] == [
        ("city", 3), ("county", 2),
    ]  # fmt: skip


def test_three_levels_share_by_ratio_and_the_rows_name_who_is_above(tmp_path: Path) -> None:
    package = changed(
        tmp_path,
        ("divisions.yaml", 'levels: {city: "130600", county: self}',
         'levels: {province: "130000", city: above, county: self}'),
        ("divisions.yaml", "shares: {city: 1/2, county: 1/2}",
         "ratio: {province: 2, city: 1, county: 1}"),
        ("divisions.yaml", 'code: "130602"', 'above: "130600", code: "130602"'),
    )  # fmt: skip
    shares = package.split("130602", 7, DAY).shares
    assert [(share.level, share.division, share.amount_fen) for share in shares] == [
        ("province", "130000", 3), ("city", "130600", 3), ("county", "130602", 1),
    ]  # fmt: skip


def test_a_superseded_policy_names_its_successor_once_its_tail_is_over(tmp_path: Path) -> None:
    line = "name: baoding-2024\n"
    package = changed(tmp_path, ("policy.yaml", line, line + "superseded_by: baoding-2027\n"))
    package.in_force(package.tail_until)
    with pytest.raises(Refused, match="policy_superseded") as refused:
        package.in_force(date(2027, 5, 1))
    assert refused.value.facts["successor"] == "baoding-2027"
