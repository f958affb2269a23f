"""The papers of the city walked: what was metered, invoiced, paid, granted and claimed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from suanwang.metering import models as metering
from suanwang.people.roles import OrganisationKind, Role
from suanwang.programmes.models import Application, PaymentOrder, PaymentShare
from suanwang.vouchers.models import Claim, ClaimLine, PolicyPackage, Voucher

from .people_setting import AT, office

if TYPE_CHECKING:
    from .access_city import Side


def _decision(amount_fen: int, mark: str) -> dict[str, Any]:
    """What the policy once said, as it is kept with a claim."""
    return {
        "measure": "5c",
        "title": {"zh": mark, "en": mark},
        "amount_fen": amount_fen,
        "eligible": True,
        "steps": [],
        "caps": [],
        "conditions": [],
        "unconfirmed": [],
        "articles": {},
        "policy": "baoding-2024",
        "package_hash": "0" * 64,
    }


def metered(side: Side, amount: int) -> None:
    """Usage, charges, invoices and payments between the two."""
    keep, mark, own = side.things, f"leakc{side.name}", f"leakp{side.name}"
    agent, attempt, job = keep["agent"], keep["attempt"], keep["job"]

    def usage(sequence: int, meter: str) -> metering.UsageRecord:
        return metering.UsageRecord.objects.create(
            record_id=uuid4(),
            agent=agent,
            sequence=sequence,
            attempt=attempt,
            meter=meter,
            quantity=3600,
            started_at=AT,
            ended_at=AT + timedelta(hours=1),
            previous_hash="0" * 64,
            hash=f"{mark}{meter}"[:64].ljust(64, "0"),
            signature=mark.ljust(88, "0"),
            received_at=AT,
        )

    keep["usage"] = usage(1, "core_seconds")
    keep["problem"] = metering.RatingProblem.objects.create(
        usage=usage(2, "memory_mib_seconds"),
        code="price_unknown",
        facts={"name": mark},
        found_at=AT,
    )
    keep["refused_usage"] = metering.RefusedUsage.objects.create(
        record_id=uuid4(),
        agent=agent,
        sequence=3,
        sent={"who": own},
        previous_hash="0" * 64,
        hash=f"{own}3".ljust(64, "0"),
        signature="",
        code="usage_unknown",
        received_at=AT,
    )
    keep["charge"] = charge = metering.Charge.objects.create(
        usage=keep["usage"],
        organisation=side.consumer,
        provider=side.provider,
        job=job,
        price=keep["price"],
        billed_quantity=3600,
        amount_fen=amount,
        rated_at=AT,
    )
    keep["settlement"] = metering.Settlement.objects.create(
        job=job, organisation=side.consumer, amount_fen=amount, settled_at=AT
    )

    def invoice(number: str, **paid: Any) -> metering.Invoice:
        return metering.Invoice.objects.create(
            number=number,
            organisation=side.consumer,
            provider=side.provider,
            total_fen=amount,
            period_start=AT,
            period_end=AT + timedelta(days=1),
            issued_at=AT,
            due_at=AT + timedelta(days=365),
            **paid,
        )

    keep["invoice_open"] = invoice(f"{mark}-2")
    keep["invoice"] = invoice(f"{mark}-1", status="paid", paid_at=AT)
    keep["line"] = metering.InvoiceLine.objects.create(
        invoice=keep["invoice"], position=1, charge=charge, amount_fen=amount
    )
    keep["payment"] = metering.Payment.objects.create(
        invoice=keep["invoice"],
        channel="bank_slip",
        reference=f"{mark}-slip",
        amount_fen=amount,
        paid_on=date(2026, 3, 2),
        recorded_at=AT,
        transfer_id=uuid4(),
    )
    keep["channel_payment"] = metering.ChannelPayment.objects.create(
        invoice=keep["invoice_open"],
        channel="simulated",
        reference=f"{mark}-channel",
        amount_fen=amount,
        started_by=side.owner.person,
        started_at=AT,
    )


def supported(side: Side, amount: int) -> None:
    """A voucher, claims on it, an application and a payment order."""
    keep, mark = side.things, f"leakc{side.name}"
    person = office(OrganisationKind.BUREAU, Role.REVIEWER).person
    assert person is not None
    keep["package"], _ = PolicyPackage.objects.get_or_create(
        hash="0" * 64, defaults={"name": "baoding-2024", "published": {}, "first_used_at": AT}
    )
    keep["voucher"] = voucher = Voucher.objects.create(
        number=f"{mark}-v",
        holder=side.consumer,
        policy="baoding-2024",
        package_hash="0" * 64,
        measure="5c",
        year=2026,
        face_fen=amount,
        issued_at=AT,
        expires_at=AT + timedelta(days=365),
        granted_by=person,
        signature=mark.ljust(88, "0"),
    )
    keep["claim"] = claim = Claim.objects.create(
        number=f"{mark}-k",
        voucher=voucher,
        organisation=side.consumer,
        state="ordered",
        paid_fee_fen=amount,
        amount_fen=amount // 2,
        decision=_decision(amount // 2, mark),
        reserve_id=uuid4(),
        filed_by=side.owner.person,
        filed_at=AT,
    )
    keep["claim_filed"] = Claim.objects.create(
        number=f"{mark}-f",
        voucher=voucher,
        organisation=side.consumer,
        paid_fee_fen=amount,
        amount_fen=amount // 2,
        decision=_decision(amount // 2, mark),
        reserve_id=uuid4(),
        filed_by=side.owner.person,
        filed_at=AT,
    )
    keep["claim_line"] = ClaimLine.objects.create(
        claim=claim, invoice_line=keep["line"], fee_fen=amount
    )
    keep["application"] = Application.objects.create(
        number=f"{mark}-a",
        organisation=side.consumer,
        policy="baoding-2024",
        measure="5c",
        asked_fen=amount,
        purpose=mark,
        filed_by=side.owner.person,
        filed_at=AT,
    )
    keep["order"] = order = PaymentOrder.objects.create(
        number=f"{mark}-o",
        claim=claim,
        amount_fen=amount // 2,
        ordered_by=person,
        ordered_at=AT,
        reason=mark,
    )
    for level, division in (("city", "130600"), ("county", side.consumer.division)):
        keep["share"] = PaymentShare.objects.create(
            order=order,
            level=level,
            division=division,
            amount_fen=amount // 4,
            transfer_id=uuid4(),
        )
