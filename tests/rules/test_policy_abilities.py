"""The twenty abilities other regions ask of the rule language, each in use as data."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from suanwang import policy
from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import Refused
from suanwang.policy.case_kinds import OtherCase
from suanwang.policy.cases import AnyCase, read_all_cases
from suanwang.policy.language import INTEGERS
from suanwang.policy.overlap import payments
from suanwang.policy.pools import Claim, over_years
from suanwang.policy.reader import Mistakes
from suanwang.policy.validity import deadlines, split_use

ROOT = Path(__file__).parents[2] / "policies"
PACKAGES = {folder.name: policy.load(folder) for folder in policy.packages(ROOT)}


def case(package: str, name: str) -> AnyCase:
    """The case of that name, which must come out as it is written."""
    found = [
        one
        for one in read_all_cases(PACKAGES[package], Mistakes({}))
        if one.name == name or one.name.startswith(f"{name}: ")
    ]
    assert found, (package, name)
    for one in found:
        assert one.outcome(PACKAGES[package]) == one.expected
    return found[0]


def conditions(package: str, measure: str) -> set[str]:
    return {one.name for one in PACKAGES[package].measures[measure].conditions}


def caps(package: str, measure: str) -> set[str]:
    return {one.name for one in PACKAGES[package].measures[measure].caps}


def test_01_ratios_by_class_of_use_hardware_age_of_the_firm_and_spend() -> None:
    case("hangzhou-2025", "a filed model on domestic hardware")
    case("hangzhou-2025", "foreign hardware")
    case("hangzhou-2025", "rental")
    case("baoding-2024", "the lead of a won project gets six tenths back")
    case("shanghai-2025", "a start-up in its first year stacks both levels")
    case("baoding-2025", "the spend must reach the floor")


def test_02_flat_grants() -> None:
    case("baoding-2024", "a new AI company gets the settling voucher")
    case("langfang-2023", "a settler")
    assert PACKAGES["baoding-2024"].measures["5a"].benefit == "fixed_once"


def test_03_caps_per_unit_and_year_contract_lifetime_class_on_issue_and_on_redemption() -> None:
    case("baoding-2024", "what the unit may still get this year")
    case("beijing-2023", "more was paid than agreed")
    case("beijing-2023", "a contract has one voucher")
    case("shandong-2025", "over all years")
    case("chengdu-2023", "the class caps")
    case("beijing-2023", "the cap on issue")
    case("beijing-2023", "the cap on redemption")
    assert "share_of_the_contract" in caps("beijing-2023", "redeem")


def test_04_pools_by_year_and_instrument_with_carry_over() -> None:
    assert PACKAGES["shanghai-2025"].pools.keys() == {"compute", "model", "corpus"}
    for name in ("the pool runs dry", "what one year leaves is not the next year's",
                 "who waits is served first with the next money, if that were the reading",
                 "all get the same part, if that were the reading",
                 "what is left adds to the next year, if that were the reading"):  # fmt: skip
        assert isinstance(case("baoding-2024", name), OtherCase)
    for package in PACKAGES.values():
        for measure in package.measures.values():
            pooled = "left_in_the_pool" in {cap.name for cap in measure.caps}
            assert not pooled or measure.pool in package.pools, (package.name, measure.name)


def test_05_splits_by_division_one_to_one_and_stacked() -> None:
    case("baoding-2024", "a district bears half, the city the odd fen")
    case("baoding-2024", "counties wait for the finance bureau")
    case("henan-2023", "province and city bear one part each, the province the odd fen")
    case("shanghai-2025", "the district bears what it adds on top of the city")
    case("shanghai-2025", "both levels never give more than all")


def test_06_eligibility_by_provider_size_registration_industry_record_and_contract() -> None:
    case("henan-2023", "the capacity of the supplier")
    case("henan-2023", "the racks of the supplier")
    assert conditions("beijing-2023", "issue") >= {
        "supplier_is_listed", "industry_is_listed", "clean_record", "contract_is_recent",
        "contract_is_short",
    }  # fmt: skip
    case("beijing-2023", "the industry")
    case("baoding-2024", "where the applicant is registered")


def test_07_kinds_of_fee_storage_in_or_out() -> None:
    case("langfang-2023", "half back, storage included")
    case("baoding-2024", "which fees count")


def test_08_no_affiliation_with_the_supplier() -> None:
    case("beijing-2023", "an affiliate")
    case("yangzhou-2024", "without not affiliated")
    assert "not_affiliated" in conditions("shenzhen-2024", "corpus")


def test_09_mutual_exclusion_by_contract_fee_and_side() -> None:
    case("yangzhou-2024", "without supported once")
    case("qingyang-2024", "the user claims as well")
    assert payments([30, 50, 50], INTEGERS) == [0, 50, 0]
    baoding = PACKAGES["baoding-2024"]
    assert baoding.measures["5b"].stands_on == baoding.measures["5c"].stands_on == "paid_fee_fen"


@pytest.mark.parametrize(
    ("package", "measure", "mode", "name"),
    [
        ("baoding-2024", "5c", "post_reimburse", "an award comes back after the fees were paid"),
        ("guizhou-2023", "deduct", "deduct_at_purchase",
         "the user pays the rest, the budget the provider"),
        ("chengdu-2023", "project", "provider_settled",
         "the centre is paid out of its reserve, the rest by the budget"),
        ("qingyang-2024", "target", "target_assessed",
         "a shortfall is paid after the assessment"),
        ("baoding-2024", "6", "granted", "a scene is granted"),
    ],
)  # fmt: skip
def test_10_ways_of_settling(package: str, measure: str, mode: str, name: str) -> None:
    assert PACKAGES[package].measures[measure].settlement == mode
    case(package, name)


def test_11_vouchers_of_the_demand_and_of_the_supply_side() -> None:
    assert PACKAGES["qingyang-2024"].measures["target"].holder == "supply"
    assert PACKAGES["baoding-2024"].measures["5c"].holder == "demand"


def test_12_the_family_of_instruments_and_a_new_one_without_code(tmp_path: Path) -> None:
    known = {name for package in PACKAGES.values() for name in package.instruments}
    assert known >= {"compute", "model", "corpus", "data", "labelling", "data_ai", "training"}
    folder = Path(shutil.copytree(ROOT / "hangzhou-2025", tmp_path / "tokens"))
    for file, right, wrong in (
        ("policy.yaml", "instruments:\n",
         "instruments:\n  token: {zh: 词元券, en: Token voucher}\n"),
        ("measures/01-use.yaml", "instrument: compute", "instrument: token"),
        ("measures/01-use.yaml", "rounded(paid_fee_fen * voucher.ratio)",
         "rounded(used_tokens * fen_per_token)"),
        ("measures/01-use.yaml", "rounded(paid_fee_fen * voucher.higher_ratio)",
         "rounded(used_tokens * fen_per_token * voucher.higher_ratio)"),
        ("facts.yaml", "paid_fee_fen:\n  type: number\n  unit: fen",
         "fen_per_token:\n  type: number\n  unit: fen/token\n  decimals: 6\n  most: 1\n"
         "  label: {zh: 词元单价, en: Price of a token}\n"
         "used_tokens:\n  type: number\n  unit: token"),
    ):  # fmt: skip
        text = (folder / file).read_text(encoding="utf-8")
        assert right in text
        (folder / file).write_text(text.replace(right, wrong, 1), encoding="utf-8")
    package = policy.load(folder)
    facts = {
        "platform_is_listed": True, "used_tokens": 3_000_001, "fen_per_token": "0.01",
        "use_class": "rental", "hardware_origin": "domestic", "is_base_model_firm": False,
        "unit_year_used_fen": 0, "pool_used_fen": 0,
    }  # fmt: skip
    assert package.decide("use", facts, date(2026, 6, 15)).amount_fen == 30_000


def test_13_targets_with_tiers_of_shortfall() -> None:
    case("qingyang-2024", "the target is met")
    case("qingyang-2024", "a shortfall")


def test_14_sets_of_evidence_with_electricity() -> None:
    evidence = {one["en"] for one in PACKAGES["qingyang-2024"].measures["target"].evidence}
    assert "Record of the year's electricity" in evidence
    case("qingyang-2024", "the electricity says otherwise")
    assert PACKAGES["baoding-2024"].measures["5c"].evidence


def test_15_validity_the_natural_year_and_the_last_second_of_the_last_day() -> None:
    package = PACKAGES["baoding-2024"]
    last = datetime(2027, 1, 24, 23, 59, 59, tzinfo=CITY_ZONE)
    on = date(2026, 7, 20)
    assert split_use(package, 7, starts=last, ends=last, on=on).inside_fen == 7
    after = last + timedelta(seconds=1)
    assert split_use(package, 7, starts=after, ends=after, on=on).inside_fen == 0
    assert deadlines(package, on).filing == package.tail_until
    claims = [
        Claim(str(year), 10**9, datetime(year, 6, 1, tzinfo=CITY_ZONE)) for year in (2025, 2026)
    ]
    paid = [year.paid for year in over_years(package, "voucher", claims)]
    assert paid == [{}, {"2025": 10**9}, {"2026": 10**9}, {}]
    case("baoding-2024", "use over the last midnight counts up to it")


def test_16_a_voucher_is_used_in_parts_or_at_once_and_gives_no_change() -> None:
    case("shenzhen-2024", "a voucher is used in parts, and gives no change")
    case("beijing-2023", "one redemption uses a voucher up, whatever is left")
    case("beijing-2023", "the rest can be used again, if that were the reading")
    promised = {promise.name for promise in PACKAGES["baoding-2024"].promises}
    assert {"never_more_than_was_paid", "a_voucher_is_never_overdrawn"} <= promised


def test_17_negotiated_awards() -> None:
    case("baoding-2024", "a unicorn's regional headquarters")
    assert PACKAGES["baoding-2024"].measures["1"].benefit == "negotiated"


def test_18_the_county_checks_again() -> None:
    stages = [stage.name for stage in PACKAGES["yangzhou-2024"].measures["use"].procedure]
    assert stages == ["review", "county_recheck"]
    case("yangzhou-2024", "the county re-checks before the money comes")
    case("yangzhou-2024", "without county has rechecked")


def test_19_days_of_public_notice() -> None:
    stage = PACKAGES["baoding-2024"].measures["9a"].procedure[-1]
    assert (stage.name, stage.days) == ("public_notice", "award.notice_working_days")
    case("baoding-2024", "a firm of the year is granted")


def test_20_money_comes_back() -> None:
    for name in ("a refund after payment brings the difference back",
                 "who was paid too little owes nothing",
                 "money obtained by deceit comes back in full, and three years pass"):  # fmt: skip
        case("baoding-2024", name)


# ---- the registers: every open question, and every measure
ANSWERS = {
    "A1": "validity.last_day", "A2": "validity.filing_tail_days", "A3": "validity.straddling_use",
    "A4": "validity.year_basis", "A5": "validity.cap_year_date", "A6": "voucher.landing_in_cap",
    "A7": "voucher.landing_redeem_ratio", "A8": "voucher.pool_shrinks_at",
    "A9": "voucher.pool_order", "A10": "voucher.pool_counts", "A11": "voucher.best_of_two",
    "A12": "voucher.fee_items", "A13": "voucher.platform_recognition",
    "A14": "voucher.project_levels", "A15": "voucher.project_lead_only",
    "A16": "voucher.settling_forms", "A17": "voucher.landing_filing_days",
    "A18": "voucher.maker_payee", "A19": "voucher.unit_means",
    "A20": "infrastructure.intelligent_precision", "A21": "upgrade.compute_share_method",
    "A22": "upgrade.rack_means", "A23": "upgrade.pue_months_floor", "A24": "upgrade.rate_set_by",
    "A25": "upgrade.once_per_centre", "A26": "funding.counties_without_rule",
    "A27": "funding.zones_without_rule", "A28": "funding.place_of_project",
    "A29": "funding.odd_fen_to", "A30": "award.overlap_scope", "A31": "award.graded_up_to",
    "A32": "award.selection_calendar", "A33": "award.case_by_case_terms",
    "A34": "award.notice_working_days", "A35": "award.recovery_block_years",
    "A36": "funding.outside", "A37": "award.rounding", "A38": "award.refund_treatment",
    "A39": "voucher.use_applicants", "A40": "voucher.registered_in_city_only",
    "A41": "award.fair_competition_record",
}  # fmt: skip


@pytest.mark.parametrize("question", [f"A{number}" for number in range(1, 42)])
def test_every_open_question_can_be_pointed_at(question: str) -> None:
    package = PACKAGES["baoding-2024"]
    parameter = package.parameter(ANSWERS[question], date(2026, 7, 20))
    assert parameter.decision == question
    assert parameter.status == "default"
    assert parameter.source
    assert package.parameters[parameter.name].reason["zh"]


MEASURES = {
    "1": ("1", "negotiated", "ndrc_local"), "2": ("2", "rate_capped", "ndrc_local"),
    "3": ("3", "negotiated", "telecom_office"), "4": ("4", "task_only", "ndrc_local"),
    "5a": ("5", "fixed_once", "ndrc_local"), "5b": ("5", "percent_capped", "ndrc_local"),
    "5c": ("5", "percent_capped", "ndrc_local"), "6": ("6", "selected_up_to", "ndrc_local"),
    "7": ("7", "task_only", "science"), "8": ("8", "negotiated", "commerce"),
    "8-matching": ("8", "matching_service", "commerce"),
    "9a": ("9", "selected_up_to", "industry_it"), "9b": ("9", "fixed_once", "industry_it"),
    "10": ("10", "selected_unspecified", "industry_it"),
    "10-labs": ("10", "county_discretion", "county_units"),
    "11": ("11", "county_discretion", "county_units"), "12": ("12", "county_discretion", "hr"),
    "13": ("13", "refer_out", "hr"), "14": ("14", "matching_service", "local_finance"),
    "15": ("15", "refer_out", "industry_it"),
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURES)
def test_every_clause_can_be_pointed_at(name: str) -> None:
    measure = PACKAGES["baoding-2024"].measures[name]
    assert (measure.article, measure.benefit, measure.lead) == MEASURES[name]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("infrastructure.capacity_floor_pflops", 100),
        ("upgrade.rack_floor", 1000),
        ("upgrade.total_cap_fen", 100_000_000),
        ("upgrade.rate_cap_fen_per_rack", 100_000),
        ("voucher.landing_fen", 50_000_000),
        ("voucher.unit_year_cap_fen", 100_000_000),
        ("voucher.pool_year_fen", 1_000_000_000),
        ("selection.scene_cap_fen", 100_000_000),
        ("selection.firm_cap_fen", 50_000_000),
        ("selection.product_fen", 30_000_000),
    ],
)
def test_every_figure_of_the_text_is_confirmed_by_its_article(parameter: str, value: int) -> None:
    found = PACKAGES["baoding-2024"].parameter(parameter, date(2026, 7, 20))
    assert (found.value, found.status) == (value, "confirmed")
    assert found.source.startswith("article")


def test_a_figure_nobody_wrote_is_refused() -> None:
    with pytest.raises(Refused):
        PACKAGES["baoding-2024"].parameter("voucher.use_ratio", date(2023, 1, 1))
