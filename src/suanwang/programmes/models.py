"""From application to payment: who asks for support, who decides, which budget pays."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from suanwang.people.models import Organisation, Person
from suanwang.people.scope import Scope
from suanwang.vouchers.models import Claim, PolicyPackage, Voucher


class Application(models.Model):
    """An organisation's request for a measure's support; here, for a compute voucher."""

    SCOPE: ClassVar = Scope(organisations=("organisation_id",), division="organisation__division")

    class State(models.TextChoices):
        FILED = "filed"
        GRANTED = "granted"
        REJECTED = "rejected"
        WITHDRAWN = "withdrawn"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.CharField(max_length=30, unique=True)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="applications")
    policy = models.CharField(max_length=60)
    measure = models.CharField(max_length=10)
    asked_fen = models.BigIntegerField()
    purpose = models.TextField()
    state = models.CharField(max_length=10, choices=State, default=State.FILED)
    filed_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    filed_at = models.DateTimeField()
    decided_by = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision_reason = models.TextField(blank=True)
    voucher = models.OneToOneField(Voucher, models.PROTECT, null=True, related_name="application")

    class Meta:
        constraints = [
            models.CheckConstraint(name="asked_positive", condition=Q(asked_fen__gt=0)),
            models.CheckConstraint(
                name="granted_has_a_voucher",
                condition=~Q(state="granted") | Q(voucher__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["organisation", "policy", "measure"],
                condition=Q(state="filed"),
                name="one_open_application",
            ),
        ]
        indexes = [models.Index(fields=["state", "filed_at"], name="application_inbox")]


class PaymentOrder(models.Model):
    """The order to pay an approved claim, split between the budgets that bear it.

    The platform never moves money: it issues the order and records the receipt.
    """

    SCOPE: ClassVar = Scope(
        organisations=("claim__organisation_id",), division="claim__organisation__division"
    )

    class State(models.TextChoices):
        ORDERED = "ordered"
        PAID = "paid"
        RETURNED = "returned"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.CharField(max_length=30, unique=True)
    claim = models.ForeignKey(Claim, models.PROTECT, related_name="payment_orders")
    amount_fen = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.ORDERED)
    ordered_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    ordered_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    package = models.ForeignKey(PolicyPackage, models.PROTECT, null=True, related_name="+")
    """The policy whose funding table split it, as it was."""
    division = models.CharField(max_length=6, default="")
    """Where the organisation was registered when it was ordered (A28)."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["claim"],
                condition=~Q(state="returned"),
                name="one_live_order_per_claim",
            )
        ]


class PaymentShare(models.Model):
    """What one level of government bears of a payment order. Shares add up to the order."""

    SCOPE: ClassVar = Scope(
        organisations=("order__claim__organisation_id",),
        division="division",
    )

    order = models.ForeignKey(PaymentOrder, models.PROTECT, related_name="shares")
    level = models.CharField(max_length=10)
    division = models.CharField(max_length=6)
    amount_fen = models.BigIntegerField()
    transfer_id = models.UUIDField(unique=True)
    receipt = models.CharField(max_length=80, blank=True)
    """The treasury's receipt number; empty until paid."""
    receipted_at = models.DateTimeField(null=True)
    receipted_by = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "level"], name="one_share_per_level"),
            models.CheckConstraint(name="share_not_negative", condition=Q(amount_fen__gte=0)),
            models.UniqueConstraint(
                fields=["division", "receipt"],
                condition=~Q(receipt=""),
                name="a_receipt_counts_once",
            ),
        ]
