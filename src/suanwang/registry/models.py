"""What the city has: data centres, clusters, nodes, accelerators, energy, agents and prices."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import Func, Q

from suanwang.people.models import Organisation
from suanwang.people.scope import Scope


class Division(models.Model):
    """A county-level unit, as the policy's funding table lists it."""

    SCOPE: ClassVar = Scope(public=True)

    code = models.CharField(primary_key=True, max_length=6)
    name = models.CharField(max_length=50)
    name_en = models.CharField(max_length=80)
    kind = models.CharField(max_length=20)
    in_scope = models.BooleanField()

    def __str__(self) -> str:
        return self.name


class DataCentre(models.Model):
    """A data centre a provider has registered, with the facts policy and placement need."""

    SCOPE: ClassVar = Scope(public=True)

    class Tier(models.TextChoices):
        CENTER = "center"
        PARK = "park"
        EDGE = "edge"

    class Kind(models.TextChoices):
        GENERAL = "general"
        INTELLIGENT = "intelligent"
        SUPER = "super"

    class Status(models.TextChoices):
        REGISTERED = "registered"
        VERIFIED = "verified"
        CLOSED = "closed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    provider = models.ForeignKey(Organisation, models.PROTECT, related_name="centres")
    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=100)
    name_en = models.CharField(max_length=100, blank=True)
    tier = models.CharField(max_length=10, choices=Tier)
    kind = models.CharField(max_length=12, choices=Kind)
    division = models.ForeignKey(Division, models.PROTECT, related_name="centres")
    racks = models.PositiveIntegerField()
    racks_used = models.PositiveIntegerField(default=0)
    is_local_platform = models.BooleanField(default=False)
    """Counts as the local compute service platform of article 5; granted by decision."""
    is_public_platform = models.BooleanField(default=False)
    status = models.CharField(max_length=12, choices=Status, default=Status.REGISTERED)
    green_hours = ArrayField(models.PositiveSmallIntegerField(), default=list)
    """Hours of the city's day (0 to 23) in which its power is green."""
    datasets = ArrayField(models.CharField(max_length=80), default=list)
    """Names of the data kept there, which a job can ask to run beside."""
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="racks_used_within_racks", condition=Q(racks_used__lte=models.F("racks"))
            )
        ]

    def __str__(self) -> str:
        return self.name


