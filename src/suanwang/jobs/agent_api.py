"""What agents ask and say. Every request but the first is signed; nothing here trusts a session.

This module belongs to the API's floor: usage goes on to metering from here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from suanwang.api.http import In
from suanwang.core.errors import NotFound, SuanwangError
from suanwang.jobs import bells, services
from suanwang.jobs.agent_requests import body_of, signed_agent
from suanwang.jobs.answers import platform_key
from suanwang.jobs.models import JobFile
from suanwang.metering import services as metering
from suanwang.registry import services as registry
from suanwang.registry.inventory import NodeReport
from suanwang.registry.models import SiteAgent
from suanwang.registry.schemas import ReportedNodeIn
from suanwang.site import clock

agent_router = Router(tags=["agent"])

POLL_SECONDS_MAX = 10
"""An agent that asks for longer is answered after so long: a thread of the server waits with it."""


class EnrolIn(In):
    token: str = Field(min_length=1, max_length=200)
    public_key: str = Field(min_length=1, max_length=100)
    version: str = Field("", max_length=40)


class EnrolOut(Schema):
    agent_id: UUID
    cluster_id: UUID
    platform_key: str
    """Ed25519, base64: the key all answers to agents are signed with."""


class SelfOut(Schema):
    agent_id: UUID
    centre: str
    cluster: str
    engine: str
    drain: bool
    server_time: datetime


class ReportIn(In):
    nodes: list[ReportedNodeIn] = Field(max_length=20_000)
    """All of them; with ``after`` those that changed since that revision."""
    gone: list[Annotated[str, Field(max_length=80)]] = Field(
        default_factory=list, max_length=20_000
    )
    after: str = Field("", max_length=64)
    revision: str = Field("", max_length=64)
    """What the nodes are called from this report on; equal to ``after``: nothing changed."""
    abilities: list[Annotated[str, Field(max_length=20)]] = Field(
        default_factory=list, max_length=20
    )
    engine: str = Field(max_length=20)
    version: str = Field("", max_length=40)
    isolation: str = Field("", max_length=60)
    gangs: bool = False
    """Whether the engine starts jobs of several nodes."""
    measure_address: str = Field("", max_length=120)
    """Where other centres' agents may measure the way to it, as host:port; empty: nowhere."""
    summary: bool = False
    """Whether the nodes are sums over a cluster that does not tell more, and no machines."""


class ReportOut(Schema):
    server_time: datetime
    revision: str
    """Of the nodes as they are in the books now."""
    full_wanted: bool
    """The books are at another revision: tell everything."""
    unknown_models: list[str] | None
    """Models of its cards that the catalogue does not have: they are not offered. Nothing: as it
    was told at its last report.
    """


class ReadingIn(In):
    start: datetime
    end: datetime
    it_wh: int = Field(ge=0, le=2**62)
    facility_wh: int = Field(ge=0, le=2**62)
    green_wh: int = Field(0, ge=0, le=2**62)


class EnergyReadingsIn(In):
    readings: list[ReadingIn] = Field(max_length=100)


class BacklogIn(In):
    states: int = Field(0, ge=0, le=2**31 - 1)
    usage: int = Field(0, ge=0, le=2**31 - 1)


class PollIn(In):
    free: dict[str, int] = Field(default_factory=dict)
    running: list[UUID] = Field(default_factory=list, max_length=20_000)
    wait_seconds: int = Field(0, ge=0, le=25)
    closed: Literal["", "site_draining", "site_policy_broken"] = ""
    """Why no new work is taken; empty: it is."""
    site_policy: str = Field("", max_length=64)
    """The version of the site's policy file."""
    backlog: BacklogIn = BacklogIn(states=0, usage=0)


class LeaseOut(Schema):
    attempt_id: UUID
    job_id: UUID
    spec: dict[str, Any]
    node: str
    """The first of its nodes."""
    nodes: list[str]
    cards: list[list[int]]
    """Which cards on each node; empty without cards."""
    expires_at: datetime
    organisation: str
    organisation_name: str


class GiveWayOut(Schema):
    attempt_id: UUID
    grace_seconds: int
    """So long it may still save its work; then it is stopped, and its job queues again."""


class MeasureOut(Schema):
    """A part in a measurement of the way to another centre's agent."""

    id: UUID
    role: str
    secret: str
    address: str
    seconds: int


class LinkFoundIn(In):
    """What a measurement came to, or why it came to nothing."""

    id: UUID
    failed: str = Field("", max_length=40)
    latency_us: int = Field(0, ge=0, le=2**31 - 1)
    latency_p95_us: int = Field(0, ge=0, le=2**31 - 1)
    there_mbps: int = Field(0, ge=0, le=2**31 - 1)
    back_mbps: int = Field(0, ge=0, le=2**31 - 1)


