"""Usage, charges, invoices, payments and statements over HTTP."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status
from pydantic import AwareDatetime

from suanwang.api.http import Page, Paging, page, viewer_of
from suanwang.core.errors import NotFound
from suanwang.metering import queries, schemas, services, statements
from suanwang.metering.actors import organisation_of
from suanwang.metering.csv_export import ROWS_AT_MOST, csv_answer, yuan
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer, visible
from suanwang.people.services import require
from suanwang.site import clock

router = Router(tags=["metering"])


@router.get("/usage", response=Page[schemas.UsageOut])
def usage(request: HttpRequest, paging: Query[Paging], job_id: UUID | None = None) -> Any:
    """Usage records as the agents signed them: quantities, never a cost."""
    found = queries.usage(viewer_of(request), job=job_id)
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-received_at", "pk"))


@router.get("/usage/refused", response=Page[schemas.RefusedUsageOut])
def refused_usage(request: HttpRequest, paging: Query[Paging]) -> Any:
    """Records whose content could not be true; they are never billed."""
    found = queries.refused_usage(viewer_of(request))
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-received_at", "pk"))


@router.get("/charges", response=Page[schemas.ChargeOut])
def charges(request: HttpRequest, paging: Query[Paging], job_id: UUID | None = None) -> Any:
    """What use cost, with the prices and stretches of time each amount is made of."""
    found = queries.charges(viewer_of(request), job=job_id)
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-rated_at", "pk"))


@router.get("/rating-problems", response=Page[schemas.RatingProblemOut])
def rating_problems(request: HttpRequest, paging: Query[Paging], open_only: bool = True) -> Any:
    """The operator's inbox: records that could not be rated."""
    found = queries.rating_problems(viewer_of(request), open_only=open_only)
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-found_at", "pk"))


@router.post("/rating-problems/{int:problem_id}/resolution", response=schemas.ChargeOut)
def resolve(request: HttpRequest, problem_id: int, payload: schemas.ResolutionIn) -> Any:
    """Settle a problem by an agreed amount or a write-off, with a reason."""
    viewer = viewer_of(request)
    require(viewer, "rating.resolve")
    return services.resolve_problem(
        queries.rating_problem(problem_id, viewer),
        payload.resolution,
        reason=payload.reason,
        amount_fen=payload.amount_fen,
        actor=viewer,
        at=clock.now(),
    )


@router.get("/unsettled-jobs", response=Page[schemas.UnsettledOut])
def unsettled(request: HttpRequest, paging: Query[Paging]) -> Any:
    """Ended jobs whose account is open: usage missing or unrated, or charges beyond the budget."""
    found = queries.unsettled(viewer_of(request))
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-submitted_at", "pk"))


@router.post("/unsettled-jobs/{uuid:job_id}/settlement", response=schemas.SettlementOut)
def settle(request: HttpRequest, job_id: UUID, payload: schemas.SettlementIn) -> Any:
    """Close the account of a job whose centre will not report any more, for what did come in."""
    viewer = viewer_of(request)
    require(viewer, "rating.resolve")
    return services.settle_without_usage(
        queries.job_to_settle(job_id, viewer), payload.reason, actor=viewer, at=clock.now()
    )


@router.get("/invoices", response=Page[schemas.InvoiceOut])
def invoices(
    request: HttpRequest, paging: Query[Paging], status: Literal["issued", "paid"] | None = None
) -> Any:
    """Invoices of the caller's organisation, the newest first."""
    found = queries.invoices(viewer_of(request), status=status)
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-issued_at", "pk"))


@router.get("/invoices/export.csv")
def export_invoices(request: HttpRequest) -> HttpResponse:
    """The same as a table for a spreadsheet, amounts in yuan."""
    rows = queries.invoices(viewer_of(request)).order_by("-issued_at", "pk")[:ROWS_AT_MOST]
    return csv_answer(
        "invoices",
        ["number", "organisation", "provider", "status", "total_yuan", "issued", "due", "paid"],
        (
            [
                row.number,
                row.organisation.name,
                row.provider.name,
                row.status,
                yuan(row.total_fen),
                row.issued_at.isoformat(),
                row.due_at.isoformat(),
                row.paid_at.isoformat() if row.paid_at else "",
            ]
            for row in rows
        ),
    )


@router.post("/invoices", response={201: schemas.InvoiceOut})
def issue(request: HttpRequest, payload: schemas.InvoiceIn) -> Any:
    """Put everything used and not yet invoiced on an invoice: by its provider, the operator or
    the owner of the organisation that used it.
    """
    viewer = viewer_of(request)
    if not viewer.may("invoices.request"):
        require(viewer, "invoices.issue")
    invoice = services.issue_invoice(
        _party(viewer, payload.organisation_id),
        _party(viewer, payload.provider_id),
        actor=viewer,
        at=clock.now(),
    )
    return Status(201, invoice)