class EnergyReading(models.Model):
    """Metered energy of a centre over a period, in watt-hours. PUE = facility / IT."""

    SCOPE: ClassVar = Scope(public=True)

    centre = models.ForeignKey(DataCentre, models.PROTECT, related_name="energy")
    period = DateTimeRangeField()
    it_wh = models.BigIntegerField()
    facility_wh = models.BigIntegerField()
    green_wh = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="energy_periods_apart",
                expressions=[
                    ("centre", RangeOperators.EQUAL),
                    ("period", RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(
                name="energy_possible",
                condition=Q(it_wh__gt=0)
                & Q(facility_wh__gte=models.F("it_wh"))
                & Q(green_wh__gte=0)
                & Q(green_wh__lte=models.F("facility_wh")),
            ),
        ]


class Link(models.Model):
    """The way between two places as last measured; places are codes of centres or divisions.

    Kept once for both directions, the lesser code first; a newer measurement replaces it.
    """

    SCOPE: ClassVar = Scope(public=True)

    one = models.CharField(max_length=40)
    other = models.CharField(max_length=40)
    latency_us = models.PositiveIntegerField()
    """One way there and back, in microseconds."""
    bandwidth_mbps = models.PositiveIntegerField(default=0)
    """0: not measured."""
    measured_at = models.DateTimeField()
    measured_by = models.CharField(max_length=80)
    """Who said so: an agent's cluster, or an operator."""
    by_agents = models.BooleanField(default=False)
    """Measured by two agents, not entered by a person."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["one", "other"], name="link_once"),
            models.CheckConstraint(name="link_in_order", condition=Q(one__lt=models.F("other"))),
        ]


class AcceleratorModel(models.Model):
    """A model of accelerator card."""

    SCOPE: ClassVar = Scope(public=True)

    code = models.SlugField(primary_key=True, max_length=40)
    vendor = models.CharField(max_length=40)
    name = models.CharField(max_length=80)
    memory_mib = models.PositiveIntegerField()
    domestic = models.BooleanField()

    def __str__(self) -> str:
        return self.name


class AcceleratorFigure(models.Model):
    """One published performance figure with its evidence. Figures conflict, so all are kept.

    Only dense figures of evidence ``vendor`` or ``measured`` count towards a policy threshold.
    """

    SCOPE: ClassVar = Scope(public=True)

    model = models.ForeignKey(AcceleratorModel, models.CASCADE, related_name="figures")
    precision = models.CharField(max_length=8)
    sparsity = models.CharField(max_length=6)
    basis = models.CharField(max_length=8)
    gflops = models.PositiveBigIntegerField()
    evidence = models.CharField(max_length=12)
    source = models.CharField(max_length=200)


class Cluster(models.Model):
    """A set of nodes behind one engine in a centre."""

    SCOPE: ClassVar = Scope(public=True)

    class Engine(models.TextChoices):
        LOCAL = "local"
        MEMORY = "memory"
        SLURM = "slurm"
        KUBERNETES = "kubernetes"
        RAY = "ray"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    centre = models.ForeignKey(DataCentre, models.PROTECT, related_name="clusters")
    name = models.CharField(max_length=60)
    engine = models.CharField(max_length=12, choices=Engine)
    open = models.BooleanField(default=True)
    """Whether it takes new work."""
    gangs = models.BooleanField(default=False)
    """Whether its engine starts jobs of several nodes, as its agent last said."""
    images = models.BooleanField(default=False)
    """Whether its engine runs a job in the container image it names, as its agent last said."""
    summary = models.BooleanField(default=False)
    """Whether its nodes are sums its agent reports, as of ``Node.reported_at``, and no machines: a
    start there may be refused.
    """
    revision = models.CharField(max_length=64, blank=True)
    """Of its nodes as an agent last reported them; the next report of changes builds on it."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["centre", "name"], name="cluster_named_once")
        ]

    def __str__(self) -> str:
        return self.name


class Node(models.Model):
    """A machine of a cluster, with its whole capacity and what others use of it; what is free
    follows from the attempts."""

    SCOPE: ClassVar = Scope(public=True)

    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="nodes")
    name = models.CharField(max_length=80)
    rack = models.CharField(max_length=40, blank=True)
    cores = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField()
    accelerator_model = models.ForeignKey(AcceleratorModel, models.PROTECT, null=True)
    accelerators = models.PositiveIntegerField(default=0)
    others_cores = models.PositiveIntegerField(null=True)
    others_memory_mib = models.PositiveIntegerField(null=True)
    others_accelerators = models.PositiveIntegerField(null=True)
    """What work that is not the platform's held at ``reported_at``; null: its engine does not
    tell.
    """
    unknown_model = models.CharField(max_length=80, blank=True)
    """A model of card it was reported with that the catalogue does not have: not offered."""
    up = models.BooleanField(default=True)
    reported_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "name"], name="node_named_once"),
            models.CheckConstraint(
                name="cards_have_a_model",
                condition=Q(accelerators=0) | Q(accelerator_model__isnull=False),
            ),
        ]


