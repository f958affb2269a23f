"""The frame around every page: who you are, where you can go, and what waits for you there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest
from django.utils.functional import Promise, SimpleLazyObject
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from suanwang.console import waiting
from suanwang.console.city import city_name
from suanwang.console.session import viewer_here
from suanwang.console.static_files import STYLESHEETS
from suanwang.people.models import Organisation
from suanwang.people.roles import PERMISSIONS, Role
from suanwang.people.scope import Viewer
from suanwang.people.sign_in import memberships
from suanwang.site.clock import now

_OFFICE: Final = frozenset({Role.REVIEWER, Role.APPROVER, Role.FINANCE, Role.COUNTY})


@dataclass(frozen=True)
class Entry:
    """One line of the side navigation. It shows if the viewer holds one of the permissions."""

    address: str
    title: Promise
    permissions: tuple[str, ...] = ()
    roles: frozenset[Role] | None = None
    waits: Callable[[Viewer, datetime], int] | None = None


@dataclass(frozen=True)
class Affair:
    title: Promise
    entries: tuple[Entry, ...]


_CONSUMERS: Final = frozenset({Role.OWNER, Role.MEMBER, Role.BILLING})
_INSIDERS: Final = frozenset(Role) - _CONSUMERS

NAVIGATION: Final = (
    Affair(
        _("Today"),
        (
            Entry("/overview", _("Overview")),
            Entry("/inbox", _("Inbox"), roles=_OFFICE | {Role.OPERATOR}, waits=waiting.inbox),
        ),
    ),
    Affair(
        _("Compute"),
        (
            Entry("/jobs/new", _("Submit a job"), ("jobs.submit",)),
            Entry("/jobs", _("Jobs"), ("jobs.read",), waits=waiting.jobs),
            Entry("/pool", _("Pool"), roles=frozenset({Role.OPERATOR})),
            Entry("/shares", _("Shares"), ("shares.set",)),
            Entry("/kept-nodes", _("Kept nodes"), ("nodes.reserve",)),
            Entry("/links", _("Links"), ("links.measure",)),
            Entry("/my-centres", _("Our centres"), ("centres.manage",)),
            Entry("/agents", _("Agents"), ("agents.enrol",), waits=waiting.silent_agents),
            Entry("/rating-problems", _("Rating problems"), ("rating.resolve",),
                  waits=waiting.rating_problems),
        ),
    ),
    Affair(
        _("Money"),
        (
            Entry("/invoices", _("Invoices"), ("invoices.read",), waits=waiting.invoices),
            Entry("/statement", _("Statement"), ("ledger.read",),
                  roles=_CONSUMERS | {Role.PROVIDER}),
            Entry("/ledger", _("Ledger"), ("ledger.read",),
                  roles=_INSIDERS - {Role.PROVIDER}),
        ),
    ),
    Affair(
        _("Support"),
        (
            Entry("/benefits", _("Benefits for you"), ("vouchers.read",), roles=_CONSUMERS),
            Entry("/applications", _("Applications"), ("applications.read",),
                  waits=waiting.applications),
            Entry("/vouchers", _("Vouchers"), ("vouchers.read",)),
            Entry("/claims", _("Claims"), ("claims.read",), waits=waiting.claims),
            Entry("/payment-orders", _("Payment orders"), ("payment_orders.read",),
                  waits=waiting.payment_orders),
            Entry("/budget", _("Voucher pool"), ("pool.read",)),
        ),
    ),
    Affair(
        _("Organisation"),
        (
            Entry("/organisations", _("Organisations"),
                  ("organisation.approve", "organisation.override_uscc", "metering.read"),
                  waits=waiting.organisations),
            Entry("/members", _("Members"), ("members.manage",)),
            Entry("/api-keys", _("API keys"), ("api_keys.manage",)),
            Entry("/trail", _("Audit trail"), ("audit.read",)),
            Entry("/audit", _("Audit"), ("audit.read",), roles=frozenset({Role.AUDITOR})),
        ),
    ),
    Affair(
        _("City"),
        (
            Entry("/centres", _("Centres and prices")),
            Entry("/policy", _("Policy")),
            Entry("/policy/what-if", _("What if"), ("policy.assess",)),
            Entry("/calculator", _("Policy calculator")),
        ),
    ),
)  # fmt: skip
_ELSEWHERE: Final = {
    re.compile(r"/centres/[^/]+/manage"): "/my-centres",
    re.compile(r"/site-refusals"): "/agents",
}
"""Pages that belong to a line of the navigation their address does not begin with."""
PUBLIC: Final = (
    ("/", _("Home")),
    ("/centres", _("Centres and prices")),
    ("/policy", _("Policy")),
    ("/calculator", _("Policy calculator")),
)


def shows(entry: Entry, viewer: Viewer) -> bool:
    """Whether a line of the navigation is for this viewer."""
    if entry.roles is not None and viewer.role not in entry.roles:
        return False
    return not entry.permissions or any(viewer.may(one) for one in entry.permissions)


def navigation(viewer: Viewer, path: str, at: datetime) -> list[dict[str, Any]]:
    """The side navigation by affair, each entry with the count of what waits for this viewer."""
    shown = [
        (affair, [entry for entry in affair.entries if shows(entry, viewer)])
        for affair in NAVIGATION
    ]
    addresses = [entry.address for _affair, entries in shown for entry in entries]
    path = next((place for page, place in _ELSEWHERE.items() if page.fullmatch(path)), path)
    here = max((one for one in addresses if _under(path, one)), key=len, default="")
    return [
        {
            "title": affair.title,
            "entries": [
                {
                    "address": entry.address,
                    "title": entry.title,
                    "here": entry.address == here,
                    "count": entry.waits(viewer, at) if entry.waits else 0,
                }
                for entry in entries
            ],
        }
        for affair, entries in shown
        if entries
    ]


def _under(path: str, address: str) -> bool:
    return path == address or path.startswith(address + "/")


def _places(viewer: Viewer) -> list[dict[str, Any]]:
    """Where else this person may act, and in which role."""
    if viewer.person is None:
        return []
    return [
        {
            "id": one.pk,
            "organisation": one.organisation,
            "role": one.role,
            "here": one.organisation_id == viewer.organisation_id and one.role == viewer.role,
        }
        for one in memberships(viewer.person)
    ]


def _may(viewer: Viewer) -> frozenset[str]:
    """The permissions held, for templates to ask: ``{% if "jobs.submit" in may %}``."""
    if viewer.role is None:
        return frozenset()
    return frozenset(one for one in PERMISSIONS[viewer.role] if viewer.may(one))


def _acting_for(viewer: Viewer) -> Organisation | None:
    if viewer.organisation_id is None:
        return None
    return Organisation.objects.filter(pk=viewer.organisation_id).first()


def shell(request: HttpRequest) -> dict[str, Any]:
    """Template context of every page. What touches the database does so only when drawn."""
    viewer = viewer_here(request)
    english = (get_language() or "").startswith("en")
    return {
        "viewer": viewer,
        "may": _may(viewer),
        "city": SimpleLazyObject(city_name),
        "english": english,
        "large_type": bool(
            request.COOKIES.get("large_type") or getattr(request.user, "large_type", False)
        ),
        "navigation": SimpleLazyObject(
            lambda: navigation(viewer, request.path, now()) if viewer.role else []
        ),
        "public_navigation": [
            {"address": address, "title": title, "here": request.path == address}
            for address, title in PUBLIC
        ],
        "places": SimpleLazyObject(lambda: _places(viewer)),
        "acting_for": SimpleLazyObject(lambda: _acting_for(viewer)),
        "stylesheets": STYLESHEETS,
        "at": now(),
    }
