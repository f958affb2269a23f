"""The operator's pages: the pool, usage that could not be rated."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from suanwang.console.attempts import attempt
from suanwang.console.catalogue import offers
from suanwang.console.export import table_page
from suanwang.console.forms.centres import GiveBack, Resolve
from suanwang.console.lists.compute import PROBLEMS
from suanwang.console.pool_kinds import largest_waiting, parts
from suanwang.console.session import signed_in
from suanwang.core.money import parse_yuan
from suanwang.jobs.models import Attempt, Job
from suanwang.metering.models import Charge, RatingProblem
from suanwang.metering.services import resolve_problem
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible
from suanwang.registry import queries as registry
from suanwang.registry.models import DataCentre
from suanwang.site.clock import now


@require_safe
@signed_in("rating.resolve")
def pool(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every centre: what it has, what is allocated now, what waits; and the queue with reasons."""
    at = now()
    shown = offers(visible(DataCentre, viewer).exclude(status="closed").order_by("code"), at)
    busy: dict[Any, Any] = {
        row["cluster__centre_id"]: row
        for row in Attempt.objects.filter(state__in=Attempt.LIVE)
        .values("cluster__centre_id")
        .annotate(cores=Sum("job__cores"), cards=Sum("job__accelerators"), jobs=Count("pk"))
        .order_by()
    }
    held = registry.holdings()
    rows = [
        {
            "offer": one,
            "others": held.get(one.centre.pk, registry.EMPTY),
            "cores": (busy.get(one.centre.pk) or {}).get("cores") or 0,
            "cards": (busy.get(one.centre.pk) or {}).get("cards") or 0,
            "jobs": (busy.get(one.centre.pk) or {}).get("jobs") or 0,
        }
        for one in shown
    ]
    queue = visible(Job, viewer).filter(state="queued").select_related("organisation")
    counts = Job.objects.aggregate(
        queued=Count("pk", filter=Q(state="queued")),
        running=Count("pk", filter=Q(state__in=["starting", "running"])),
    )
    facts: dict[str, Any] = {
        "rows": rows,
        "counts": counts,
        "cores": sum(one.cores for one in shown),
        "cores_busy": sum(row["cores"] for row in rows),
        "cards": sum(one.cards for one in shown),
        "cards_busy": sum(row["cards"] for row in rows),
        "parts": parts(viewer),
        "largest": largest_waiting(viewer),
        "queue": queue.order_by("submitted_at", "pk")[:50],
    }
    return render(request, "console/centres/pool.html", facts)


@require_safe
@signed_in("rating.resolve")
def problems(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Usage that could not be rated, the oldest first."""
    rows = visible(RatingProblem, viewer).filter(resolved_at=None)
    return table_page(
        request,
        "console/list.html",
        PROBLEMS,
        rows.select_related("usage__attempt__job"),
        heading=_("Rating problems"),
        lead=_("Usage stopped at the door of rating; it waits here and is never counted as zero."),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("rating.resolve")
def problem(request: HttpRequest, viewer: Viewer, problem_id: int) -> HttpResponse:
    """One record: an amount both sides agreed on, written off or given back, with a reason."""
    if viewer.role is not Role.OPERATOR:
        raise Http404
    rows = visible(RatingProblem, viewer).select_related(
        "usage__attempt__job__organisation", "usage__attempt__cluster__centre", "resolved_by"
    )
    shown = rows.filter(pk=problem_id).first()
    if shown is None:
        raise Http404
    too_much = -min(shown.facts.get("difference_fen", 0), 0)
    form = (GiveBack if too_much else Resolve)(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data

        def resolved() -> Charge:
            amount_fen = parse_yuan(given["amount"]) if given.get("amount") else 0
            return resolve_problem(
                shown,
                given.get("resolution") or ("agreed" if amount_fen else "written_off"),
                reason=given["reason"],
                amount_fen=amount_fen,
                actor=viewer,
                at=now(),
            )

        beside = dict.fromkeys(("amount_unreadable", "agreed_amount_impossible"), "amount")
        if attempt(form, resolved, beside) is not None:
            messages.success(request, _("Resolved; the trail keeps the reason."))
            return HttpResponseRedirect("/rating-problems")
    facts = {"problem": shown, "form": form, "too_much": too_much}
    return render(
        request, "console/centres/problem.html", facts, status=409 if form.errors else 200
    )
