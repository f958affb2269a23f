"""What people run: the job as asked, its attempts on clusters, its story, its output."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from suanwang.people.models import Organisation, Person
from suanwang.people.scope import Scope
from suanwang.registry.models import Cluster, Node, SiteAgent

_JOB_SCOPE = Scope(
    organisations=("organisation_id", "cluster__centre__provider_id"),
    division="organisation__division",
)


class Job(models.Model):
    """One piece of work someone asked for; it lives through one or more attempts."""

    SCOPE: ClassVar = _JOB_SCOPE

    class State(models.TextChoices):
        QUEUED = "queued"
        PLACED = "placed"
        STARTING = "starting"
        RUNNING = "running"
        CANCELLING = "cancelling"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"
        TIMEOUT = "timeout"
        OUT_OF_MEMORY = "out_of_memory"
        LOST = "lost"

    ENDED: ClassVar = frozenset(
        {
            State.SUCCEEDED,
            State.FAILED,
            State.CANCELLED,
            State.TIMEOUT,
            State.OUT_OF_MEMORY,
            State.LOST,
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="jobs")
    submitted_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)
    spec = models.JSONField()
    """A ``core.jobspec.JobSpec``; amounts and walltime are repeated below for the queue."""
    cores = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField()
    accelerators = models.PositiveIntegerField(default=0)
    accelerator_model = models.CharField(max_length=40, blank=True)
    nodes = models.PositiveIntegerField(default=1)
    """Cores, memory and cards above are totals, the same part of them on each."""
    card_milli = models.PositiveSmallIntegerField(default=1000)
    """Thousandths of each card."""
    walltime_seconds = models.PositiveIntegerField()
    state = models.CharField(max_length=14, choices=State, default=State.QUEUED)
    reason = models.JSONField(default=dict)
    """Why it waits, or why it ended: ``{code, facts}``, worded by the refusals catalogue. Of a
    waiting job also ``helps``, what would let it start, and ``starts_by``, the latest start.
    """
    cluster = models.ForeignKey(Cluster, models.PROTECT, null=True, related_name="jobs")
    estimate_fen = models.BigIntegerField()
    """At the full walltime, at the dearest centre that may take it: what the hold is for."""
    hold_id = models.UUIDField(unique=True)
    """The pending ledger transfer that will pay for it."""
    submitted_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    exit_code = models.IntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["submitted_at", "id"],
                condition=Q(state="queued"),
                name="job_queue",
            ),
            models.Index(fields=["organisation", "-submitted_at"], name="job_history"),
            models.Index(fields=["-submitted_at", "id"], name="job_newest"),
            models.Index(fields=["state"], name="job_state"),
        ]
        constraints = [
            models.CheckConstraint(name="estimate_not_negative", condition=Q(estimate_fen__gte=0))
        ]


class Attempt(models.Model):
    """One lease of a job to one cluster. Its id fences: a report under an old id is void."""

    SCOPE: ClassVar = Scope(
        organisations=("job__organisation_id", "cluster__centre__provider_id"),
        division="job__organisation__division",
    )

    class State(models.TextChoices):
        LEASED = "leased"
        ACCEPTED = "accepted"
        RUNNING = "running"
        ENDED = "ended"
        ABANDONED = "abandoned"

    LIVE: ClassVar = (State.LEASED, State.ACCEPTED, State.RUNNING)
    """It holds its share of a node."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(Job, models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField(default=1)
    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="attempts")
    node = models.ForeignKey(Node, models.PROTECT, related_name="attempts")
    """The first of its nodes, and for nearly every job the only one."""
    nodes_more = ArrayField(models.BigIntegerField(), default=list)
    """The others of a job of several nodes; each holds the same part of it."""
    cards = models.JSONField(default=list)
    """Which cards it holds on each node, ``[[0, 1], [4, 5]]``; empty without cards."""
    agent = models.ForeignKey(SiteAgent, models.PROTECT, null=True, related_name="attempts")
    """Who was handed the lease; null until someone asked for it."""
    state = models.CharField(max_length=10, choices=State, default=State.LEASED)
    leased_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    """Until when the agent must have renewed; then the attempt is abandoned."""
    last_sequence = models.PositiveIntegerField(default=0)
    """Of the last state event taken from the agent; lower ones are repeats."""
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    isolation = models.CharField(max_length=60, blank=True)
    give_way_by = models.DateTimeField(null=True)
    """Until when it may save its work, once it was told to give way to another job."""
    give_way_told = models.BooleanField(default=False)
    """Whether the agent was handed that order."""
    refused = models.BooleanField(default=False)
    """Whether its cluster would not start it."""
    site_refusal = models.CharField(max_length=40, blank=True)
    """Why the centre's own policy would not have it, as a code."""
    site_refusal_facts = models.JSONField(default=dict)
    site_policy = models.CharField(max_length=64, blank=True)
    """Which version of that policy it was."""
    refused_until = models.DateTimeField(null=True)
    """When the centre would have it, if that is known; else when its policy has changed."""
    charged = models.BooleanField(default=True)
    """Whether it counts against how often a job is tried. What gave way, or what a cluster known
    by summary refused because the summary was old, is no fault of the job.
    """

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="attempt_numbered_once"),
            models.UniqueConstraint(
                fields=["job"],
                condition=Q(state__in=["leased", "accepted", "running"]),
                name="one_live_attempt",
            ),
        ]
        indexes = [
            models.Index(
                fields=["cluster", "node"],
                condition=Q(state__in=["leased", "accepted", "running"]),
                name="attempt_live",
            ),
            models.Index(fields=["-ended_at"], name="attempt_ended"),
            models.Index(
                fields=["cluster", "-ended_at"],
                condition=~Q(site_refusal=""),
                name="attempt_site_refused",
            ),
        ]


