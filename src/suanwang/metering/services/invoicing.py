"""Ask for what is owed: one invoice a user and provider, line by line from the charges."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from suanwang.core.errors import NotAllowed, Refused
from suanwang.metering import rules
from suanwang.metering.models import Charge, Invoice, InvoiceLine
from suanwang.metering.numbering import next_number
from suanwang.people.models import Organisation
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require

_UNINVOICED = ~Q(amount_fen=0) & Q(invoice_line=None, job__settlement__isnull=False)


@transaction.atomic
def issue_invoice(
    organisation: Organisation, provider: Organisation, *, actor: Viewer | None, at: datetime
) -> Invoice:
    """Put every charge of settled jobs that is on no invoice yet onto a new one, due in 30 days.

    ``actor`` is None when the platform issues by itself at the end of a month. The provider and
    the operator issue; the owner of the organisation may ask for its own.

    Refuses ``nothing_to_invoice``; charges that came to zero fen need no invoice.
    """
    if actor is not None:
        _must_be_party(actor, organisation, provider)
    # One invoice at a time for an organisation, so that no charge is taken twice.
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    charges = list(
        Charge.objects.filter(_UNINVOICED, organisation=organisation, provider=provider)
        .select_related("usage")
        .order_by("usage__started_at", "job_id", "usage__meter")
    )
    total = sum(charge.amount_fen for charge in charges)
    if total <= 0:  # what is to be given back waits for what it can be taken off from
        raise Refused("nothing_to_invoice", organisation=organisation.name)
    invoice = Invoice.objects.create(
        number=next_number("F", at=at),
        organisation=organisation,
        provider=provider,
        total_fen=total,
        period_start=min(charge.usage.started_at for charge in charges),
        period_end=max(charge.usage.ended_at for charge in charges),
        issued_at=at,
        due_at=at + timedelta(days=rules.DUE_DAYS),
    )
    InvoiceLine.objects.bulk_create(
        InvoiceLine(invoice=invoice, position=position, charge=charge, amount_fen=charge.amount_fen)
        for position, charge in enumerate(charges, start=1)
    )
    record(
        actor,
        "invoices.issue",
        subject=invoice,
        concerns=organisation,
        at=at,
        number=invoice.number,
        total_fen=invoice.total_fen,
        lines=len(charges),
    )
    return invoice


def _must_be_party(actor: Viewer, organisation: Organisation, provider: Organisation) -> None:
    if actor.role is Role.OWNER:
        require(actor, "invoices.request")
        party: UUID | None = organisation.pk
    else:
        require(actor, "invoices.issue")
        party = provider.pk
    if actor.role is not Role.OPERATOR and actor.organisation_id != party:
        raise NotAllowed("not_your_invoice")


def issue_all(*, at: datetime) -> int:
    """Issue an invoice for every organisation and provider with uninvoiced charges."""
    pairs = (
        Charge.objects.filter(_UNINVOICED)
        .values_list("organisation_id", "provider_id")
        .distinct()
        .order_by("organisation_id", "provider_id")
    )
    issued = 0
    for organisation_id, provider_id in pairs:
        try:
            issue_invoice(
                Organisation.objects.get(pk=organisation_id),
                Organisation.objects.get(pk=provider_id),
                actor=None,
                at=at,
            )
        except Refused:  # someone else issued it a moment ago
            continue
        issued += 1
    return issued
