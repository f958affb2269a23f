"""What every address asks of whom: declared once, and the walk fails for an address without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from suanwang.registry.models import DataCentre
from suanwang.site import clock

from .access_city import Side
from .people_setting import DIVISION, PASSWORD, credit_code

ANYBODY = "anybody"
"""Also a stranger."""
SIGNED_IN = "signed in"
AGENT = "agent"
"""Signed by an agent's key: every person and stranger is refused."""

Body = Callable[[Side], Any]


@dataclass(frozen=True)
class Ask:
    """What a write needs: a permission, whose things it touches, and a body that is right."""

    permission: str
    whose: str = "consumer"
    """``consumer``, ``provider`` or ``either`` side's own; the city's offices may touch both."""
    body: Body = field(default=lambda side: None)
    city_too: bool = True
    """Whether an office of the city that holds the permission may do it to anybody."""
    signs_in: bool = False
    """Whether the caller becomes the owner of the side by it."""


def _new_person(side: Side) -> dict[str, Any]:
    return {"username": f"n{uuid4().hex[:10]}", "password": PASSWORD}


WRITES: dict[str, Ask] = {
    "POST /api/v1/organisations": Ask(
        ANYBODY,
        body=lambda side: {
            "name": "新公司",
            "kind": "enterprise",
            "uscc": credit_code(),
            "division": DIVISION,
            "first_person": _new_person(side),
        },
    ),
    "POST /api/v1/organisations/{organisation_id}/approval": Ask("organisation.approve"),
    "POST /api/v1/organisations/{organisation_id}/uscc-override": Ask(
        "organisation.override_uscc", body=lambda side: {"reason": "核对无误"}
    ),
    "PUT /api/v1/organisations/{organisation_id}/credit-limit": Ask(
        "credit.set", body=lambda side: {"limit_fen": 10_000_000}
    ),
    "POST /api/v1/organisations/{organisation_id}/members": Ask(
        "members.manage", body=lambda side: _new_person(side) | {"role": "member"}
    ),
    "DELETE /api/v1/members/{member_id}": Ask("members.manage"),
    "POST /api/v1/api-keys": Ask(
        SIGNED_IN,
        body=lambda side: {
            "title": "k",
            "expires_at": (clock.now() + timedelta(days=1)).isoformat(),
        },
    ),
    "DELETE /api/v1/api-keys/{key_id}": Ask("api_keys.manage"),
    "POST /api/v1/sign-in": Ask(
        ANYBODY,
        body=lambda side: {"username": side.owner.person.username, "password": PASSWORD},
        signs_in=True,
    ),
    "POST /api/v1/sign-out": Ask(ANYBODY),
    "POST /api/v1/me/acting": Ask(
        "own membership", body=lambda side: {"member_id": side.owner.pk}, city_too=False
    ),
    "POST /api/v1/me/language": Ask(SIGNED_IN, body=lambda side: {"language": "en"}),
    "POST /api/v1/me/password": Ask(
        SIGNED_IN, body=lambda side: {"current": "not it at all", "new": "another horse battery"}
    ),
}
"""Every write of the API."""

PARAMETERS: dict[str, str] = {
    "organisation_id": "consumer",
    "member_id": "owner_member",
    "key_id": "key_c",
    "job_id": "job",
    "attempt_id": "attempt",
    "invoice_id": "invoice_open",
    "claim_id": "claim_filed",
    "application_id": "application",
    "voucher_id": "voucher",
    "order_id": "order",
    "share_id": "share",
    "problem_id": "problem",
    "centre_id": "centre",
    "cluster_id": "cluster",
    "agent_id": "agent",
    "code": "centre",
    "account_id": "account",
    "transfer_id": "transfer",
}
"""Which thing of a side stands for a parameter of an address."""

BY_ADDRESS: dict[tuple[str, str], str] = {
    ("/api/v1/organisations/{organisation_id}/approval", "organisation_id"): "pending",
    ("/api/v1/members/{member_id}", "member_id"): "colleague",
}
"""Where another thing stands for it than usual."""

FIXED: dict[str, str] = {"stream": "stdout", "path": "site.css"}
"""Parameters that are words, not things."""


def value_of(address: str, parameter: str, side: Side) -> str:
    """What stands for a parameter; a KeyError here means: declare it above."""
    if parameter in FIXED:
        return FIXED[parameter]
    thing = side.things[BY_ADDRESS.get((address, parameter), PARAMETERS[parameter])]
    if isinstance(thing, DataCentre) and parameter == "code":
        return thing.code
    assert thing.pk is not None
    return str(thing.pk)


PAGE_WRITES: dict[str, Ask] = {
    "sign-in": Ask(
        ANYBODY, body=lambda side: {"username": side.owner.person.username, "password": PASSWORD}
    ),
    "sign-out": Ask(ANYBODY),
    "register": Ask(
        ANYBODY,
        body=lambda side: (
            _new_person(side)
            | {"name": "新公司", "kind": "enterprise", "uscc": credit_code(), "division": DIVISION}
        ),
    ),
    "language": Ask(ANYBODY, body=lambda side: {"language": "en"}),
    "switch": Ask(ANYBODY, body=lambda side: {"member": side.owner.pk, "member_id": side.owner.pk}),
    "large-type": Ask(ANYBODY),
}
"""Every page that takes a form, by its name."""

READ_ONLY_PAGES = frozenset({"home", "centres", "centre", "policy"})
"""Pages that take no form."""


NOT_PAGES = frozenset(
    {"api-root", "openapi-json", "/healthz", "/readyz", "/metrics", "/static/{path}"}
)
"""Addresses for programs that show nobody's rows; read by the walk, never posted to."""

FORMS_ALONE = frozenset({"sign-out", "switch", "language", "large-type"})
"""Pages that only take a form and are not looked at."""

NEVER_SUCCEEDS_HERE = frozenset(
    {
        "POST /api/v1/me/password",  # the walk does not know a way to undo a session's end
        "POST /api/v1/organisations/{organisation_id}/uscc-override",  # all codes are right
    }
)
"""Permitted writes that are refused for a reason of the matter in the city walked."""
