"""Compute vouchers: an entitlement to be paid back part of what was paid in full. Article 5."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from suanwang.metering.models import InvoiceLine
from suanwang.people.models import Organisation, Person
from suanwang.people.scope import Scope


class PolicyPackage(models.Model):
    """A policy as it was when something was decided by it, so that it can be decided again.

    Append-only. The folder of a policy changes when a default is confirmed; this does not.
    """

    SCOPE: ClassVar = Scope(public=True)

    hash = models.CharField(max_length=64, primary_key=True)
    name = models.CharField(max_length=60)
    published = models.JSONField()
    first_used_at = models.DateTimeField()


class Voucher(models.Model):
    """An electronic entitlement certificate. What is left of it is its ledger account's balance."""

    SCOPE: ClassVar = Scope(organisations=("holder_id",), division="holder__division")

    class Status(models.TextChoices):
        ISSUED = "issued"
        EXPIRED = "expired"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.CharField(max_length=30, unique=True)
    holder = models.ForeignKey(Organisation, models.PROTECT, related_name="vouchers")
    policy = models.CharField(max_length=60)
    package_hash = models.CharField(max_length=64)
    """Of the policy package under which it was granted."""
    measure = models.CharField(max_length=10)
    year = models.PositiveSmallIntegerField()
    """Budget year of the pool it was drawn from."""
    face_fen = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=Status, default=Status.ISSUED)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    """Valid until 23:59:59 of its last day."""
    granted_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    stated = models.JSONField(default=dict)
    """The certificate's content as it was signed; the holder may be renamed later."""
    signature = models.CharField(max_length=88)
    """Ed25519 of the platform over the certificate's canonical content."""

    class Meta:
        constraints = [
            models.CheckConstraint(name="face_positive", condition=Q(face_fen__gt=0)),
        ]


class Claim(models.Model):
    """A request to be paid back, against invoice lines that were paid in full."""

    SCOPE: ClassVar = Scope(organisations=("organisation_id",), division="organisation__division")

    class State(models.TextChoices):
        FILED = "filed"
        APPROVED = "approved"
        ORDERED = "ordered"
        PAID = "paid"
        REJECTED = "rejected"
        WITHDRAWN = "withdrawn"

    LIVE: ClassVar = ("filed", "approved", "ordered", "paid")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.CharField(max_length=30, unique=True)
    voucher = models.ForeignKey(Voucher, models.PROTECT, related_name="claims")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="claims")
    state = models.CharField(max_length=10, choices=State, default=State.FILED)
    paid_fee_fen = models.BigIntegerField()
    """Sum of the paid lines it stands on."""
    amount_fen = models.BigIntegerField()
    decision = models.JSONField()
    """The policy's decision: steps, conditions, caps, unconfirmed defaults, package hash."""
    facts = models.JSONField(default=dict)
    """What the policy was asked about; dates as ISO text. Enough to decide again."""
    package = models.ForeignKey("PolicyPackage", models.PROTECT, null=True, related_name="+")
    """The rules it was decided by, as they were."""
    comparison = models.JSONField(default=dict)
    """Every policy that might support its fees, what each gives, which line went to which and why;
    see ``choice.py``. Empty only of claims filed before comparisons were kept."""
    reserve_id = models.UUIDField(unique=True)
    """The pending ledger transfer that holds this part of the voucher."""
    filed_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    filed_at = models.DateTimeField()
    reviewed_by = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")
    reviewed_at = models.DateTimeField(null=True)
    review_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="claim_amount_possible",
                condition=Q(amount_fen__gt=0) & Q(amount_fen__lte=models.F("paid_fee_fen")),
            ),
            models.CheckConstraint(
                name="claim_decided_with_a_reason",
                condition=~Q(state="rejected") | ~Q(review_reason=""),
            ),
        ]
        indexes = [models.Index(fields=["state", "filed_at"], name="claim_inbox")]


class ClaimLine(models.Model):
    """One paid invoice line under a claim. While the claim lives, no other may stand on it."""

    SCOPE: ClassVar = Scope(
        organisations=("claim__organisation_id",), division="claim__organisation__division"
    )

    claim = models.ForeignKey(Claim, models.PROTECT, related_name="lines")
    invoice_line = models.ForeignKey(InvoiceLine, models.PROTECT, related_name="claim_lines")
    fee_fen = models.BigIntegerField()
    released = models.BooleanField(default=False)
    """True once the claim was rejected or withdrawn; the line may be claimed again."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["invoice_line"],
                condition=Q(released=False),
                name="a_line_is_claimed_once",
            )
        ]
