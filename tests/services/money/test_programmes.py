"""From application to receipt: three different people, two budgets, one amount to the fen."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import NotAllowed, NotFound, Refused
from suanwang.ledger import chart
from suanwang.ledger.queries import balance
from suanwang.people.models import AuditEvent, Member
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer
from suanwang.programmes import services as programmes
from suanwang.programmes.models import PaymentOrder, PaymentShare
from suanwang.vouchers import issuing
from suanwang.vouchers import services as vouchers
from suanwang.vouchers.models import Claim, Voucher


def ordered(city, **job):
    claim = city.approved(city.voucher(), city.paid_invoice(**job))
    order = programmes.issue_payment_order(claim, actor=city.finance, at=city.now)
    return claim, order


def receipt(city, share, number, by=None):
    return programmes.record_receipt(share, number, actor=by or city.finance, at=city.now)


def test_an_application_is_checked_before_it_is_taken(city):
    def file(fen=1000, purpose="训练"):
        return programmes.file_application(fen, purpose, actor=city.billing, at=city.now)

    for fen in (0, -1, 100_000_001):
        with pytest.raises(Refused, match="asked_amount_impossible"):
            file(fen)
    with pytest.raises(Refused, match="purpose_missing"):
        file(purpose="  ")
    with pytest.raises(NotAllowed, match="permission_missing"):
        programmes.file_application(1, "x", actor=city.provider_member, at=city.now)
    application = file(100_000_000)
    with pytest.raises(Refused, match="application_open"):
        file()
    programmes.withdraw(application, actor=city.billing, at=city.now)
    assert file().number == "A2026-000002"


def test_the_policy_says_who_may_apply_and_until_when(city):
    """By the engine's words, in both languages; not by a rule of this room."""
    city.company.division = "110101"
    city.company.save()
    with pytest.raises(Refused, match="voucher_not_eligible") as refused:
        city.apply()
    assert refused.value.facts["reasons"] == "registered_in_the_city"
    assert refused.value.facts["reasons_zh"] == "在本市登记"
    city.company.division = "130606"
    city.company.save()
    # The last moment of the validity, the first after it, and the day after the tail.
    city.now = datetime(2027, 1, 24, 23, 59, 59, tzinfo=CITY_ZONE)
    application = city.apply()
    programmes.withdraw(application, actor=city.billing, at=city.now)
    city.now += timedelta(seconds=1)
    with pytest.raises(Refused, match="voucher_not_eligible") as refused:
        city.apply()
    assert refused.value.facts["reasons"] == "asked_inside_the_validity"
    city.now = datetime(2027, 4, 25, tzinfo=CITY_ZONE)
    with pytest.raises(Refused, match="policy_not_in_force"):
        city.apply()


def test_who_applied_in_time_is_granted_in_the_tail_and_no_longer_than_claims_are_taken(city):
    city.now = datetime(2027, 1, 24, 12, tzinfo=CITY_ZONE)
    application = city.apply(1000)
    city.fund()
    city.now = datetime(2027, 2, 1, 12, tzinfo=CITY_ZONE)
    voucher = programmes.grant(application, 1000, actor=city.reviewer, at=city.now)
    assert voucher.expires_at == datetime(2027, 4, 24, 23, 59, 59, tzinfo=CITY_ZONE)


def test_what_can_be_issued_is_what_the_ledger_has_left(city):
    """Caps are accounts and a rule of the policy; the two agree to the fen."""
    city.fund()
    voucher = city.voucher(60_000_000)
    decision = issuing.issuable(
        city.company, 50_000_000, filed_on=voucher.issued_at.date(), at=city.now
    )
    allowance = chart.issue_allowance("baoding-2024", 2026, city.company.pk)
    assert decision.amount_fen == balance(allowance.id).available == 40_000_000
    limits = {cap.name: cap.limit_fen for cap in decision.caps}
    assert limits["left_in_the_pool"] == balance(chart.pool("baoding-2024", 2026).id).available


