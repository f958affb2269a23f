"""Founds the offices of a city for the journeys: what only the platform's own machine may do."""

from __future__ import annotations

import django

django.setup()

from suanwang import policy  # noqa: E402
from suanwang.people import services as people  # noqa: E402
from suanwang.people.roles import OrganisationKind, Role  # noqa: E402
from suanwang.people.services.organisations import Registration  # noqa: E402
from suanwang.registry import services as registry  # noqa: E402
from suanwang.site.clock import now  # noqa: E402
from suanwang.site.settings import settings  # noqa: E402
from suanwang.vouchers import services as vouchers  # noqa: E402
from suanwang.vouchers.policy_in_force import budget_year  # noqa: E402

PASSWORD = "a-journey-of-1000-li"
DIVISION = "130606"
OFFICES = (
    ("示例数据运营集团", "Sample Data Group", "operator", (("operator", "周运"),)),
    (
        "示例市发展和改革局",
        "Sample Development Bureau",
        "bureau",
        (("reviewer", "吴核"), ("approver", "郑批"), ("finance", "钱财")),
    ),
    ("示例区人民政府", "Sample District Government", "county", (("county", "孙区"),)),
    ("示例市审计局", "Sample Audit Office", "audit_office", (("auditor", "何审"),)),
)


def found() -> None:
    at = now()
    package = policy.load(settings().policies / settings().policy)
    registry.load_divisions(package.divisions.values())
    registry.load_accelerators()
    vouchers.fund_pool(budget_year(at), actor=None, at=at)
    for name, name_en, kind, staff in OFFICES:
        registration = Registration(name, OrganisationKind(kind), DIVISION, None, name_en)
        office = people.found_organisation(registration, at=at)
        for role, display_name in staff:
            people.enlist(
                office,
                Role(role),
                username=role,
                password=PASSWORD,
                display_name=display_name,
                at=at,
            )


if __name__ == "__main__":
    found()
