"""Organisations, people, memberships, keys and the trail of what they did."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import F, Q

from suanwang.people.roles import OrganisationKind, Role
from suanwang.people.scope import Scope


def choices(kinds: type[OrganisationKind] | type[Role]) -> list[tuple[str, str]]:
    return [(kind.value, kind.value) for kind in kinds]


class Organisation(models.Model):
    """A company, university, institute, maker, provider, bureau or county the city deals with."""

    SCOPE: ClassVar = Scope(organisations=("id",), division="division")

    class Status(models.TextChoices):
        PENDING = "pending"
        ACTIVE = "active"
        SUSPENDED = "suspended"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    name_en = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=20, choices=choices(OrganisationKind))
    uscc = models.CharField(max_length=18, null=True, unique=True)
    """Unified social credit code; a maker without a legal person has none."""
    uscc_valid = models.BooleanField(default=True)
    uscc_override_reason = models.TextField(blank=True)
    """Why an official let a code with a wrong check character pass."""
    division = models.CharField(max_length=6)
    """Where it is registered now: asked, never derived from the code."""
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    credit_limit_fen = models.BigIntegerField(default=0)
    """What it may owe before paying; the ledger holds the truth, this is what was agreed."""
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="override_has_a_reason",
                condition=Q(uscc_valid=True) | ~Q(status="active") | ~Q(uscc_override_reason=""),
            ),
            models.CheckConstraint(
                name="credit_limit_not_negative", condition=Q(credit_limit_fen__gte=0)
            ),
        ]
        indexes = [models.Index(fields=["-created_at", "id"], name="organisation_newest")]

    def __str__(self) -> str:
        return self.name


class Person(AbstractUser):
    """Someone who signs in. ``username`` is what they sign in with, in lower case.

    Others meet a person through a membership; the bare row is for the operator and the auditor.
    """

    SCOPE: ClassVar = Scope(city_roles=frozenset({Role.OPERATOR, Role.AUDITOR}))

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    display_name = models.CharField(max_length=100, blank=True)
    language = models.CharField(max_length=10, default="zh-hans")
    large_type = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.display_name or self.username


class SignInFailure(models.Model):
    """One sign-in that failed. Counting them by name and by address is what locks.

    The name is kept hashed, whether or not anybody bears it: an attacker learns nothing from the
    lock, and a password typed into the wrong field is not kept in clear.
    """

    SCOPE: ClassVar = Scope(city_roles=frozenset())

    name_hash = models.CharField(max_length=64)
    address = models.CharField(max_length=45)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["name_hash", "at"], name="failure_of_name"),
            models.Index(fields=["address", "at"], name="failure_of_address"),
        ]


class Member(models.Model):
    """A person's place in an organisation. One person may act for several, one at a time."""

    SCOPE: ClassVar = Scope(organisations=("organisation_id",))

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="members")
    person = models.ForeignKey(Person, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=10, choices=choices(Role))
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "person", "role"],
                condition=Q(left_at=None),
                name="one_role_once",
            )
        ]


class ApiKey(models.Model):
    """A secret a program presents. Only its hash is kept; the prefix tells keys apart."""

    SCOPE: ClassVar = Scope(organisations=("member__organisation_id",), city_roles=frozenset())

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    member = models.ForeignKey(Member, models.PROTECT, related_name="api_keys")
    title = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, unique=True)
    secret_hash = models.CharField(max_length=64)
    """SHA-256 in hex: the secret has 256 random bits, so a slow hash would add nothing."""
    scopes = models.JSONField(null=True)
    """Permissions it is limited to; null means all of the member's role."""
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)


class AuditEvent(models.Model):
    """One thing that was done: who, acting for whom, to what, when. Append-only by trigger."""

    SCOPE: ClassVar = Scope(
        organisations=("organisation_id", "concerns_id"), division="concerns__division"
    )

    at = models.DateTimeField()
    verb = models.CharField(max_length=60)
    """``<affair>.<verb>``, the permission that allowed it."""
    person = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")
    """Null when the platform itself acted."""
    organisation = models.ForeignKey(Organisation, models.PROTECT, null=True, related_name="+")
    concerns = models.ForeignKey(Organisation, models.PROTECT, null=True, related_name="+")
    """The organisation whose affair it was."""
    subject = models.CharField(max_length=80)
    """``<model>:<id>`` of the thing that changed."""
    facts = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["subject", "at"], name="event_of_subject"),
            models.Index(fields=["concerns", "-at"], name="event_of_organisation"),
            models.Index(fields=["-at", "id"], name="event_newest"),
        ]


class Duty(models.Model):
    """Who granted, reviewed or paid one matter. The separation of duties rests on these rows.

    A matter (``voucher:<id>``) never has the same person in two duties; the unique constraint
    is the last line of defence behind ``services.take_duty``.
    """

    class Kind(models.TextChoices):
        GRANT = "grant"
        REVIEW = "review"
        PAY = "pay"

    SCOPE: ClassVar = Scope()

    matter = models.CharField(max_length=80)
    kind = models.CharField(max_length=10, choices=Kind)
    person = models.ForeignKey(Person, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["matter", "person"], name="one_person_one_duty")
        ]
        indexes = [models.Index(F("matter"), name="duty_of_matter")]
