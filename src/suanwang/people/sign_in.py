"""Who is looking: from a session or an API key to a ``Viewer``.

A person acts as one member of one organisation at a time; the session remembers as which.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from uuid import UUID

from django.contrib.auth import login, logout, update_session_auth_hash
from django.http import HttpRequest

from suanwang.core.errors import NotFound, NotSignedIn
from suanwang.people import services
from suanwang.people.models import ApiKey, Member, Organisation, Person
from suanwang.people.roles import Role
from suanwang.people.scope import STRANGER, Viewer
from suanwang.people.services.api_keys import hash_secret

_ACTING_AS = "acting_as"
_BACKEND = "django.contrib.auth.backends.ModelBackend"


def viewer_for(
    person: Person, organisation_id: UUID | None = None, role: Role | None = None
) -> Viewer:
    """The person as a member of an organisation; of their first one if none is named.

    A person who belongs nowhere (any more) sees what a stranger sees, but is known.
    Refuses ``member_not_found`` when a named membership does not exist.
    """
    places = memberships(person)
    if organisation_id is not None:
        places = [place for place in places if place.organisation_id == organisation_id]
    if role is not None:
        places = [place for place in places if place.role == role]
    if places:
        return _viewer(places[0])
    if organisation_id is not None or role is not None:
        raise NotFound("member_not_found")
    return Viewer(person)


def memberships(person: Person) -> list[Member]:
    """The places a person has now, the oldest first."""
    return list(
        Member.objects.filter(person=person, left_at=None)
        .select_related("organisation", "person")
        .order_by("joined_at", "pk")
    )


def _viewer(member: Member, key: ApiKey | None = None) -> Viewer:
    return Viewer(
        person=member.person,
        organisation_id=member.organisation_id,
        role=Role(member.role),
        division=member.organisation.division,
        scopes=frozenset(key.scopes) if key and key.scopes is not None else None,
        organisation_active=member.organisation.status == Organisation.Status.ACTIVE,
        api_key_id=key.pk if key else None,
    )


def viewer_of_key(token: str, *, at: datetime) -> Viewer:
    """Who presents an API key. Refuses ``api_key_not_accepted``, for whatever reason."""
    start, _, rest = token.partition("_")
    prefix, _, secret = rest.partition("_")
    key = (
        ApiKey.objects.filter(prefix=prefix)
        .select_related("member__organisation", "member__person")
        .first()
        if start == "sw" and secret and "\x00" not in prefix
        else None
    )
    expected = key.secret_hash if key else hash_secret("")
    fits = hmac.compare_digest(expected, hash_secret(secret))
    if (
        key is None
        or not fits
        or key.revoked_at is not None
        or key.expires_at <= at
        or key.member.left_at is not None
        or not key.member.person.is_active
    ):
        raise NotSignedIn("api_key_not_accepted")
    services.note_key_use(key, at=at)
    return _viewer(key.member, key)


def viewer_of_session(request: HttpRequest) -> Viewer:
    """Who is signed in with this browser; a stranger if nobody."""
    person = getattr(request, "user", None)
    if not isinstance(person, Person) or not person.is_active:
        return STRANGER
    places = memberships(person)
    acting_as = request.session.get(_ACTING_AS)
    for place in places:
        if place.pk == acting_as:
            return _viewer(place)
    return _viewer(places[0]) if places else Viewer(person)


def sign_in(
    request: HttpRequest, username: str, password: str, *, address: str, at: datetime
) -> Viewer:
    """Open a session. Refuses ``sign_in_failed``, ``sign_in_locked``."""
    person = services.check_sign_in(username, password, address=address, at=at)
    login(request, person, backend=_BACKEND)
    return viewer_of_session(request)


def sign_out(request: HttpRequest) -> None:
    """Close the session and forget what it held. Safe to repeat."""
    logout(request)


def act_as(request: HttpRequest, member_id: int) -> Viewer:
    """From now on act as another of the own memberships. Refuses ``member_not_found``."""
    person = getattr(request, "user", None)
    if not isinstance(person, Person):
        raise NotSignedIn("sign_in_needed")
    for place in memberships(person):
        if place.pk == member_id:
            request.session[_ACTING_AS] = place.pk
            return _viewer(place)
    raise NotFound("member_not_found")


def change_password(request: HttpRequest, current: str, new: str, *, at: datetime) -> None:
    """Change the own password and stay signed in here; every other session ends."""
    person = services.change_password(current, new, actor=viewer_of_session(request), at=at)
    update_session_auth_hash(request, person)
