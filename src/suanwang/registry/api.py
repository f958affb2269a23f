"""The registry over HTTP: the public catalogue, and what providers keep up to date."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Status

from suanwang.api.http import Page, Paging, page, viewer_of
from suanwang.people.services import require
from suanwang.registry import queries, schemas, services
from suanwang.registry.inventory import NodeReport
from suanwang.site import clock

router = Router(tags=["registry"])


@router.get("/divisions", response=list[schemas.DivisionOut])
def divisions(request: HttpRequest) -> Any:
    """The county-level units, as the policy lists them."""
    return queries.divisions()


@router.get("/accelerators", response=list[schemas.AcceleratorOut])
def accelerators(request: HttpRequest) -> Any:
    """Models of cards with every published figure and its evidence."""
    return queries.accelerator_models()


@router.get("/centres", response=Page[schemas.CentreOut])
def centres(request: HttpRequest, paging: Query[Paging]) -> Any:
    """The data centres of the city, by code."""
    rows = page(queries.centres(), cursor=paging.cursor, limit=paging.limit, order=("code", "pk"))
    rows.items = [schemas.centre_out(centre) for centre in rows.items]
    return rows


@router.post("/centres", response={201: schemas.CentreOut})
def register_centre(request: HttpRequest, payload: schemas.CentreIn) -> Any:
    """Register a data centre of one's own organisation."""
    viewer = viewer_of(request)
    require(viewer, "centres.manage")
    provider = queries.provider_of(viewer)
    centre = services.register_centre(
        provider, **payload.model_dump(), actor=viewer, at=clock.now()
    )
    return Status(201, schemas.centre_out(centre))


@router.get("/centres/{slug:code}", response=schemas.CentreDetailOut)
def centre(request: HttpRequest, code: str) -> Any:
    """One centre with what is up, its capacity by evidence, its energy and today's prices."""
    return schemas.centre_detail(queries.centre_facts(code, clock.now()))


@router.post("/centres/{slug:code}/verification", response=schemas.CentreOut)
def verify(request: HttpRequest, code: str, payload: schemas.VerifyIn) -> Any:
    """Confirm a centre and say which kinds of platform it counts as."""
    viewer = viewer_of(request)
    require(viewer, "centres.verify")
    verified = services.verify_centre(
        queries.centre(code), **payload.model_dump(), actor=viewer, at=clock.now()
    )
    return schemas.centre_out(verified)


@router.post("/centres/{slug:code}/closure", response=schemas.CentreOut)
def close(request: HttpRequest, code: str) -> Any:
    """Take a centre out of service; what runs there ends in its own time."""
    viewer = viewer_of(request)
    require(viewer, "centres.manage")
    closed = services.close_centre(queries.centre(code), actor=viewer, at=clock.now())
    return schemas.centre_out(closed)


@router.get("/centres/{slug:code}/prices", response=Page[schemas.PriceOut])
def prices(request: HttpRequest, code: str, paging: Query[Paging]) -> Any:
    """Every price the centre ever set, the newest first."""
    rows = page(
        queries.prices_of(queries.centre(code)),
        cursor=paging.cursor,
        limit=paging.limit,
        order=("-created_at", "pk"),
    )
    rows.items = [schemas.price_out(price) for price in rows.items]
    return rows


@router.post("/centres/{slug:code}/prices", response={201: schemas.PriceOut})
def set_price(request: HttpRequest, code: str, payload: schemas.PriceIn) -> Any:
    """Set a price from a moment on; one without an end is ended there. Nothing in the past."""
    viewer = viewer_of(request)
    require(viewer, "prices.set")
    fields = payload.model_dump()
    price = services.set_price(
        queries.centre(code), fields.pop("meter"), **fields, actor=viewer, at=clock.now()
    )
    return Status(201, schemas.price_out(price))


@router.put("/centres/{slug:code}/surroundings", response=schemas.CentreOut)
def describe_centre(request: HttpRequest, code: str, payload: schemas.SurroundingsIn) -> Any:
    """Say in which hours power is green there, and which data are kept: jobs can wish for both."""
    viewer = viewer_of(request)
    require(viewer, "centres.manage")
    found = services.describe_centre(
        queries.centre(code), **payload.model_dump(), actor=viewer, at=clock.now()
    )
    return schemas.centre_out(found)


@router.post("/centres/{slug:code}/energy", response={201: schemas.EnergyOut})
def report_energy(request: HttpRequest, code: str, payload: schemas.EnergyIn) -> Any:
    """Enter the metered energy of a finished period, in watt-hours."""
    viewer = viewer_of(request)
    require(viewer, "energy.report")
    reading = services.report_energy(
        queries.centre(code), **payload.model_dump(), actor=viewer, at=clock.now()
    )
    energy = queries.Energy(reading.it_wh, reading.facility_wh, reading.green_wh)
    return Status(201, schemas.energy_out(energy))


