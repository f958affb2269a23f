"""How the registry looks from outside. Ratios are exact fractions beside a rounded decimal."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from suanwang.api.http import In
from suanwang.registry.models import Cluster, DataCentre, Node, Price, SiteAgent
from suanwang.registry.queries import CentreFacts, Energy


class CentreIn(In):
    code: str = Field(max_length=40)
    name: str = Field(min_length=1, max_length=100)
    name_en: str = Field("", max_length=100)
    tier: DataCentre.Tier
    kind: DataCentre.Kind
    division: str = Field(max_length=6)
    racks: int = Field(ge=0, le=10**6)
    racks_used: int = Field(0, ge=0, le=10**6)


class SurroundingsIn(In):
    """Hours of the city's day with green power, and names of data kept there."""

    green_hours: list[int] = Field(max_length=24)
    datasets: list[str] = Field(max_length=1000)


class VerifyIn(In):
    is_local_platform: bool
    is_public_platform: bool


class ClusterIn(In):
    name: str = Field(min_length=1, max_length=60)
    engine: Cluster.Engine


class OpenIn(In):
    accept: bool


class CardsIn(In):
    model: str = Field(min_length=1, max_length=80)
    count: int = Field(ge=0, le=1024)


class NodeIn(In):
    name: str = Field(min_length=1, max_length=80)
    cores: int = Field(ge=1, le=65_536)
    memory_mib: int = Field(ge=1, le=2**30)
    accelerators: list[CardsIn] = Field(default_factory=list, max_length=16)
    rack: str = Field("", max_length=40)


class NodeUseIn(In):
    cores: int = Field(ge=0, le=65_536)
    memory_mib: int = Field(ge=0, le=2**30)
    accelerators: list[CardsIn] = Field(default_factory=list, max_length=16)


class ReportedNodeIn(NodeIn):
    others: NodeUseIn | None = None
    """What work that is not the platform's holds now; nothing: the engine does not tell."""


class NodesIn(In):
    nodes: list[NodeIn] = Field(max_length=20_000)


class EnergyIn(In):
    start: datetime
    end: datetime
    it_wh: int
    facility_wh: int
    green_wh: int = 0


class PriceIn(In):
    meter: Price.Meter
    accelerator_model: str | None = Field(None, max_length=40)
    price_fen: int
    per_quantity: int
    starts: datetime
    ends: datetime | None = None


class PriceOut(Schema):
    """``price_fen`` per ``per_quantity`` base units, from ``starts`` until before ``ends``."""

    id: UUID
    centre: str
    meter: Price.Meter
    accelerator_model: str | None
    price_fen: int
    per_quantity: int
    starts: datetime
    ends: datetime | None


class RatioOut(Schema):
    """An exact ratio, and the same rounded to four places for reading."""

    numerator: int
    denominator: int
    decimal: str


class EnergyOut(Schema):
    it_wh: int
    facility_wh: int
    green_wh: int
    pue: RatioOut
    green_share: RatioOut


class CapacityOut(Schema):
    """Dense capacity by the best evidence; cards without such evidence are counted apart."""

    precision: str
    gflops: int
    cards_counted: int
    cards_without_evidence: int


class CentreOut(Schema):
    id: UUID
    code: str
    name: str
    name_en: str
    provider: str
    tier: DataCentre.Tier
    kind: DataCentre.Kind
    division: str
    racks: int
    racks_used: int
    is_local_platform: bool
    is_public_platform: bool
    status: DataCentre.Status
    created_at: datetime
    green_hours: list[int]
    datasets: list[str]


class CentreDetailOut(CentreOut):
    online: bool
    nodes: int
    cores: int
    memory_mib: int
    accelerators: dict[str, int]
    capacity: list[CapacityOut]
    energy: EnergyOut | None
    prices: list[PriceOut]


class ClusterOut(Schema):
    id: UUID
    centre: str
    name: str
    engine: Cluster.Engine
    open: bool


class NodeUseOut(Schema):
    cores: int
    memory_mib: int
    accelerators: int


class NodeOut(Schema):
    name: str
    rack: str
    cores: int
    memory_mib: int
    accelerator_model: str | None
    accelerators: int
    unknown_model: str
    """A model it was reported with that the catalogue does not have: its cards are not offered."""
    others: NodeUseOut | None
    """What work held by the last report that is not the platform's; none: its engine does not
    tell."""
    up: bool
    reported_at: datetime


