"""The roles people act in, and what each may do. Pure.

A person acts as one member of one organisation at a time. What a role may do is a set of
permissions named ``<affair>.<verb>``; which rows it may see is the model's scope (``scope.py``).
"""

from __future__ import annotations

from enum import StrEnum


class OrganisationKind(StrEnum):
    """What an organisation is in the city. Measures name these kinds."""

    ENTERPRISE = "enterprise"
    UNIVERSITY = "university"
    INSTITUTE = "institute"
    MAKER = "maker"
    PUBLIC_BODY = "public_body"
    PROVIDER = "provider"
    OPERATOR = "operator"
    BUREAU = "bureau"
    COUNTY = "county"
    AUDIT_OFFICE = "audit_office"


class Role(StrEnum):
    """In which capacity a member acts."""

    OWNER = "owner"
    MEMBER = "member"
    BILLING = "billing"
    PROVIDER = "provider"
    OPERATOR = "operator"
    REVIEWER = "reviewer"
    APPROVER = "approver"
    FINANCE = "finance"
    COUNTY = "county"
    AUDITOR = "auditor"


CONSUMER_KINDS = frozenset(
    {
        OrganisationKind.ENTERPRISE,
        OrganisationKind.UNIVERSITY,
        OrganisationKind.INSTITUTE,
        OrganisationKind.MAKER,
        OrganisationKind.PUBLIC_BODY,
    }
)

ROLES_BY_KIND: dict[OrganisationKind, frozenset[Role]] = {
    **{kind: frozenset({Role.OWNER, Role.MEMBER, Role.BILLING}) for kind in CONSUMER_KINDS},
    OrganisationKind.PROVIDER: frozenset({Role.PROVIDER}),
    OrganisationKind.OPERATOR: frozenset({Role.OPERATOR}),
    OrganisationKind.BUREAU: frozenset({Role.REVIEWER, Role.APPROVER, Role.FINANCE}),
    OrganisationKind.COUNTY: frozenset({Role.COUNTY}),
    OrganisationKind.AUDIT_OFFICE: frozenset({Role.AUDITOR}),
}
"""Which roles an organisation of each kind can give its members."""

_CONSUMER = {
    "organisation.read",
    "jobs.read",
    "invoices.read",
    "vouchers.read",
    "claims.read",
    "prices.read",
    "centres.read",
}
_OFFICIAL = _CONSUMER | {"applications.read", "payment_orders.read", "audit.read"}

PERMISSIONS: dict[Role, frozenset[str]] = {
    Role.MEMBER: frozenset(_CONSUMER | {"jobs.submit", "jobs.cancel"}),
    Role.BILLING: frozenset(
        _CONSUMER
        | {"invoices.pay", "applications.file", "applications.read", "claims.file"}
        | {"payment_orders.read", "ledger.read"}
    ),
    Role.OWNER: frozenset(
        _CONSUMER
        | {"jobs.submit", "jobs.cancel", "invoices.request", "invoices.pay"}
        | {"applications.file", "applications.read", "claims.file", "payment_orders.read"}
        | {"members.manage", "api_keys.manage", "organisation.edit", "ledger.read", "audit.read"}
    ),
    Role.PROVIDER: frozenset(
        {"organisation.read", "centres.read", "centres.manage", "prices.read", "prices.set"}
        | {"agents.enrol", "invoices.read", "invoices.issue", "payments.record", "ledger.read"}
        | {"jobs.read", "members.manage", "api_keys.manage", "audit.read", "energy.report"}
        | {"nodes.reserve"}
    ),
    Role.OPERATOR: frozenset(
        {"organisation.read", "organisation.approve", "credit.set", "centres.read", "jobs.read"}
        | {"jobs.cancel", "prices.read", "invoices.read", "invoices.issue", "payments.record"}
        | {"rating.resolve", "agents.enrol", "audit.read", "ledger.read", "pool.read"}
        | {"centres.verify", "metering.read", "policy.assess", "jobs.record"}
        | {"shares.set", "nodes.reserve", "links.measure"}
    ),
    Role.REVIEWER: frozenset(_OFFICIAL | {"applications.grant", "applications.reject"})
    | {"organisation.override_uscc", "pool.read", "ledger.read", "policy.assess"},
    Role.APPROVER: frozenset(
        _OFFICIAL | {"claims.review", "pool.read", "ledger.read", "policy.assess"}
    ),
    Role.FINANCE: frozenset(
        _OFFICIAL
        | {"payment_orders.issue", "payment_orders.receipt", "pool.fund", "pool.read"}
        | {"ledger.read", "policy.assess"}
    ),
    Role.COUNTY: frozenset(_OFFICIAL | {"payment_orders.receipt"}),
    Role.AUDITOR: frozenset(
        _OFFICIAL | {"ledger.read", "pool.read", "metering.read", "organisation.read"}
    ),
}


def may(role: Role, permission: str) -> bool:
    """Whether a role holds a permission; an unknown one is held by nobody."""
    return permission in PERMISSIONS.get(role, frozenset())
