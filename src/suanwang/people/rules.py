"""What is decided about people and organisations, from values alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Set
from datetime import datetime, timedelta

from suanwang.core import uscc
from suanwang.core.errors import Refused
from suanwang.people.roles import (
    CONSUMER_KINDS,
    PERMISSIONS,
    ROLES_BY_KIND,
    OrganisationKind,
    Role,
)

SELF_REGISTERED = CONSUMER_KINDS | {OrganisationKind.PROVIDER}
"""Kinds anybody may register; offices of the city are founded by the platform's operator."""

FAILURES_BEFORE_LOCK = 5
FAILURES_BEFORE_ADDRESS_LOCK = 30
LOCK = timedelta(minutes=15)
"""A name or an address with that many failures within this time waits until the oldest is over."""

API_KEY_LIFE_MAX = timedelta(days=366)
PASSWORD_LENGTH_MIN = 10
PASSWORD_LENGTH_MAX = 256

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._@-]{2,59}")


def first_role(kind: OrganisationKind) -> Role:
    """In which role the person who registers an organisation starts."""
    return Role.PROVIDER if kind is OrganisationKind.PROVIDER else Role.OWNER


def check_role_fits(kind: OrganisationKind, role: Role) -> None:
    """Refuses ``role_not_of_this_organisation``: a company has no finance office of the city."""
    if role not in ROLES_BY_KIND[kind]:
        raise Refused("role_not_of_this_organisation", role=role.value, kind=kind.value)


def read_credit_code(text: str | None, kind: OrganisationKind) -> tuple[str | None, bool]:
    """The tidied credit code and whether its check character is right.

    A wrong check character is let through as not valid: codes issued with a misprint exist, and
    an official may override. Only a maker may have none.

    Refuses ``uscc_missing``, ``uscc_wrong_length``, ``uscc_wrong_character``. GB 32100-2015.
    """
    if text is None or not text.strip():
        if kind is OrganisationKind.MAKER:
            return None, True
        raise Refused("uscc_missing")
    reading = uscc.read(text)
    if reading.verdict == "wrong_length":
        raise Refused("uscc_wrong_length", length=len(reading.code))
    if reading.verdict == "wrong_character":
        raise Refused("uscc_wrong_character", uscc=reading.code)
    return reading.code, reading.valid


def read_username(text: str) -> str:
    """The name to sign in with, in lower case. Refuses ``username_not_usable``."""
    username = text.strip().lower()
    if _USERNAME.fullmatch(username) is None:
        raise Refused("username_not_usable")
    return username


def check_password(password: str, username: str) -> None:
    """Refuses ``password_too_short``, ``password_too_long``, ``password_too_plain``."""
    if len(password) < PASSWORD_LENGTH_MIN:
        raise Refused("password_too_short", minimum=PASSWORD_LENGTH_MIN)
    if len(password) > PASSWORD_LENGTH_MAX:
        raise Refused("password_too_long", maximum=PASSWORD_LENGTH_MAX)
    plain = password.casefold()
    if len(set(plain)) < 5 or plain.isdigit() or username in (plain, plain[::-1]):
        raise Refused("password_too_plain")


def check_key_scopes(
    scopes: Collection[str] | None, role: Role, creator_scopes: Set[str] | None
) -> list[str] | None:
    """A key holds at most what its member's role holds. Refuses ``scopes_too_wide``."""
    if scopes is None:
        return None
    allowed = PERMISSIONS[role] if creator_scopes is None else PERMISSIONS[role] & creator_scopes
    beyond = sorted(set(scopes) - allowed)
    if beyond:
        raise Refused("scopes_too_wide", scopes=", ".join(beyond))
    return sorted(set(scopes))


def check_key_expiry(expires_at: datetime, *, at: datetime) -> None:
    """Refuses ``key_expiry_in_the_past`` and ``key_expiry_too_late`` (more than a year)."""
    if expires_at <= at:
        raise Refused("key_expiry_in_the_past")
    if expires_at > at + API_KEY_LIFE_MAX:
        raise Refused("key_expiry_too_late", days=API_KEY_LIFE_MAX.days)


def check_duties(kind: str, held: Collection[str]) -> None:
    """One person has one duty in a matter. Refuses ``duties_not_separated``.

    ``held`` are the duties the person already took in the same matter; the same one again is a
    repetition, not a second duty.
    """
    for other in held:
        if other != kind:
            raise Refused("duties_not_separated", held=other, asked=kind)
