"""Reads: what a voucher has left, which paid lines may be claimed, what to expect back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import BigIntegerField, Exists, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from suanwang.core.errors import NotFound, SuanwangError
from suanwang.ledger import chart
from suanwang.ledger.models import Transfer
from suanwang.ledger.queries import balances
from suanwang.metering.actors import organisation_of
from suanwang.metering.models import Charge, Invoice, InvoiceLine
from suanwang.metering.rules import city_day
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer, visible
from suanwang.people.services import require
from suanwang.policy import Decision, Package
from suanwang.policy.validity import split_use
from suanwang.registry.models import DataCentre
from suanwang.vouchers import facts as facts_of
from suanwang.vouchers import rules
from suanwang.vouchers.choice import Assessment, assess
from suanwang.vouchers.models import Claim, ClaimLine, Voucher
from suanwang.vouchers.policy_in_force import (
    budget_year,
    in_force,
    measure_in_force,
    policy_of,
)
from suanwang.vouchers.rules import FeeLine, Numbers


def vouchers(viewer: Viewer) -> QuerySet[Voucher]:
    """Vouchers a viewer may see: the own ones, or all for the offices of the city."""
    require(viewer, "vouchers.read")
    return visible(Voucher, viewer).select_related("holder")


def voucher(voucher_id: UUID, viewer: Viewer) -> Voucher:
    """One voucher. Refuses ``voucher_not_found``, also for those out of sight."""
    found = vouchers(viewer).filter(pk=voucher_id).first()
    if found is None:
        raise NotFound("voucher_not_found")
    return found


def claims(viewer: Viewer, *, state: str | None = None) -> QuerySet[Claim]:
    """Claims a viewer may see."""
    require(viewer, "claims.read")
    rows = visible(Claim, viewer).select_related("voucher", "organisation")
    return rows.filter(state=state) if state else rows


def claim(claim_id: UUID, viewer: Viewer) -> Claim:
    """One claim. Refuses ``claim_not_found``, also for those out of sight."""
    found = claims(viewer).filter(pk=claim_id).first()
    if found is None:
        raise NotFound("claim_not_found")
    return found


def claim_lines(claim_id: UUID, viewer: Viewer) -> QuerySet[ClaimLine]:
    """The paid invoice lines a claim stands on."""
    parent = claim(claim_id, viewer)
    return (
        visible(ClaimLine, viewer)
        .filter(claim=parent)
        .select_related("invoice_line__invoice", "invoice_line__charge__usage")
    )


def own_organisation(viewer: Viewer) -> Organisation:
    """The organisation a viewer acts for."""
    return visible(Organisation, viewer).get(pk=organisation_of(viewer))


def numbers(vouchers: Collection[Voucher]) -> dict[UUID, Numbers]:
    """The four numbers of each voucher, from the ledger alone, in three statements."""
    accounts = {chart.voucher(voucher.pk).id: voucher for voucher in vouchers}
    standing = balances(accounts)
    expired: dict[UUID, int] = dict(
        Transfer.objects.filter(debit_account__in=accounts, code="expire")
        .values_list("debit_account")
        .annotate(amount=Sum("amount_fen"))
    )
    found: dict[UUID, Numbers] = {}
    for account, voucher in accounts.items():
        now, lost = standing[account], expired.get(account, 0)
        found[voucher.pk] = Numbers(
            granted=now.credits_posted,
            available=now.available,
            reserved=now.debits_pending,
            redeemed=now.debits_posted - lost,
            expired=lost,
        )
    return found


@dataclass(frozen=True)
class PoolGauge:
    """Where a year's pool stands, in fen: funded = left + granted, less what came back."""

    year: int
    funded: int
    left: int
    granted: int
    """Drawn by vouchers and not returned."""
    reserved: int
    redeemed: int
    """Approved for payment."""
    expired: int
    """Lost after the year; what was lost within it is in ``left`` again."""


