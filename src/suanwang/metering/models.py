"""What was used, what it costs by the price of that moment, and what is owed and paid for it."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from suanwang.jobs.models import Attempt, Job
from suanwang.people.models import Organisation, Person
from suanwang.people.scope import Scope
from suanwang.registry.models import Price, SiteAgent


class UsageRecord(models.Model):
    """A quantity an agent measured and signed. Quantities only, never a cost. Append-only.

    ``record_id`` is chosen by the agent: the same record may arrive many times and counts once.
    Records of an agent form a hash chain by ``sequence``.
    """

    SCOPE: ClassVar = Scope(
        organisations=("attempt__job__organisation_id", "agent__cluster__centre__provider_id"),
        division="attempt__job__organisation__division",
    )

    record_id = models.UUIDField(primary_key=True)
    agent = models.ForeignKey(SiteAgent, models.PROTECT, related_name="usage")
    sequence = models.PositiveBigIntegerField()
    attempt = models.ForeignKey(Attempt, models.PROTECT, related_name="usage")
    meter = models.CharField(max_length=20, choices=Price.Meter)
    quantity = models.BigIntegerField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)
    signature = models.CharField(max_length=88)
    sent = models.JSONField(default=dict)
    """The fields exactly as sent: the hash covers their text, times included."""
    corrects = models.OneToOneField("self", models.PROTECT, null=True, related_name="corrected_by")
    """The record this one replaces: the engine's accounting came to another figure later."""
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "sequence"], name="usage_sequence_once"),
            models.UniqueConstraint(
                fields=["attempt", "meter"],
                condition=Q(corrects=None),
                name="attempt_metered_once",
            ),
            models.CheckConstraint(
                name="usage_possible",
                condition=Q(quantity__gte=0) & Q(ended_at__gte=F("started_at")),
            ),
        ]


class RefusedUsage(models.Model):
    """A signed link of an agent's chain whose content cannot be true. Append-only, never billed.

    It keeps its place in the chain, so one impossible record does not stop those behind it.
    """

    SCOPE: ClassVar = Scope(organisations=("agent__cluster__centre__provider_id",))

    record_id = models.UUIDField(primary_key=True)
    agent = models.ForeignKey(SiteAgent, models.PROTECT, related_name="refused_usage")
    sequence = models.PositiveBigIntegerField()
    sent = models.JSONField()
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)
    signature = models.CharField(max_length=88)
    code = models.CharField(max_length=60)
    facts = models.JSONField(default=dict)
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "sequence"], name="refusal_sequence_once")
        ]


class Charge(models.Model):
    """A usage record rated by the price valid when it was used. Append-only, once per record."""

    SCOPE: ClassVar = Scope(
        organisations=("organisation_id", "provider_id"), division="organisation__division"
    )

    class Basis(models.TextChoices):
        PRICE = "price"
        NOTHING_USED = "nothing_used"
        ABANDONED = "abandoned"
        AGREED = "agreed"
        WRITTEN_OFF = "written_off"
        CORRECTED = "corrected"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    usage = models.OneToOneField(UsageRecord, models.PROTECT, related_name="charge")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    provider = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    job = models.ForeignKey(Job, models.PROTECT, related_name="charges")
    basis = models.CharField(max_length=12, choices=Basis, default=Basis.PRICE)
    """What the amount rests on; an abandoned attempt is the centre's loss, never the user's. Of a
    correction it is the difference to the record it replaces.
    """
    price = models.ForeignKey(Price, models.PROTECT, null=True, related_name="+")
    """The first price that applied; ``parts`` has all of them."""
    parts = models.JSONField(default=list)
    """The stretches under one price each: exact quantities and amounts; rounded in their sum."""
    billed_quantity = models.BigIntegerField()
    """At most what the walltime asked for allows."""
    amount_fen = models.BigIntegerField()
    rated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="charge_possible",
                # Only the difference a correction makes may be below nothing.
                condition=(Q(amount_fen__gte=0) | Q(basis="corrected")) & Q(billed_quantity__gte=0),
            ),
            models.CheckConstraint(
                name="charge_has_its_price",
                condition=Q(basis="price", price__isnull=False)
                | Q(basis="corrected")
                | Q(basis="agreed", price__isnull=True)
                | Q(
                    basis__in=["nothing_used", "abandoned", "written_off"],
                    price__isnull=True,
                    amount_fen=0,
                ),
            ),
        ]


