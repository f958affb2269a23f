"""Reads: what was used, what it cost, what is owed, and whether the sums agree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from suanwang.core.errors import NotFound
from suanwang.jobs.models import Attempt, Job
from suanwang.ledger.models import Transfer
from suanwang.metering.models import (
    ChannelPayment,
    Charge,
    Invoice,
    InvoiceLine,
    Payment,
    RatingProblem,
    RefusedUsage,
    Settlement,
    UsageRecord,
)
from suanwang.metering.pricing import rated_again
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer, visible
from suanwang.people.services import require


def invoices(viewer: Viewer, *, status: str | None = None) -> QuerySet[Invoice]:
    """Invoices a viewer is party to, or all for the offices of the city."""
    require(viewer, "invoices.read")
    rows = visible(Invoice, viewer).select_related("organisation", "provider")
    return rows.filter(status=status) if status else rows


def invoice(invoice_id: UUID, viewer: Viewer) -> Invoice:
    """One invoice. Refuses ``invoice_not_found``, also for those out of sight."""
    found = invoices(viewer).filter(pk=invoice_id).first()
    if found is None:
        raise NotFound("invoice_not_found")
    return found


def invoice_lines(invoice_id: UUID, viewer: Viewer) -> QuerySet[InvoiceLine]:
    """The lines of an invoice with the use and the price behind each."""
    parent = invoice(invoice_id, viewer)
    return (
        visible(InvoiceLine, viewer)
        .filter(invoice=parent)
        .select_related("charge__usage__attempt__cluster__centre", "charge__job")
    )


def partners(viewer: Viewer) -> QuerySet[Organisation]:
    """Organisations the viewer's own has dealt with: a job of one was taken by the other.

    Not only once it is charged: who asks too early for an invoice hears that there is nothing to
    invoice yet, not that the other side does not exist.
    """
    own = viewer.organisation_id
    taken = Attempt.objects.filter(Q(job__organisation=own) | Q(cluster__centre__provider=own))
    return Organisation.objects.filter(
        Q(pk__in=taken.values("job__organisation"))
        | Q(pk__in=taken.values("cluster__centre__provider"))
    )


def payments(viewer: Viewer) -> QuerySet[Payment]:
    """Payments of invoices a viewer may see."""
    require(viewer, "invoices.read")
    return visible(Payment, viewer).select_related("invoice")


def channel_payment(payment_id: UUID, viewer: Viewer) -> ChannelPayment:
    """A payment under way. Refuses ``channel_payment_not_found``."""
    require(viewer, "invoices.read")
    found = visible(ChannelPayment, viewer).filter(pk=payment_id).first()
    if found is None:
        raise NotFound("channel_payment_not_found", reference=str(payment_id))
    return found


def usage(viewer: Viewer, *, job: UUID | None = None) -> QuerySet[UsageRecord]:
    """Usage records, with their signatures, of jobs a viewer may see."""
    require(viewer, "jobs.read")
    rows = visible(UsageRecord, viewer).select_related("attempt")
    return rows.filter(attempt__job=job) if job else rows


def refused_usage(viewer: Viewer) -> QuerySet[RefusedUsage]:
    """Records whose content could not be true."""
    require(viewer, "jobs.read")
    return visible(RefusedUsage, viewer)


def charges(viewer: Viewer, *, job: UUID | None = None) -> QuerySet[Charge]:
    """What use cost, with the parts that explain each amount."""
    require(viewer, "invoices.read")
    rows = visible(Charge, viewer).select_related("usage")
    return rows.filter(job=job) if job else rows


def rating_problems(viewer: Viewer, *, open_only: bool = False) -> QuerySet[RatingProblem]:
    """The operator's inbox of records that could not be rated."""
    require(viewer, "metering.read")
    rows = visible(RatingProblem, viewer).select_related("usage__attempt__job")
    return rows.filter(resolved_at=None) if open_only else rows


def rating_problem(problem_id: int, viewer: Viewer) -> RatingProblem:
    """One problem. Refuses ``problem_not_found``."""
    found = rating_problems(viewer).filter(pk=problem_id).first()
    if found is None:
        raise NotFound("problem_not_found")
    return found


def unsettled(viewer: Viewer) -> QuerySet[Job]:
    """Ended jobs whose account is still open: usage missing, unrated, or beyond the budget."""
    require(viewer, "metering.read")
    rows = visible(Job, viewer).filter(state__in=Job.ENDED, settlement=None)
    return rows.annotate(charged_fen=Sum("charges__amount_fen", default=0))


def job_to_settle(job_id: UUID, viewer: Viewer) -> Job:
    """A job, settled or not. Refuses ``job_not_found_for_settlement``."""
    require(viewer, "metering.read")
    found = visible(Job, viewer).filter(pk=job_id).first()
    if found is None:
        raise NotFound("job_not_found_for_settlement")
    return found


@dataclass(frozen=True)
class Reconciliation:
    """One organisation's settled jobs of a period: five sums that must tell the same story, in fen.

    ``used = rated = settled = ledger`` and ``rated = invoiced + not_invoiced``.
    """

    jobs: int
    records: int
    used: int
    """Every usage record priced again from its quantity and the prices of its moment."""
    rated: int
    """The charges as they were made."""
    settled: int
    ledger: int
    """What left the organisation's budget for these jobs."""
    invoiced: int
    not_invoiced: int
    paid: int
    """Of the invoiced, what was paid."""

    @property
    def agrees(self) -> bool:
        return (
            self.used == self.rated == self.settled == self.ledger
            and self.rated == self.invoiced + self.not_invoiced
        )


def reconcile(organisation: UUID, *, starts: datetime, ends: datetime) -> Reconciliation:
    """Add a period up five ways; ``starts`` inclusive, ``ends`` exclusive, by day of settlement.
    What was given back since is taken off.
    """
    settlements = Settlement.objects.filter(
        organisation=organisation, settled_at__gte=starts, settled_at__lt=ends
    )
    jobs = list(settlements.values_list("job_id", "job__hold_id"))
    ids = [job for job, _ in jobs]
    of_jobs = Charge.objects.filter(job__in=ids)
    lines = InvoiceLine.objects.filter(charge__job__in=ids)
    left = Transfer.objects.filter(
        Q(pending__in=[hold for _, hold in jobs], kind="post")
        | Q(code="charge", kind="transfer", facts__job__in=[str(job) for job in ids])
    )
    back = Transfer.objects.filter(code="charge_back", facts__job__in=[str(job) for job in ids])
    credited = of_jobs.filter(usage__problem__resolution="credited")
    return Reconciliation(
        jobs=len(ids),
        records=UsageRecord.objects.filter(attempt__job__in=ids).count(),
        used=sum(again.amount_fen or 0 for again in rated_again(of_jobs)),
        rated=_sum(of_jobs),
        settled=_sum(settlements) + _sum(credited),
        ledger=_sum(left) - _sum(back),
        invoiced=_sum(lines),
        not_invoiced=_sum(of_jobs.filter(invoice_line=None)),
        paid=_sum(lines.filter(invoice__status=Invoice.Status.PAID)),
    )


def _sum(
    rows: QuerySet[Charge] | QuerySet[Settlement] | QuerySet[Transfer] | QuerySet[InvoiceLine],
) -> int:
    return rows.aggregate(total=Sum("amount_fen"))["total"] or 0