class LinkFoundOut(Schema):
    state: str


class PollOut(Schema):
    leases: list[LeaseOut]
    cancel: list[UUID]
    give_way: list[GiveWayOut]
    measure: list[MeasureOut]
    drain: bool
    """Whether no new work is to be taken until further notice."""
    server_time: datetime


class RefusalIn(In):
    """What the site's own policy had against a job."""

    code: str = Field(max_length=40)
    facts: dict[
        Annotated[str, Field(max_length=40)], int | Annotated[str, Field(max_length=200)]
    ] = Field(default_factory=dict, max_length=8)
    until: datetime | None = None
    policy: str = Field("", max_length=64)


class QueueIn(In):
    """What a job waits for in the centre's own queue."""

    reason: str = Field(min_length=1, max_length=200)
    """In its engine's own words."""
    expected_start_at: datetime | None = None


class EventIn(In):
    attempt_id: UUID
    sequence: int = Field(ge=1, le=2**31 - 1)
    state: str = Field(max_length=20)
    at: datetime
    exit_code: int | None = Field(None, ge=-(2**31), le=2**31 - 1)
    reason: str = Field("", max_length=2000)
    refusal: RefusalIn | None = None
    queue: QueueIn | None = None


class StatesIn(In):
    events: list[EventIn] = Field(max_length=1000)


class TakenOut(Schema):
    accepted: list[Any]
    refused: list[dict[str, Any]]


class UsageIn(In):
    records: list[dict[str, Any]] = Field(max_length=1000)


class OffsetOut(Schema):
    next_offset: int


def _agent(request: HttpRequest) -> SiteAgent:
    agent: SiteAgent = request.auth  # type: ignore[attr-defined]
    return agent


@agent_router.post("/enrol", response=EnrolOut)
def enrol(request: HttpRequest, payload: EnrolIn) -> Any:
    """Turn a one-time token into a known agent."""
    agent = registry.enrol(payload.token, payload.public_key, payload.version, at=clock.now())
    return {
        "agent_id": agent.pk,
        "cluster_id": agent.cluster_id,
        "platform_key": platform_key(),
    }


@agent_router.get("/self", response=SelfOut, auth=signed_agent)
def known(request: HttpRequest) -> Any:
    """Who the platform says the agent is: for ``suanwang agent check``."""
    agent = _agent(request)
    return {
        "agent_id": agent.pk,
        "centre": agent.cluster.centre.code,
        "cluster": agent.cluster.name,
        "engine": agent.cluster.engine,
        "drain": agent.drain_ordered,
        "server_time": clock.now(),
    }


@agent_router.post("/report", response=ReportOut, auth=signed_agent)
def report(request: HttpRequest, payload: ReportIn) -> Any:
    """What the cluster's nodes are, or what has changed of them since a revision."""
    nodes = [
        NodeReport(
            node.name,
            node.cores,
            node.memory_mib,
            tuple((each.model, each.count) for each in node.accelerators),
            node.rack,
            _others(node),
        )
        for node in payload.nodes
    ]
    at = clock.now()
    reported = registry.report_nodes(
        _agent(request),
        nodes,
        engine=payload.engine,
        version=payload.version,
        isolation=payload.isolation,
        gangs=payload.gangs,
        summary=payload.summary,
        abilities=payload.abilities,
        measure_address=payload.measure_address,
        gone=payload.gone,
        after=payload.after,
        revision=payload.revision,
        at=at,
    )
    if reported.changed:
        bells.ring(bells.QUEUE)
    return {
        "server_time": at,
        "revision": reported.revision,
        "full_wanted": reported.full_wanted,
        "unknown_models": reported.unknown_models,
    }


def _others(node: ReportedNodeIn) -> tuple[int, int, int] | None:
    """What others use of it: never more than there is, whatever an engine counts."""
    if node.others is None:
        return None
    cards = sum(each.count for each in node.others.accelerators)
    return (
        min(node.others.cores, node.cores),
        min(node.others.memory_mib, node.memory_mib),
        min(cards, sum(each.count for each in node.accelerators)),
    )


