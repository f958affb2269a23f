"""Claims and payment orders: from the paid fee to the treasury's receipt."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from suanwang.console import progress
from suanwang.console.attempts import attempt, attempt_button
from suanwang.console.export import table_page
from suanwang.console.forms.support import Review
from suanwang.console.lists.support import CLAIMS
from suanwang.console.money import uuids
from suanwang.console.session import signed_in
from suanwang.people.scope import Viewer, visible
from suanwang.programmes.models import PaymentOrder
from suanwang.programmes.services import issue_payment_order
from suanwang.site.clock import now
from suanwang.vouchers import queries, services
from suanwang.vouchers.choice import assess
from suanwang.vouchers.models import Claim, ClaimLine, Voucher


@require_safe
@signed_in("claims.read")
def claims(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """All claims one may see."""
    return table_page(
        request,
        "console/list.html",
        CLAIMS,
        visible(Claim, viewer).select_related("organisation"),
        heading=_("Claims"),
        lead=_("What was paid, what is claimed of it, and how far each claim has come."),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("claims.file")
def new(request: HttpRequest, viewer: Viewer, voucher_id: UUID) -> HttpResponse:
    """A claim filled in from metering and paid invoices; the amount is the policy's."""
    rows = visible(Voucher, viewer).filter(holder_id=viewer.organisation_id)
    voucher = rows.select_related("holder").filter(pk=voucher_id).first()
    if voucher is None:
        raise Http404
    at = now()
    prefilled = queries.prefill_claim(voucher, at=at)
    known = {line.id for line in prefilled.lines}
    assessed = prefilled.assessed
    chosen = {line.id for line in assessed.kept} if assessed else set()
    form = Form(request.POST or None)
    if request.method == "POST":
        chosen = set(uuids(request.POST.getlist("line"))) & known
        picked = [line for line in prefilled.lines if line.id in chosen]
        assessed = assess(voucher, picked, at=at) if picked else None
        if "file" in request.POST and form.is_valid():
            ordered = [line.id for line in picked]
            filed = attempt(
                form, lambda: services.file_claim(voucher, ordered, actor=viewer, at=at)
            )
            if filed is not None:
                messages.success(request, _("Filed. The amount is reserved on the voucher."))
                return HttpResponseRedirect(f"/claims/{filed.pk}")
    facts: dict[str, Any] = {
        "voucher": voucher,
        "lines": prefilled.lines,
        "chosen": chosen,
        "assessed": assessed,
        "decision": assessed.decision if assessed and assessed.kept else None,
        "fee_fen": sum(line.fee_fen for line in assessed.kept) if assessed else 0,
        "numbers": queries.numbers([voucher])[voucher.pk],
        "form": form,
    }
    status = 409 if form.errors else 200
    return render(request, "console/support/new_claim.html", facts, status=status)


def _claim(viewer: Viewer, claim_id: UUID) -> Claim:
    rows = visible(Claim, viewer).select_related(
        "organisation", "voucher__granted_by", "filed_by", "reviewed_by"
    )
    found = rows.filter(pk=claim_id).first()
    if found is None:
        raise Http404
    return found


@require_safe
@signed_in("claims.read")
def claim(request: HttpRequest, viewer: Viewer, claim_id: UUID) -> HttpResponse:
    """One claim: its lines, its amount and why, its progress."""
    return _show(request, viewer, _claim(viewer, claim_id))


def _show(
    request: HttpRequest, viewer: Viewer, shown: Claim, review: Review | None = None
) -> HttpResponse:
    orders = list(
        visible(PaymentOrder, viewer)
        .filter(claim=shown)
        .select_related("ordered_by")
        .order_by("ordered_at")
    )
    filed = shown.state == Claim.State.FILED
    own = viewer.organisation_id == shown.organisation_id
    facts: dict[str, Any] = {
        "claim": shown,
        "steps": progress.of_claim(shown, orders),
        "orders": orders,
        "lines": visible(ClaimLine, viewer)
        .filter(claim=shown)
        .select_related("invoice_line__invoice", "invoice_line__charge__usage__attempt__job")
        .order_by("invoice_line__invoice__number", "invoice_line__position"),
        "may_review": filed and viewer.may("claims.review"),
        "may_withdraw": filed and own and viewer.may("claims.file"),
        "may_order": shown.state == Claim.State.APPROVED and viewer.may("payment_orders.issue"),
        "review": review or Review(),
    }
    status = 409 if review is not None else 200
    return render(request, "console/support/claim.html", facts, status=status)


@require_POST
@signed_in("claims.review")
def review(request: HttpRequest, viewer: Viewer, claim_id: UUID) -> HttpResponse:
    """Approve or reject; a rejection needs its reason."""
    shown, form = _claim(viewer, claim_id), Review(request.POST)
    approve = "approve" in request.POST
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        done = attempt(
            form,
            lambda: services.review_claim(shown, approve, reason, actor=viewer, at=now()),
            {"reason_missing": "reason"},
        )
        if done is not None:
            messages.success(request, _("Approved.") if approve else _("Rejected."))
            return HttpResponseRedirect(f"/claims/{shown.pk}")
    return _show(request, viewer, shown, form)


@require_POST
@signed_in("claims.file")
def withdraw(request: HttpRequest, viewer: Viewer, claim_id: UUID) -> HttpResponse:
    """Take back a claim nobody has decided yet."""
    shown = _claim(viewer, claim_id)
    attempt_button(
        request,
        lambda: services.withdraw_claim(shown, actor=viewer, at=now()),
        _("The claim was withdrawn; its lines may be claimed again."),
    )
    return HttpResponseRedirect(f"/claims/{shown.pk}")


@require_POST
@signed_in("payment_orders.issue")
def order(request: HttpRequest, viewer: Viewer, claim_id: UUID) -> HttpResponse:
    """Order the payment, split between the budgets that bear it."""
    shown = _claim(viewer, claim_id)
    issued = attempt_button(
        request,
        lambda: issue_payment_order(shown, actor=viewer, at=now()),
        _("The payment was ordered."),
    )
    return HttpResponseRedirect(f"/payment-orders/{issued.pk}" if issued else f"/claims/{shown.pk}")