def pool_gauge(policy: str, year: int) -> PoolGauge:
    """The gauge of a pool."""
    pool, redeemed = chart.pool(policy, year), chart.redeemed(policy, year)
    expired = chart.expired(policy, year)
    standing = balances([pool.id, redeemed.id, expired.id])
    returned = (
        Transfer.objects.filter(credit_account=pool.id, code="expire").aggregate(
            amount=Sum("amount_fen", default=0)
        )["amount"]
        or 0
    )
    now = standing[pool.id]
    return PoolGauge(
        year=year,
        funded=now.credits_posted - returned,
        left=now.available,
        granted=now.debits_posted - returned,
        reserved=standing[redeemed.id].credits_pending,
        redeemed=standing[redeemed.id].credits_posted,
        expired=standing[expired.id].credits_posted,
    )


def _live_claim() -> Exists:
    return Exists(ClaimLine.objects.filter(invoice_line=OuterRef("pk"), released=False))


def _with_details(lines: QuerySet[InvoiceLine]) -> QuerySet[InvoiceLine]:
    use = {
        "usage__attempt": OuterRef("charge__usage__attempt"),
        "usage__meter": OuterRef("charge__usage__meter"),
    }
    corrections = Charge.objects.filter(
        Q(amount_fen__lt=0) | Q(invoice_line__invoice__status=Invoice.Status.PAID),
        basis=Charge.Basis.CORRECTED,
        **use,
    ).exclude(pk=OuterRef("charge"))
    first = Charge.objects.filter(
        invoice_line__isnull=False, usage__sequence__lt=OuterRef("charge__usage__sequence"), **use
    )
    moved = corrections.order_by().values("basis").annotate(fen=Sum("amount_fen")).values("fen")
    newest = corrections.order_by("-usage__sequence")
    return lines.select_related(
        "invoice__payment", "charge__usage__attempt__cluster__centre"
    ).annotate(
        claimed=_live_claim(),
        follows=Exists(first),
        corrected_fen=Coalesce(Subquery(moved), 0, output_field=BigIntegerField()),
        corrected_start=Subquery(newest.values("usage__started_at")[:1]),
        corrected_end=Subquery(newest.values("usage__ended_at")[:1]),
    )


def fee_line(line: InvoiceLine, package: Package) -> FeeLine | None:
    """A paid line as the policy sees it, its fee split at the edges of the validity (A3).

    What the use came to in the end is claimed, and only once: corrections go with the line they
    correct. What they take off counts at once, what they add when it was paid. None if nothing of
    it counts, or nothing was paid. ``line`` comes from ``lines_of``.
    """
    if line.invoice.status != Invoice.Status.PAID or is_correction(line):
        return None
    usage, corrected = line.charge.usage, vars(line)
    starts = corrected["corrected_start"] or usage.started_at
    ends = corrected["corrected_end"] or usage.ended_at
    amount = line.amount_fen + corrected["corrected_fen"]
    day = min(max(city_day(ends), package.valid_from), package.valid_to)
    if amount <= 0:
        return None
    use = split_use(package, amount, starts=starts, ends=ends, on=day)
    if not use.inside_fen or use.first_day is None or use.last_day is None:
        return None
    return FeeLine(
        id=line.pk,
        invoice_number=line.invoice.number,
        centre=usage.attempt.cluster.centre.name,
        meter=usage.meter,
        amount_fen=amount,
        fee_fen=use.inside_fen,
        starts=starts,
        ends=ends,
        first_day=use.first_day,
        last_day=use.last_day,
        paid_on=line.invoice.payment.paid_on,
        number=f"{line.invoice.number}/{line.position}",
    )


def why_not(line: InvoiceLine, fee: FeeLine | None) -> str | None:
    """Why a line cannot be claimed, as a refusal code; None when it can.

    ``fee`` is the line as the policy sees it, see ``fee_line``.
    """
    if line.invoice.status != Invoice.Status.PAID:
        return "line_not_paid"
    if getattr(line, "claimed", False):
        return "line_already_claimed"
    if not line.charge.usage.attempt.cluster.centre.is_local_platform:
        return "line_not_local_platform"
    if is_correction(line):
        return "line_is_correction"
    if fee is None:
        return "line_outside_validity"
    return None