class Settlement(models.Model):
    """A job's hold was posted for exactly the sum of its charges. Append-only, once per job."""

    SCOPE: ClassVar = Scope(
        organisations=("organisation_id", "job__cluster__centre__provider_id"),
        division="organisation__division",
    )

    job = models.OneToOneField(Job, models.PROTECT, primary_key=True, related_name="settlement")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    amount_fen = models.BigIntegerField()
    settled_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="settled_amount_possible", condition=Q(amount_fen__gte=0))
        ]


class RatingProblem(models.Model):
    """A usage record that could not be rated. It waits in the operator's inbox, never as zero."""

    SCOPE: ClassVar = Scope()

    usage = models.OneToOneField(UsageRecord, models.PROTECT, related_name="problem")
    code = models.CharField(max_length=60)
    facts = models.JSONField(default=dict)
    found_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")
    resolution = models.CharField(max_length=12, blank=True)
    """``agreed``, ``written_off`` or ``credited``, once resolved."""
    reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="resolved_with_a_reason",
                condition=Q(resolved_at__isnull=True) | ~Q(reason=""),
            )
        ]


class Invoice(models.Model):
    """What a provider asks a user to pay, line by line. Its total never changes once issued."""

    SCOPE: ClassVar = Scope(
        organisations=("organisation_id", "provider_id"), division="organisation__division"
    )

    class Status(models.TextChoices):
        ISSUED = "issued"
        PAID = "paid"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.CharField(max_length=30, unique=True)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="invoices")
    provider = models.ForeignKey(Organisation, models.PROTECT, related_name="invoices_issued")
    status = models.CharField(max_length=8, choices=Status, default=Status.ISSUED)
    total_fen = models.BigIntegerField()
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    issued_at = models.DateTimeField()
    due_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="invoice_total_positive", condition=Q(total_fen__gt=0)),
            models.CheckConstraint(
                name="paid_invoice_has_a_date",
                condition=Q(status="paid", paid_at__isnull=False)
                | Q(status="issued", paid_at__isnull=True),
            ),
        ]
        indexes = [models.Index(fields=["organisation", "-issued_at"], name="invoice_history")]


class InvoiceLine(models.Model):
    """One charge on an invoice. A charge is invoiced once."""

    SCOPE: ClassVar = Scope(
        organisations=("invoice__organisation_id", "invoice__provider_id"),
        division="invoice__organisation__division",
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField()
    charge = models.OneToOneField(Charge, models.PROTECT, related_name="invoice_line")
    amount_fen = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="line_positioned_once")
        ]


class Payment(models.Model):
    """Money received for an invoice, in full. One payment per invoice; a reference counts once."""

    SCOPE: ClassVar = Scope(
        organisations=("invoice__organisation_id", "invoice__provider_id"),
        division="invoice__organisation__division",
    )

    class Channel(models.TextChoices):
        BANK_SLIP = "bank_slip"
        SIMULATED = "simulated"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    invoice = models.OneToOneField(Invoice, models.PROTECT, related_name="payment")
    channel = models.CharField(max_length=10, choices=Channel)
    reference = models.CharField(max_length=80)
    """The bank's number of the slip, or the channel's."""
    amount_fen = models.BigIntegerField()
    paid_on = models.DateField()
    recorded_at = models.DateTimeField()
    recorded_by = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")
    transfer_id = models.UUIDField(unique=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "reference"], name="slip_counts_once")
        ]


class ChannelPayment(models.Model):
    """A payment someone started at a payment channel, until the channel says how it ended."""

    SCOPE: ClassVar = Scope(
        organisations=("invoice__organisation_id", "invoice__provider_id"),
        division="invoice__organisation__division",
    )

    class State(models.TextChoices):
        STARTED = "started"
        CONFIRMED = "confirmed"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="channel_payments")
    channel = models.CharField(max_length=10, choices=Payment.Channel)
    reference = models.CharField(max_length=80)
    amount_fen = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.STARTED)
    started_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    started_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "reference"], name="channel_reference_once"),
            models.UniqueConstraint(
                fields=["invoice"], condition=Q(state="started"), name="one_payment_under_way"
            ),
        ]


class NumberSeries(models.Model):
    """The last number given out in a series; numbers have no gaps and are given once."""

    SCOPE: ClassVar = Scope(city_roles=frozenset())

    name = models.CharField(primary_key=True, max_length=30)
    last = models.PositiveBigIntegerField()