@router.get("/centres/{slug:code}/clusters", response=list[schemas.ClusterOut])
def clusters(request: HttpRequest, code: str) -> Any:
    """The clusters of a centre."""
    return [schemas.cluster_out(each) for each in queries.clusters(queries.centre(code))]


@router.post("/centres/{slug:code}/clusters", response={201: schemas.ClusterOut})
def register_cluster(request: HttpRequest, code: str, payload: schemas.ClusterIn) -> Any:
    """Add a set of nodes behind one engine."""
    viewer = viewer_of(request)
    require(viewer, "centres.manage")
    cluster = services.register_cluster(
        queries.centre(code), **payload.model_dump(), actor=viewer, at=clock.now()
    )
    return Status(201, schemas.cluster_out(cluster))


@router.post("/clusters/{uuid:cluster_id}/opening", response=schemas.ClusterOut)
def open_cluster(request: HttpRequest, cluster_id: UUID, payload: schemas.OpenIn) -> Any:
    """Let a cluster take new work, or stop it from taking any."""
    viewer = viewer_of(request)
    require(viewer, "centres.manage")
    cluster = services.open_cluster(
        queries.cluster(cluster_id), accept=payload.accept, actor=viewer, at=clock.now()
    )
    return schemas.cluster_out(cluster)


@router.get("/clusters/{uuid:cluster_id}/nodes", response=Page[schemas.NodeOut])
def nodes(request: HttpRequest, cluster_id: UUID, paging: Query[Paging]) -> Any:
    """The nodes of a cluster, those that are down included."""
    rows = page(
        queries.nodes(queries.cluster(cluster_id)),
        cursor=paging.cursor,
        limit=paging.limit,
        order=("name", "pk"),
    )
    rows.items = [schemas.node_out(node) for node in rows.items]
    return rows


@router.put("/clusters/{uuid:cluster_id}/nodes", response=list[schemas.NodeOut])
def declare_nodes(request: HttpRequest, cluster_id: UUID, payload: schemas.NodesIn) -> Any:
    """State the nodes of a cluster by hand; those not named are down."""
    viewer = viewer_of(request)
    require(viewer, "centres.manage")
    cluster = queries.cluster(cluster_id)
    reports = [
        NodeReport(
            node.name,
            node.cores,
            node.memory_mib,
            tuple((cards.model, cards.count) for cards in node.accelerators),
            node.rack,
        )
        for node in payload.nodes
    ]
    services.declare_nodes(cluster, reports, actor=viewer, at=clock.now())
    return [schemas.node_out(node) for node in queries.nodes(cluster).filter(up=True)]


@router.get("/agents", response=Page[schemas.AgentOut])
def agents(request: HttpRequest, paging: Query[Paging]) -> Any:
    """The agents the caller may see."""
    viewer = viewer_of(request)
    require(viewer, "centres.read")
    rows = page(queries.agents(viewer), cursor=paging.cursor, limit=paging.limit)
    rows.items = [schemas.agent_out(agent) for agent in rows.items]
    return rows


@router.post("/clusters/{uuid:cluster_id}/agents", response={201: schemas.EnrolmentOut})
def create_enrolment(request: HttpRequest, cluster_id: UUID) -> Any:
    """Make a token with which one agent may enrol once within 24 hours."""
    viewer = viewer_of(request)
    require(viewer, "agents.enrol")
    agent, token = services.create_enrolment(
        queries.cluster(cluster_id), actor=viewer, at=clock.now()
    )
    return Status(
        201,
        {
            "agent": schemas.agent_out(agent),
            "token": token,
            "expires_at": agent.token_expires_at,
        },
    )


@router.post("/agents/{uuid:agent_id}/drain", response=schemas.AgentOut)
def drain_agent(request: HttpRequest, agent_id: UUID, payload: schemas.DrainIn) -> Any:
    """Let an agent take no new work, or take it again; what runs ends in its own time."""
    viewer = viewer_of(request)
    require(viewer, "agents.enrol")
    agent = services.order_drain(
        queries.agent(agent_id, viewer), drain=payload.drain, actor=viewer, at=clock.now()
    )
    return schemas.agent_out(agent)


@router.post("/agents/{uuid:agent_id}/revocation", response=schemas.AgentOut)
def revoke_agent(request: HttpRequest, agent_id: UUID) -> Any:
    """Believe nothing from this agent any more."""
    viewer = viewer_of(request)
    require(viewer, "agents.enrol")
    agent = services.revoke_agent(queries.agent(agent_id, viewer), actor=viewer, at=clock.now())
    return schemas.agent_out(agent)
