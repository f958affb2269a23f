"""Applications and vouchers: asking for support, granting it, what became of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from suanwang.console import progress
from suanwang.console.attempts import attempt, attempt_button
from suanwang.console.export import table_page
from suanwang.console.forms.organisation import Reason
from suanwang.console.forms.support import Apply, Grant
from suanwang.console.lists.support import APPLICATIONS, VOUCHERS
from suanwang.console.rulebook import rulebook
from suanwang.console.session import signed_in
from suanwang.core.money import format_yuan, parse_yuan
from suanwang.people.scope import Viewer, visible
from suanwang.programmes import services
from suanwang.programmes.models import Application
from suanwang.site.clock import now
from suanwang.vouchers import queries
from suanwang.vouchers.models import Claim, Voucher

_AMOUNT_CODES = ("amount_unreadable", "amount_too_large")


@require_safe
@signed_in("applications.read")
def applications(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """All applications one may see."""
    rows = visible(Application, viewer).select_related("organisation")
    return table_page(
        request,
        "console/list.html",
        APPLICATIONS,
        rows,
        heading=_("Applications"),
        lead=_("Who asked for a compute voucher, and what was decided."),
        action=("/applications/new", _("Apply for a voucher"))
        if viewer.may("applications.file")
        else None,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("applications.file")
def apply(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Ask for a voucher."""
    form = Apply(request.POST or None, initial={"asked": request.GET.get("asked", "")[:40]})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        beside = dict.fromkeys((*_AMOUNT_CODES, "asked_amount_impossible"), "asked")
        filed = attempt(
            form,
            lambda: services.file_application(
                parse_yuan(given["asked"]), given["purpose"], actor=viewer, at=now()
            ),
            beside | {"purpose_missing": "purpose"},
        )
        if filed is not None:
            messages.success(request, _("Filed. The bureau decides; you see every step here."))
            return HttpResponseRedirect(f"/applications/{filed.pk}")
    facts = {"form": form, "rulebook": rulebook()}
    return render(request, "console/support/apply.html", facts, status=409 if form.errors else 200)


def _application(viewer: Viewer, application_id: UUID) -> Application:
    rows = visible(Application, viewer).select_related(
        "organisation", "filed_by", "decided_by", "voucher"
    )
    found = rows.filter(pk=application_id).first()
    if found is None:
        raise Http404
    return found


@require_safe
@signed_in("applications.read")
def application(request: HttpRequest, viewer: Viewer, application_id: UUID) -> HttpResponse:
    """One application with its progress; the decision for those whose duty it is."""
    return _show(request, viewer, _application(viewer, application_id))


def _show(
    request: HttpRequest,
    viewer: Viewer,
    shown: Application,
    *,
    grant_form: Grant | None = None,
    reject_form: Reason | None = None,
) -> HttpResponse:
    open_ = shown.state == Application.State.FILED
    wrong = grant_form is not None or reject_form is not None
    earlier = visible(Voucher, viewer).filter(holder=shown.organisation).order_by("-issued_at")
    facts: dict[str, Any] = {
        "application": shown,
        "steps": progress.of_application(shown),
        "may_grant": open_ and viewer.may("applications.grant"),
        "may_withdraw": open_
        and viewer.may("applications.file")
        and viewer.organisation_id == shown.organisation_id,
        "grant": grant_form or Grant(initial={"amount": format_yuan(shown.asked_fen).lstrip("¥")}),
        "reject": reject_form or Reason(prefix="reject"),
        "earlier": earlier[:10],
    }
    return render(request, "console/support/application.html", facts, status=409 if wrong else 200)


@require_POST
@signed_in("applications.grant")
def grant(request: HttpRequest, viewer: Viewer, application_id: UUID) -> HttpResponse:
    """Grant a voucher from the pool."""
    shown, form = _application(viewer, application_id), Grant(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        granted = attempt(
            form,
            lambda: services.grant(
                shown,
                parse_yuan(given["amount"]),
                given["reason"],
                last_day=given["last_day"],
                actor=viewer,
                at=now(),
            ),
            dict.fromkeys((*_AMOUNT_CODES, "granted_amount_impossible"), "amount")
            | {"voucher_day_outside_policy": "last_day"},
        )
        if granted is not None:
            messages.success(request, _("Granted. The voucher is issued and signed."))
            return HttpResponseRedirect(f"/applications/{shown.pk}")
    return _show(request, viewer, shown, grant_form=form)


@require_POST
@signed_in("applications.reject")
def reject(request: HttpRequest, viewer: Viewer, application_id: UUID) -> HttpResponse:
    """Reject with a reason."""
    shown, form = _application(viewer, application_id), Reason(request.POST, prefix="reject")
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        if attempt(form, lambda: services.reject(shown, reason, actor=viewer, at=now())):
            messages.success(request, _("Rejected; the applicant reads the reason."))
            return HttpResponseRedirect(f"/applications/{shown.pk}")
    return _show(request, viewer, shown, reject_form=form)


@require_POST
@signed_in("applications.file")
def withdraw(request: HttpRequest, viewer: Viewer, application_id: UUID) -> HttpResponse:
    """Take back an application nobody has decided yet."""
    shown = _application(viewer, application_id)
    attempt_button(
        request,
        lambda: services.withdraw(shown, actor=viewer, at=now()),
        _("The application was withdrawn."),
    )
    return HttpResponseRedirect(f"/applications/{shown.pk}")


@require_safe
@signed_in("vouchers.read")
def vouchers(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """All vouchers one may see."""
    rows = visible(Voucher, viewer).select_related("holder")
    return table_page(
        request,
        "console/list.html",
        VOUCHERS,
        rows,
        heading=_("Vouchers"),
        lead=_("Electronic entitlement certificates: pay first, then claim a part back."),
        action=("/applications/new", _("Apply for a voucher"))
        if viewer.may("applications.file")
        else None,
    )


@require_safe
@signed_in("vouchers.read")
def voucher(request: HttpRequest, viewer: Viewer, voucher_id: UUID) -> HttpResponse:
    """One voucher: its four numbers, its claims, the certificate to print."""
    rows = visible(Voucher, viewer).select_related("holder", "granted_by")
    shown = rows.filter(pk=voucher_id).first()
    if shown is None:
        raise Http404
    at = now()
    own = viewer.organisation_id == shown.holder_id
    valid = shown.status == Voucher.Status.ISSUED and at <= shown.expires_at
    facts = {
        "voucher": shown,
        "numbers": queries.numbers([shown])[shown.pk],
        "claims": visible(Claim, viewer).filter(voucher=shown).order_by("-filed_at"),
        "may_claim": own and valid and viewer.may("claims.file"),
        "rulebook": rulebook(),
    }
    return render(request, "console/support/voucher.html", facts)