class FigureOut(Schema):
    precision: str
    sparsity: str
    basis: str
    gflops: int
    evidence: str
    source: str


class AcceleratorOut(Schema):
    code: str
    vendor: str
    name: str
    memory_mib: int
    domestic: bool
    figures: list[FigureOut]


class DivisionOut(Schema):
    code: str
    name: str
    name_en: str
    kind: str
    in_scope: bool


class DrainIn(In):
    drain: bool


class AgentOut(Schema):
    id: UUID
    cluster_id: UUID
    version: str
    isolation: str
    abilities: list[str]
    closed: str
    """Why it takes no new work, as a code; empty: it does."""
    drain_ordered: bool
    last_report_at: datetime | None
    states_owed: int
    usage_owed: int
    enrolled_at: datetime | None
    last_seen_at: datetime | None
    revoked_at: datetime | None


class EnrolmentOut(Schema):
    """The token is shown here once; only its hash is kept."""

    agent: AgentOut
    token: str
    expires_at: datetime


def ratio_out(ratio: Fraction) -> dict[str, Any]:
    rounded = Decimal(ratio.numerator) / Decimal(ratio.denominator)
    return {
        "numerator": ratio.numerator,
        "denominator": ratio.denominator,
        "decimal": str(rounded.quantize(Decimal("0.0001"))),
    }


def price_out(price: Price) -> dict[str, Any]:
    return {
        "id": price.pk,
        "centre": price.centre.code,
        "meter": price.meter,
        "accelerator_model": price.accelerator_model_id,
        "price_fen": price.price_fen,
        "per_quantity": price.per_quantity,
        "starts": price.validity.lower,
        "ends": price.validity.upper,
    }


def energy_out(energy: Energy) -> dict[str, Any]:
    return {
        "it_wh": energy.it_wh,
        "facility_wh": energy.facility_wh,
        "green_wh": energy.green_wh,
        "pue": ratio_out(energy.pue),
        "green_share": ratio_out(energy.green_share),
    }


def centre_out(centre: DataCentre) -> dict[str, Any]:
    return {
        "id": centre.pk,
        "code": centre.code,
        "name": centre.name,
        "name_en": centre.name_en,
        "provider": centre.provider.name,
        "tier": centre.tier,
        "kind": centre.kind,
        "division": centre.division_id,
        "racks": centre.racks,
        "racks_used": centre.racks_used,
        "is_local_platform": centre.is_local_platform,
        "is_public_platform": centre.is_public_platform,
        "status": centre.status,
        "created_at": centre.created_at,
        "green_hours": centre.green_hours,
        "datasets": centre.datasets,
    }


def centre_detail(facts: CentreFacts) -> dict[str, Any]:
    return centre_out(facts.centre) | {
        "online": facts.online,
        "nodes": facts.holding.nodes,
        "cores": facts.holding.cores,
        "memory_mib": facts.holding.memory_mib,
        "accelerators": dict(facts.holding.cards),
        "capacity": facts.capacities,
        "energy": energy_out(facts.energy) if facts.energy else None,
        "prices": [price_out(price) for price in facts.prices],
    }


def cluster_out(cluster: Cluster) -> dict[str, Any]:
    return {
        "id": cluster.pk,
        "centre": cluster.centre.code,
        "name": cluster.name,
        "engine": cluster.engine,
        "open": cluster.open,
    }


def node_out(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "rack": node.rack,
        "cores": node.cores,
        "memory_mib": node.memory_mib,
        "accelerator_model": node.accelerator_model_id,
        "accelerators": node.accelerators,
        "unknown_model": node.unknown_model,
        "others": None
        if node.others_cores is None
        else {
            "cores": node.others_cores,
            "memory_mib": node.others_memory_mib,
            "accelerators": node.others_accelerators,
        },
        "up": node.up,
        "reported_at": node.reported_at,
    }


def agent_out(agent: SiteAgent) -> dict[str, Any]:
    return {
        "id": agent.pk,
        "cluster_id": agent.cluster_id,
        "version": agent.version,
        "isolation": agent.isolation,
        "abilities": agent.abilities,
        "closed": agent.closed,
        "drain_ordered": agent.drain_ordered,
        "last_report_at": agent.last_report_at,
        "states_owed": agent.states_owed,
        "usage_owed": agent.usage_owed,
        "enrolled_at": agent.enrolled_at,
        "last_seen_at": agent.last_seen_at,
        "revoked_at": agent.revoked_at,
    }