class SiteAgent(models.Model):
    """The process inside a centre that pulls work for one cluster."""

    SCOPE: ClassVar = Scope(organisations=("cluster__centre__provider_id",))

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="agents")
    token_hash = models.CharField(max_length=64, unique=True)
    """SHA-256 of the one-time enrolment token."""
    token_expires_at = models.DateTimeField()
    public_key = models.CharField(max_length=44, blank=True)
    """Ed25519, base64; empty until enrolled."""
    version = models.CharField(max_length=40, blank=True)
    isolation = models.CharField(max_length=60, blank=True)
    enrolled_at = models.DateTimeField(null=True)
    last_seen_at = models.DateTimeField(null=True)
    last_report_at = models.DateTimeField(null=True)
    abilities = ArrayField(models.CharField(max_length=20), default=list)
    """What its engine does besides the minimum."""
    closed = models.CharField(max_length=40, blank=True)
    """Why it takes no new work (``site_draining``, ``site_policy_broken``); empty: it does."""
    drain_ordered = models.BooleanField(default=False)
    """Whether the platform's side wants it to take no new work."""
    site_policy = models.CharField(max_length=64, blank=True)
    """The version of the site's policy file; empty without one."""
    states_owed = models.PositiveIntegerField(default=0)
    usage_owed = models.PositiveIntegerField(default=0)
    """What it had not delivered yet when last heard."""
    measure_address = models.CharField(max_length=120, blank=True)
    """Where other centres' agents may measure the way to it; empty: it does not listen."""
    measuring_until = models.DateTimeField(null=True)
    """Until when it may have a part in a measurement, so that no other poll looks for one."""
    revoked_at = models.DateTimeField(null=True)


class LinkMeasurement(models.Model):
    """A measurement of the way between two centres by their agents, asked for by a person."""

    SCOPE: ClassVar = Scope(
        organisations=(
            "asks__cluster__centre__provider_id",
            "listens__cluster__centre__provider_id",
        )
    )

    class State(models.TextChoices):
        ASKED = "asked"
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    asks = models.ForeignKey(SiteAgent, models.PROTECT, related_name="+")
    listens = models.ForeignKey(SiteAgent, models.PROTECT, related_name="+")
    secret = models.CharField(max_length=64)
    """Told to the two agents alone; useless once it is over."""
    state = models.CharField(max_length=8, choices=State, default=State.ASKED)
    reason = models.CharField(max_length=40, blank=True)
    """Why it failed, as a code."""
    latency_us = models.PositiveIntegerField(null=True)
    latency_p95_us = models.PositiveIntegerField(null=True)
    there_mbps = models.PositiveIntegerField(null=True)
    """From the one that asks to the one that listens."""
    back_mbps = models.PositiveIntegerField(null=True)
    asked_by = models.CharField(max_length=80)
    asked_at = models.DateTimeField(db_index=True)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="measured_or_not",
                condition=(Q(state="done") & Q(latency_us__isnull=False))
                | (~Q(state="done") & Q(latency_us=None)),
            )
        ]


class Price(models.Model):
    """What one meter costs at a centre during a period. Immutable; a trigger lets only an open
    end be closed, and only in the future.

    ``price_fen`` per ``per_quantity`` base units: 15 per 3,600 core-seconds is 0.15 yuan a
    core-hour. Two prices for the same thing never overlap.
    """

    SCOPE: ClassVar = Scope(public=True)

    class Meter(models.TextChoices):
        CORE_SECONDS = "core_seconds"
        CARD_SECONDS = "card_seconds"
        MEMORY_MIB_SECONDS = "memory_mib_seconds"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    centre = models.ForeignKey(DataCentre, models.PROTECT, related_name="prices")
    meter = models.CharField(max_length=20, choices=Meter)
    accelerator_model = models.ForeignKey(AcceleratorModel, models.PROTECT, null=True)
    price_fen = models.BigIntegerField()
    per_quantity = models.BigIntegerField()
    validity = DateTimeRangeField()
    set_by = models.ForeignKey("people.Person", models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="prices_never_overlap",
                expressions=[
                    ("centre", RangeOperators.EQUAL),
                    ("meter", RangeOperators.EQUAL),
                    (
                        Func(
                            "accelerator_model",
                            models.Value(""),
                            function="COALESCE",
                            output_field=models.CharField(),
                        ),
                        RangeOperators.EQUAL,
                    ),
                    ("validity", RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(
                name="price_possible", condition=Q(price_fen__gte=0) & Q(per_quantity__gt=0)
            ),
            models.CheckConstraint(
                name="card_price_names_a_model",
                condition=(
                    Q(meter="card_seconds", accelerator_model__isnull=False)
                    | (~Q(meter="card_seconds") & Q(accelerator_model__isnull=True))
                ),
            ),
        ]
