"""A provider's centres: registering them, their clusters, prices, energy and agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from suanwang.console.attempts import attempt, attempt_button
from suanwang.console.catalogue import agent_state, offers
from suanwang.console.forms.centres import (
    RegisterCentre,
    RegisterCluster,
    ReportEnergy,
    SetPrice,
)
from suanwang.console.forms.sharing import Surroundings, lines
from suanwang.console.node_use import of_clusters
from suanwang.console.session import own_organisation, signed_in
from suanwang.core.money import parse_yuan
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible
from suanwang.registry import services
from suanwang.registry.models import Cluster, DataCentre, Price
from suanwang.site.clock import now

_PER_HOUR = {"core_seconds": 3600, "card_seconds": 3600, "memory_mib_seconds": 3600 * 1024}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("centres.manage")
def my_centres(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The centres of one's own organisation; registering one."""
    form = RegisterCentre(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: services.register_centre(
                own_organisation(viewer), **form.cleaned_data, actor=viewer, at=now()
            ),
            {
                "centre_code_unusable": "code",
                "centre_code_taken": "code",
                "division_unknown": "division",
                "racks_impossible": "racks_used",
            },
        )
        if made is not None:
            messages.success(request, _("Registered. Add a cluster, then its agent and prices."))
            return HttpResponseRedirect(f"/centres/{made.code}/manage")
    rows = visible(DataCentre, viewer).filter(provider_id=viewer.organisation_id)
    facts = {"offers": offers(rows.order_by("code"), now()), "form": form}
    return render(request, "console/centres/mine.html", facts, status=409 if form.errors else 200)


def _centre(viewer: Viewer, code: str) -> DataCentre:
    found = visible(DataCentre, viewer).filter(code=code).select_related("provider").first()
    if found is None:
        raise Http404
    if viewer.role is not Role.OPERATOR and found.provider_id != viewer.organisation_id:
        raise Http404
    return found


@require_safe
@signed_in("centres.manage", "centres.verify")
def manage(request: HttpRequest, viewer: Viewer, code: str) -> HttpResponse:
    """One centre from inside: clusters and agents, prices, energy."""
    return _show(request, viewer, _centre(viewer, code))


def _show(
    request: HttpRequest, viewer: Viewer, centre: DataCentre, *, token: str = "", **forms: Form
) -> HttpResponse:
    at = now()
    clusters = Cluster.objects.filter(centre=centre).prefetch_related("agents").order_by("name")
    own = viewer.organisation_id == centre.provider_id
    use = of_clusters(one.pk for one in clusters)
    facts: dict[str, Any] = {
        "centre": centre,
        "own": own,
        "token": token,
        "clusters": [
            {
                "cluster": one,
                "use": use[one.pk],
                "agents": [(agent, agent_state(agent, at)) for agent in one.agents.all()],
            }
            for one in clusters
        ],
        "prices": Price.objects.filter(centre=centre)
        .select_related("accelerator_model", "set_by")
        .order_by("-validity", "meter")[:30],
        "energy": centre.energy.order_by("-period")[:12],
        "cluster_form": RegisterCluster(prefix="cluster"),
        "price_form": SetPrice(),
        "energy_form": ReportEnergy(),
        "around_form": Surroundings(
            initial={
                "green_hours": [str(hour) for hour in centre.green_hours],
                "datasets": "\n".join(centre.datasets),
            }
        ),
    }
    return render(
        request, "console/centres/manage.html", facts | forms, status=409 if forms else 200
    )


def _done(
    request: HttpRequest, form: Form, verb: Callable[[], object], said: str, **beside: str
) -> bool:
    if form.is_valid() and attempt(form, verb, beside) is not None:
        messages.success(request, said)
        return True
    return False


@require_POST
@signed_in("centres.manage")
def add_cluster(request: HttpRequest, viewer: Viewer, code: str) -> HttpResponse:
    """A set of nodes behind one engine."""
    centre, form = _centre(viewer, code), RegisterCluster(request.POST, prefix="cluster")

    def registered() -> Cluster:
        given = form.cleaned_data
        return services.register_cluster(
            centre, name=given["name"], engine=given["engine"], actor=viewer, at=now()
        )

    if _done(request, form, registered, _("The cluster was added."), cluster_name_taken="name"):
        return HttpResponseRedirect(f"/centres/{code}/manage")
    return _show(request, viewer, centre, cluster_form=form)


