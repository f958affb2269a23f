"""For those who check: any account of the ledger, and every promise held against every row."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Final
from uuid import UUID

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from suanwang.console.session import signed_in
from suanwang.console.tables import as_uuid
from suanwang.core.findings import Finding
from suanwang.ledger import chart
from suanwang.ledger.models import Account
from suanwang.ledger.queries import balance, statement
from suanwang.people.models import Organisation
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible
from suanwang.site.clock import now

ROWS_A_PAGE: Final = 50
_READERS: Final = frozenset(
    {Role.OPERATOR, Role.REVIEWER, Role.APPROVER, Role.FINANCE, Role.AUDITOR}
)
_ROOMS: Final = ("people", "registry", "ledger", "jobs", "metering", "vouchers", "programmes")


def _only_readers(viewer: Viewer) -> None:
    # Accounts of every organisation stand side by side here; only the city itself looks at them.
    if viewer.role not in _READERS:
        raise Http404


@require_safe
@signed_in("ledger.read")
def ledger(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The chart of accounts with their balances; found by code, owner or id."""
    _only_readers(viewer)
    query = request.GET.get("q", "").strip()[:100]
    code = request.GET.get("code", "")
    accounts = visible(Account, viewer).order_by("ledger", "code", "owner")
    if code in chart.TITLES:
        accounts = accounts.filter(code=code)
    if query:
        named_so = visible(Organisation, viewer).filter(name__icontains=query)
        owners = named_so.values_list("pk", flat=True)
        found = accounts.filter(owner__icontains=query)
        named = accounts.filter(owner__in=[str(one) for one in owners[:50]])
        by_id = as_uuid(query)
        accounts = found | named
        if by_id is not None:
            accounts = accounts | visible(Account, viewer).filter(pk=by_id)
    shown = list(accounts[:ROWS_A_PAGE])
    facts = {
        "rows": [(one, balance(one.pk), _owner(one.owner)) for one in shown],
        "query": query,
        "code": code,
        "codes": list(chart.TITLES.items()),
        "more": len(shown) == ROWS_A_PAGE,
    }
    return render(request, "console/audit/ledger.html", facts)


def _owner(owner: str) -> Organisation | None:
    """The organisation an account belongs to, if its owner names one."""
    for part in owner.split(":"):
        uuid = as_uuid(part)
        if uuid is not None:
            return Organisation.objects.filter(pk=uuid).first()
    return None


@require_safe
@signed_in("ledger.read")
def account(request: HttpRequest, viewer: Viewer, account_id: UUID) -> HttpResponse:
    """One account, entry by entry, each with the hash that chains it to the one before."""
    _only_readers(viewer)
    shown = visible(Account, viewer).filter(pk=account_id).first()
    if shown is None:
        raise Http404
    after = request.GET.get("after", "")
    at = int(after) if after.isascii() and after.isdigit() else None
    rows = statement(account_id, after=at, limit=ROWS_A_PAGE + 1, newest_first=True)
    facts = {
        "account": shown,
        "balance": balance(account_id),
        "owner": _owner(shown.owner),
        "rows": rows[:ROWS_A_PAGE],
        "older": rows[ROWS_A_PAGE - 1].version if len(rows) > ROWS_A_PAGE else None,
        "title": chart.TITLES.get(shown.code, {}),
    }
    return render(request, "console/audit/account.html", facts)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("audit.read")
def audit(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Hold every promise against every row, when asked to: it reads the whole database."""
    if viewer.role is not Role.AUDITOR:
        raise Http404
    findings = _findings() if request.method == "POST" else None
    facts = {
        "findings": findings,
        "broken": sum(not one.kept for one in findings or []),
        "checked": sum(one.checked_rows for one in findings or []),
        "ran_at": now(),
    }
    return render(request, "console/audit/audit.html", facts)


def _findings() -> list[Finding]:
    found: list[Finding] = []
    with transaction.atomic():
        for room in _ROOMS:
            name = f"suanwang.{room}.audit"
            if importlib.util.find_spec(name) is not None:
                found += [check() for check in importlib.import_module(name).checks()]
    return found
