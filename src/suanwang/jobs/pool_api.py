"""How the pool is shared, over HTTP: shares of organisations, kept nodes, measured links."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import AwareDatetime, Field

from suanwang.api.http import In, Page, Paging, page, viewer_of
from suanwang.jobs import queries, services
from suanwang.jobs.models import NodeReservation, OrganisationShare
from suanwang.people import queries as people
from suanwang.people.services import require
from suanwang.registry import queries as registry
from suanwang.registry import services as registry_services
from suanwang.registry.models import Link
from suanwang.site import clock

router = Router(tags=["pool"])


class PoolShareIn(In):
    """A share; what is left out is the usual. Weights in thousandths."""

    weight_milli: int = Field(1000, ge=1, le=1_000_000)
    cores: int | None = Field(None, ge=0)
    cards: int | None = Field(None, ge=0)
    cohort: str = Field("", max_length=40)
    borrow: bool = True
    lend: bool = True
    high_priority: bool = False


class PoolShareOut(Schema):
    organisation_id: UUID
    organisation: str
    weight_milli: int
    cores: int | None
    cards: int | None
    cohort: str
    borrow: bool
    lend: bool
    high_priority: bool
    set_at: datetime


class ReservationIn(In):
    """``nodes``: none named means all of the cluster; ``organisations``: none means for nobody."""

    nodes: list[str] = Field([], max_length=10_000)
    organisations: list[UUID] = Field([], max_length=100)
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    reason: str = Field(min_length=1, max_length=200)


class ReservationOut(Schema):
    id: UUID
    centre: str
    cluster: str
    nodes: list[str]
    organisations: list[UUID]
    starts_at: datetime
    ends_at: datetime
    reason: str
    made_at: datetime
    cancelled_at: datetime | None


class LinkIn(In):
    """What was measured between two places, there and back."""

    one: str = Field(max_length=40)
    other: str = Field(max_length=40)
    latency_us: int = Field(ge=1, le=10**9)
    bandwidth_mbps: int = Field(0, ge=0, le=10**8)


class LinkOut(Schema):
    one: str
    other: str
    latency_us: int
    bandwidth_mbps: int
    measured_at: datetime
    measured_by: str
    by_agents: bool
    """Measured by the two centres' agents, not entered by a person."""


class MeasurementIn(In):
    """Two centres whose agents are to measure the way between them; neither: all there are."""

    one: str = Field("", max_length=40)
    other: str = Field("", max_length=40)


class MeasurementOut(Schema):
    id: UUID
    one: str = Field(alias="asks.cluster.centre.code")
    other: str = Field(alias="listens.cluster.centre.code")
    """The one that listens."""
    state: str
    reason: str
    """Why it failed, as a code."""
    latency_us: int | None
    latency_p95_us: int | None
    there_mbps: int | None
    """From ``one`` to ``other``."""
    back_mbps: int | None
    asked_at: datetime
    expires_at: datetime
    ended_at: datetime | None


@router.get("/shares", response=Page[PoolShareOut])
def shares(request: HttpRequest, paging: Query[Paging]) -> Any:
    """What organisations have of the pool, where it is not the usual; one sees one's own."""
    viewer = viewer_of(request)
    require(viewer, "jobs.read")
    found = page(queries.shares(viewer), cursor=paging.cursor, limit=paging.limit)
    found.items = [_share_out(one) for one in found.items]
    return found


@router.put("/shares/{uuid:organisation_id}", response=PoolShareOut)
def set_share(request: HttpRequest, organisation_id: UUID, payload: PoolShareIn) -> Any:
    """Let an organisation have so much of the pool from now on."""
    viewer = viewer_of(request)
    require(viewer, "shares.set")
    organisation = people.organisation(organisation_id, viewer)
    share = services.Share(**payload.model_dump())
    return _share_out(services.set_share(organisation, share, actor=viewer, at=clock.now()))


@router.get("/reservations", response=Page[ReservationOut])
def reservations(request: HttpRequest, paging: Query[Paging]) -> Any:
    """Nodes that are kept, were kept or will be, at the centres one manages."""
    viewer = viewer_of(request)
    require(viewer, "nodes.reserve")
    found = page(
        queries.reservations(viewer),
        cursor=paging.cursor,
        limit=paging.limit,
        order=("-starts_at",),
    )
    found.items = [_reservation_out(one) for one in found.items]
    return found


@router.post("/clusters/{uuid:cluster_id}/reservations", response={201: ReservationOut})
def reserve_nodes(request: HttpRequest, cluster_id: UUID, payload: ReservationIn) -> Any:
    """Keep nodes of a cluster over a period: for organisations, or for nobody (maintenance)."""
    viewer = viewer_of(request)
    require(viewer, "nodes.reserve")
    kept = services.reserve_nodes(
        registry.cluster(cluster_id), **payload.model_dump(), actor=viewer, at=clock.now()
    )
    return Status(201, _reservation_out(kept))


@router.post("/reservations/{uuid:reservation_id}/cancellation", response=ReservationOut)
def cancel_reservation(request: HttpRequest, reservation_id: UUID) -> Any:
    """Keep the nodes no longer."""
    viewer = viewer_of(request)
    require(viewer, "nodes.reserve")
    found = queries.reservation(reservation_id, viewer)
    return _reservation_out(services.cancel_reservation(found, actor=viewer, at=clock.now()))


@router.get("/links", response=Page[LinkOut])
def links(request: HttpRequest, paging: Query[Paging]) -> Any:
    """What was measured between centres or divisions."""
    return page(registry.links(), cursor=paging.cursor, limit=paging.limit, order=("one", "other"))


@router.put("/links", response=LinkOut)
def measure_link(request: HttpRequest, payload: LinkIn) -> Link:
    """Enter a measurement; a newer one replaces it."""
    viewer = viewer_of(request)
    require(viewer, "links.measure")
    return registry_services.measure_link(**payload.model_dump(), actor=viewer, at=clock.now())


@router.get("/links/measurements", response=Page[MeasurementOut])
def measurements(request: HttpRequest, paging: Query[Paging]) -> Any:
    """What agents were asked to measure, and what came of it; the newest first."""
    viewer = viewer_of(request)
    require(viewer, "links.measure")
    found = registry.link_measurements(viewer)
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-asked_at", "id"))


@router.post("/links/measurements", response={202: list[MeasurementOut]})
def ask_measurement(request: HttpRequest, payload: MeasurementIn) -> Any:
    """Let agents measure the way between two centres, or between all that can be measured."""
    viewer, at = viewer_of(request), clock.now()
    require(viewer, "links.measure")
    if not payload.one and not payload.other:
        return Status(202, registry_services.ask_all(actor=viewer, at=at))
    asked = registry_services.ask_measurement(payload.one, payload.other, actor=viewer, at=at)
    return Status(202, [asked])


def _share_out(row: OrganisationShare) -> Mapping[str, Any]:
    names = PoolShareIn.model_fields
    return {
        "organisation_id": row.organisation_id,
        "organisation": row.organisation.name,
        "set_at": row.set_at,
        **{name: getattr(row, name) for name in names},
    }


def _reservation_out(row: NodeReservation) -> Mapping[str, Any]:
    return {
        "id": row.pk,
        "centre": row.cluster.centre.code,
        "cluster": row.cluster.name,
        "nodes": row.nodes,
        "organisations": [one.pk for one in row.organisations.all()],
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "reason": row.reason,
        "made_at": row.made_at,
        "cancelled_at": row.cancelled_at,
    }