@require_POST
@signed_in("prices.set")
def set_price(request: HttpRequest, viewer: Viewer, code: str) -> HttpResponse:
    """What a meter costs from a moment on; what was used before keeps its price."""
    centre, form, at = _centre(viewer, code), SetPrice(request.POST), now()

    def priced() -> Price:
        given = form.cleaned_data
        return services.set_price(
            centre,
            given["meter"],
            price_fen=parse_yuan(given["amount"]),
            per_quantity=_PER_HOUR[given["meter"]],
            starts=given["starts"] or at,
            ends=given["ends"],
            accelerator_model=given["accelerator_model"] or None,
            actor=viewer,
            at=at,
        )

    beside = {
        "amount_unreadable": "amount",
        "price_impossible": "amount",
        "price_in_the_past": "starts",
        "price_overlaps": "starts",
        "price_period_wrong": "ends",
        "price_needs_a_model": "accelerator_model",
    }
    if _done(request, form, priced, _("The price was set."), **beside):
        return HttpResponseRedirect(f"/centres/{code}/manage")
    return _show(request, viewer, centre, price_form=form)


@require_POST
@signed_in("energy.report")
def report_energy(request: HttpRequest, viewer: Viewer, code: str) -> HttpResponse:
    """Metered energy of a period."""
    centre, form = _centre(viewer, code), ReportEnergy(request.POST)

    def reported() -> object:
        given = form.cleaned_data
        return services.report_energy(
            centre,
            start=given["start"],
            end=given["end"],
            it_wh=given["it_kwh"] * 1000,
            facility_wh=given["facility_kwh"] * 1000,
            green_wh=given["green_kwh"] * 1000,
            actor=viewer,
            at=now(),
        )

    if _done(request, form, reported, _("The reading was recorded.")):
        return HttpResponseRedirect(f"/centres/{code}/manage")
    return _show(request, viewer, centre, energy_form=form)


@require_POST
@signed_in("centres.manage")
def describe_centre(request: HttpRequest, viewer: Viewer, code: str) -> HttpResponse:
    """Hours with green power and data kept there."""
    centre, form = _centre(viewer, code), Surroundings(request.POST)

    def described() -> object:
        return services.describe_centre(
            centre,
            green_hours=[int(hour) for hour in form.cleaned_data["green_hours"]],
            datasets=lines(form.cleaned_data["datasets"]),
            actor=viewer,
            at=now(),
        )

    beside = {"dataset_name_wrong": "datasets", "green_hour_wrong": "green_hours"}
    if _done(request, form, described, _("Saved."), **beside):
        return HttpResponseRedirect(f"/centres/{code}/manage")
    return _show(request, viewer, centre, around_form=form)


@require_POST
@signed_in("agents.enrol")
def enrol(request: HttpRequest, viewer: Viewer, code: str, cluster_id: UUID) -> HttpResponse:
    """A one-time token for an agent; shown once."""
    centre = _centre(viewer, code)
    cluster = Cluster.objects.filter(centre=centre, pk=cluster_id).select_related("centre").first()
    if cluster is None:
        raise Http404
    made = attempt_button(
        request,
        lambda: services.create_enrolment(cluster, actor=viewer, at=now()),
        _("An enrolment was made; the token is good for one agent and 24 hours."),
    )
    return _show(request, viewer, centre, token=made[1] if made else "")


@require_POST
@signed_in("centres.verify")
def verify(request: HttpRequest, viewer: Viewer, code: str) -> HttpResponse:
    """The operator confirms a centre and whether its fees count as local platform."""
    centre = _centre(viewer, code)
    attempt_button(
        request,
        lambda: services.verify_centre(
            centre,
            is_local_platform="local" in request.POST,
            is_public_platform="public" in request.POST,
            actor=viewer,
            at=now(),
        ),
        _("The centre was verified."),
    )
    return HttpResponseRedirect(f"/centres/{code}/manage")
