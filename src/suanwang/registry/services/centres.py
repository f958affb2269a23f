"""A provider registers what it has: centres, clusters, nodes, energy."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from suanwang.core.errors import NotAllowed, Refused
from suanwang.people.models import Organisation
from suanwang.people.roles import OrganisationKind, Role
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require
from suanwang.registry.inventory import NODES_MAX, NodeReport, check_inventory
from suanwang.registry.models import (
    AcceleratorModel,
    Cluster,
    DataCentre,
    Division,
    EnergyReading,
    Node,
    SiteAgent,
)
from suanwang.registry.queries import unknown_models
from suanwang.registry.services.nodes import put

_CODE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_WATT_HOURS_MAX = 2**62


def own(centre: DataCentre, actor: Viewer, permission: str) -> None:
    """Let only the centre's own provider, or the city's operator, change what it says.

    Refuses ``permission_missing``, ``sign_in_needed``, ``centre_of_another``.
    """
    require(actor, permission)
    if actor.role is not Role.OPERATOR and actor.organisation_id != centre.provider_id:
        raise NotAllowed("centre_of_another", centre=centre.code)


@transaction.atomic
def register_centre(
    provider: Organisation,
    *,
    code: str,
    name: str,
    name_en: str = "",
    tier: str,
    kind: str,
    division: str,
    racks: int,
    racks_used: int = 0,
    actor: Viewer,
    at: datetime,
) -> DataCentre:
    """Put a provider's data centre on the city's books. ``division`` is a county-level code.

    Refuses ``centre_of_another``, ``provider_not_active``, ``centre_code_unusable``,
    ``centre_code_taken``, ``centre_name_missing``, ``centre_tier_unknown``,
    ``centre_kind_unknown``, ``division_unknown``, ``racks_impossible``.
    """
    centre = DataCentre(
        provider=provider,
        code=code,
        name=name.strip(),
        name_en=name_en.strip(),
        tier=tier,
        kind=kind,
        racks=racks,
        racks_used=racks_used,
        created_at=at,
    )
    own(centre, actor, "centres.manage")
    if provider.kind != OrganisationKind.PROVIDER or provider.status != "active":
        raise Refused("provider_not_active", name=provider.name)
    if not _CODE.fullmatch(code):
        raise Refused("centre_code_unusable", code=code[:60])
    if not centre.name or len(centre.name) > 100 or len(centre.name_en) > 100:
        raise Refused("centre_name_missing")
    if tier not in DataCentre.Tier.values:
        raise Refused("centre_tier_unknown", tier=tier[:20])
    if kind not in DataCentre.Kind.values:
        raise Refused("centre_kind_unknown", kind=kind[:20])
    if not 0 <= racks_used <= racks <= 10**6:
        raise Refused("racks_impossible", racks=racks, used=racks_used)
    found = Division.objects.filter(code=division).first()
    if found is None:
        raise Refused("division_unknown", division=division[:20])
    centre.division = found
    if DataCentre.objects.filter(code=code).exists():
        raise Refused("centre_code_taken", code=code)
    try:
        with transaction.atomic():
            centre.save(force_insert=True)
    except IntegrityError as error:
        raise Refused("centre_code_taken", code=code) from error
    record(actor, "centres.manage", subject=centre, concerns=provider, at=at, code=code)
    return centre


@transaction.atomic
def verify_centre(
    centre: DataCentre,
    *,
    is_local_platform: bool,
    is_public_platform: bool,
    actor: Viewer,
    at: datetime,
) -> DataCentre:
    """The operator confirms a centre's facts and says which kinds of platform it counts as."""
    require(actor, "centres.verify")
    if centre.status == DataCentre.Status.CLOSED:
        raise Refused("centre_closed", centre=centre.code)
    centre.status = DataCentre.Status.VERIFIED
    centre.is_local_platform = is_local_platform
    centre.is_public_platform = is_public_platform
    centre.save(update_fields=["status", "is_local_platform", "is_public_platform"])
    record(
        actor,
        "centres.verify",
        subject=centre,
        concerns=centre.provider,
        at=at,
        local_platform=is_local_platform,
        public_platform=is_public_platform,
    )
    return centre


