"""A voucher pays back what the policy says, of what was paid in full, and never twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from suanwang.core.errors import NotAllowed, NotFound, Refused
from suanwang.ledger import chart
from suanwang.ledger.queries import balance
from suanwang.programmes import services as programmes
from suanwang.vouchers import certificate, choice, queries
from suanwang.vouchers import services as vouchers
from suanwang.vouchers.models import Claim
from suanwang.vouchers.platform_key import public_key

DAY = timedelta(days=1)


def numbers(voucher):
    found = queries.numbers([voucher])[voucher.pk]
    assert found.granted == found.available + found.reserved + found.redeemed + found.expired
    return found[1:]


def test_the_pool_is_funded_once_a_year_with_what_the_policy_says(city):
    assert vouchers.fund_pool(2026, actor=city.finance, at=city.now) == 1_000_000_000
    assert vouchers.fund_pool(2026, actor=city.finance2, at=city.now) == 1_000_000_000
    with pytest.raises(Refused, match="pool_year_outside_policy"):
        vouchers.fund_pool(2030, actor=city.finance, at=city.now)
    with pytest.raises(NotAllowed, match="permission_missing"):
        vouchers.fund_pool(2026, actor=city.reviewer, at=city.now)


def test_a_voucher_carries_a_certificate_anyone_can_verify(city):
    voucher = city.voucher(10_000_00)
    assert (voucher.number, voucher.face_fen) == ("V2026-000001", 10_000_00)
    assert voucher.expires_at == datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)
    assert certificate.genuine(voucher.stated, voucher.signature, public_key())
    forged = {**voucher.stated, "face_fen": 99_000_00}
    assert not certificate.genuine(forged, voucher.signature, public_key())
    assert numbers(voucher) == (10_000_00, 0, 0, 0)


def test_a_claim_reserves_half_of_the_paid_fees_and_explains_itself(city):
    voucher = city.voucher()
    invoice = city.paid_invoice(cores=3)
    claim = city.claim(voucher, invoice)
    assert (invoice.total_fen, claim.paid_fee_fen, claim.amount_fen) == (300, 300, 150)
    assert numbers(voucher) == (50_000_00 - 150, 150, 0, 0)
    assert claim.decision["package_hash"] == claim.package_id
    assert claim.decision["steps"][0]["article"] == "5"
    assert claim.decision["eligible"] is True


def test_a_line_is_claimed_once_while_its_claim_lives(city):
    voucher = city.voucher()
    invoice = city.paid_invoice()
    claim = city.claim(voucher, invoice)
    with pytest.raises(Refused, match="line_already_claimed"):
        city.claim(voucher, invoice)
    vouchers.withdraw_claim(claim, actor=city.billing, at=city.now)
    assert numbers(voucher) == (50_000_00, 0, 0, 0)
    assert city.claim(voucher, invoice).amount_fen == 50


def test_only_lines_of_paid_invoices_of_local_centres_can_be_claimed(city):
    voucher = city.voucher()
    city.used()
    unpaid = city.invoice()
    with pytest.raises(Refused, match="line_not_paid"):
        city.claim(voucher, unpaid)
    with pytest.raises(Refused, match="claim_without_lines"):
        city.claim(voucher)
    with pytest.raises(NotFound, match="line_not_found"):
        vouchers.file_claim(voucher, [voucher.pk], actor=city.billing, at=city.now)
    invoice = city.paid_invoice()
    assert [line.fee_fen for line in queries.claimable_lines(city.company)] == [100]
    city.centre.is_local_platform = False
    city.centre.save()
    assert queries.claimable_lines(city.company) == []
    with pytest.raises(Refused, match="line_not_local_platform"):
        city.claim(voucher, invoice)


def test_a_claim_can_be_filed_only_by_the_holder(city):
    voucher = city.voucher()
    invoice = city.paid_invoice()
    lines = [line.pk for line in invoice.lines.all()]
    for actor, error in ((city.provider_member, NotAllowed), (city.reviewer, NotAllowed)):
        with pytest.raises(error, match="permission_missing"):
            vouchers.file_claim(voucher, lines, actor=actor, at=city.now)
    voucher.holder = city.provider
    voucher.save()
    with pytest.raises(NotFound, match="voucher_not_found"):
        vouchers.file_claim(voucher, lines, actor=city.billing, at=city.now)


def test_fees_beyond_the_voucher_are_cut_and_the_decision_names_the_cap(city):
    voucher = city.voucher(30)
    claim = city.claim(voucher, city.paid_invoice(cores=2))
    assert (claim.paid_fee_fen, claim.amount_fen) == (200, 30)
    cut = {cap["name"]: cap["cut_fen"] for cap in claim.decision["caps"]}
    assert cut["left_on_the_voucher"] == 70
    second = city.paid_invoice()
    with pytest.raises(Refused, match="claim_amount_zero"):
        city.claim(voucher, second)


def test_who_the_policy_does_not_list_is_refused_with_the_policys_reason(city):
    voucher = city.voucher()
    invoice = city.paid_invoice()
    city.company.kind = "public_body"
    city.company.save()
    with pytest.raises(Refused, match="claim_not_eligible") as refused:
        city.claim(voucher, invoice)
    assert refused.value.facts["reasons"] == "applicant_is_listed"
    assert refused.value.facts["reasons_zh"]
    assert refused.value.facts["reasons_en"]
    assert numbers(voucher) == (50_000_00, 0, 0, 0)


def test_use_that_straddles_the_end_of_the_policy_is_split_by_metered_time(city):
    city.fund()
    city.now = datetime(2027, 1, 24, 17, tzinfo=UTC)  # an hour into 25 January in the city
    vouchers.fund_pool(2027, actor=city.finance, at=city.now)
    invoice = city.paid_invoice(
        starts=datetime(2027, 1, 24, 15, 30, tzinfo=UTC), hold=1000, walltime=3600
    )
    [line] = queries.claimable_lines(city.company)
    assert (invoice.total_fen, line.amount_fen, line.fee_fen) == (100, 100, 50)


def test_approval_redeems_and_counts_against_the_year_of_the_approval(city):
    voucher = city.voucher()
    claim = city.approved(voucher, city.paid_invoice())
    assert claim.state == Claim.State.APPROVED
    assert numbers(voucher) == (50_000_00 - 50, 0, 50, 0)
    allowance = chart.payment_allowance("baoding-2024", 2026, city.company.pk)
    assert balance(allowance.id).available == 100_000_000 - 50
    with pytest.raises(Refused, match="claim_not_filed"):
        vouchers.review_claim(claim, True, actor=city.approver, at=city.now)
    with pytest.raises(Refused, match="claim_not_filed"):
        vouchers.withdraw_claim(claim, actor=city.billing, at=city.now)


def test_rejection_needs_a_reason_and_gives_everything_back(city):
    voucher = city.voucher()
    invoice = city.paid_invoice()
    claim = city.claim(voucher, invoice)
    with pytest.raises(Refused, match="reason_missing"):
        vouchers.review_claim(claim, False, " ", actor=city.approver, at=city.now)
    vouchers.review_claim(claim, False, "合同缺失", actor=city.approver, at=city.now)
    assert numbers(voucher) == (50_000_00, 0, 0, 0)
    assert len(queries.claimable_lines(city.company)) == 1
    assert city.claim(voucher, invoice).amount_fen == 50


def test_what_is_reserved_outlives_the_voucher_and_the_rest_returns_to_the_pool(city):
    voucher = city.voucher(1000, last_day=date(2026, 3, 31))
    pool = chart.pool("baoding-2024", 2026).id
    claim = city.claim(voucher, city.paid_invoice())
    last_second = datetime(2026, 3, 31, 15, 59, 59, tzinfo=UTC)
    assert vouchers.expire_vouchers(at=last_second) == 0
    assert vouchers.expire_vouchers(at=last_second + timedelta(seconds=1)) == 1
    assert vouchers.expire_vouchers(at=last_second + DAY) == 0
    assert numbers(voucher) == (0, 50, 0, 950)
    assert balance(pool).available == 1_000_000_000 - 50
    with pytest.raises(Refused, match="voucher_expired"):
        city.claim(voucher, city.paid_invoice())
    vouchers.review_claim(claim, False, "材料不符", actor=city.approver, at=last_second + DAY)
    assert vouchers.expire_vouchers(at=last_second + DAY) == 1
    assert numbers(voucher) == (0, 0, 0, 1000)
    gauge = queries.pool_gauge("baoding-2024", 2026)
    assert (gauge.funded, gauge.left, gauge.granted) == (1_000_000_000, 1_000_000_000, 0)


def test_after_the_budget_year_what_is_left_is_lost_and_not_returned(city):
    voucher = city.voucher(1000)
    vouchers.expire_vouchers(at=datetime(2027, 1, 2, tzinfo=UTC))
    assert numbers(voucher) == (0, 0, 0, 1000)
    assert balance(chart.pool("baoding-2024", 2026).id).available == 1_000_000_000 - 1000
    assert queries.pool_gauge("baoding-2024", 2026).expired == 1000


def test_prefill_shows_exactly_what_filing_would_give(city):
    voucher = city.voucher()
    assert queries.prefill_claim(voucher, at=city.now).decision is None
    city.paid_invoice(cores=3)
    prefilled = queries.prefill_claim(voucher, at=city.now)
    claim = vouchers.file_claim(
        voucher, [line.id for line in prefilled.lines], actor=city.billing, at=city.now
    )
    assert prefilled.decision
    assert claim.amount_fen == prefilled.decision.amount_fen


def test_what_to_expect_back_is_shown_before_committing(city):
    expected = queries.expected_reimbursement(city.company, 1001, city.centre, at=city.now)
    assert (expected.amount_fen, expected.voucher_needed) == (500, True)
    city.voucher(300)
    expected = queries.expected_reimbursement(city.company, 1001, city.centre, at=city.now)
    assert (expected.amount_fen, expected.voucher_needed) == (300, False)
    city.centre.is_local_platform = False
    away = queries.expected_reimbursement(city.company, 1001, city.centre, at=city.now)
    assert (away.amount_fen, away.eligible) == (0, False)
    later = datetime(2030, 1, 1, tzinfo=UTC)
    closed = queries.expected_reimbursement(city.company, 1001, city.centre, at=later)
    assert closed.refusal is not None
    assert closed.refusal.code == "policy_not_in_force"


def test_a_unit_cannot_be_paid_more_than_its_cap_in_a_year(city):
    city.give_credit(300_000_000)
    voucher = city.voucher(100_000_000)
    claim = city.claim(voucher, city.paid_invoice(cores=64, ran_seconds=3600, hold=1))
    assert claim.amount_fen == 3200
    vouchers.review_claim(claim, True, actor=city.approver, at=city.now)
    facts, _ = choice.decide(
        voucher, [queries.FeeLine(**{**_line(city), "fee_fen": 10**9, "amount_fen": 10**9})],
        at=city.now,
    )  # fmt: skip
    assert facts["unit_year_used_fen"] == 3200
    programmes_cap = city.apply(1)
    with pytest.raises(Refused, match="unit_year_issue_cap_reached"):
        programmes.grant(programmes_cap, 1, actor=city.reviewer, at=city.now)


def _line(city):
    city.paid_invoice()
    [line] = queries.claimable_lines(city.company)
    return {name: getattr(line, name) for name in line.__dataclass_fields__}
