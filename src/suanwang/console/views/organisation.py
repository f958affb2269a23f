"""Organisations and their people: members, keys, the trail; admitting and credit limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from suanwang.console import words
from suanwang.console.attempts import attempt, attempt_button
from suanwang.console.export import table_page
from suanwang.console.forms.organisation import AddMember, CreditLimit, MakeKey, Reason
from suanwang.console.lists.people import API_KEYS, MEMBERS, ORGANISATIONS, TRAIL
from suanwang.console.session import own_organisation, signed_in
from suanwang.core.money import parse_yuan
from suanwang.ledger.credit import set_credit_limit
from suanwang.people import services
from suanwang.people.models import ApiKey, AuditEvent, Member, Organisation
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible
from suanwang.registry.models import Division
from suanwang.site.clock import now

_DECIDE = ("organisation.approve", "organisation.override_uscc", "metering.read")


@require_safe
@signed_in(*_DECIDE)
def organisations(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every organisation one may see; those that wait for a decision by the filter."""
    return table_page(
        request,
        "console/list.html",
        ORGANISATIONS,
        visible(Organisation, viewer),
        heading=_("Organisations"),
        lead=_("Who takes part in the city's compute, and who waits to be admitted."),
    )


def _organisation(viewer: Viewer, organisation_id: UUID) -> Organisation:
    found = visible(Organisation, viewer).filter(pk=organisation_id).first()
    if found is None:
        raise Http404
    return found


@require_safe
@signed_in(*_DECIDE)
def organisation(request: HttpRequest, viewer: Viewer, organisation_id: UUID) -> HttpResponse:
    """One organisation: what it said of itself, and what may be decided about it."""
    return _show(request, viewer, _organisation(viewer, organisation_id))


def _show(
    request: HttpRequest,
    viewer: Viewer,
    shown: Organisation,
    *,
    override: Reason | None = None,
    credit: CreditLimit | None = None,
) -> HttpResponse:
    pending = shown.status == Organisation.Status.PENDING
    code_open = not shown.uscc_valid and not shown.uscc_override_reason
    trail = visible(AuditEvent, viewer).filter(concerns=shown)
    facts: dict[str, Any] = {
        "organisation": shown,
        "division": Division.objects.filter(pk=shown.division).first(),
        "code_open": code_open,
        "may_override": code_open and viewer.may("organisation.override_uscc"),
        "may_approve": pending and not code_open and viewer.may("organisation.approve"),
        "may_credit": not pending and viewer.may("credit.set"),
        "override": override or Reason(),
        "credit": credit or CreditLimit(),
    }
    wrong = any(form is not None and form.errors for form in (override, credit))
    page = table_page(
        request,
        "console/organisation/organisation.html",
        TRAIL,
        trail.select_related("person", "concerns"),
        **facts,
    )
    page.status_code = 409 if wrong else 200
    return page


@require_POST
@signed_in("organisation.override_uscc")
def override_uscc(request: HttpRequest, viewer: Viewer, organisation_id: UUID) -> HttpResponse:
    """Let a code with a wrong check character pass, with a reason."""
    shown, form = _organisation(viewer, organisation_id), Reason(request.POST)
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        if attempt(form, lambda: services.override_uscc(shown, reason, actor=viewer, at=now())):
            messages.success(request, _("The code may pass."))
            return HttpResponseRedirect(f"/organisations/{shown.pk}")
    return _show(request, viewer, shown, override=form)


@require_POST
@signed_in("organisation.approve")
def approve(request: HttpRequest, viewer: Viewer, organisation_id: UUID) -> HttpResponse:
    """Admit a pending organisation."""
    shown = _organisation(viewer, organisation_id)
    attempt_button(
        request,
        lambda: services.approve_organisation(shown, actor=viewer, at=now()),
        _("Admitted."),
    )
    return HttpResponseRedirect(f"/organisations/{shown.pk}")