@transaction.atomic
def close_centre(centre: DataCentre, *, actor: Viewer, at: datetime) -> DataCentre:
    """Take a centre out of service: no new work; what runs there ends in its own time."""
    own(centre, actor, "centres.manage")
    centre.status = DataCentre.Status.CLOSED
    centre.save(update_fields=["status"])
    centre.clusters.update(open=False)
    record(actor, "centres.manage", subject=centre, concerns=centre.provider, at=at, closed=True)
    return centre


@transaction.atomic
def register_cluster(
    centre: DataCentre, *, name: str, engine: str, actor: Viewer, at: datetime
) -> Cluster:
    """Add a set of nodes behind one engine.

    Refuses ``centre_of_another``, ``centre_closed``, ``cluster_name_unusable``,
    ``cluster_name_taken``, ``engine_unknown``.
    """
    own(centre, actor, "centres.manage")
    if centre.status == DataCentre.Status.CLOSED:
        raise Refused("centre_closed", centre=centre.code)
    if not 0 < len(name) <= 60 or not name.isprintable() or name != name.strip():
        raise Refused("cluster_name_unusable", name=name[:60])
    if engine not in Cluster.Engine.values:
        raise Refused("engine_unknown", engine=engine[:20])
    cluster, created = Cluster.objects.get_or_create(
        centre=centre, name=name, defaults={"engine": engine}
    )
    if not created:
        raise Refused("cluster_name_taken", name=name)
    record(actor, "centres.manage", subject=cluster, concerns=centre.provider, at=at, name=name)
    return cluster


@transaction.atomic
def open_cluster(cluster: Cluster, *, accept: bool, actor: Viewer, at: datetime) -> Cluster:
    """Let a cluster take new work, or stop it from taking any."""
    own(cluster.centre, actor, "centres.manage")
    if accept and cluster.centre.status == DataCentre.Status.CLOSED:
        raise Refused("centre_closed", centre=cluster.centre.code)
    cluster.open = accept
    cluster.save(update_fields=["open"])
    provider = cluster.centre.provider
    record(actor, "centres.manage", subject=cluster, concerns=provider, at=at, open=accept)
    return cluster


@transaction.atomic
def declare_nodes(
    cluster: Cluster, nodes: Sequence[NodeReport], *, actor: Viewer, at: datetime
) -> int:
    """A provider states its nodes by hand, as its agent would. Returns how many are up.

    Refuses ``accelerator_unknown`` (who writes by hand can put it right at once) and what
    ``check_inventory`` refuses.
    """
    own(cluster.centre, actor, "centres.manage")
    replace_inventory(cluster, nodes, at=at)
    if unknown := unknown_models(cluster):
        raise Refused("accelerator_unknown", model=unknown[0])
    provider = cluster.centre.provider
    record(actor, "centres.manage", subject=cluster, concerns=provider, at=at, nodes=len(nodes))
    return len(nodes)