def test_a_grant_is_at_most_what_was_asked_and_what_the_pool_holds(city):
    application = city.apply(1000)
    with pytest.raises(Refused, match="pool_not_funded"):
        programmes.grant(application, 1000, actor=city.reviewer, at=city.now)
    city.fund()
    for fen in (0, 1001):
        with pytest.raises(Refused, match="granted_amount_impossible"):
            programmes.grant(application, fen, actor=city.reviewer, at=city.now)
    voucher = programmes.grant(application, 600, "符合条件", actor=city.reviewer, at=city.now)
    assert voucher.face_fen == 600
    with pytest.raises(Refused, match="application_not_filed"):
        programmes.grant(application, 1, actor=city.reviewer, at=city.now)
    with pytest.raises(NotAllowed, match="permission_missing"):
        programmes.grant(city.apply(), 1, actor=city.approver, at=city.now)


def test_a_refused_grant_leaves_no_voucher_no_duty_and_no_transfer(city):
    city.fund()
    for _ in range(2):
        programmes.grant(city.apply(50_000_000), 50_000_000, actor=city.reviewer, at=city.now)
    application = city.apply(1)
    with pytest.raises(Refused, match="unit_year_issue_cap_reached"):
        programmes.grant(application, 1, actor=city.reviewer, at=city.now)
    assert Voucher.objects.count() == 2
    pool = balance(chart.pool("baoding-2024", 2026).id)
    assert pool.available == 1_000_000_000 - 100_000_000


def test_a_rejection_is_final_and_has_a_reason(city):
    application = city.apply()
    with pytest.raises(Refused, match="reason_missing"):
        programmes.reject(application, " ", actor=city.reviewer, at=city.now)
    programmes.reject(application, "材料不全", actor=city.reviewer, at=city.now)
    with pytest.raises(Refused, match="application_not_filed"):
        programmes.grant(application, 1, actor=city.reviewer, at=city.now)
    with pytest.raises(Refused, match="application_not_filed"):
        programmes.withdraw(application, actor=city.billing, at=city.now)


def as_role(viewer, role):
    Member.objects.create(
        organisation_id=viewer.organisation_id,
        person=viewer.person,
        role=role,
        joined_at="2026-01-01T00:00Z",
    )
    return Viewer(
        person=viewer.person,
        organisation_id=viewer.organisation_id,
        role=role,
        division=viewer.division,
    )


def test_nobody_grants_reviews_and_pays_the_same_voucher(city):
    claim = city.claim(city.voucher(), city.paid_invoice())
    with pytest.raises(Refused, match="duties_not_separated"):
        vouchers.review_claim(claim, True, actor=as_role(city.reviewer, Role.APPROVER), at=city.now)
    vouchers.review_claim(claim, True, actor=city.approver, at=city.now)
    for duty in (city.reviewer, city.approver):
        with pytest.raises(Refused, match="duties_not_separated"):
            programmes.issue_payment_order(claim, actor=as_role(duty, Role.FINANCE), at=city.now)
    programmes.issue_payment_order(claim, actor=city.finance, at=city.now)


def test_nobody_decides_for_an_organisation_they_belong_to(city):
    city.fund()
    Member.objects.create(
        organisation=city.company,
        person=city.reviewer.person,
        role=Role.MEMBER,
        joined_at=city.now,
    )
    with pytest.raises(NotAllowed, match="own_organisation"):
        programmes.grant(city.apply(), 1, actor=city.reviewer, at=city.now)


def test_an_order_is_split_to_the_fen_and_the_city_bears_the_odd_one(city):
    claim, order = ordered(city, ran_seconds=1800 + 36)
    assert claim.amount_fen == 25
    shares = dict(order.shares.values_list("level", "amount_fen"))
    assert shares == {"city": 13, "county": 12}
    budget = chart.fiscal("baoding-2024", "130602", 2026).id
    assert balance(budget).debits_pending == 12


