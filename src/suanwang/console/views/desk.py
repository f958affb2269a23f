"""What one sees first, by role: the numbers that matter to them and what waits for them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from suanwang.console import waiting
from suanwang.console.charts import fees_by_day
from suanwang.console.figures import city_figures
from suanwang.console.money import statement_of
from suanwang.console.session import own_organisation, signed_in
from suanwang.jobs.models import Job
from suanwang.metering.models import Invoice, RatingProblem
from suanwang.people.models import Organisation
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible
from suanwang.programmes.models import Application
from suanwang.site.clock import now
from suanwang.vouchers import queries
from suanwang.vouchers.models import Claim, Voucher
from suanwang.vouchers.policy_in_force import budget_year, in_force

_CONSUMERS = (Role.OWNER, Role.MEMBER, Role.BILLING)
SHOWN = 8


@dataclass(frozen=True)
class Waiting:
    """One thing that waits: what, whose, since when, and where to go."""

    address: str
    what: str
    whose: Organisation | None
    since: datetime
    amount_fen: int | None = None


@require_safe
@signed_in()
def overview(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The first page after signing in."""
    at = now()
    if viewer.role is None:
        return render(request, "console/desk/nowhere.html")
    facts: dict[str, Any] = {
        "own": own_organisation(viewer),
        "waiting": inbox_of(viewer)[:SHOWN],
        "chart": fees_by_day(viewer, at),
        "jobs": visible(Job, viewer)
        .select_related("cluster__centre", "organisation")
        .order_by("-submitted_at")[:SHOWN],
    }
    if viewer.role in _CONSUMERS:
        facts |= _of_consumer(viewer, at)
        return render(request, "console/desk/consumer.html", facts)
    if viewer.role is Role.PROVIDER:
        facts |= _of_provider(viewer, at)
        return render(request, "console/desk/provider.html", facts)
    facts |= {"figures": city_figures(at), "gauge": _gauge(at)}
    return render(request, "console/desk/city.html", facts)


def _of_consumer(viewer: Viewer, at: datetime) -> dict[str, Any]:
    unpaid = visible(Invoice, viewer).filter(status=Invoice.Status.ISSUED)
    held = list(visible(Voucher, viewer).filter(status=Voucher.Status.ISSUED, expires_at__gte=at))
    left = sum(one.available for one in queries.numbers(held).values()) if held else 0
    return {
        "statement": statement_of(viewer, at, None),
        "unpaid_fen": unpaid.aggregate(total=Sum("total_fen"))["total"] or 0,
        "unpaid": list(unpaid.select_related("provider").order_by("due_at")[:SHOWN]),
        "vouchers": len(held),
        "voucher_left_fen": left,
        "claims": list(visible(Claim, viewer).order_by("-filed_at")[:5]),
    }


def _of_provider(viewer: Viewer, at: datetime) -> dict[str, Any]:
    unpaid = visible(Invoice, viewer).filter(status=Invoice.Status.ISSUED)
    running = visible(Job, viewer).filter(state__in=["starting", "running"])
    return {
        "statement": statement_of(viewer, at, None),
        "unpaid_fen": unpaid.aggregate(total=Sum("total_fen"))["total"] or 0,
        "running": running.count(),
        "silent": waiting.silent_agents(viewer, at),
    }


def _gauge(at: datetime) -> dict[str, int]:
    return _parts(queries.pool_gauge(in_force().name, budget_year(at)))


def _parts(gauge: queries.PoolGauge) -> dict[str, int]:
    """The gauge with what is granted but neither claimed nor lost."""
    spent = gauge.redeemed + gauge.reserved + gauge.expired
    return asdict(gauge) | {"open": max(gauge.granted - spent, 0)}


@require_safe
@signed_in()
def inbox(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Everything that waits for a decision of this viewer, the oldest first."""
    return render(request, "console/desk/inbox.html", {"waiting": inbox_of(viewer)})


def inbox_of(viewer: Viewer) -> list[Waiting]:
    """What waits for this viewer by duty, the oldest first; at most a hundred of each."""
    found: list[Waiting] = []
    if viewer.may("applications.grant"):
        rows = visible(Application, viewer).filter(state="filed").select_related("organisation")
        found += [
            Waiting(
                f"/applications/{one.pk}",
                _("Application %s to decide") % one.number,
                one.organisation,
                one.filed_at,
                one.asked_fen,
            )
            for one in _oldest(rows, "filed_at")
        ]
    claims = visible(Claim, viewer).select_related("organisation")
    if viewer.may("claims.review"):
        found += [
            _of_claim(one, _("Claim %s to review"), one.filed_at)
            for one in _oldest(claims.filter(state="filed"), "filed_at")
        ]
    if viewer.may("payment_orders.issue"):
        found += [
            _of_claim(one, _("Claim %s to be ordered"), one.reviewed_at or one.filed_at)
            for one in _oldest(claims.filter(state="approved"), "reviewed_at")
        ]
    if viewer.may("payment_orders.receipt"):
        shares = waiting.open_shares(viewer).select_related("order__claim__organisation")
        found += [
            Waiting(
                f"/payment-orders/{one.order_id}",
                _("Receipt for order %s") % one.order.number,
                one.order.claim.organisation,
                one.order.ordered_at,
                one.amount_fen,
            )
            for one in _oldest(shares, "order__ordered_at")
        ]
    found += _of_operator(viewer)
    return sorted(found, key=lambda one: one.since)


def _of_operator(viewer: Viewer) -> list[Waiting]:
    found = []
    pending = visible(Organisation, viewer).filter(status="pending")
    if viewer.may("organisation.override_uscc"):
        open_codes = pending.filter(uscc_valid=False, uscc_override_reason="")
        found += [
            Waiting(f"/organisations/{one.pk}", _("Credit code to check"), one, one.created_at)
            for one in _oldest(open_codes, "created_at")
        ]
    if viewer.may("organisation.approve"):
        found += [
            Waiting(f"/organisations/{one.pk}", _("Organisation to admit"), one, one.created_at)
            for one in _oldest(pending, "created_at")
        ]
    if viewer.may("rating.resolve"):
        problems = visible(RatingProblem, viewer).filter(resolved_at=None)
        found += [
            Waiting(
                f"/rating-problems/{one.pk}",
                _("Usage that could not be rated"),
                one.usage.attempt.job.organisation,
                one.found_at,
            )
            for one in _oldest(
                problems.select_related("usage__attempt__job__organisation"), "found_at"
            )
        ]
    return found


def _of_claim(one: Claim, what: str, since: datetime) -> Waiting:
    return Waiting(f"/claims/{one.pk}", what % one.number, one.organisation, since, one.amount_fen)


def _oldest(rows: QuerySet[Any], by: str) -> list[Any]:
    return list(rows.order_by(by)[: waiting.COUNT_MAX])


@require_safe
@signed_in("pool.read")
def budget(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The voucher pool of the year: funded, granted, reserved, redeemed, left."""
    at = now()
    package = in_force()
    year = budget_year(at)
    years = range(package.valid_from.year, min(year, package.valid_to.year) + 1)
    gauges = [_parts(queries.pool_gauge(package.name, one)) for one in reversed(years)]
    facts = {"gauges": gauges, "year": year, "rulebook": package}
    return render(request, "console/desk/budget.html", facts)
