"""The agents of centres: how each is, what it was told, and what its centre would not take."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from suanwang.console.attempts import attempt_button
from suanwang.console.catalogue import agent_state
from suanwang.console.export import table_page
from suanwang.console.lists.agents import AGENTS, SITE_REFUSED, why_refused
from suanwang.console.session import signed_in
from suanwang.jobs.models import Attempt
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible
from suanwang.registry import queries, services
from suanwang.registry.models import SiteAgent
from suanwang.site.clock import now

_REFUSED_SHOWN = 20


@require_safe
@signed_in("agents.enrol")
def agents(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every agent one may see, with when it was last heard from and what it owes."""
    return table_page(
        request,
        "console/list.html",
        AGENTS,
        visible(SiteAgent, viewer).select_related("cluster__centre"),
        heading=_("Agents"),
        lead=_("The processes inside the centres that pull work and report usage."),
        action=("/site-refusals", _("Refused by site policy")),
    )


@require_safe
@signed_in("agents.enrol")
def site_refusals(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What the centres' own policies would not take."""
    return table_page(
        request,
        "console/list.html",
        SITE_REFUSED,
        _refused(viewer).select_related("job__organisation", "cluster__centre"),
        heading=_("Refused by site policy"),
        lead=_("Each of these jobs queued again and was decided elsewhere; nothing was charged."),
    )


def _refused(viewer: Viewer) -> QuerySet[Attempt]:
    """Of the provider's own centres; the operator sees all."""
    rows = visible(Attempt, viewer).exclude(site_refusal="")
    if viewer.role is not Role.OPERATOR:
        rows = rows.filter(cluster__centre__provider_id=viewer.organisation_id)
    return rows


def _agent(viewer: Viewer, agent_id: UUID) -> SiteAgent:
    rows = visible(SiteAgent, viewer).select_related("cluster__centre__provider")
    found = rows.filter(pk=agent_id).first()
    if found is None:
        raise Http404
    return found


@require_safe
@signed_in("agents.enrol")
def agent(request: HttpRequest, viewer: Viewer, agent_id: UUID) -> HttpResponse:
    """One agent: version, last report, backlog, what its centre refused."""
    found = _agent(viewer, agent_id)
    refused = (
        _refused(viewer)
        .filter(cluster=found.cluster_id)
        .select_related("job__organisation", "cluster__centre")
        .order_by("-ended_at")[:_REFUSED_SHOWN]
    )
    facts = {
        "agent": found,
        "state": agent_state(found, now()),
        "refused": [(one, why_refused(one)) for one in refused],
        "nodes": found.cluster.nodes.filter(up=True).count(),
        "unknown": queries.unknown_models(found.cluster),
    }
    return render(request, "console/centres/agent.html", facts)


@require_POST
@signed_in("agents.enrol")
def drain(request: HttpRequest, viewer: Viewer, agent_id: UUID) -> HttpResponse:
    """No new work for an agent, or work again."""
    found, wanted = _agent(viewer, agent_id), "undo" not in request.POST
    attempt_button(
        request,
        lambda: services.order_drain(found, drain=wanted, actor=viewer, at=now()),
        _("It gets no new work; what runs goes on.") if wanted else _("It gets work again."),
    )
    return HttpResponseRedirect(f"/agents/{agent_id}")