def is_correction(line: InvoiceLine) -> bool:
    """Whether it only changes what an earlier line of the same use came to."""
    return line.charge.basis == Charge.Basis.CORRECTED and bool(vars(line)["follows"])


def lines_of(organisation: Organisation, ids: Collection[UUID]) -> dict[UUID, InvoiceLine]:
    """Invoice lines of an organisation by id, with everything a claim needs to know."""
    rows = _with_details(InvoiceLine.objects.filter(pk__in=ids, invoice__organisation=organisation))
    return {row.pk: row for row in rows}


def claimable_lines(organisation: Organisation, package: Package | None = None) -> list[FeeLine]:
    """Lines of paid invoices, of local centres, used inside the validity, under no live claim.

    The oldest first, and at most as many as one claim takes.
    """
    package = package or in_force()
    rows = _with_details(
        InvoiceLine.objects.filter(
            invoice__organisation=organisation,
            invoice__status=Invoice.Status.PAID,
            charge__usage__attempt__cluster__centre__is_local_platform=True,
            charge__usage__ended_at__gte=rules.day_begins(package.valid_from),
            charge__usage__started_at__lt=rules.day_begins(package.valid_to + timedelta(days=1)),
        )
    ).exclude(_live_claim() | Q(charge__basis=Charge.Basis.CORRECTED, follows=True))
    lines = [
        fee_line(row, package)
        for row in rows.order_by("invoice__number", "position")[: rules.LINES_AT_MOST]
    ]
    return [line for line in lines if line is not None]


@dataclass(frozen=True)
class Prefilled:
    """A claim as it would be filed now: its lines and what the policies say to them."""

    lines: Sequence[FeeLine]
    """Everything that could be claimed, also what another policy gives more for."""
    assessed: Assessment | None
    """None when there is nothing to claim."""

    @property
    def decision(self) -> Decision | None:
        """What the policy says to the lines that are best claimed here."""
        return self.assessed.decision if self.assessed else None


def prefill_claim(
    voucher: Voucher, *, at: datetime, leaving_out: Collection[UUID] = ()
) -> Prefilled:
    """Everything that can be claimed against a voucher now, with the amount and its reasons."""
    package = policy_of(voucher.policy, voucher.package_hash)
    lines = [
        line for line in claimable_lines(voucher.holder, package) if line.id not in leaving_out
    ]
    return Prefilled(lines, assess(voucher, lines, at=at) if lines else None)


@dataclass(frozen=True)
class Expected:
    """What the policy would pay back for a fee, before anyone commits to it. Not a promise."""

    amount_fen: int
    eligible: bool
    voucher_needed: bool
    """The organisation holds no voucher yet; the amount supposes one is granted."""
    decision: Decision | None
    refusal: SuanwangError | None = None
    """Why the policy says nothing at all, for example because it is not in force."""


def expected_reimbursement(
    organisation: Organisation, fee_fen: int, centre: DataCentre, *, at: datetime
) -> Expected:
    """The part of a fee the policy would pay back, used at a centre and paid today."""
    today, year = city_day(at), budget_year(at)
    held = Voucher.objects.filter(
        holder=organisation, status=Voucher.Status.ISSUED, expires_at__gte=at
    )
    accounts = [chart.voucher(voucher).id for voucher in held.values_list("pk", flat=True)]
    available = max((now.available for now in balances(accounts).values()), default=None)
    try:
        package = in_force()
        decision = package.decide(
            measure_in_force(),
            {
                "applicant_kind": organisation.kind,
                "division_code": organisation.division,
                "paid_fee_fen": fee_fen,
                "platform_is_local": centre.is_local_platform,
                "service_start": today,
                "service_end": today,
                "paid_on": today,
                "filed_on": today,
                "unit_year_used_fen": facts_of.approved_in_year(package, year, organisation),
                "voucher_available_fen": fee_fen if available is None else available,
            },
            on=today,
        )
    except SuanwangError as refusal:
        return Expected(0, False, available is None, None, refusal)
    return Expected(decision.amount_fen, decision.eligible, available is None, decision)
