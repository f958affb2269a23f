"""What every address asks of whom: declared once, and the walk fails for an address without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from suanwang.jobs.models import JobFile
from suanwang.registry.models import DataCentre
from suanwang.site import clock

from .access_city import AMOUNTS, Side
from .people_setting import AT, DIVISION, PASSWORD, credit_code

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
    """``consumer``, ``provider`` or ``either`` side's own, which the city's offices may touch too;
    ``self`` for what names no thing: whoever holds the permission does it to themself."""
    body: Body = field(default=lambda side: None)
    city_too: bool = True
    """Whether an office of the city that holds the permission may do it to anybody."""
    also: str = ""
    """Another permission that is enough for the own things."""
    form: bool = False
    """Whether the body is a form instead of JSON."""
    signs_in: bool = False
    """Whether the caller becomes the owner of the side by it."""


def new_person(side: Side) -> dict[str, Any]:
    return {"username": f"n{uuid4().hex[:10]}", "password": PASSWORD}


def job() -> dict[str, Any]:
    return {
        "name": "job",
        "script": "hostname",
        "cores": 1,
        "memory_mib": 512,
        "walltime_seconds": 60,
    }


WRITES: dict[str, Ask] = {
    "POST /api/v1/organisations": Ask(
        ANYBODY,
        body=lambda side: {
            "name": "新公司",
            "kind": "enterprise",
            "uscc": credit_code(),
            "division": DIVISION,
            "first_person": new_person(side),
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
        "members.manage", body=lambda side: new_person(side) | {"role": "member"}
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
    "PUT /api/v1/pool/shares/{organisation_id}": Ask(
        "shares.set", body=lambda side: {"weight_milli": 2000}
    ),
    "POST /api/v1/pool/clusters/{cluster_id}/reservations": Ask(
        "nodes.reserve",
        "provider",
        lambda side: {
            "starts_at": clock.now().isoformat(),
            "ends_at": (clock.now() + timedelta(days=1)).isoformat(),
            "reason": "检修",
        },
    ),
    "POST /api/v1/pool/reservations/{reservation_id}/cancellation": Ask(
        "nodes.reserve", "provider"
    ),
    "POST /api/v1/pool/links/measurements": Ask("links.measure", "self", lambda side: {}),
    "PUT /api/v1/pool/links": Ask(
        "links.measure",
        "self",
        lambda side: {"one": DIVISION, "other": "centre-a", "latency_us": 900},
    ),
    "PUT /api/v1/centres/{code}/surroundings": Ask(
        "centres.manage", "provider", lambda side: {"green_hours": [1, 2], "datasets": ["语料"]}
    ),
    "POST /api/v1/centres": Ask(
        "centres.manage",
        "self",
        lambda side: {
            "code": f"new-{uuid4().hex[:8]}",
            "name": "新中心",
            "tier": "park",
            "kind": "general",
            "division": DIVISION,
            "racks": 10,
        },
    ),
    "POST /api/v1/centres/{code}/verification": Ask(
        "centres.verify",
        "provider",
        lambda side: {"is_local_platform": True, "is_public_platform": False},
    ),
    "POST /api/v1/centres/{code}/closure": Ask("centres.manage", "provider"),
    "POST /api/v1/centres/{code}/prices": Ask(
        "prices.set",
        "provider",
        lambda side: {
            "meter": "core_seconds",
            "price_fen": 20,
            "per_quantity": 3600,
            "starts": (clock.now() + timedelta(days=2)).isoformat(),
        },
    ),
    "POST /api/v1/centres/{code}/energy": Ask(
        "energy.report",
        "provider",
        lambda side: {
            "start": AT.isoformat(),
            "end": (AT + timedelta(days=30)).isoformat(),
            "it_wh": 100,
            "facility_wh": 130,
        },
    ),
    "POST /api/v1/centres/{code}/clusters": Ask(
        "centres.manage", "provider", lambda side: {"name": "第二集群", "engine": "slurm"}
    ),
    "POST /api/v1/clusters/{cluster_id}/opening": Ask(
        "centres.manage", "provider", lambda side: {"accept": False}
    ),
    "PUT /api/v1/clusters/{cluster_id}/nodes": Ask(
        "centres.manage",
        "provider",
        lambda side: {"nodes": [{"name": "n", "cores": 4, "memory_mib": 4096}]},
    ),
    "POST /api/v1/clusters/{cluster_id}/agents": Ask("agents.enrol", "provider"),
    "POST /api/v1/agents/{agent_id}/revocation": Ask("agents.enrol", "provider"),
    "POST /api/v1/agents/{agent_id}/drain": Ask(
        "agents.enrol", "provider", body=lambda side: {"drain": True}
    ),
    "POST /api/v1/jobs/estimate": Ask("prices.read", "self", lambda side: job()),
    "POST /api/v1/jobs/read-script": Ask(
        ANYBODY, body=lambda side: {"script": "#SBATCH -n 1\nhostname\n"}
    ),
    "POST /api/v1/jobs": Ask("jobs.submit", "self", lambda side: {"spec": job(), "files": {}}),
    "POST /api/v1/jobs/batch": Ask("jobs.submit", "self", lambda side: {"jobs": [job()]}),
    "POST /api/v1/jobs/upload": Ask(
        "jobs.submit", "self", lambda side: {"spec": json.dumps(job())}, form=True
    ),
    "POST /api/v1/jobs/{job_id}/cancel": Ask("jobs.cancel"),
    "POST /api/v1/rating-problems/{problem_id}/resolution": Ask(
        "rating.resolve", body=lambda side: {"resolution": "written_off", "reason": "无价"}
    ),
    "POST /api/v1/unsettled-jobs/{job_id}/settlement": Ask(
        "rating.resolve", body=lambda side: {"reason": "站点停运"}
    ),
    "POST /api/v1/invoices": Ask(
        "invoices.issue",
        "provider",
        lambda side: {
            "organisation_id": str(side.consumer.pk),
            "provider_id": str(side.provider.pk),
        },
        also="invoices.request",
    ),
    "POST /api/v1/invoices/{invoice_id}/payment": Ask(
        "payments.record",
        "provider",
        lambda side: {
            "reference": f"slip-{uuid4().hex}",
            "amount_fen": AMOUNTS[side.name],
            "paid_on": "2026-03-03",
        },
    ),
    "POST /api/v1/invoices/{invoice_id}/channel-payments": Ask(
        "invoices.pay", body=lambda side: {"channel": "simulated"}
    ),
    "POST /api/v1/vouchers/verification": Ask(
        ANYBODY, body=lambda side: {"content": {"number": "x"}, "signature": "x"}
    ),
    "POST /api/v1/policy/{package}/decision": Ask(
        ANYBODY,
        body=lambda side: {
            "measure": "7",
            "on": "2026-07-20",
            "facts": {"works_in_key_industry": True},
        },
    ),
    "POST /api/v1/policy/{package}/finding": Ask(
        ANYBODY, body=lambda side: {"on": "2026-07-20", "facts": {"applicant_kind": "maker"}}
    ),
    "POST /api/v1/policy/{package}/simulation": Ask(
        "policy.assess",
        "self",
        lambda side: {"synthetic": 20, "changes": {"voucher.use_ratio": "0.4"}},
    ),
    "POST /api/v1/vouchers/pool": Ask("pool.fund", "self", lambda side: {"year": 2026}),
    "POST /api/v1/vouchers/claims/{claim_id}/review": Ask(
        "claims.review", body=lambda side: {"approve": False, "reason": "材料不符"}
    ),
    "POST /api/v1/vouchers/claims/{claim_id}/withdrawal": Ask("claims.file"),
    "POST /api/v1/vouchers/{voucher_id}/claims": Ask(
        "claims.file", body=lambda side: {"lines": [str(side.things["line"].pk)]}
    ),
    "POST /api/v1/programmes/applications": Ask(
        "applications.file", "self", lambda side: {"asked_fen": 100_000, "purpose": "训练"}
    ),
    "POST /api/v1/programmes/applications/{application_id}/grant": Ask(
        "applications.grant", body=lambda side: {"amount_fen": 100_000}
    ),
    "POST /api/v1/programmes/applications/{application_id}/rejection": Ask(
        "applications.reject", body=lambda side: {"reason": "不符合条件"}
    ),
    "POST /api/v1/programmes/applications/{application_id}/withdrawal": Ask("applications.file"),
    "POST /api/v1/programmes/payment-orders": Ask(
        "payment_orders.issue", body=lambda side: {"claim_id": str(side.things["claim_filed"].pk)}
    ),
    "POST /api/v1/programmes/payment-orders/{order_id}/return": Ask(
        "payment_orders.issue", body=lambda side: {"reason": "账号有误"}
    ),
    "POST /api/v1/programmes/shares/{share_id}/receipt": Ask(
        "payment_orders.receipt", body=lambda side: {"receipt": "国库-1"}
    ),
    "POST /api/v1/agent/enrol": Ask(
        AGENT, body=lambda side: {"token": "guess", "public_key": "A" * 43 + "=", "version": "1"}
    ),
    "POST /api/v1/agent/report": Ask(AGENT, body=lambda side: {"nodes": [], "engine": "local"}),
    "POST /api/v1/agent/links": Ask(AGENT, body=lambda side: {"id": str(uuid4())}),
    "POST /api/v1/agent/energy": Ask(AGENT, body=lambda side: {"readings": []}),
    "POST /api/v1/agent/poll": Ask(AGENT, body=lambda side: {}),
    "POST /api/v1/agent/states": Ask(AGENT, body=lambda side: {"events": []}),
    "POST /api/v1/agent/logs/{attempt_id}/{stream}": Ask(AGENT, body=lambda side: b"x"),
    "PUT /api/v1/agent/files/{attempt_id}/{name}": Ask(AGENT, body=lambda side: b"x"),
    "POST /api/v1/agent/usage": Ask(AGENT, body=lambda side: {"records": []}),
}
"""Every write of the API."""

PARAMETERS: dict[str, str] = {
    "reservation_id": "reservation",
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
    "payment_id": "channel_payment",
    "account_id": "account",
    "transfer_id": "transfer",
    "share_id": "share",
    "problem_id": "problem",
    "centre_id": "centre",
    "cluster_id": "cluster",
    "agent_id": "agent",
    "code": "centre",
    "name": "file_out",
    "file_id": "file_out",
}
"""Which thing of a side stands for a parameter of an address."""

BY_ADDRESS: dict[tuple[str, str], str] = {
    ("/api/v1/organisations/{organisation_id}/approval", "organisation_id"): "pending",
    ("/api/v1/members/{member_id}", "member_id"): "colleague",
    ("/api/v1/jobs/{job_id}/cancel", "job_id"): "job_queued",
    ("/jobs/{job_id}/cancel", "job_id"): "job_queued",
    ("/members/{member_id}", "member_id"): "colleague",
    ("/organisations/{organisation_id}/approve", "organisation_id"): "pending",
}
"""Where another thing stands for it than usual."""

FIXED: dict[str, str] = {
    "stream": "stdout",
    "path": "site.css",
    "package": "baoding-2024",
    "measure": "5c",
}
"""Parameters that are words, not things."""


QUERIES: dict[str, Callable[[Side], dict[str, str]]] = {
    "GET /api/v1/vouchers/expected": lambda side: {
        "fee_fen": "10000",
        "centre_id": str(side.things["centre"].pk),
    },
    "GET /api/v1/reconciliation": lambda side: {
        "starts": AT.isoformat(),
        "ends": (AT + timedelta(days=1)).isoformat(),
        "organisation_id": str(side.consumer.pk),
    },
}
"""Reads that need to be told more than an address."""


def value_of(address: str, parameter: str, side: Side) -> str:
    """What stands for a parameter; a KeyError here means: declare it above."""
    if parameter in FIXED:
        return FIXED[parameter]
    thing = side.things[BY_ADDRESS.get((address, parameter), PARAMETERS[parameter])]
    if isinstance(thing, JobFile) and parameter == "name":
        return thing.name
    if isinstance(thing, DataCentre) and parameter == "code":
        return thing.code
    assert thing.pk is not None
    return str(thing.pk)


NEVER_SUCCEEDS_HERE = frozenset(
    {
        # An agent's signature and token are tried in the tests of the pool.
        *(operation for operation, ask in WRITES.items() if ask.permission == AGENT),
        # Papers of this city have no transfers behind them; their way is told in tests of money.
        "POST /api/v1/rating-problems/{problem_id}/resolution",
        "POST /api/v1/unsettled-jobs/{job_id}/settlement",
        "POST /api/v1/invoices",
        "POST /api/v1/vouchers/claims/{claim_id}/review",
        "POST /api/v1/vouchers/claims/{claim_id}/withdrawal",
        "POST /api/v1/vouchers/{voucher_id}/claims",
        "POST /api/v1/programmes/applications",
        "POST /api/v1/programmes/applications/{application_id}/grant",
        "POST /api/v1/programmes/payment-orders",
        "POST /api/v1/programmes/payment-orders/{order_id}/return",
        "POST /api/v1/programmes/shares/{share_id}/receipt",
        "POST /api/v1/jobs/{job_id}/cancel",
        "POST /api/v1/me/password",  # the walk does not know a way to undo a session's end
        "POST /api/v1/organisations/{organisation_id}/uscc-override",  # all codes are right
    }
)
"""Permitted writes that are refused for a reason of the matter in the city walked."""
