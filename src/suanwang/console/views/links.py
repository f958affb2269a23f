"""The ways between centres: what is known of them, and measuring them."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from suanwang.console.attempts import attempt, attempt_button
from suanwang.console.export import table_page
from suanwang.console.forms.links import EnterLink, MeasureLink
from suanwang.console.language import pick, short
from suanwang.console.lists.links import LINKS, milliseconds
from suanwang.console.session import signed_in
from suanwang.core.refusals import sentence
from suanwang.people.scope import Viewer
from suanwang.registry import queries, services
from suanwang.registry.models import LinkMeasurement
from suanwang.site.clock import now

_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("links.measure")
def links(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What is known, what is being measured, and asking for more."""
    given = request.POST if "measure" in request.POST else None
    entered = request.POST if "enter" in request.POST else None
    agents = queries.measurable_agents(now())
    names = [
        (code, pick(one.cluster.centre.name, one.cluster.centre.name_en))
        for code, one in sorted(agents.items())
    ]
    measure, enter = MeasureLink(names, given), EnterLink(entered)
    if given is not None and measure.is_valid() and _asked(measure, viewer):
        messages.success(request, _("The agents were asked to measure; it takes a minute or so."))
        return HttpResponseRedirect("/links#recent")
    if entered is not None and enter.is_valid() and _entered(enter, viewer):
        messages.success(request, _("Entered."))
        return HttpResponseRedirect("/links")
    rows = queries.link_measurements(viewer).order_by("-asked_at", "id")[:_SHOWN]
    recent = [(row, *_shown(row)) for row in rows]
    page = table_page(
        request, "console/centres/links.html", LINKS, queries.links(),
        measure=measure, enter=enter, recent=recent,
        measurable=sum(bool(one.measure_address) for one in agents.values()),
        running=any(state == "asked" for _row, state, _why in recent),
    )  # fmt: skip
    page.status_code = 409 if measure.errors or enter.errors else 200
    return page


def _shown(row: LinkMeasurement) -> tuple[str, str]:
    """Its state now, and what is to be said of it."""
    if row.state == LinkMeasurement.State.ASKED and row.expires_at > now():
        return "asked", _("being measured")
    if row.state == LinkMeasurement.State.DONE:
        told = {
            "latency": milliseconds(row.latency_us),
            "late": milliseconds(row.latency_p95_us),
            "there": f"{row.there_mbps:,}",
            "back": f"{row.back_mbps:,}",
        }
        return "done", _(
            "%(latency)s ms there and back (95%% within %(late)s), %(there)s Mbit/s there,"
            " %(back)s back"
        ) % told
    reason = row.reason or "measure_expired"
    return "failed", sentence(reason, {}, short()) or reason


def _asked(form: MeasureLink, viewer: Viewer) -> LinkMeasurement | None:
    given = form.cleaned_data
    return attempt(
        form,
        lambda: services.ask_measurement(given["one"], given["other"], actor=viewer, at=now()),
        {"link_to_itself": "other"},
    )


def _entered(form: EnterLink, viewer: Viewer) -> object:
    given = form.cleaned_data
    return attempt(
        form,
        lambda: services.measure_link(
            given["one"].strip(),
            given["other"].strip(),
            latency_us=max(1, round(given["latency_ms"] * 1000)),
            bandwidth_mbps=given["bandwidth_mbps"] or 0,
            actor=viewer,
            at=now(),
        ),
        {"link_to_itself": "other", "link_measure_wrong": "latency_ms"},
    )


@require_POST
@signed_in("links.measure")
def measure_all(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Ask for every pair that can be measured."""
    asked = attempt_button(request, lambda: services.ask_all(actor=viewer, at=now()), "")
    if asked is not None:
        count = len(asked)
        said = ngettext(
            "%(count)d pair is being measured.", "%(count)d pairs are being measured.", count
        )
        messages.success(request, said % {"count": count})
    return HttpResponseRedirect("/links#recent")
