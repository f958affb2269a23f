"""Best, highest, not twice: each paid line is supported by one policy, the one that gives most."""

from __future__ import annotations

from datetime import date

import pytest

from suanwang import policy
from suanwang.core.errors import Refused
from suanwang.metering.models import InvoiceLine
from suanwang.policy.overlap import Offer
from suanwang.site.settings import settings
from suanwang.vouchers import audit, queries
from suanwang.vouchers.dealing import deal
from suanwang.vouchers.models import Claim, PolicyPackage

USE, DATA = "baoding-2024/5c", "baoding-2025/data-ai"
YUAN = 100


@pytest.fixture
def rich(city):
    """A company that spends enough for the second policy: 300,000 yuan in the year."""
    city.give_credit(100_000_000)
    return city


def spend(city, yuan: int):
    """A paid invoice over so many yuan, one line that costs something."""
    return city.paid_invoice(cores=yuan, hold=yuan * YUAN)


def offers_of(claim: Claim) -> dict[str, dict]:
    return {one["name"]: one for one in claim.comparison["offers"]}


def test_a_small_spender_is_told_why_the_other_policy_gives_nothing(city):
    claim = city.claim(city.voucher(), city.paid_invoice())
    other = offers_of(claim)[DATA]
    assert [one["name"] for one in other["unmet"]] == ["spends_enough"]
    assert (other["eligible"], other["amount_fen"]) == (False, 0)
    assert other["facts"]["spend_year_fen"] == 100
    assert claim.comparison["awards"] == {USE: 50}
    assert PolicyPackage.objects.filter(pk=other["package_hash"]).exists()


def test_of_two_policies_the_higher_pays_and_the_alternative_is_kept_line_by_line(rich):
    voucher = rich.voucher(90_000_000)
    first, second = spend(rich, 300_000), spend(rich, 10)
    claim = rich.claim(voucher, first, second)
    assert claim.amount_fen == 150_005 * YUAN
    # A policy that supports both lines would give three tenths, cut at 300,000 yuan: less.
    assert offers_of(claim)[DATA]["amount_fen"] == 90_003 * YUAN
    costly = {one["fee_fen"]: one for one in claim.comparison["lines"]}
    assert costly[300_000 * YUAN]["alone"] == {USE: 150_000 * YUAN, DATA: 90_000 * YUAN}
    assert {one["chosen"] for one in claim.comparison["lines"]} == {USE}
    assert audit.check_highest().kept


def test_a_line_that_gets_more_by_the_other_policy_stays_free_and_is_never_paid_twice(rich):
    voucher = rich.voucher(60_000 * YUAN)
    first, second = spend(rich, 300_000), spend(rich, 100_000)
    # By the voucher alone: 60,000. Best: 100,000 by it (50,000) and 300,000 by the other (90,000).
    claim = rich.claim(voucher, first, second)
    assert (claim.paid_fee_fen, claim.amount_fen) == (100_000 * YUAN, 50_000 * YUAN)
    assert claim.comparison["awards"] == {USE: 50_000 * YUAN, DATA: 90_000 * YUAN}
    free = [line.amount_fen for line in queries.claimable_lines(rich.company)]
    assert free == [300_000 * YUAN]
    assert audit.check_highest().kept
    with pytest.raises(Refused, match="claim_better_elsewhere") as refused:
        rich.claim(voucher, first)
    assert refused.value.facts["policy"] == DATA
    assert refused.value.facts["lead_zh"] == "市数据局"


def test_what_is_prefilled_is_what_filing_keeps(rich):
    voucher = rich.voucher(60_000 * YUAN)
    spend(rich, 300_000), spend(rich, 100_000)
    drafted = queries.prefill_claim(voucher, at=rich.now)
    assert drafted.assessed
    assert [line.fee_fen for line in drafted.assessed.kept] == [100_000 * YUAN]
    assert [line.fee_fen for line in drafted.assessed.set_aside] == [300_000 * YUAN]
    assert drafted.assessed.better
    assert drafted.assessed.better.name == DATA


def test_a_claim_moved_to_a_worse_choice_is_found(rich, behind_the_guards):
    claim = rich.claim(rich.voucher(60_000 * YUAN), spend(rich, 300_000), spend(rich, 100_000))
    taken = InvoiceLine.objects.get(amount_fen=300_000 * YUAN)
    behind_the_guards(
        "UPDATE vouchers_claimline SET invoice_line_id = %s WHERE claim_id = %s",
        [taken.pk, claim.pk],
    )
    assert "another policy supports better" in audit.check_highest().broken[0]


def test_many_lines_are_dealt_out_nearly_as_well_as_the_caps_allow():
    folder = settings().policies
    on = date(2026, 7, 20)
    use = Offer(
        policy.load(folder / "baoding-2024"),
        "5c",
        {
            "applicant_kind": "enterprise",
            "division_code": "130606",
            "platform_is_local": True,
            "service_start": "2026-03-01",
            "service_end": "2026-06-30",
            "paid_on": "2026-07-10",
            "filed_on": "2026-07-20",
            "unit_year_used_fen": 0,
            "voucher_available_fen": 60_000 * YUAN,
        },
    )
    data = Offer(
        policy.load(folder / "baoding-2025"),
        "data-ai",
        {
            "applicant_kind": "enterprise",
            "fee_item": "compute",
            "spend_year_fen": 40_000_000,
            "service_end": "2026-06-30",
            "unit_year_used_fen": 0,
            "pool_used_fen": 0,
        },
    )
    fees = {f"line {n}": (n % 9 + 1) * 3_000 * YUAN for n in range(40)}
    dealt, awards, exact = deal([use, data], fees, on)
    assert not exact
    assert set(dealt) == set(fees)
    assert awards[use.name] == use.award(
        sum(fee for line, fee in fees.items() if dealt[line] == use.name), on
    )
    # Both caps cut and can be reached: 60,000 by the voucher, 90,000 by the other policy.
    assert sum(awards.values()) >= 150_000 * YUAN * 98 // 100
    assert sum(awards.values()) >= max(one.award(sum(fees.values()), on) for one in (use, data))
