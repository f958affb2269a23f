"""The person and the organisation behind an actor, for the columns that say who did it."""

from __future__ import annotations

from uuid import UUID

from suanwang.core.errors import NotSignedIn
from suanwang.people.models import Person
from suanwang.people.scope import Viewer


def person_of(actor: Viewer) -> Person:
    """Who is acting. Refuses ``sign_in_needed``; what the platform does itself has no viewer."""
    if actor.person is None:
        raise NotSignedIn("sign_in_needed")
    return actor.person


def organisation_of(actor: Viewer) -> UUID:
    """For whom they act. Refuses ``sign_in_needed``."""
    if actor.organisation_id is None:
        raise NotSignedIn("sign_in_needed")
    return actor.organisation_id
