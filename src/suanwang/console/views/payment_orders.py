"""Payment orders: which budget bears what, and the receipts that close them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from suanwang.console.attempts import attempt
from suanwang.console.export import table_page
from suanwang.console.forms.organisation import Reason
from suanwang.console.forms.support import Receipt
from suanwang.console.lists.support import ORDERS
from suanwang.console.session import signed_in
from suanwang.people.models import Organisation
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible
from suanwang.programmes import services
from suanwang.programmes.models import PaymentOrder, PaymentShare
from suanwang.registry.models import Division
from suanwang.site.clock import now


@require_safe
@signed_in("payment_orders.read")
def orders(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """All payment orders one may see."""
    return table_page(
        request,
        "console/list.html",
        ORDERS,
        visible(PaymentOrder, viewer).select_related("claim__organisation"),
        heading=_("Payment orders"),
        lead=_("What the city and its counties owe for approved claims, and what was paid."),
    )


def _order(viewer: Viewer, order_id: UUID) -> PaymentOrder:
    rows = visible(PaymentOrder, viewer).select_related(
        "claim__organisation", "claim__voucher", "ordered_by"
    )
    found = rows.filter(pk=order_id).first()
    if found is None:
        raise Http404
    return found


@require_safe
@signed_in("payment_orders.read")
def order(request: HttpRequest, viewer: Viewer, order_id: UUID) -> HttpResponse:
    """One order with its shares."""
    return _show(request, viewer, _order(viewer, order_id))


def _may_receipt(viewer: Viewer, share: PaymentShare) -> bool:
    if share.receipt or not viewer.may("payment_orders.receipt"):
        return False
    return viewer.role is not Role.COUNTY or (
        share.level == "county" and share.division == viewer.division
    )


def _show(
    request: HttpRequest,
    viewer: Viewer,
    shown: PaymentOrder,
    *,
    wrong: tuple[int, Receipt] | None = None,
    returned: Reason | None = None,
) -> HttpResponse:
    names = {one.code: one for one in Division.objects.all()}
    open_ = shown.state == PaymentOrder.State.ORDERED
    shares: list[dict[str, Any]] = []
    for share in shown.shares.select_related("receipted_by").order_by("-level"):
        form = wrong[1] if wrong and wrong[0] == share.pk else Receipt(prefix=f"share-{share.pk}")
        may = open_ and _may_receipt(viewer, share)
        shares.append(
            {"share": share, "division": names.get(share.division), "form": form if may else None}
        )
    none_paid = all(not one["share"].receipt for one in shares)
    facts: dict[str, Any] = {
        "order": shown,
        "shares": shares,
        "holder": Organisation.objects.get(pk=shown.claim.organisation_id),
        "may_return": open_ and none_paid and viewer.may("payment_orders.issue"),
        "returned": returned or Reason(prefix="return"),
    }
    status = 409 if wrong or returned else 200
    return render(request, "console/support/order.html", facts, status=status)


@require_POST
@signed_in("payment_orders.receipt")
def receipt(request: HttpRequest, viewer: Viewer, order_id: UUID, share_id: int) -> HttpResponse:
    """Record the treasury's receipt for one share; the last one closes the claim."""
    shown = _order(viewer, order_id)
    share = visible(PaymentShare, viewer).filter(order=shown, pk=share_id).first()
    if share is None:
        raise Http404
    form = Receipt(request.POST, prefix=f"share-{share.pk}")
    if form.is_valid():
        number = form.cleaned_data["receipt"]
        done = attempt(
            form,
            lambda: services.record_receipt(share, number, actor=viewer, at=now()),
            dict.fromkeys(("receipt_missing", "receipt_used"), "receipt"),
        )
        if done is not None:
            messages.success(request, _("The receipt was recorded."))
            return HttpResponseRedirect(f"/payment-orders/{shown.pk}")
    return _show(request, viewer, shown, wrong=(share.pk, form))


@require_POST
@signed_in("payment_orders.issue")
def returned(request: HttpRequest, viewer: Viewer, order_id: UUID) -> HttpResponse:
    """Take back an order the bank returned; the claim can be ordered again."""
    shown, form = _order(viewer, order_id), Reason(request.POST, prefix="return")
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        if attempt(form, lambda: services.return_order(shown, reason, actor=viewer, at=now())):
            messages.success(request, _("The order was taken back."))
            return HttpResponseRedirect(f"/claims/{shown.claim_id}")
    return _show(request, viewer, shown, returned=form)
