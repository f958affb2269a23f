"""Keys that programs present: ``sw_<prefix>_<secret>``, of which only a hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from suanwang.core.errors import NotAllowed, NotFound, NotSignedIn, Refused
from suanwang.people import rules
from suanwang.people.models import ApiKey, Member
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible
from suanwang.people.services.authority import record, require

USE_IS_NOTED_EVERY = timedelta(minutes=1)


def hash_secret(secret: str) -> str:
    """SHA-256 in hex. The secret has 256 random bits; a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


@transaction.atomic
def create_api_key(
    title: str,
    *,
    scopes: Collection[str] | None = None,
    expires_at: datetime,
    member: Member | None = None,
    actor: Viewer,
    at: datetime,
) -> tuple[ApiKey, str]:
    """Make a key and return it with its token, which is never shown again.

    Everybody may make keys for themself; for another ``member`` of the own organisation it
    takes ``api_keys.manage``. A key makes no keys: a stolen one must not outlive its revocation.

    Refuses ``sign_in_needed``, ``session_needed``, ``member_not_found``, ``title_missing``,
    ``scopes_too_wide``, ``key_expiry_in_the_past``, ``key_expiry_too_late``.
    """
    if actor.person is None or actor.organisation_id is None:
        raise NotSignedIn("sign_in_needed")
    if actor.api_key_id is not None:
        raise NotAllowed("session_needed")
    if member is None:
        member = Member.objects.get(
            person=actor.person,
            organisation_id=actor.organisation_id,
            role=actor.role,
            left_at=None,
        )
    elif member.person_id != actor.person.pk:
        require(actor, "api_keys.manage")
    if member.organisation_id != actor.organisation_id or member.left_at is not None:
        raise NotFound("member_not_found")
    title = " ".join(title.split())
    if not title:
        raise Refused("title_missing")
    allowed = rules.check_key_scopes(scopes, Role(member.role), actor.scopes)
    rules.check_key_expiry(expires_at, at=at)
    secret = secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        member=member,
        title=title[:100],
        prefix=secrets.token_hex(6),
        secret_hash=hash_secret(secret),
        scopes=allowed,
        created_at=at,
        expires_at=expires_at,
    )
    record(
        actor,
        "api_keys.create",
        subject=key,
        concerns=member.organisation,
        at=at,
        prefix=key.prefix,
        title=key.title,
        scopes=allowed,
        expires_at=expires_at.isoformat(),
    )
    return key, f"sw_{key.prefix}_{secret}"


@transaction.atomic
def revoke_api_key(key_id: UUID, *, actor: Viewer, at: datetime) -> ApiKey:
    """End a key at once: an own one, or with ``api_keys.manage`` any of the organisation.

    Safe to repeat. Refuses ``api_key_not_found``.
    """
    if actor.person is None:
        raise NotSignedIn("sign_in_needed")
    key = (
        visible(ApiKey, actor)
        .select_related("member__organisation")
        .select_for_update(of=("self",))
        .filter(pk=key_id)
        .first()
    )
    if key is None:
        raise NotFound("api_key_not_found")
    if key.member.person_id != actor.person.pk:
        require(actor, "api_keys.manage")
    if key.revoked_at is None:
        key.revoked_at = at
        key.save(update_fields=["revoked_at"])
        record(
            actor,
            "api_keys.revoke",
            subject=key,
            concerns=key.member.organisation,
            at=at,
            prefix=key.prefix,
        )
    return key


def note_key_use(key: ApiKey, *, at: datetime) -> None:
    """Remember when a key was last used, to the minute: one write a minute, not one a request."""
    if key.last_used_at is not None and key.last_used_at >= at - USE_IS_NOTED_EVERY:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lt=at - USE_IS_NOTED_EVERY)
    ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=at)
