"""The person behind an actor, for the columns that say who did it."""

from __future__ import annotations

from suanwang.core.errors import NotSignedIn
from suanwang.people.models import Person
from suanwang.people.scope import Viewer


def person_of(actor: Viewer) -> Person:
    """Who is acting. Refuses ``sign_in_needed``; what the platform does itself has no viewer."""
    if actor.person is None:
        raise NotSignedIn("sign_in_needed")
    return actor.person