def test_receipts_close_the_order_and_the_claim(city):
    claim, order = ordered(city)
    city_share, county_share = order.shares.order_by("level")
    with pytest.raises(Refused, match="receipt_missing"):
        receipt(city, city_share, " ")
    with pytest.raises(NotAllowed, match="not_your_share"):
        receipt(city, city_share, "R1", by=city.county)
    receipt(city, city_share, "R1")
    receipt(city, city_share, "R1")
    with pytest.raises(Refused, match="share_already_receipted"):
        receipt(city, city_share, "R2")
    claim.refresh_from_db()
    assert claim.state == Claim.State.ORDERED
    receipt(city, county_share, "R1", by=city.county)
    claim.refresh_from_db()
    order.refresh_from_db()
    assert (claim.state, order.state) == (Claim.State.PAID, PaymentOrder.State.PAID)
    assert balance(chart.subsidy(city.company.pk).id).credits_posted == 50
    with pytest.raises(Refused, match="order_not_open"):
        programmes.return_order(order, "x", actor=city.finance, at=city.now)


def test_a_receipt_counts_once(city):
    _, order = ordered(city)
    receipt(city, order.shares.get(level="city"), "R1")
    city.now = city.now
    second = city.approved(Voucher.objects.get(), city.paid_invoice())
    again = programmes.issue_payment_order(second, actor=city.finance, at=city.now)
    with pytest.raises(Refused, match="receipt_used"):
        receipt(city, again.shares.get(level="city"), "R1")


def test_a_county_of_another_division_sees_no_share_of_its_own(city):
    _, order = ordered(city)
    stranger = Viewer(
        person=city.county.person,
        organisation_id=city.county.organisation_id,
        role=Role.COUNTY,
        division="130606",
    )
    with pytest.raises(NotAllowed, match="not_your_share"):
        receipt(city, order.shares.get(level="county"), "R9", by=stranger)


def test_an_unconfirmed_split_blocks_the_payment_but_not_the_approval(city):
    city.company.division = "130681"
    city.company.save()
    claim = city.approved(city.voucher(), city.paid_invoice())
    assert claim.state == Claim.State.APPROVED
    with pytest.raises(Refused, match="split_unconfirmed"):
        programmes.issue_payment_order(claim, actor=city.finance, at=city.now)
    assert not PaymentShare.objects.exists()


def test_only_an_approved_claim_is_ordered_and_only_once(city):
    claim = city.claim(city.voucher(), city.paid_invoice())
    with pytest.raises(Refused, match="claim_not_approved"):
        programmes.issue_payment_order(claim, actor=city.finance, at=city.now)
    vouchers.review_claim(claim, True, actor=city.approver, at=city.now)
    programmes.issue_payment_order(claim, actor=city.finance, at=city.now)
    with pytest.raises(Refused, match="claim_not_approved"):
        programmes.issue_payment_order(claim, actor=city.finance2, at=city.now)


def test_a_returned_order_owes_nothing_and_can_be_issued_again(city):
    claim, order = ordered(city)
    with pytest.raises(Refused, match="reason_missing"):
        programmes.return_order(order, "", actor=city.finance, at=city.now)
    programmes.return_order(order, "账户信息有误", actor=city.finance, at=city.now)
    budget = balance(chart.fiscal("baoding-2024", "130600", 2026).id)
    assert (budget.debits_pending, budget.debits_posted) == (0, 0)
    again = programmes.issue_payment_order(claim, actor=city.finance2, at=city.now)
    receipt(city, again.shares.get(level="city"), "R1", by=city.finance2)
    with pytest.raises(Refused, match="order_partly_paid"):
        programmes.return_order(again, "x", actor=city.finance2, at=city.now)


def test_a_stranger_cannot_withdraw_what_others_filed(city):
    application = city.apply()
    other = Viewer(person=city.billing.person, organisation_id=city.provider.pk, role=Role.BILLING)
    with pytest.raises(NotFound, match="application_not_found"):
        programmes.withdraw(application, actor=other, at=city.now)


def test_every_decision_leaves_a_line_in_the_trail(city):
    _claim, order = ordered(city)
    for share in order.shares.order_by("level"):
        receipt(city, share, f"R-{share.level}")
    verbs = set(AuditEvent.objects.values_list("verb", flat=True))
    assert verbs >= {
        "pool.fund",
        "applications.file",
        "applications.grant",
        "invoices.issue",
        "payments.record",
        "claims.file",
        "claims.review",
        "payment_orders.issue",
        "payment_orders.receipt",
    }
