"""Benefits without application: what an organisation could get, found for it and not by it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from suanwang.console.measures import shown
from suanwang.console.session import own_organisation, signed_in
from suanwang.console.why import localised
from suanwang.people.roles import CONSUMER_KINDS
from suanwang.people.scope import Viewer, visible
from suanwang.programmes.models import Application
from suanwang.site.clock import now
from suanwang.vouchers.benefits import Benefits, benefits_of


@require_safe
@signed_in("vouchers.read")
def benefits(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What could be claimed now, what is one step away, and which measures may apply besides."""
    own = own_organisation(viewer)
    if own.kind not in CONSUMER_KINDS:
        return render(request, "console/support/benefits.html", {"found": None})
    found = benefits_of(own, at=now())
    facts: dict[str, Any] = {
        "found": found,
        "papers": [localised(one) for one in found.papers],
        "held": [localised(one) for one in found.papers_held],
        "open_application": visible(Application, viewer)
        .filter(organisation=own, state=Application.State.FILED)
        .first(),
        "apply": _apply(found),
        **{
            state: [
                shown(one.package, one.found) | {"policy": localised(one.package.title)}
                for one in found.possible
                if one.found.state == state
            ]
            for state in ("applies", "open", "out")
        },
    }
    return render(request, "console/support/benefits.html", facts)


def _apply(found: Benefits) -> str:
    """The address of the form, filled in with what the paid fees would give."""
    if found.with_voucher is None:
        return ""
    yuan, rest = divmod(found.with_voucher.decision.amount_fen, 100)
    asked = f"{yuan}.{rest:02d}"
    return f"/applications/new?{urlencode({'asked': asked})}"