def _party(viewer: Viewer, asked: UUID | None) -> Organisation:
    """A party to an invoice. It may be the other side, which is out of the caller's sight."""
    wanted = asked or organisation_of(viewer)
    shared = queries.partners(viewer).filter(pk=wanted)
    found = shared.first() or visible(Organisation, viewer).filter(pk=wanted).first()
    if found is None:
        raise NotFound("organisation_not_found_for_invoice")
    return found


@router.get("/invoices/{uuid:invoice_id}", response=schemas.InvoiceOut)
def invoice(request: HttpRequest, invoice_id: UUID) -> Any:
    """One invoice."""
    return queries.invoice(invoice_id, viewer_of(request))


@router.get("/invoices/{uuid:invoice_id}/lines", response=Page[schemas.InvoiceLineOut])
def invoice_lines(request: HttpRequest, invoice_id: UUID, paging: Query[Paging]) -> Any:
    """Its lines, each with the use, the price and the arithmetic behind it."""
    found = queries.invoice_lines(invoice_id, viewer_of(request))
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("position", "pk"))


@router.post("/invoices/{uuid:invoice_id}/payment", response={201: schemas.PaymentOut})
def record_payment(request: HttpRequest, invoice_id: UUID, payload: schemas.PaymentIn) -> Any:
    """Record the bank slip of a payment in full; by the provider or the operator."""
    viewer = viewer_of(request)
    require(viewer, "payments.record")
    payment = services.record_payment(
        queries.invoice(invoice_id, viewer),
        "bank_slip",
        payload.reference,
        payload.amount_fen,
        payload.paid_on,
        actor=viewer,
        at=clock.now(),
    )
    return Status(201, payment)


@router.post(
    "/invoices/{uuid:invoice_id}/channel-payments", response={202: schemas.ChannelPaymentOut}
)
def start_payment(request: HttpRequest, invoice_id: UUID, payload: schemas.ChannelPaymentIn) -> Any:
    """Start paying an invoice through a channel; ask again here how it ended."""
    viewer = viewer_of(request)
    require(viewer, "invoices.pay")
    started = services.start_channel_payment(
        queries.invoice(invoice_id, viewer),
        channel=payload.channel,
        actor=viewer,
        at=clock.now(),
    )
    return Status(202, started)


@router.get("/channel-payments/{uuid:payment_id}", response=schemas.ChannelPaymentOut)
def channel_payment(request: HttpRequest, payment_id: UUID) -> Any:
    """How a payment through a channel stands."""
    return queries.channel_payment(payment_id, viewer_of(request))


@router.get("/payments", response=Page[schemas.PaymentOut])
def payments(request: HttpRequest, paging: Query[Paging]) -> Any:
    """Payments received for invoices, the newest first."""
    found = queries.payments(viewer_of(request))
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-recorded_at", "pk"))


@router.get("/statement", response=schemas.StatementOut)
def statement(
    request: HttpRequest, paging: Query[Paging], organisation_id: UUID | None = None
) -> Any:
    """What an organisation may spend, or what a provider earned, entry by entry."""
    found = statements.of_organisation(
        organisation_id, viewer_of(request), cursor=paging.cursor, limit=paging.limit
    )
    now = found.balance
    earned = now.credits_posted - now.debits_posted
    return {
        "account_id": found.account_id,
        "code": found.code,
        "available_fen": earned if found.code == "earnings" else now.available,
        "held_fen": now.debits_pending,
        "items": [{**vars(row), "available_fen": row.balance.available} for row in found.rows],
        "next_cursor": found.next_cursor,
    }


@router.get("/statement/export.csv")
def export_statement(request: HttpRequest, organisation_id: UUID | None = None) -> HttpResponse:
    """The same as a table for a spreadsheet, amounts in yuan."""
    found = statements.of_organisation(organisation_id, viewer_of(request), limit=ROWS_AT_MOST)
    return csv_answer(
        "statement",
        ["at", "code", "kind", "side", "held_yuan", "posted_yuan", "available_yuan", "transfer"],
        (
            [
                row.at.isoformat(),
                row.code,
                row.kind,
                row.side,
                yuan(row.pending_fen),
                yuan(row.posted_fen),
                yuan(row.balance.available),
                str(row.transfer),
            ]
            for row in found.rows
        ),
    )


@router.get("/reconciliation", response=schemas.ReconciliationOut)
def reconciliation(
    request: HttpRequest,
    starts: AwareDatetime,
    ends: AwareDatetime,
    organisation_id: UUID | None = None,
) -> Any:
    """Add a period up five ways: used, rated, settled, in the ledger, on invoices."""
    viewer = viewer_of(request)
    require(viewer, "ledger.read")
    wanted = organisation_id or organisation_of(viewer)
    found = visible(Organisation, viewer).filter(pk=wanted).first()
    if found is None:
        raise NotFound("organisation_not_found_for_invoice")
    return queries.reconcile(found.pk, starts=starts, ends=ends)
