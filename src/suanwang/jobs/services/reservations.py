"""Keeping nodes for some organisations over a period, or for nobody: maintenance."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from suanwang.core.errors import Refused
from suanwang.jobs import bells
from suanwang.jobs.models import NodeReservation
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer
from suanwang.people.services import record
from suanwang.registry.models import Cluster, Node
from suanwang.registry.services.centres import own

LONGEST: Final = timedelta(days=366)
REASON_MAX: Final = 200


@transaction.atomic
def reserve_nodes(
    cluster: Cluster,
    *,
    nodes: Collection[str] = (),
    organisations: Collection[UUID] = (),
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    actor: Viewer,
    at: datetime,
) -> NodeReservation:
    """Keep nodes (none named: all of the cluster) for organisations (none: for nobody).

    Jobs that run there go on; new ones of others start only if they end before.

    Refuses ``permission_missing``, ``centre_of_another``, ``reservation_period_wrong``,
    ``reservation_node_unknown``, ``reservation_organisation_unknown``,
    ``reservation_reason_missing``.
    """
    own(cluster.centre, actor, "nodes.reserve")
    if not (starts_at < ends_at and at < ends_at and ends_at - starts_at <= LONGEST):
        raise Refused("reservation_period_wrong", days=LONGEST.days)
    names = sorted(set(nodes))
    known = set(Node.objects.filter(cluster=cluster, name__in=names).values_list("name", flat=True))
    if strange := [name for name in names if name not in known]:
        raise Refused("reservation_node_unknown", node=strange[0][:80])
    invited = list(Organisation.objects.filter(pk__in=organisations))
    if len(invited) != len(set(organisations)):
        raise Refused("reservation_organisation_unknown")
    reason = reason.strip()
    if not reason or len(reason) > REASON_MAX:
        raise Refused("reservation_reason_missing", limit=REASON_MAX)
    kept = NodeReservation(
        cluster=cluster,
        nodes=names,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        made_at=at,
    )
    kept.save(force_insert=True)
    kept.organisations.set(invited)
    record(
        actor,
        "nodes.reserve",
        subject=kept,
        concerns=cluster.centre.provider,
        at=at,
        nodes=len(names),
        starts_at=starts_at.isoformat(),
        ends_at=ends_at.isoformat(),
        reason=reason,
    )
    bells.ring(bells.QUEUE)
    return kept


@transaction.atomic
def cancel_reservation(
    reservation: NodeReservation, *, actor: Viewer, at: datetime
) -> NodeReservation:
    """Keep the nodes no longer. Safe to repeat.

    Refuses ``permission_missing``, ``centre_of_another``.
    """
    own(reservation.cluster.centre, actor, "nodes.reserve")
    row = NodeReservation.objects.select_for_update(no_key=True).get(pk=reservation.pk)
    if row.cancelled_at is None:
        row.cancelled_at = at
        row.save(update_fields=["cancelled_at"])
        provider = reservation.cluster.centre.provider
        record(actor, "nodes.release", subject=row, concerns=provider, at=at)
        bells.ring(bells.QUEUE)
    return row
