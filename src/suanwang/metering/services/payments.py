"""Record that an invoice was paid: in full, once, by a bank slip or through a channel."""

from __future__ import annotations

from datetime import date, datetime
from uuid import uuid5

from django.db import IntegrityError, transaction

from suanwang.core.errors import NotAllowed, NotFound, Refused
from suanwang.core.money import format_yuan
from suanwang.ledger import chart
from suanwang.ledger.services import create_accounts, post_or_refuse
from suanwang.ledger.terms import Ledger, TransferSpec
from suanwang.metering.actors import person_of
from suanwang.metering.channels import CHANNELS, Confirmed, Failed
from suanwang.metering.effects import confirm_soon
from suanwang.metering.models import ChannelPayment, Invoice, Payment
from suanwang.metering.rules import city_day
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require


@transaction.atomic
def record_payment(
    invoice: Invoice,
    channel: str,
    reference: str,
    amount_fen: int,
    paid_on: date,
    *,
    actor: Viewer | None,
    at: datetime,
) -> Payment:
    """Record the one payment of an invoice and give the user's budget back what it had spent.

    ``actor`` is None when a channel confirmed; otherwise the provider that holds the slip, or the
    operator. Safe to repeat with the same reference.

    Refuses ``channel_unknown`` (people record bank slips only), ``amount_differs`` (pay exactly
    the total), ``invoice_already_paid``,
    ``payment_reference_missing``, ``payment_reference_used``, ``payment_day_in_future``,
    ``payment_before_invoice``.
    """
    if actor is not None:
        require(actor, "payments.record")
        if channel != Payment.Channel.BANK_SLIP:
            raise Refused("channel_unknown", channel=channel)
        if actor.role is Role.PROVIDER and actor.organisation_id != invoice.provider_id:
            raise NotAllowed("not_your_invoice")
    invoice = (
        Invoice.objects.select_for_update(of=("self",))
        .select_related("organisation")
        .get(pk=invoice.pk)
    )
    reference = reference.strip()
    before = Payment.objects.filter(invoice=invoice).first()
    if before is not None:
        if (before.channel, before.reference, before.amount_fen) == (
            channel,
            reference,
            amount_fen,
        ):
            return before
        raise Refused("invoice_already_paid", number=invoice.number)
    _check(invoice, reference, amount_fen, paid_on, at=at)
    payment = Payment(
        invoice=invoice,
        channel=Payment.Channel(channel),
        reference=reference,
        amount_fen=amount_fen,
        paid_on=paid_on,
        recorded_at=at,
        recorded_by=actor.person if actor else None,
        transfer_id=uuid5(invoice.pk, "payment"),
    )
    try:
        with transaction.atomic():
            payment.save(force_insert=True)
    except IntegrityError:
        raise Refused("payment_reference_used", reference=reference) from None
    bank, spend = chart.bank(), chart.spend(invoice.organisation_id)
    create_accounts([bank, spend])
    facts = {"invoice": invoice.number}
    post_or_refuse(
        [
            TransferSpec(
                payment.transfer_id, bank.id, spend.id, amount_fen, Ledger.MONEY, "payment",
                facts=facts,
            )
        ],
        at=at,
    )  # fmt: skip
    invoice.status, invoice.paid_at = Invoice.Status.PAID, at
    invoice.save(update_fields=["status", "paid_at"])
    record(
        actor,
        "payments.record",
        subject=invoice,
        concerns=invoice.organisation,
        at=at,
        number=invoice.number,
        amount_fen=amount_fen,
        channel=channel,
        reference=reference,
    )
    return payment


def _check(
    invoice: Invoice, reference: str, amount_fen: int, paid_on: date, *, at: datetime
) -> None:
    if amount_fen != invoice.total_fen:
        raise Refused(
            "amount_differs",
            expected=format_yuan(invoice.total_fen),
            given=format_yuan(amount_fen),
            expected_fen=invoice.total_fen,
            amount_fen=amount_fen,
        )
    if not reference or len(reference) > 80:
        raise Refused("payment_reference_missing")
    if paid_on > city_day(at):
        raise Refused("payment_day_in_future", paid_on=paid_on.isoformat())
    if paid_on < city_day(invoice.issued_at):
        raise Refused("payment_before_invoice", paid_on=paid_on.isoformat())


@transaction.atomic
def start_channel_payment(
    invoice: Invoice, *, channel: str = "simulated", actor: Viewer, at: datetime
) -> ChannelPayment:
    """Start paying an invoice in full through a channel; its confirmation comes later, by a task.

    A payment already under way is returned as it is. Refuses ``invoice_already_paid``,
    ``channel_unknown``.
    """
    require(actor, "invoices.pay")
    if actor.organisation_id != invoice.organisation_id:
        raise NotAllowed("not_your_invoice")
    if channel not in CHANNELS:
        raise Refused("channel_unknown", channel=channel)
    invoice = (
        Invoice.objects.select_for_update(of=("self",))
        .select_related("organisation")
        .get(pk=invoice.pk)
    )
    if invoice.status == Invoice.Status.PAID:
        raise Refused("invoice_already_paid", number=invoice.number)
    under_way = invoice.channel_payments.filter(state=ChannelPayment.State.STARTED).first()
    if under_way is not None:
        return under_way
    started = ChannelPayment.objects.create(
        invoice=invoice,
        channel=channel,
        reference=CHANNELS[channel].reference(),
        amount_fen=invoice.total_fen,
        started_by=person_of(actor),
        started_at=at,
    )
    record(
        actor,
        "invoices.pay",
        subject=invoice,
        concerns=invoice.organisation,
        at=at,
        number=invoice.number,
        reference=started.reference,
    )
    confirm_soon(started.reference)
    return started


def confirm_channel_payment(reference: str, *, at: datetime) -> ChannelPayment:
    """Ask the channel how a started payment ended, and record it. Safe to repeat."""
    payment = ChannelPayment.objects.filter(reference=reference).first()
    if payment is None:
        raise NotFound("channel_payment_not_found", reference=reference)
    if payment.state != ChannelPayment.State.STARTED:
        return payment
    # The question goes out before the transaction begins: no network while rows are locked.
    outcome = CHANNELS[payment.channel].outcome(reference, payment.amount_fen, today=city_day(at))
    return payment if outcome is None else _close(payment, outcome, at=at)


@transaction.atomic
def _close(payment: ChannelPayment, outcome: Confirmed | Failed, *, at: datetime) -> ChannelPayment:
    payment = (
        ChannelPayment.objects.select_for_update(of=("self",))
        .select_related("invoice")
        .get(pk=payment.pk)
    )
    if payment.state != ChannelPayment.State.STARTED:
        return payment
    payment.state, payment.closed_at = ChannelPayment.State.FAILED, at
    if isinstance(outcome, Confirmed):
        try:
            with transaction.atomic():
                record_payment(
                    payment.invoice,
                    payment.channel,
                    payment.reference,
                    outcome.amount_fen,
                    outcome.paid_on,
                    actor=None,
                    at=at,
                )
            payment.state = ChannelPayment.State.CONFIRMED
        except Refused:  # paid by a slip meanwhile: the channel's money goes back, not our rows
            pass
    payment.save(update_fields=["state", "closed_at"])
    return payment
