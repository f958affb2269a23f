"""What jobs may wish of a place beside its machines: green hours, data kept there, links."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from django.db import transaction

from suanwang.core.errors import Refused
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require
from suanwang.registry.models import DataCentre, Division, Link
from suanwang.registry.services.centres import own

DATASETS_MAX: Final = 1000
DATASET_MAX: Final = 80
LATENCY_US_MAX: Final = 10**9
BANDWIDTH_MBPS_MAX: Final = 10**8


@transaction.atomic
def describe_centre(
    centre: DataCentre,
    *,
    green_hours: Collection[int],
    datasets: Collection[str],
    actor: Viewer,
    at: datetime,
) -> DataCentre:
    """Say in which hours of the city's day its power is green, and which data are kept there.

    Refuses ``permission_missing``, ``centre_of_another``, ``green_hour_wrong``,
    ``dataset_name_wrong``.
    """
    own(centre, actor, "centres.manage")
    if wrong := [hour for hour in green_hours if not 0 <= hour <= 23]:
        raise Refused("green_hour_wrong", hour=wrong[0])
    names = sorted({name.strip() for name in datasets})
    for name in names:
        if not name or len(name) > DATASET_MAX or not name.isprintable():
            raise Refused("dataset_name_wrong", name=name[:DATASET_MAX], limit=DATASET_MAX)
    if len(names) > DATASETS_MAX:
        raise Refused("dataset_name_wrong", name=names[DATASETS_MAX], limit=DATASET_MAX)
    row = DataCentre.objects.select_for_update(no_key=True).get(pk=centre.pk)
    row.green_hours, row.datasets = sorted(set(green_hours)), names
    row.save(update_fields=["green_hours", "datasets"])
    record(
        actor,
        "centres.manage",
        subject=centre,
        concerns=centre.provider,
        at=at,
        green_hours=row.green_hours,
        datasets=len(names),
    )
    return row


@transaction.atomic
def measure_link(
    one: str,
    other: str,
    *,
    latency_us: int,
    bandwidth_mbps: int = 0,
    actor: Viewer,
    at: datetime,
) -> Link:
    """Enter what was measured between two places, there and back; a newer one replaces it.

    Refuses ``permission_missing``, ``link_place_unknown``, ``link_to_itself``,
    ``link_measure_wrong``.
    """
    require(actor, "links.measure")
    if one == other:
        raise Refused("link_to_itself")
    for code in (one, other):
        known = DataCentre.objects.filter(code=code).exists()
        if not known and not Division.objects.filter(code=code).exists():
            raise Refused("link_place_unknown", place=code[:40])
    if not (0 < latency_us <= LATENCY_US_MAX and 0 <= bandwidth_mbps <= BANDWIDTH_MBPS_MAX):
        raise Refused("link_measure_wrong", most_ms=LATENCY_US_MAX // 1000)
    lesser, greater = sorted((one, other))
    row, _ = Link.objects.update_or_create(
        one=lesser,
        other=greater,
        defaults={
            "latency_us": latency_us,
            "bandwidth_mbps": bandwidth_mbps,
            "measured_at": at,
            "measured_by": str(actor.person),
            "by_agents": False,
        },
    )
    record(
        actor, "links.measure", subject=row, concerns=None, at=at,
        one=lesser, other=greater, latency_us=latency_us,
    )  # fmt: skip
    return row
