"""Pages for everybody: what the city has and spends, what it costs, what the policy gives."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from suanwang.console.catalogue import offers
from suanwang.console.figures import city_figures
from suanwang.console.rulebook import rulebook
from suanwang.console.session import public
from suanwang.people.scope import Viewer, visible
from suanwang.registry.models import DataCentre, Division, Price
from suanwang.site.clock import now

_PAYS = frozenset({"percent_capped", "fixed_once", "rate_capped", "selected_up_to"})


@require_safe
@public
def home(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The first page: live figures, and the policy in brief."""
    at = now()
    package = rulebook()
    facts = {
        "figures": city_figures(at),
        "rulebook": package,
        "featured": [
            one
            for one in (package.measures.values() if package else ())
            # A name with a hyphen is a part of another measure's working.
            if one.benefit in _PAYS and "-" not in one.name
        ],
    }
    return render(request, "console/public/home.html", facts)


@require_safe
@public
def centres(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every open centre with capacity, energy and the prices that hold now."""
    rows = visible(DataCentre, viewer).exclude(status=DataCentre.Status.CLOSED)
    asked = {key: request.GET.get(key, "") for key in ("kind", "tier", "division")}
    for key, value in asked.items():
        if value:
            rows = rows.filter(**{key: value[:20]})
    shown = offers(rows.order_by("tier", "code"), now())
    facts = {
        "offers": shown,
        "asked": asked,
        "kinds": DataCentre.Kind.values,
        "tiers": DataCentre.Tier.values,
        "divisions": Division.objects.filter(centres__isnull=False).distinct().order_by("code"),
    }
    return render(request, "console/public/centres.html", facts)


@require_safe
@public
def centre(request: HttpRequest, viewer: Viewer, code: str) -> HttpResponse:
    """One centre: what it has, what it costs and until when."""
    at = now()
    found = offers(visible(DataCentre, viewer).filter(code=code), at)
    if not found:
        raise Http404
    coming = Price.objects.filter(centre=found[0].centre, validity__startswith__gt=at)
    facts = {
        "offer": found[0],
        "coming": coming.select_related("accelerator_model").order_by("validity", "meter"),
        "energy": found[0].centre.energy.order_by("-period")[:12],
    }
    return render(request, "console/public/centre.html", facts)
