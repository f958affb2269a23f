"""Pay an approved claim: an order split between budgets, closed by the treasuries' receipts.

The platform moves no money. It says who owes which part, and records what was paid.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4, uuid5

from django.db import IntegrityError, transaction

from suanwang.core.errors import NotAllowed, Refused
from suanwang.ledger import chart
from suanwang.ledger.services import create_accounts, post_or_refuse
from suanwang.ledger.terms import Ledger, TransferSpec, chained, post, void
from suanwang.metering.actors import person_of
from suanwang.metering.models import Invoice
from suanwang.metering.numbering import next_number
from suanwang.metering.rules import city_day
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require, take_duty
from suanwang.policy import Share
from suanwang.programmes.models import PaymentOrder, PaymentShare
from suanwang.vouchers import services as vouchers
from suanwang.vouchers.models import Claim
from suanwang.vouchers.policy_in_force import archived, budget_year, policy_of

_RECEIPT_AT_MOST = 80


@transaction.atomic
def issue_payment_order(claim: Claim, *, actor: Viewer, at: datetime) -> PaymentOrder:
    """Order the payment of an approved claim, split by the division of the applicant (A28).

    By a third person: neither who granted nor who reviewed. The parts add up to the fen.

    Refuses ``claim_not_approved``, ``claim_invoice_unpaid``, ``split_unconfirmed`` (the finance
    bureau has not fixed who bears it: approval stands, payment waits, A26), the refusals of the
    policy's split, and of the separation of duties.
    """
    require(actor, "payment_orders.issue")
    claim = vouchers.lock_claim(claim.pk)
    if claim.state != Claim.State.APPROVED:
        raise Refused("claim_not_approved", number=claim.number, state=claim.state)
    take_duty(
        vouchers.matter(claim.voucher_id),
        "pay",
        actor=actor,
        concerns=claim.organisation,
        at=at,
    )
    unpaid = claim.lines.exclude(invoice_line__invoice__status=Invoice.Status.PAID).count()
    if unpaid:
        raise Refused("claim_invoice_unpaid", number=claim.number, lines=unpaid)
    package = policy_of(claim.voucher.policy, claim.voucher.package_hash)
    division = claim.organisation.division
    split = package.split(division, claim.amount_fen, on=city_day(at))
    if split.status != "confirmed":
        raise Refused("split_unconfirmed", division=division, article=split.article)
    order = PaymentOrder.objects.create(
        id=uuid4(),
        number=next_number("P", at=at),
        claim=claim,
        amount_fen=claim.amount_fen,
        ordered_by=person_of(actor),
        ordered_at=at,
        package=archived(package, at=at),
        division=division,
    )
    # One fen over two levels leaves one of them nothing to pay.
    _owe(order, [share for share in split.shares if share.amount_fen], at=at)
    vouchers.advance(claim, Claim.State.ORDERED)
    _note(
        order,
        "payment_orders.issue",
        actor,
        at=at,
        amount_fen=order.amount_fen,
        shares={share.division: share.amount_fen for share in split.shares},
        article=split.article,
    )
    return order


def _owe(order: PaymentOrder, shares: list[Share], *, at: datetime) -> None:
    """Write the shares and hold each on its level's budget, all or none."""
    policy, year = order.claim.voucher.policy, budget_year(at)
    subsidy = chart.subsidy(order.claim.organisation_id)
    budgets = {share.level: chart.fiscal(policy, share.division, year) for share in shares}
    create_accounts([subsidy, *budgets.values()])
    rows = [
        PaymentShare(
            order=order,
            level=share.level,
            division=share.division,
            amount_fen=share.amount_fen,
            transfer_id=uuid5(order.pk, share.level),
        )
        for share in shares
    ]
    PaymentShare.objects.bulk_create(rows)
    post_or_refuse(
        chained(
            TransferSpec(
                row.transfer_id,
                budgets[share.level].id,
                subsidy.id,
                row.amount_fen,
                Ledger.MONEY,
                "payment_order",
                kind="pending",
                facts={"order": order.number},
            )
            for row, share in zip(rows, shares, strict=True)
        ),
        at=at,
    )