def replace_inventory(
    cluster: Cluster,
    nodes: Sequence[NodeReport],
    *,
    after: str | None = None,
    gone: Collection[str] = (),
    revision: str = "",
    at: datetime,
) -> bool:
    """Make the books say what was reported. A node no longer named is down, never deleted:
    attempts that ran on it still point at it. Runs inside the caller's transaction.

    With ``after`` the nodes are only those that changed since that revision, and ``gone`` the
    names that are no more; False, and nothing is written, if the books are at another revision.
    Cards of a model that the catalogue does not have are left out and noted at their node: one
    new card must not keep a whole centre from being used.
    """
    at_hand = Cluster.objects.filter(pk=cluster.pk)
    if after is not None:
        at_hand = at_hand.filter(revision=after)
    if not at_hand.update(revision=revision):  # its row stays locked: reports come one by one
        return False
    has_cards = any(node.cards[0] is not None for node in nodes)
    known = set(AcceleratorModel.objects.values_list("code", flat=True)) if has_cards else set()
    check_inventory(nodes)
    rows = []
    for node in nodes:
        model, cards = node.cards
        others = node.others or (None, None, None)
        unknown = ""
        if model is not None and model not in known:
            unknown, model, cards = model, None, 0
            others = (*others[:2], None if others[2] is None else 0)
        rows.append(
            {
                "name": node.name,
                "rack": node.rack,
                "cores": node.cores,
                "memory_mib": node.memory_mib,
                "accelerator_model_id": model,
                "accelerators": cards,
                "others_cores": others[0],
                "others_memory_mib": others[1],
                "others_accelerators": others[2],
                "unknown_model": unknown,
                "up": True,
                "reported_at": at,
            }
        )
    more = put(cluster.pk, rows)
    were_up = Node.objects.filter(cluster=cluster, up=True)
    if after is None:
        were_up.exclude(name__in=[node.name for node in nodes]).update(up=False, reported_at=at)
        return True
    if gone:
        were_up.filter(name__in=gone).update(up=False, reported_at=at)
    if more and (up := were_up.count()) > NODES_MAX:  # changes must not add up to too much
        raise Refused("inventory_too_large", nodes=up, limit=NODES_MAX)
    return True


@transaction.atomic
def report_energy(
    centre: DataCentre,
    *,
    start: datetime,
    end: datetime,
    it_wh: int,
    facility_wh: int,
    green_wh: int = 0,
    actor: Viewer,
    at: datetime,
) -> EnergyReading:
    """Enter the metered energy of a finished period, in watt-hours.

    Refuses ``centre_of_another``, ``energy_period_wrong``, ``energy_impossible``,
    ``energy_overlaps``.
    """
    own(centre, actor, "energy.report")
    reading = _enter(centre, start, end, it_wh, facility_wh, green_wh, at=at)
    record(
        actor,
        "energy.report",
        subject=centre,
        concerns=centre.provider,
        at=at,
        it_wh=it_wh,
        facility_wh=facility_wh,
        green_wh=green_wh,
    )
    return reading


@transaction.atomic
def take_energy(
    agent: SiteAgent,
    *,
    start: datetime,
    end: datetime,
    it_wh: int,
    facility_wh: int,
    green_wh: int,
    at: datetime,
) -> EnergyReading:
    """Enter a reading that a centre's agent hands in. Idempotent: the same again is the same.

    Refuses what ``report_energy`` refuses.
    """
    centre = agent.cluster.centre
    amounts = {"it_wh": it_wh, "facility_wh": facility_wh, "green_wh": green_wh}
    same = (
        EnergyReading.objects.filter(
            centre=centre, period=DateTimeTZRange(start, end), **amounts
        ).first()
        if start < end
        else None
    )
    return same or _enter(centre, start, end, it_wh, facility_wh, green_wh, at=at)


def _enter(
    centre: DataCentre,
    start: datetime,
    end: datetime,
    it_wh: int,
    facility_wh: int,
    green_wh: int,
    *,
    at: datetime,
) -> EnergyReading:
    if not start < end <= at:
        raise Refused("energy_period_wrong", start=start.isoformat(), end=end.isoformat())
    if not (0 < it_wh <= facility_wh < _WATT_HOURS_MAX and 0 <= green_wh <= facility_wh):
        raise Refused("energy_impossible", it_wh=it_wh, facility_wh=facility_wh, green_wh=green_wh)
    reading = EnergyReading(
        centre=centre,
        period=DateTimeTZRange(start, end),
        it_wh=it_wh,
        facility_wh=facility_wh,
        green_wh=green_wh,
    )
    DataCentre.objects.select_for_update(no_key=True).get(pk=centre.pk)
    if EnergyReading.objects.filter(centre=centre, period__overlap=reading.period).exists():
        raise Refused("energy_overlaps", start=start.isoformat(), end=end.isoformat())
    reading.save(force_insert=True)
    return reading
