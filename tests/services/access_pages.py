"""What every page of the console asks of whom. A page that is not here fails the walk."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from suanwang.site import clock

from .access_city import AMOUNTS, Side
from .access_expected import ANYBODY, SIGNED_IN, Ask, job, new_person
from .people_setting import DIVISION, PASSWORD, credit_code

WHEN = "2026-02-01T00:00"


def _job_form(side: Side) -> dict[str, Any]:
    return job() | {"walltime": "00:01:00", "goal": "cheapest", "accelerators": 0}


WRITES: dict[str, Ask] = {
    "sign-in": Ask(
        ANYBODY, body=lambda side: {"username": side.owner.person.username, "password": PASSWORD}
    ),
    "sign-out": Ask(ANYBODY),
    "register": Ask(
        ANYBODY,
        body=lambda side: (
            new_person(side)
            | {"name": "新公司", "kind": "enterprise", "uscc": credit_code(), "division": DIVISION}
        ),
    ),
    "language": Ask(ANYBODY, body=lambda side: {"language": "en"}),
    "switch": Ask("own membership", body=lambda side: {"place": side.owner.pk}),
    "large-type": Ask(ANYBODY),
    "password": Ask(
        SIGNED_IN, "self", lambda side: {"current": "not it at all", "new": "another horse battery"}
    ),
    "jobs": Ask("jobs.submit", "self", _job_form),
    "job-new": Ask("jobs.submit", "self", _job_form),
    "job-cancel": Ask("jobs.cancel"),
    "invoice-issue": Ask(
        "invoices.issue",
        "provider",
        lambda side: {"pair": f"{side.consumer.pk}:{side.provider.pk}"},
        also="invoices.request",
    ),
    "invoice-pay": Ask("invoices.pay"),
    "invoice-slip": Ask(
        "payments.record",
        "provider",
        lambda side: {
            "reference": "slip-1",
            "amount": f"{AMOUNTS[side.name] / 100:.2f}",
            "paid_on": "2026-03-03",
        },
    ),
    "organisation-override": Ask(
        "organisation.override_uscc", body=lambda side: {"reason": "核对无误"}
    ),
    "organisation-approve": Ask("organisation.approve"),
    "organisation-credit": Ask("credit.set", body=lambda side: {"limit": "100000.00"}),
    "members": Ask(
        "members.manage",
        "self",
        lambda side: new_person(side) | {"role": "member"},
    ),
    "member": Ask("members.manage"),
    "api-keys": Ask("api_keys.manage", "self", lambda side: {"title": "k", "days": 30}),
    "api-key": Ask("api_keys.manage"),
    "apply": Ask("applications.file", "self", lambda side: {"asked": "1000.00", "purpose": "训练"}),
    "application-grant": Ask("applications.grant", body=lambda side: {"amount": "1000.00"}),
    "application-reject": Ask(
        "applications.reject", body=lambda side: {"reject-reason": "不符合条件"}
    ),
    "application-withdraw": Ask("applications.file"),
    "claim-new": Ask(
        "claims.file", body=lambda side: {"line": str(side.things["line"].pk), "file": "1"}
    ),
    "claim-review": Ask("claims.review", body=lambda side: {"reason": "材料不符"}),
    "claim-withdraw": Ask("claims.file"),
    "claim-order": Ask("payment_orders.issue"),
    "order-return": Ask("payment_orders.issue", body=lambda side: {"return-reason": "账号有误"}),
    "order-receipt": Ask(
        "payment_orders.receipt",
        body=lambda side: {f"share-{side.things['share'].pk}-receipt": "国库-1"},
    ),
    "my-centres": Ask(
        "centres.manage",
        "self",
        lambda side: {
            "name": "新中心",
            "code": "new-centre",
            "tier": "park",
            "kind": "general",
            "division": DIVISION,
            "racks": 10,
            "racks_used": 0,
        },
    ),
    "centre-cluster": Ask(
        "centres.manage",
        "provider",
        lambda side: {"cluster-name": "第二集群", "cluster-engine": "slurm"},
    ),
    "cluster-enrol": Ask("agents.enrol", "provider"),
    "agent-drain": Ask("agents.enrol", "provider"),
    "centre-price": Ask(
        "prices.set",
        "provider",
        lambda side: {"meter": "core_seconds", "amount": "0.20"},
    ),
    "centre-energy": Ask(
        "energy.report",
        "provider",
        lambda side: {
            "start": "2026-03-02T09:00",
            "end": "2026-04-01T09:00",
            "it_kwh": 100,
            "facility_kwh": 130,
            "green_kwh": 0,
        },
    ),
    "centre-surroundings": Ask(
        "centres.manage", "provider", lambda side: {"green_hours": ["1"], "datasets": "语料"}
    ),
    "shares": Ask(
        "shares.set",
        "self",
        lambda side: {"organisation": str(side.consumer.pk), "weight": "2"},
    ),
    "kept-nodes": Ask(
        "nodes.reserve",
        "self",
        lambda side: {
            "cluster": str(side.things["cluster"].pk),
            "starts": f"{clock.now() + timedelta(days=1):%Y-%m-%dT%H:%M}",
            "ends": f"{clock.now() + timedelta(days=2):%Y-%m-%dT%H:%M}",
            "reason": "检修",
        },
    ),
    "links": Ask(
        "links.measure",
        "self",
        lambda side: {"enter": "1", "one": "centre-a", "other": DIVISION, "latency_ms": "0.9"},
    ),
    "links-measure-all": Ask("links.measure", "self"),
    "kept-nodes-cancel": Ask("nodes.reserve", "provider"),
    "centre-verify": Ask("centres.verify", "provider", lambda side: {"local": "1"}),
    "rating-problem": Ask("rating.resolve", body=lambda side: {"reason": "无价"}),
}
"""Every page that takes a form, by its name."""

READ_ONLY = frozenset(
    {
        "home",
        "centres",
        "centre",
        "policy",
        "calculator",
        "policy-what-if",
        "search",
        "overview",
        "inbox",
        "budget",
        "benefits",
        "job",
        "job-live",
        "job-file",
        "invoices",
        "invoice",
        "statement",
        "organisations",
        "organisation",
        "trail",
        "applications",
        "application",
        "vouchers",
        "voucher",
        "claims",
        "claim",
        "payment-orders",
        "payment-order",
        "centre-manage",
        "agents",
        "agent",
        "site-refusals",
        "pool",
        "rating-problems",
        "ledger",
        "ledger-account",
        "audit",
    }
)
"""Pages that take no form, or one that writes nothing."""

FORMS_ALONE = frozenset(
    {
        "sign-out",
        "switch",
        "language",
        "large-type",
        "job-cancel",
        "links-measure-all",
        "invoice-issue",
        "invoice-pay",
        "invoice-slip",
        "organisation-override",
        "organisation-approve",
        "organisation-credit",
        "application-grant",
        "application-reject",
        "application-withdraw",
        "claim-review",
        "claim-withdraw",
        "claim-order",
        "order-return",
        "order-receipt",
        "centre-cluster",
        "cluster-enrol",
        "agent-drain",
        "centre-price",
        "centre-energy",
        "centre-verify",
        "centre-surroundings",
    }
)
"""Pages that only take a form and are not looked at."""

NOT_PAGES = frozenset(
    {"api-root", "openapi-json", "/healthz", "/readyz", "/metrics", "/static/{path}"}
)
"""Addresses for programs that show nobody's rows; read by the walk, never posted to."""

NEVER_WRITES_HERE = frozenset(
    {
        # They change the browser's session or cookies alone, or only show what would be.
        "sign-in",
        "sign-out",
        "switch",
        "large-type",
        "job-new",
        "password",
        # The papers of the city walked have no transfers behind them, every code is right and an
        # application is open: services refuse these for that, and their own tests let them pass.
        "application-grant",
        "apply",
        "claim-new",
        "claim-order",
        "claim-review",
        "claim-withdraw",
        "invoice-issue",
        "order-receipt",
        "order-return",
        "organisation-override",
    }
)
"""Forms that write nothing even for who may send them."""