@transaction.atomic
def record_receipt(
    share: PaymentShare, receipt: str, *, actor: Viewer, at: datetime
) -> PaymentShare:
    """Record the treasury's receipt for one share; the last one closes the order and the claim.

    The finance bureau for any share, a county for its own. Safe to repeat with the same number.

    Refuses ``receipt_missing``, ``receipt_used``, ``share_already_receipted``,
    ``order_not_open``, ``not_your_share`` and the separation of duties.
    """
    require(actor, "payment_orders.receipt")
    order = _lock(share.order_id)
    share = order.shares.get(pk=share.pk)
    if actor.role is Role.COUNTY and (share.level, share.division) != ("county", actor.division):
        raise NotAllowed("not_your_share")
    receipt = receipt.strip()
    if not receipt or len(receipt) > _RECEIPT_AT_MOST:
        raise Refused("receipt_missing")
    if share.receipt == receipt:
        return share
    if share.receipt:
        raise Refused("share_already_receipted", receipt=share.receipt)
    _must_be_open(order)
    claim = order.claim
    take_duty(
        vouchers.matter(claim.voucher_id),
        "pay",
        actor=actor,
        concerns=claim.organisation,
        at=at,
    )
    share.receipt, share.receipted_at, share.receipted_by = receipt, at, person_of(actor)
    try:
        with transaction.atomic():
            share.save()
    except IntegrityError:
        raise Refused("receipt_used", receipt=receipt) from None
    post_or_refuse([post(uuid5(share.transfer_id, "receipt"), share.transfer_id)], at=at)
    _note(
        order,
        "payment_orders.receipt",
        actor,
        at=at,
        level=share.level,
        amount_fen=share.amount_fen,
        receipt=receipt,
    )
    if not order.shares.filter(receipt="").exists():
        order.state, order.closed_at = PaymentOrder.State.PAID, at
        order.save()
        vouchers.advance(claim, Claim.State.PAID)
    return share


@transaction.atomic
def return_order(order: PaymentOrder, reason: str, *, actor: Viewer, at: datetime) -> PaymentOrder:
    """Take back an order the bank returned, with a reason; the claim can be ordered again.

    Refuses ``order_not_open``, ``order_partly_paid``, ``reason_missing``.
    """
    require(actor, "payment_orders.issue")
    order = _lock(order.pk)
    _must_be_open(order)
    if not reason.strip():
        raise Refused("reason_missing")
    if order.shares.exclude(receipt="").exists():
        raise Refused("order_partly_paid", number=order.number)
    claim = order.claim
    take_duty(
        vouchers.matter(claim.voucher_id),
        "pay",
        actor=actor,
        concerns=claim.organisation,
        at=at,
    )
    post_or_refuse(
        [
            void(uuid5(share.transfer_id, "returned"), share.transfer_id)
            for share in order.shares.order_by("pk")
        ],
        at=at,
    )
    order.state, order.closed_at = PaymentOrder.State.RETURNED, at
    order.reason = reason.strip()
    order.save()
    vouchers.advance(claim, Claim.State.APPROVED)
    _note(order, "payment_orders.return", actor, at=at, reason=order.reason)
    return order


def _lock(order_id: UUID) -> PaymentOrder:
    return (
        PaymentOrder.objects.select_for_update(of=("self",))
        .select_related("claim__voucher", "claim__organisation")
        .get(pk=order_id)
    )


def _must_be_open(order: PaymentOrder) -> None:
    if order.state != PaymentOrder.State.ORDERED:
        raise Refused("order_not_open", number=order.number, state=order.state)


def _note(order: PaymentOrder, verb: str, actor: Viewer, *, at: datetime, **facts: object) -> None:
    record(
        actor,
        verb,
        subject=order,
        concerns=order.claim.organisation,
        at=at,
        number=order.number,
        claim=order.claim.number,
        **facts,
    )
