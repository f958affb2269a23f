"""A small city for the console's tests: one organisation of each kind, one person of each role."""

from __future__ import annotations

from suanwang import policy
from suanwang.people import services as people
from suanwang.people.models import Organisation
from suanwang.people.roles import OrganisationKind, Role
from suanwang.people.services.organisations import Registration
from suanwang.registry import services as registry
from suanwang.site.clock import now
from suanwang.site.settings import settings

PASSWORD = "console-tests-8730"
DIVISION = "130606"
QUICK = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""Signing in is not what these tests are about."""
WHERE: dict[str, tuple[OrganisationKind, str, str]] = {
    "owner": (OrganisationKind.ENTERPRISE, "示例智造", "Sample Works"),
    "provider": (OrganisationKind.PROVIDER, "示例供给方", "Sample Provider"),
    "operator": (OrganisationKind.OPERATOR, "示例运营方", "Sample Operator"),
    "reviewer": (OrganisationKind.BUREAU, "示例发改委", "Sample Bureau"),
    "county": (OrganisationKind.COUNTY, "示例区政府", "Sample District"),
    "auditor": (OrganisationKind.AUDIT_OFFICE, "示例审计局", "Sample Audit Office"),
}
COLLEAGUES = {
    "member": "owner",
    "billing": "owner",
    "approver": "reviewer",
    "finance": "reviewer",
}
ROLES = (*WHERE, *COLLEAGUES)
CODES = {"owner": "91130606MA0CNB001B", "provider": "91130606MA0CNB002E"}


def found_city() -> dict[str, Organisation]:
    """Found the organisations and their people, named by role, all with the same password."""
    at = now()
    package = policy.load(settings().policies / settings().policy)
    registry.load_divisions(package.divisions.values())
    homes = {}
    for role, (kind, name, name_en) in WHERE.items():
        registration = Registration(name, kind, DIVISION, CODES.get(role), name_en)
        homes[role] = people.found_organisation(registration, at=at)
    for role in ROLES:
        home = homes[COLLEAGUES.get(role, role)]
        people.enlist(home, Role(role), username=role, password=PASSWORD, display_name=role, at=at)
    return homes
