"""How the pool is shared: the operator's shares, and nodes kept for some or for nobody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from suanwang.console.attempts import attempt, attempt_button
from suanwang.console.export import table_page
from suanwang.console.forms.sharing import KeepNodes, SetShare, cluster_name, lines
from suanwang.console.lists.sharing import KEPT_NODES, SHARES
from suanwang.console.session import signed_in
from suanwang.core.errors import NotFound
from suanwang.jobs import queries, services
from suanwang.people.models import Organisation
from suanwang.people.roles import CONSUMER_KINDS, Role
from suanwang.people.scope import Viewer, visible
from suanwang.registry.models import Cluster
from suanwang.site.clock import now


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("shares.set")
def shares(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What organisations have of the pool, and letting one have more or less."""
    consumers = _consumers(viewer)
    form = SetShare(consumers, request.POST or None, initial=_as_set(request, viewer))
    if request.method == "POST" and form.is_valid():
        chosen = visible(Organisation, viewer).get(pk=form.cleaned_data["organisation"])
        beside = {
            "share_quota_half": "cards",
            "share_weight_wrong": "weight",
            "share_quota_wrong": "cores",
            "share_cohort_wrong": "cohort",
        }
        if attempt(
            form,
            lambda: services.set_share(chosen, form.share(), actor=viewer, at=now()),
            beside,
        ):
            messages.success(request, _("The share was set."))
            return HttpResponseRedirect("/shares")
    rows = queries.shares(viewer)
    page = table_page(request, "console/compute/shares.html", SHARES, rows, form=form)
    page.status_code = 409 if form.errors else 200
    return page


def _consumers(viewer: Viewer) -> list[Organisation]:
    kinds = [str(kind) for kind in CONSUMER_KINDS]
    return list(visible(Organisation, viewer).filter(kind__in=kinds).order_by("name"))


def _as_set(request: HttpRequest, viewer: Viewer) -> dict[str, Any]:
    """The form as an organisation's share stands now; of another, the usual."""
    try:
        asked = UUID(request.GET.get("organisation", ""))
    except ValueError:
        return {}
    share = queries.shares(viewer).filter(pk=asked).first()
    if share is None:
        return {"organisation": str(asked)}
    plain = ("cores", "cards", "cohort", "borrow", "lend", "high_priority")
    return {
        "organisation": str(asked),
        "weight": share.weight_milli / 1000,
        **{name: getattr(share, name) for name in plain},
    }


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("nodes.reserve")
def kept_nodes(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The nodes that are kept, and keeping more."""
    clusters = _clusters(viewer)
    # A provider does not know who else takes part: it keeps nodes for maintenance.
    organisations = _consumers(viewer) if viewer.role is Role.OPERATOR else []
    form = KeepNodes(clusters, organisations, request.POST or None)
    if request.method == "POST" and form.is_valid() and _kept(form, clusters, viewer):
        messages.success(request, _("The nodes are kept."))
        return HttpResponseRedirect("/kept-nodes")
    rows = queries.reservations(viewer)
    page = table_page(request, "console/compute/kept_nodes.html", KEPT_NODES, rows, form=form)
    page.status_code = 409 if form.errors else 200
    return page


def _clusters(viewer: Viewer) -> list[Cluster]:
    rows = Cluster.objects.select_related("centre__provider").order_by("centre__code", "name")
    if viewer.role is not Role.OPERATOR:
        rows = rows.filter(centre__provider_id=viewer.organisation_id)
    return list(rows)


def _kept(form: KeepNodes, clusters: list[Cluster], viewer: Viewer) -> object:
    given = form.cleaned_data
    cluster = next(one for one in clusters if str(one.pk) == given["cluster"])
    beside = {
        "reservation_period_wrong": "ends",
        "reservation_node_unknown": "nodes",
        "reservation_reason_missing": "reason",
    }
    return attempt(
        form,
        lambda: services.reserve_nodes(
            cluster,
            nodes=lines(given["nodes"]),
            organisations=[UUID(one) for one in given.get("organisations", [])],
            starts_at=given["starts"],
            ends_at=given["ends"],
            reason=given["reason"],
            actor=viewer,
            at=now(),
        ),
        beside,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("nodes.reserve")
def let_go(request: HttpRequest, viewer: Viewer, reservation_id: UUID) -> HttpResponse:
    """Keep nodes no longer."""
    try:
        kept = queries.reservation(reservation_id, viewer)
    except NotFound:
        raise Http404 from None
    if request.method == "POST":
        attempt_button(
            request,
            lambda: services.cancel_reservation(kept, actor=viewer, at=now()),
            _("The nodes take work again."),
        )
        return HttpResponseRedirect("/kept-nodes")
    facts = {
        "heading": _("Let the nodes go"),
        "lead": _("They take everybody's work again from now on."),
        "facts": [(_("Cluster"), cluster_name(kept.cluster)), (_("Reason"), kept.reason)],
        "button": _("Let go"),
        "back": "/kept-nodes",
    }
    return render(request, "console/confirm.html", facts)