@agent_router.post("/energy", response=TakenOut, auth=signed_agent)
def energy(request: HttpRequest, payload: EnergyReadingsIn) -> Any:
    """Metered energy of finished periods. Idempotent by period and amounts."""
    agent, at = _agent(request), clock.now()
    accepted: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    for reading in payload.readings:
        try:
            registry.take_energy(agent, **reading.model_dump(), at=at)
        except SuanwangError as error:
            refused.append({"start": reading.start} | _why(error))
        else:
            accepted.append({"start": reading.start})
    return {"accepted": accepted, "refused": refused}


@agent_router.post("/poll", response=PollOut, auth=signed_agent)
def poll(request: HttpRequest, payload: PollIn) -> Any:
    """What to start and what to stop; waits a little while there is nothing."""
    agent, running = _agent(request), set(payload.running)
    door = registry.Door(
        payload.closed, payload.site_policy, payload.backlog.states, payload.backlog.usage
    )
    if registry.told(agent, door):
        bells.ring(bells.QUEUE)

    def look() -> services.Orders | None:
        orders = services.lease(agent, running, at=clock.now())
        return orders if orders else None

    seconds = min(payload.wait_seconds, POLL_SECONDS_MAX)
    orders = bells.wait_for(look, bells.CLUSTER, agent.cluster_id, seconds=seconds)
    found = orders or services.Orders()
    return {
        "leases": found.leases,
        "cancel": found.cancel,
        "give_way": found.give_way,
        "measure": registry.parts_of(agent, at=clock.now()),
        "drain": agent.drain_ordered,
        "server_time": clock.now(),
    }


@agent_router.post("/links", response=LinkFoundOut, auth=signed_agent)
def link_found(request: HttpRequest, payload: LinkFoundIn) -> Any:
    """What a measurement came to. Idempotent by measurement."""
    found = payload.model_dump(exclude={"id", "failed"})
    said = payload.failed or registry.Figures(**found)
    return registry.take_measurement(_agent(request), payload.id, said, at=clock.now())


@agent_router.post("/states", response=TakenOut, auth=signed_agent)
def states(request: HttpRequest, payload: StatesIn) -> Any:
    """What became of attempts. Idempotent by attempt and sequence."""
    events = [_event(event) for event in payload.events]
    accepted, refused = services.take_states(_agent(request), events, at=clock.now())
    return {
        "accepted": [_name(event) for event in accepted],
        "refused": [_name(event) | _why(error) for event, error in refused],
    }


def _event(event: EventIn) -> services.StateReport:
    said = event.model_dump(exclude={"refusal", "queue"})
    why, queue = event.refusal, event.queue
    return services.StateReport(
        **said,
        refusal=None if why is None else services.SiteRefusal(**why.model_dump()),
        queue=None if queue is None else services.CentreQueue(**queue.model_dump()),
    )


def _name(event: services.StateReport) -> dict[str, Any]:
    return {"attempt_id": event.attempt_id, "sequence": event.sequence}


def _why(error: SuanwangError) -> dict[str, Any]:
    return {"code": error.code, "facts": error.facts}


@agent_router.post("/logs/{uuid:attempt_id}/{stream}", response=OffsetOut, auth=signed_agent)
def logs(
    request: HttpRequest, attempt_id: UUID, stream: Literal["stdout", "stderr"], offset: int
) -> Any:
    """A piece of a job's output from an offset on. Idempotent by offset."""
    following = services.take_log(
        _agent(request), attempt_id, stream, offset, body_of(request), at=clock.now()
    )
    return {"next_offset": following}


@agent_router.get("/files/{uuid:attempt_id}/{path:name}", auth=signed_agent)
def file_in(request: HttpRequest, attempt_id: UUID, name: str) -> HttpResponse:
    """A file that goes into the job."""
    attempt = services.attempt_of(_agent(request), attempt_id)
    file = JobFile.objects.filter(
        job=attempt.job_id, direction=JobFile.Direction.IN, name=name
    ).first()
    if file is None:
        raise NotFound("file_not_found", name=name[:80])
    return HttpResponse(bytes(file.content), content_type="application/octet-stream")


@agent_router.put("/files/{uuid:attempt_id}/{path:name}", response=OffsetOut, auth=signed_agent)
def file_out(request: HttpRequest, attempt_id: UUID, name: str) -> Any:
    """A file the job left. The same name again replaces it."""
    file = services.put_file(_agent(request), attempt_id, name, body_of(request), at=clock.now())
    return {"next_offset": file.size}


@agent_router.post("/usage", response=TakenOut, auth=signed_agent)
def usage(request: HttpRequest, payload: UsageIn) -> Any:
    """What was used, signed and linked. Idempotent by record."""
    accepted, refused = metering.take_usage(_agent(request), payload.records, at=clock.now())
    return {"accepted": accepted, "refused": refused}
