"""Row scope: which rows a viewer may see, declared once per model and enforced here alone.

A model declares ``SCOPE``; every read for a person goes through ``visible(Model, viewer)``.
A viewer sees a row if one of these holds: the row is public; one of the ``organisations`` paths
leads to the viewer's organisation; the viewer's role is in ``city_roles``; the viewer acts for a
county and the ``division`` path leads to that county's division.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from suanwang.people.roles import Role, may

if TYPE_CHECKING:
    from suanwang.people.models import Person

CITY_ROLES = frozenset({Role.OPERATOR, Role.REVIEWER, Role.APPROVER, Role.FINANCE, Role.AUDITOR})

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Scope:
    """How a row of a model leads to those who may see it."""

    organisations: tuple[str, ...] = ()
    division: str | None = None
    city_roles: frozenset[Role] = CITY_ROLES
    public: bool = False


@dataclass(frozen=True)
class Viewer:
    """Who is looking: a person acting for one organisation in one role; all None for a stranger."""

    person: Person | None = None
    organisation_id: UUID | None = None
    role: Role | None = None
    division: str | None = None
    scopes: frozenset[str] | None = None
    """Permissions an API key is limited to; None means all of the role's."""
    organisation_active: bool = True
    """False while the organisation is pending or suspended: then only reading is allowed."""
    api_key_id: UUID | None = None
    """The key that was presented; None for a session."""

    def may(self, permission: str) -> bool:
        """Whether the role, the key if one is used, and the organisation's standing allow it."""
        if self.role is None or not may(self.role, permission):
            return False
        if not self.organisation_active and not permission.endswith(".read"):
            return False
        return self.scopes is None or permission in self.scopes


STRANGER = Viewer()


def visible(rows: type[Row] | QuerySet[Row], viewer: Viewer) -> QuerySet[Row]:
    """The rows a viewer may see. A model without ``SCOPE`` shows nothing to anybody."""
    queryset: QuerySet[Row] = rows if isinstance(rows, QuerySet) else rows._default_manager.all()
    scope: Scope | None = getattr(queryset.model, "SCOPE", None)
    if scope is None:
        return queryset.none()
    if scope.public:
        return queryset
    if viewer.role is None or viewer.organisation_id is None:
        return queryset.none()
    if viewer.role in scope.city_roles:
        return queryset
    allowed = Q(pk__in=[])
    for path in scope.organisations:
        allowed |= Q(**{path: viewer.organisation_id})
    if viewer.role is Role.COUNTY and scope.division and viewer.division:
        allowed |= Q(**{scope.division: viewer.division})
    return queryset.filter(allowed)