@require_POST
@signed_in("credit.set")
def set_credit(request: HttpRequest, viewer: Viewer, organisation_id: UUID) -> HttpResponse:
    """Agree what the organisation may owe; moved in the ledger at once."""
    shown, form = _organisation(viewer, organisation_id), CreditLimit(request.POST)
    if form.is_valid():
        limit = form.cleaned_data["limit"]

        def agreed() -> bool:
            set_credit_limit(shown, parse_yuan(limit), actor=viewer, at=now())
            return True

        codes = ("amount_unreadable", "amount_too_large", "credit_limit_not_possible")
        if attempt(form, agreed, dict.fromkeys(codes, "limit")):
            messages.success(request, _("The credit limit was agreed."))
            return HttpResponseRedirect(f"/organisations/{shown.pk}")
    return _show(request, viewer, shown, credit=form)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("members.manage")
def members(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Who acts for the own organisation; adding someone."""
    own = own_organisation(viewer)
    form = AddMember(own, request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        added = attempt(
            form,
            lambda: services.add_member(
                own,
                Role(given["role"]),
                username=given["username"],
                password=given["password"] or None,
                display_name=given["display_name"],
                actor=viewer,
                at=now(),
            ),
        )
        if added:
            messages.success(request, _("Added."))
            return HttpResponseRedirect("/members")
    rows = visible(Member, viewer).filter(left_at=None).select_related("person")
    return table_page(request, "console/organisation/members.html", MEMBERS, rows, form=form)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("members.manage")
def member(request: HttpRequest, viewer: Viewer, member_id: int) -> HttpResponse:
    """End a membership, after asking."""
    found = visible(Member, viewer).filter(pk=member_id, left_at=None).select_related("person")
    shown = found.first()
    if shown is None:
        raise Http404
    if request.method == "POST":
        attempt_button(
            request,
            lambda: services.remove_member(shown, actor=viewer, at=now()),
            _("The membership has ended."),
        )
        return HttpResponseRedirect("/members")
    facts = {
        "heading": _("End membership"),
        "lead": _("The person can no longer act for the organisation; their keys end too."),
        "back": "/members",
        "button": _("End membership"),
        "facts": [
            (_("Name"), str(shown.person)),
            (_("Role"), words.word(words.ROLES, shown.role)),
        ],
    }
    return render(request, "console/confirm.html", facts)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("api_keys.manage")
def api_keys(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The keys of the organisation; making one, whose token is shown once."""
    assert viewer.role is not None  # noqa: S101 - the permission was held
    form = MakeKey(viewer.role, request.POST or None)
    token = ""
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        made = attempt(
            form,
            lambda: services.create_api_key(
                given["title"],
                scopes=given["scopes"] or None,
                expires_at=now() + timedelta(days=given["days"]),
                actor=viewer,
                at=now(),
            ),
            {"title_missing": "title", "key_expiry_too_late": "days", "scopes_too_wide": "scopes"},
        )
        if made is not None:
            token, form = made[1], MakeKey(viewer.role)
    rows = visible(ApiKey, viewer).select_related("member__person")
    return table_page(
        request, "console/organisation/api_keys.html", API_KEYS, rows, form=form, token=token
    )


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("api_keys.manage")
def api_key(request: HttpRequest, viewer: Viewer, key_id: UUID) -> HttpResponse:
    """Revoke a key, after asking."""
    shown = visible(ApiKey, viewer).filter(pk=key_id).select_related("member__person").first()
    if shown is None:
        raise Http404
    if request.method == "POST":
        attempt_button(
            request,
            lambda: services.revoke_api_key(key_id, actor=viewer, at=now()),
            _("The key was revoked."),
        )
        return HttpResponseRedirect("/api-keys")
    facts = {
        "heading": _("Revoke a key"),
        "lead": _("Programs that use it stop at once; this cannot be undone."),
        "back": "/api-keys",
        "button": _("Revoke the key"),
        "facts": [
            (_("Title"), shown.title),
            (_("Begins with"), f"sw_{shown.prefix}_…"),
            (_("Scopes"), ", ".join(shown.scopes) if shown.scopes else _("all of the role")),
        ],
    }
    return render(request, "console/confirm.html", facts)


@require_safe
@signed_in("audit.read")
def trail(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Who did what, for whom and when."""
    rows = visible(AuditEvent, viewer).select_related("person", "concerns")
    return table_page(
        request,
        "console/list.html",
        TRAIL,
        rows,
        heading=_("Audit trail"),
        lead=_("Who did what, for whom and when. Nothing here can be changed or removed."),
    )
