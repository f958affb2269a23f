"""Invoices and statements: what is owed, what was paid, and line by line what for."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from suanwang.console.attempts import attempt, attempt_button
from suanwang.console.export import table_page
from suanwang.console.forms.money import BankSlip
from suanwang.console.lists.money import INVOICES, INVOICES_OF_ALL, invoice_state
from suanwang.console.money import metered_but_not_invoiced, statement_of, uuids
from suanwang.console.session import signed_in
from suanwang.core.money import parse_yuan
from suanwang.metering import services
from suanwang.metering.models import Invoice, InvoiceLine, Payment
from suanwang.people.models import Organisation
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible
from suanwang.site.clock import now

_CONSUMERS = (Role.OWNER, Role.MEMBER, Role.BILLING)


@require_safe
@signed_in("invoices.read")
def invoices(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """All invoices one may see."""
    table = INVOICES if viewer.role in _CONSUMERS else INVOICES_OF_ALL
    rows = visible(Invoice, viewer).select_related("organisation", "provider")
    return table_page(
        request,
        "console/money/invoices.html",
        table,
        rows,
        open_charges=metered_but_not_invoiced(viewer),
    )


def _invoice(viewer: Viewer, invoice_id: UUID) -> Invoice:
    rows = visible(Invoice, viewer).select_related("organisation", "provider")
    invoice = rows.filter(pk=invoice_id).first()
    if invoice is None:
        raise Http404
    return invoice


@require_safe
@signed_in("invoices.read")
def invoice(request: HttpRequest, viewer: Viewer, invoice_id: UUID) -> HttpResponse:
    """One invoice with its lines, and what may be done about it."""
    return _show_invoice(request, viewer, _invoice(viewer, invoice_id), BankSlip())


def _show_invoice(
    request: HttpRequest, viewer: Viewer, shown: Invoice, slip: BankSlip, status: int = 200
) -> HttpResponse:
    lines = (
        visible(InvoiceLine, viewer)
        .filter(invoice=shown)
        .select_related("charge__job", "charge__usage", "charge__price__accelerator_model")
        .order_by("position")
    )
    may_record = viewer.may("payments.record") and (
        viewer.role is not Role.PROVIDER or viewer.organisation_id == shown.provider_id
    )
    facts: dict[str, Any] = {
        "invoice": shown,
        "state": invoice_state(shown),
        "lines": lines,
        "payment": Payment.objects.filter(invoice=shown).select_related("recorded_by").first(),
        "may_pay": viewer.may("invoices.pay") and viewer.organisation_id == shown.organisation_id,
        "may_record": may_record,
        "slip": slip,
    }
    return render(request, "console/money/invoice.html", facts, status=status)


@require_POST
@signed_in("invoices.pay")
def pay(request: HttpRequest, viewer: Viewer, invoice_id: UUID) -> HttpResponse:
    """Pay through the simulated channel: started, then asked how it ended."""
    shown = _invoice(viewer, invoice_id)

    def through_channel() -> object:
        started = services.start_channel_payment(shown, actor=viewer, at=now())
        return services.confirm_channel_payment(started.reference, at=now())

    attempt_button(request, through_channel, _("Paid. The invoice is closed."))
    return HttpResponseRedirect(f"/invoices/{shown.pk}")


@require_POST
@signed_in("payments.record")
def record_slip(request: HttpRequest, viewer: Viewer, invoice_id: UUID) -> HttpResponse:
    """The provider or the operator records the bank's slip."""
    shown = _invoice(viewer, invoice_id)
    form = BankSlip(request.POST)
    if form.is_valid():
        given = form.cleaned_data

        def recorded() -> Payment:
            return services.record_payment(
                shown,
                Payment.Channel.BANK_SLIP,
                given["reference"],
                parse_yuan(given["amount"]),
                given["paid_on"],
                actor=viewer,
                at=now(),
            )

        beside = {
            "amount_differs": "amount",
            "amount_unreadable": "amount",
            "payment_reference_missing": "reference",
            "payment_reference_used": "reference",
            "payment_day_in_future": "paid_on",
            "payment_before_invoice": "paid_on",
        }
        if attempt(form, recorded, beside) is not None:
            return HttpResponseRedirect(f"/invoices/{shown.pk}")
    return _show_invoice(request, viewer, shown, form, status=409)


@require_POST
@signed_in("invoices.issue", "invoices.request")
def issue(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Invoice what was metered between two organisations and not invoiced yet."""
    pair = request.POST.get("pair", "").split(":")
    organisations = {str(one.pk): one for one in Organisation.objects.filter(pk__in=uuids(pair))}
    if len(pair) != 2 or not all(one in organisations for one in pair):
        raise Http404
    user, provider = organisations[pair[0]], organisations[pair[1]]
    issued = attempt_button(
        request,
        lambda: services.issue_invoice(user, provider, actor=viewer, at=now()),
        _("The invoice was issued."),
    )
    return HttpResponseRedirect(f"/invoices/{issued.pk}" if issued else "/invoices")


@require_http_methods(["GET", "HEAD"])
@signed_in("ledger.read")
def statement(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The account of one's own organisation, newest first, with the balance after each entry."""
    at: datetime = now()
    after = request.GET.get("after", "")
    shown = statement_of(viewer, at, int(after) if after.isascii() and after.isdigit() else None)
    return render(request, "console/money/statement.html", {"statement": shown})
