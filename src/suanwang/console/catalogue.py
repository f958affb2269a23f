"""What the city has on offer: centres with their capacity, energy and prices of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from django.db.models import Prefetch, QuerySet, Sum

from suanwang.registry.models import Cluster, DataCentre, EnergyReading, Node, Price, SiteAgent


@dataclass(frozen=True)
class Offer:
    """One centre as it is offered at a moment."""

    centre: DataCentre
    cores: int
    memory_mib: int
    cards: int
    models: tuple[str, ...]
    prices: tuple[Price, ...]
    pue: str | None
    green: str | None
    state: str
    """Of its agents: ``online``, ``silent``, or ``demo`` for a centre without machines."""

    @property
    def core_price(self) -> Price | None:
        return next((one for one in self.prices if one.meter == "core_seconds"), None)

    @property
    def card_prices(self) -> list[Price]:
        return [one for one in self.prices if one.meter == "card_seconds"]


def ratio(numerator: int, denominator: int, places: int = 2) -> str | None:
    """A quotient for reading, rounded half up; None without a denominator."""
    if denominator <= 0:
        return None
    scaled = int(Fraction(numerator, denominator) * 10**places + Fraction(1, 2))
    whole, rest = divmod(scaled, 10**places)
    return f"{whole}.{rest:0{places}d}" if places else str(whole)


def valid_prices(at: datetime) -> QuerySet[Price]:
    """The prices that hold at a moment."""
    prices = Price.objects.filter(validity__contains=at).select_related("accelerator_model")
    return prices.order_by("meter", "accelerator_model_id")


def offers(rows: QuerySet[DataCentre], at: datetime) -> list[Offer]:
    """The centres with what they have, cost and burn; four queries however many there are."""
    centres = list(
        rows.select_related("division", "provider").prefetch_related(
            Prefetch("prices", valid_prices(at), to_attr="prices_now"),
            Prefetch(
                "clusters", Cluster.objects.prefetch_related("agents"), to_attr="clusters_now"
            ),
        )
    )
    ids = [centre.pk for centre in centres]
    nodes = Node.objects.filter(cluster__centre_id__in=ids, up=True)
    capacity = {
        row["cluster__centre_id"]: row
        for row in nodes.values("cluster__centre_id")
        .annotate(cores=Sum("cores"), memory=Sum("memory_mib"), cards=Sum("accelerators"))
        .order_by()
    }
    models: dict[object, set[str]] = {}
    for centre_id, name in nodes.filter(accelerators__gt=0).values_list(
        "cluster__centre_id", "accelerator_model__name"
    ):
        models.setdefault(centre_id, set()).add(name or "")
    energy = {
        row["centre_id"]: row
        for row in EnergyReading.objects.filter(
            centre_id__in=ids, period__overlap=(at - timedelta(days=365), at)
        )
        .values("centre_id")
        .annotate(it=Sum("it_wh"), facility=Sum("facility_wh"), green=Sum("green_wh"))
        .order_by()
    }
    return [
        _offer(
            centre, capacity.get(centre.pk), models.get(centre.pk, set()), energy.get(centre.pk), at
        )
        for centre in centres
    ]


def _offer(
    centre: DataCentre,
    capacity: Mapping[str, Any] | None,
    models: set[str],
    energy: Mapping[str, Any] | None,
    at: datetime,
) -> Offer:
    clusters: list[Cluster] = centre.__dict__["clusters_now"]
    return Offer(
        centre=centre,
        cores=capacity["cores"] if capacity else 0,
        memory_mib=capacity["memory"] if capacity else 0,
        cards=capacity["cards"] if capacity else 0,
        models=tuple(sorted(models)),
        prices=tuple(centre.__dict__["prices_now"]),
        pue=ratio(energy["facility"], energy["it"]) if energy else None,
        green=ratio(100 * energy["green"], energy["facility"], 0) if energy else None,
        state=_state({agent_state(one, at) for c in clusters for one in c.agents.all()}, clusters),
    )


def _state(agents: set[str], clusters: Sequence[Cluster]) -> str:
    if known := [state for state in ("online", "draining", "shut") if state in agents]:
        return known[0]
    imagined = bool(clusters) and all(one.engine == Cluster.Engine.MEMORY for one in clusters)
    return "demo" if imagined else "silent"


def agent_state(agent: SiteAgent, at: datetime) -> str:
    """``online`` while it was heard from within five minutes and takes work; ``draining``, or
    ``shut`` by a policy it cannot read.
    """
    if agent.revoked_at is not None:
        return "revoked"
    if agent.enrolled_at is None:
        return "waiting"
    if agent.cluster.engine == Cluster.Engine.MEMORY:
        return "demo"
    if agent.last_seen_at is None or at - agent.last_seen_at > timedelta(minutes=5):
        return "silent"
    if agent.drain_ordered or agent.closed:
        return "shut" if agent.closed == "site_policy_broken" else "draining"
    return "online"
