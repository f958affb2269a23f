"""What a viewer may read of organisations, members, keys and the trail."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from suanwang.core.errors import NotFound, NotSignedIn
from suanwang.people.models import ApiKey, AuditEvent, Member, Organisation
from suanwang.people.scope import Viewer, visible
from suanwang.people.services.authority import require


def organisations(viewer: Viewer) -> QuerySet[Organisation]:
    """The organisations a viewer may see: the own one, or all for offices of the city."""
    require(viewer, "organisation.read")
    return visible(Organisation, viewer)


def organisation(organisation_id: UUID, viewer: Viewer) -> Organisation:
    """One of them. Refuses ``organisation_not_found``, also for those out of sight."""
    found = organisations(viewer).filter(pk=organisation_id).first()
    if found is None:
        raise NotFound("organisation_not_found")
    return found


def members(organisation_id: UUID, viewer: Viewer) -> QuerySet[Member]:
    """The people of an organisation, those who left included."""
    owner = organisation(organisation_id, viewer)
    return visible(Member, viewer).filter(organisation=owner).select_related("person")


def member(member_id: int, viewer: Viewer) -> Member:
    """One membership. Refuses ``member_not_found``."""
    require(viewer, "organisation.read")
    found = (
        visible(Member, viewer)
        .select_related("person", "organisation")
        .filter(pk=member_id)
        .first()
    )
    if found is None:
        raise NotFound("member_not_found")
    return found


def api_keys(viewer: Viewer) -> QuerySet[ApiKey]:
    """The own keys; with ``api_keys.manage`` all keys of the organisation."""
    if viewer.person is None:
        raise NotSignedIn("sign_in_needed")
    keys = visible(ApiKey, viewer)
    return keys if viewer.may("api_keys.manage") else keys.filter(member__person=viewer.person)


def trail(viewer: Viewer, *, subject: str | None = None) -> QuerySet[AuditEvent]:
    """What was done by or to those a viewer may see; of one subject if named."""
    require(viewer, "audit.read")
    events = visible(AuditEvent, viewer).select_related("person", "organisation", "concerns")
    return events.filter(subject=subject) if subject else events