class OrganisationShare(models.Model):
    """What an organisation has of the pool beside others, as the operator set it.

    Organisations of one cohort lend each other what is idle of their quotas.
    """

    SCOPE: ClassVar = Scope(organisations=("organisation_id",))

    organisation = models.OneToOneField(
        Organisation, models.PROTECT, primary_key=True, related_name="share"
    )
    weight_milli = models.PositiveIntegerField(default=1000)
    """Its share beside others, in thousandths; 1000 is the usual."""
    cohort = models.CharField(max_length=40, blank=True)
    cores = models.PositiveIntegerField(null=True)
    """What it is sure of; null with ``cards``: no quota, it takes its turn like all."""
    cards = models.PositiveIntegerField(null=True)
    borrow = models.BooleanField(default=True)
    lend = models.BooleanField(default=True)
    high_priority = models.BooleanField(default=False)
    """Whether its jobs may ask to go before others."""
    set_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="share_weight_positive", condition=Q(weight_milli__gt=0)),
            models.CheckConstraint(
                name="quota_whole",
                condition=Q(cores__isnull=True, cards__isnull=True)
                | Q(cores__isnull=False, cards__isnull=False),
            ),
        ]


class NodeReservation(models.Model):
    """Nodes kept over a period for some organisations, or for nobody: maintenance."""

    SCOPE: ClassVar = Scope(organisations=("cluster__centre__provider_id",))

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="reservations")
    nodes = ArrayField(models.CharField(max_length=80))
    """Names of nodes; empty: all of the cluster's."""
    organisations = models.ManyToManyField(Organisation, related_name="reservations")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)
    reason = models.CharField(max_length=200)
    made_at = models.DateTimeField()
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="reservation_forwards", condition=Q(ends_at__gt=models.F("starts_at"))
            )
        ]


class JobEvent(models.Model):
    """One step in a job's story. Append-only."""

    SCOPE: ClassVar = Scope(
        organisations=("job__organisation_id", "job__cluster__centre__provider_id"),
        division="job__organisation__division",
    )

    job = models.ForeignKey(Job, models.PROTECT, related_name="events")
    at = models.DateTimeField()
    state = models.CharField(max_length=14)
    person = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")
    facts = models.JSONField(default=dict)


class JobLog(models.Model):
    """A piece of a job's output, by stream and offset; pieces never overlap."""

    SCOPE: ClassVar = Scope(
        organisations=("attempt__job__organisation_id",), city_roles=frozenset()
    )

    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="logs")
    stream = models.CharField(max_length=6)
    offset = models.BigIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["attempt", "stream", "offset"], name="log_offset_once")
        ]


class JobFile(models.Model):
    """A file that goes into a job or came out of it. What ran stays its owner's business."""

    SCOPE: ClassVar = Scope(organisations=("job__organisation_id",), city_roles=frozenset())

    class Direction(models.TextChoices):
        IN = "in"
        OUT = "out"

    job = models.ForeignKey(Job, models.CASCADE, related_name="files")
    direction = models.CharField(max_length=3, choices=Direction)
    name = models.CharField(max_length=1024)
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    content = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "direction", "name"], name="job_file_once")
        ]


class AgentNonce(models.Model):
    """A number an agent used once in a signed request; kept while its time stamp would pass."""

    SCOPE: ClassVar = Scope(city_roles=frozenset())

    agent = models.ForeignKey(SiteAgent, models.CASCADE, related_name="+")
    nonce = models.CharField(max_length=64)
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "nonce"], name="nonce_once")]
