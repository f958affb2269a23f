"""How organisations, members and keys look from outside."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from suanwang.api.http import In
from suanwang.people.models import AuditEvent, Member, Organisation
from suanwang.people.roles import OrganisationKind, Role
from suanwang.people.scope import Viewer
from suanwang.people.sign_in import memberships


class FirstPersonIn(In):
    username: str = Field(max_length=150)
    password: str = Field(max_length=500)
    display_name: str = Field("", max_length=100)
    language: str = Field("zh-hans", max_length=10)


class RegistrationIn(In):
    name: str = Field(min_length=1, max_length=200)
    name_en: str = Field("", max_length=200)
    kind: OrganisationKind
    uscc: str | None = Field(None, max_length=60)
    division: str = Field(max_length=6)
    first_person: FirstPersonIn | None = None


class OrganisationOut(Schema):
    id: UUID
    name: str
    name_en: str
    kind: OrganisationKind
    uscc: str | None
    uscc_valid: bool
    uscc_override_reason: str
    division: str
    status: Organisation.Status
    credit_limit_fen: int
    created_at: datetime


class WarningOut(Schema):
    """Something that was let through and still stands in the way."""

    code: str
    message: str


class RegisteredOut(Schema):
    organisation: OrganisationOut
    member_id: int
    warnings: list[WarningOut]


class ReasonIn(In):
    reason: str = Field(min_length=1, max_length=2000)


class CreditLimitIn(In):
    limit_fen: int = Field(ge=0, le=10**12)


class MemberIn(In):
    username: str = Field(max_length=150)
    role: Role
    password: str | None = Field(None, max_length=500)
    display_name: str = Field("", max_length=100)


class MemberOut(Schema):
    id: int
    organisation_id: UUID
    username: str
    display_name: str
    role: Role
    joined_at: datetime
    left_at: datetime | None

    @staticmethod
    def resolve_username(member: Member) -> str:
        return member.person.username

    @staticmethod
    def resolve_display_name(member: Member) -> str:
        return member.person.display_name


class ApiKeyIn(In):
    title: str = Field(min_length=1, max_length=100)
    scopes: list[str] | None = Field(None, max_length=100)
    expires_at: datetime
    member_id: int | None = Field(None, ge=1, le=2**63 - 1)


class ApiKeyOut(Schema):
    id: UUID
    member_id: int
    title: str
    prefix: str
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


class ApiKeyMade(Schema):
    """A fresh key with its token, which is shown this once."""

    key: ApiKeyOut
    token: str


class SignInIn(In):
    username: str = Field(max_length=150)
    password: str = Field(max_length=500)


class PasswordIn(In):
    current: str = Field(max_length=500)
    new: str = Field(max_length=500)


class LanguageIn(In):
    language: str = Field(max_length=10)


class ActingIn(In):
    member_id: int = Field(ge=1, le=2**63 - 1)


class PlaceOut(Schema):
    """One of the own memberships."""

    member_id: int
    organisation_id: UUID
    organisation: str
    role: Role


class MeOut(Schema):
    """Who is calling, as whom, and what they may do."""

    username: str | None
    display_name: str
    language: str
    organisation_id: UUID | None
    role: Role | None
    organisation_active: bool
    permissions: list[str]
    places: list[PlaceOut]

    @staticmethod
    def of(viewer: Viewer, permissions: list[str]) -> MeOut:
        """The caller as they are told about themself."""
        person = viewer.person
        return MeOut(
            username=person.username if person else None,
            display_name=person.display_name if person else "",
            language=person.language if person else "zh-hans",
            organisation_id=viewer.organisation_id,
            role=viewer.role,
            organisation_active=viewer.organisation_active,
            permissions=permissions,
            places=[
                PlaceOut(
                    member_id=place.pk,
                    organisation_id=place.organisation_id,
                    organisation=place.organisation.name,
                    role=Role(place.role),
                )
                for place in (memberships(person) if person else [])
            ],
        )


class AuditEventOut(Schema):
    id: int
    at: datetime
    verb: str
    person: str | None
    organisation_id: UUID | None
    concerns_id: UUID | None
    subject: str
    facts: dict[str, Any]

    @staticmethod
    def resolve_person(event: AuditEvent) -> str | None:
        return event.person.username if event.person else None
