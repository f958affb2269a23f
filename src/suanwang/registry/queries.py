"""Reads of the registry: what the city has, what it costs, how well it uses its energy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, QuerySet, Sum

from suanwang.core.errors import NotFound, NotSignedIn
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer, visible
from suanwang.registry.models import (
    AcceleratorFigure,
    AcceleratorModel,
    Cluster,
    DataCentre,
    Division,
    EnergyReading,
    Link,
    LinkMeasurement,
    Node,
    Price,
    SiteAgent,
)
from suanwang.registry.rules import Capacity, Figure, capacity, green_share, pue

ONLINE_WITHIN = timedelta(seconds=90)
"""An agent that has not called for so long is taken to be cut off."""


def centres() -> QuerySet[DataCentre]:
    """The public catalogue of centres, by code."""
    return DataCentre.objects.select_related("provider", "division").order_by("code")


@dataclass(frozen=True)
class Energy:
    """What the meters of a centre said over a period, and the exact ratios that follow."""

    it_wh: int
    facility_wh: int
    green_wh: int

    @property
    def pue(self) -> Fraction:
        return pue(self.it_wh, self.facility_wh)

    @property
    def green_share(self) -> Fraction:
        return green_share(self.green_wh, self.facility_wh)


def energy(*, since: datetime | None = None, until: datetime | None = None) -> dict[UUID, Energy]:
    """Energy by centre over the readings that lie wholly within a period; none, no entry."""
    readings = EnergyReading.objects.all()
    if since is not None:
        readings = readings.filter(period__startswith__gte=since)
    if until is not None:
        readings = readings.filter(period__endswith__lte=until)
    sums = readings.values("centre_id").annotate(
        it=Sum("it_wh"), facility=Sum("facility_wh"), green=Sum("green_wh")
    )
    return {row["centre_id"]: Energy(row["it"], row["facility"], row["green"]) for row in sums}


@dataclass(frozen=True)
class Holding:
    """What a centre has up now: sums over its nodes, cards by model; and what others use of it."""

    nodes: int
    cores: int
    memory_mib: int
    cards: Mapping[str, int]
    others_cores: int = 0
    others_memory_mib: int = 0
    others_cards: int = 0

    @property
    def cards_all(self) -> int:
        return sum(self.cards.values())


EMPTY = Holding(0, 0, 0, {})


def holdings() -> dict[UUID, Holding]:
    """What each centre has up, in two queries for the whole city."""
    cards: dict[UUID, dict[str, int]] = defaultdict(dict)
    up = Node.objects.filter(up=True)
    by_model = (
        up.filter(accelerators__gt=0)
        .values_list("cluster__centre_id", "accelerator_model_id")
        .annotate(Sum("accelerators"))
        .order_by("accelerator_model_id")
    )
    for centre_id, model, count in by_model:
        cards[centre_id][model] = count
    sums = up.values("cluster__centre_id").annotate(
        nodes=Count("id"),
        all_cores=Sum("cores"),
        all_memory=Sum("memory_mib"),
        theirs_cores=Sum("others_cores", default=0),
        theirs_memory=Sum("others_memory_mib", default=0),
        theirs_cards=Sum("others_accelerators", default=0),
    )
    return {
        row["cluster__centre_id"]: Holding(
            row["nodes"],
            row["all_cores"],
            row["all_memory"],
            cards[row["cluster__centre_id"]],
            row["theirs_cores"],
            row["theirs_memory"],
            row["theirs_cards"],
        )
        for row in sums
    }


def figures() -> dict[str, list[Figure]]:
    """Every published figure by accelerator model."""
    found: dict[str, list[Figure]] = defaultdict(list)
    rows = AcceleratorFigure.objects.values_list(
        "model_id", "precision", "sparsity", "basis", "gflops", "evidence"
    )
    for model, precision, sparsity, basis, gflops, evidence in rows:
        found[model].append(Figure(precision, sparsity, basis, gflops, evidence))
    return dict(found)


@dataclass(frozen=True)
class CentreFacts:
    """A centre as the public sees it."""

    centre: DataCentre
    holding: Holding
    capacities: tuple[Capacity, ...]
    """By precision, from eligible figures only; a precision nothing counts at is left out."""
    energy: Energy | None
    prices: tuple[Price, ...]
    online: bool


def catalogue(at: datetime, only: QuerySet[DataCentre] | None = None) -> list[CentreFacts]:
    """Every centre with capacity, energy and the prices valid now; a fixed number of queries."""
    held, known, used = holdings(), figures(), energy()
    online = online_centres(at)
    rows = list(centres() if only is None else only)
    prices: dict[UUID, list[Price]] = defaultdict(list)
    for price in prices_valid(at):
        prices[price.centre_id].append(price)
    found = []
    for centre in rows:
        holding = held.get(centre.pk, EMPTY)
        counted = (capacity(holding.cards, known, p) for p in ("fp64", "fp32", "bf16", "fp16"))
        found.append(
            CentreFacts(
                centre,
                holding,
                tuple(c for c in counted if c.cards_counted or c.precision == "fp16"),
                used.get(centre.pk),
                tuple(prices[centre.pk]),
                centre.pk in online,
            )
        )
    return found


def prices_valid(at: datetime) -> QuerySet[Price]:
    """All prices valid at a moment."""
    valid = Price.objects.filter(validity__contains=at).select_related("centre")
    return valid.order_by("centre_id", "meter", "accelerator_model_id")


def prices_between(start: datetime, end: datetime) -> QuerySet[Price]:
    """All prices valid at some moment of a period."""
    return Price.objects.filter(validity__overlap=(start, end))


def prices_of(centre: DataCentre) -> QuerySet[Price]:
    """Every price a centre ever set, newest first."""
    return (
        Price.objects.filter(centre=centre).select_related("centre").order_by("-created_at", "id")
    )


def online_clusters(at: datetime) -> set[UUID]:
    """Clusters with an agent that is enrolled, trusted and called lately."""
    alive = SiteAgent.objects.filter(
        revoked_at=None, enrolled_at__isnull=False, last_seen_at__gte=at - ONLINE_WITHIN
    )
    return set(alive.values_list("cluster_id", flat=True))


def measurable_agents(at: datetime) -> dict[str, SiteAgent]:
    """An agent for each centre that has one online, by the centre's code; one that listens, if
    there is one.
    """
    online = SiteAgent.objects.filter(
        revoked_at=None, enrolled_at__isnull=False, last_seen_at__gte=at - ONLINE_WITHIN
    )
    rows = online.select_related("cluster__centre").order_by("-last_report_at", "id")
    found: dict[str, SiteAgent] = {}
    for agent in sorted(rows, key=lambda one: not one.measure_address):
        found.setdefault(agent.cluster.centre.code, agent)
    return found


def link_measurements(viewer: Viewer) -> QuerySet[LinkMeasurement]:
    """Measurements a viewer may see: its own centres', or all for the city's offices."""
    return visible(LinkMeasurement, viewer).select_related(
        "asks__cluster__centre", "listens__cluster__centre"
    )


def shut_clusters(at: datetime) -> set[UUID]:
    """Clusters of whose agents that were heard lately none takes new work: drained on either
    side's order, or kept shut by a site policy that cannot be read.
    """
    heard = SiteAgent.objects.filter(
        revoked_at=None, enrolled_at__isnull=False, last_seen_at__gte=at - ONLINE_WITHIN
    ).values_list("cluster_id", "closed", "drain_ordered")
    takes: dict[UUID, bool] = {}
    for cluster_id, closed, drain in heard:
        takes[cluster_id] = takes.get(cluster_id, False) or not (closed or drain)
    return {cluster_id for cluster_id, some in takes.items() if not some}


def online_centres(at: datetime) -> set[UUID]:
    """Centres with at least one cluster online."""
    online = Cluster.objects.filter(pk__in=online_clusters(at))
    return set(online.values_list("centre_id", flat=True))


def gang_centres() -> frozenset[str]:
    """Codes of centres of which a cluster that takes work starts jobs of several nodes."""
    able = Cluster.objects.filter(open=True, gangs=True)
    return frozenset(able.values_list("centre__code", flat=True))


def agent_known(agent_id: UUID) -> SiteAgent | None:
    """An enrolled agent that was not revoked, with its cluster; as the books say at this moment.

    Every request of every agent asks this, so the query is put together once and not each time.
    """
    with connection.cursor() as cursor:
        cursor.execute(_known(), [agent_id])
        row = cursor.fetchone()
    if row is None:
        return None
    own = [field.attname for field in SiteAgent._meta.concrete_fields]
    its = [field.attname for field in Cluster._meta.concrete_fields]
    agent = SiteAgent.from_db(connection.alias, own, row[: len(own)])
    agent.cluster = Cluster.from_db(connection.alias, its, row[len(own) :])
    return agent


@cache
def _known() -> str:
    agents = SiteAgent.objects.select_related("cluster")
    known = agents.filter(pk=UUID(int=0), enrolled_at__isnull=False, revoked_at=None)
    sql, _ = known.query.sql_with_params()
    return str(sql)


class Shape(NamedTuple):
    """What a node is, apart from its name: thousands of nodes have a handful of shapes."""

    cluster_id: UUID
    cores: int
    memory_mib: int
    accelerators: int
    model: str | None
    nodes: int
    """How many there are of it."""


def shapes(centre: str | None = None) -> list[Shape]:
    """The distinct shapes of nodes that take new work, of one centre or of the whole city."""
    nodes = (
        working_nodes() if centre is None else working_nodes().filter(cluster__centre__code=centre)
    )
    rows = nodes.order_by().values_list(
        "cluster_id", "cores", "memory_mib", "accelerators", "accelerator_model_id"
    )
    return [Shape(*row) for row in rows.annotate(Count("id"))]


def clusters_named(ids: Iterable[UUID]) -> dict[UUID, Cluster]:
    """Clusters with their centres, by id."""
    return Cluster.objects.select_related("centre").in_bulk(list(ids))


def working_nodes() -> QuerySet[Node]:
    """Nodes that are up, in clusters that take new work, in centres that are not closed."""
    return (
        Node.objects.filter(up=True, cluster__open=True)
        .filter(~Q(cluster__centre__status=DataCentre.Status.CLOSED))
        .select_related("cluster__centre")
        .order_by("id")
    )


def accelerator_models() -> QuerySet[AcceleratorModel]:
    """The catalogue of cards with their figures."""
    return AcceleratorModel.objects.prefetch_related("figures").order_by("vendor", "code")


def models_named(codes: Iterable[str]) -> dict[str, AcceleratorModel]:
    """Cards by code."""
    return AcceleratorModel.objects.in_bulk(list(codes))


def divisions() -> QuerySet[Division]:
    """The county-level units, by code."""
    return Division.objects.order_by("code")


def centre(code: str) -> DataCentre:
    """One centre. Refuses ``centre_not_found``."""
    found = centres().filter(code=code).first()
    if found is None:
        raise NotFound("centre_not_found", code=code[:40])
    return found


def centre_facts(code: str, at: datetime) -> CentreFacts:
    """One centre as the public sees it. Refuses ``centre_not_found``."""
    return catalogue(at, centres().filter(pk=centre(code).pk))[0]


def clusters(centre: DataCentre) -> QuerySet[Cluster]:
    """The clusters of a centre, by name."""
    return Cluster.objects.filter(centre=centre).select_related("centre").order_by("name")


def links() -> QuerySet[Link]:
    """What was measured between places, by the lesser code."""
    return Link.objects.order_by("one", "other")


def cluster(cluster_id: UUID) -> Cluster:
    """One cluster. Refuses ``cluster_not_found``."""
    found = Cluster.objects.select_related("centre__provider").filter(pk=cluster_id).first()
    if found is None:
        raise NotFound("cluster_not_found")
    return found


def nodes(cluster: Cluster) -> QuerySet[Node]:
    """All nodes of a cluster, by name."""
    return Node.objects.filter(cluster=cluster).order_by("name")


def agents(viewer: Viewer) -> QuerySet[SiteAgent]:
    """The agents a viewer may see."""
    return visible(SiteAgent, viewer).select_related("cluster__centre").order_by("id")


def agent(agent_id: UUID, viewer: Viewer) -> SiteAgent:
    """One agent. Refuses ``agent_not_found``, also for another provider's."""
    found = agents(viewer).filter(pk=agent_id).first()
    if found is None:
        raise NotFound("agent_not_found")
    return found


def provider_of(viewer: Viewer) -> Organisation:
    """The organisation someone acts for. Refuses ``sign_in_needed``."""
    if viewer.organisation_id is None:
        raise NotSignedIn("sign_in_needed")
    return Organisation.objects.get(pk=viewer.organisation_id)


def unknown_models(cluster: Cluster) -> list[str]:
    """The models of cards in a cluster that the catalogue does not have."""
    nodes = Node.objects.filter(cluster=cluster, up=True).exclude(unknown_model="")
    found = nodes.order_by("unknown_model").values_list("unknown_model", flat=True).distinct()
    return [*found]
