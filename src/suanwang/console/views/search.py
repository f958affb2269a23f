"""Finds things by number, name or id, among what one may see."""

from __future__ import annotations

from typing import Final

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from suanwang.console.language import pick
from suanwang.console.session import public
from suanwang.console.shell import NAVIGATION, shows
from suanwang.console.tables import as_uuid
from suanwang.jobs.models import Job
from suanwang.metering.models import Invoice
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer, visible
from suanwang.programmes.models import Application, PaymentOrder
from suanwang.registry.models import DataCentre
from suanwang.vouchers.models import Claim, Voucher

A_KIND: Final = 10
Hit = tuple[str, str, str]


@require_safe
@public
def search(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A list of hits; a single exact one is opened at once."""
    query = request.GET.get("q", "").strip()[:100]
    hits = _hits(query, viewer) if query else []
    if len(hits) == 1:
        return HttpResponseRedirect(hits[0][0])
    return render(request, "console/search.html", {"query": query, "hits": hits})


def _hits(query: str, viewer: Viewer) -> list[Hit]:
    hits: list[Hit] = [
        (entry.address, str(entry.title), _("Page"))
        for affair in NAVIGATION
        for entry in affair.entries
        if viewer.role and query.lower() in str(entry.title).lower() and shows(entry, viewer)
    ]
    uuid = as_uuid(query)
    by_id = Q(pk=uuid) if uuid is not None else Q(pk__in=[])
    number = Q(number__icontains=query) | by_id
    if viewer.may("jobs.read"):
        jobs = visible(Job, viewer).filter(Q(name__icontains=query) | by_id)
        hits += [(f"/jobs/{one.pk}", one.name, _("Job")) for one in jobs[:A_KIND]]
    kinds = (
        ("invoices.read", Invoice, "invoices", _("Invoice")),
        ("vouchers.read", Voucher, "vouchers", _("Voucher")),
        ("claims.read", Claim, "claims", _("Claim")),
        ("applications.read", Application, "applications", _("Application")),
        ("payment_orders.read", PaymentOrder, "payment-orders", _("Payment order")),
    )
    for permission, model, place, kind in kinds:
        if viewer.may(permission):
            for one in visible(model, viewer).filter(number)[:A_KIND]:
                hits.append((f"/{place}/{one.pk}", one.number, kind))  # type: ignore[attr-defined]
    named = Q(name__icontains=query) | Q(name_en__icontains=query)
    for one in visible(DataCentre, viewer).filter(named | Q(code__icontains=query))[:A_KIND]:
        hits.append((f"/centres/{one.code}", pick(one.name, one.name_en), _("Centre")))
    if viewer.may("organisation.approve") or viewer.may("metering.read"):
        found = visible(Organisation, viewer).filter(named | Q(uscc__iexact=query))
        hits += [
            (f"/organisations/{one.pk}", pick(one.name, one.name_en), _("Organisation"))
            for one in found[:A_KIND]
        ]
    return hits
