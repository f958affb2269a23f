"""Measurements of the way between centres: asked for by a person, carried out by two agents."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from itertools import combinations
from typing import Final, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from suanwang.core.errors import NotFound, Refused
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require
from suanwang.registry.models import Link, LinkMeasurement, SiteAgent
from suanwang.registry.queries import measurable_agents
from suanwang.registry.services.surroundings import BANDWIDTH_MBPS_MAX, LATENCY_US_MAX

ANNOUNCED: Final = timedelta(seconds=120)
"""So long both agents have for it; they hear of it at their next polls."""
SECONDS_MAX: Final = 600
PAIRS_MAX: Final = 100
REASONS: Final = frozenset(
    {
        "peer_does_not_listen",
        "peer_not_reached",
        "peer_not_the_one",
        "peer_fell_silent",
        "measuring_failed",
    }
)
"""What an agent may say of a measurement that failed; ``measure_expired`` is the platform's."""


class Part(NamedTuple):
    """What one agent is to do in a measurement."""

    id: UUID
    role: str
    """``ask`` or ``listen``."""
    secret: str
    address: str
    seconds: int
    """How long it is still announced."""


class Figures(NamedTuple):
    """What came out, as the asking agent says."""

    latency_us: int
    latency_p95_us: int
    there_mbps: int
    back_mbps: int


@transaction.atomic
def ask_measurement(one: str, other: str, *, actor: Viewer, at: datetime) -> LinkMeasurement:
    """Let the agents of two centres, by code, measure the way between them. One that is under way
    is returned as it is.

    Refuses ``permission_missing``, ``link_to_itself``, ``link_not_measurable`` (no agent of the
    centres is online, or neither listens).
    """
    require(actor, "links.measure")
    if one == other:
        raise Refused("link_to_itself")
    agents = {code: agent for code, agent in measurable_agents(at).items() if code in (one, other)}
    pair = [agents.get(one), agents.get(other)]
    if (
        pair[0] is None
        or pair[1] is None
        or not (pair[0].measure_address or pair[1].measure_address)
    ):
        raise Refused("link_not_measurable", one=one[:40], other=other[:40])
    return _announce(pair[0], pair[1], actor=actor, at=at)


@transaction.atomic
def ask_all(*, actor: Viewer, at: datetime) -> list[LinkMeasurement]:
    """The same for every pair of centres that can be measured; the oldest known first, at most a
    hundred at a time. Refuses ``permission_missing``.
    """
    require(actor, "links.measure")
    agents = measurable_agents(at)
    known = {(row.one, row.other): row.measured_at for row in Link.objects.all()}
    pairs = [
        pair
        for pair in combinations(sorted(agents), 2)
        if any(agents[code].measure_address for code in pair)
    ]
    long_ago = datetime.min.replace(tzinfo=at.tzinfo)
    pairs.sort(key=lambda pair: known.get(pair, long_ago))
    return [
        _announce(agents[one], agents[other], actor=actor, at=at)
        for one, other in pairs[:PAIRS_MAX]
    ]


def _announce(one: SiteAgent, other: SiteAgent, *, actor: Viewer, at: datetime) -> LinkMeasurement:
    listens, asks = (other, one) if other.measure_address else (one, other)
    # One at a time for an agent, so that no pair is announced twice.
    list(SiteAgent.objects.select_for_update(no_key=True).filter(pk__in=(one.pk, other.pk)))
    pair = Q(asks=asks, listens=listens) | Q(asks=listens, listens=asks)
    under_way = LinkMeasurement.objects.filter(
        pair, state=LinkMeasurement.State.ASKED, expires_at__gt=at
    ).first()
    if under_way is not None:
        return under_way
    # An agent does one after another: each later one is announced for longer.
    busy = LinkMeasurement.objects.filter(
        Q(asks__in=(one, other)) | Q(listens__in=(one, other)),
        state=LinkMeasurement.State.ASKED,
        expires_at__gt=at,
    ).count()
    row = LinkMeasurement.objects.create(
        asks=asks,
        listens=listens,
        secret=secrets.token_hex(32),
        asked_by=str(actor.person),
        asked_at=at,
        expires_at=at + ANNOUNCED * (1 + busy),
    )
    SiteAgent.objects.filter(pk__in=(one.pk, other.pk)).update(measuring_until=row.expires_at)
    places = sorted((one.cluster.centre.code, other.cluster.centre.code))
    record(
        actor, "links.measure", subject=row, concerns=None, at=at, one=places[0], other=places[1]
    )
    return row


def parts_of(agent: SiteAgent, *, at: datetime) -> list[Part]:
    """What is announced to an agent, the oldest first. Asks nothing of the database as a rule."""
    if agent.measuring_until is None or agent.measuring_until <= at:
        return []
    rows = LinkMeasurement.objects.filter(
        Q(asks=agent) | Q(listens=agent), state=LinkMeasurement.State.ASKED, expires_at__gt=at
    ).select_related("listens")
    return [
        Part(
            row.pk,
            "ask" if row.asks_id == agent.pk else "listen",
            row.secret,
            row.listens.measure_address,
            min(max(1, int((row.expires_at - at).total_seconds())), SECONDS_MAX),
        )
        for row in rows.order_by("asked_at", "id")
    ]


@transaction.atomic
def take_measurement(
    agent: SiteAgent, measurement: UUID, found: Figures | str, *, at: datetime
) -> LinkMeasurement:
    """Take what an agent says of a measurement: figures of the one that asked, or from either why
    it came to nothing. Figures go into the link table. Safe to repeat.

    Refuses ``measurement_unknown`` (of another agent, or over) and ``link_measure_wrong``.
    """
    parties = Q(asks=agent) if isinstance(found, Figures) else Q(asks=agent) | Q(listens=agent)
    row = (
        LinkMeasurement.objects.select_for_update(of=("self",), no_key=True)
        .select_related("asks__cluster__centre", "listens__cluster__centre")
        .filter(parties, pk=measurement)
        .first()
    )
    if row is None or (row.state == LinkMeasurement.State.ASKED and row.expires_at <= at):
        raise NotFound("measurement_unknown", measurement=str(measurement))
    if row.state != LinkMeasurement.State.ASKED:
        return row
    row.ended_at = at
    if isinstance(found, str):
        row.state = LinkMeasurement.State.FAILED
        row.reason = found if found in REASONS else "measuring_failed"
        row.save()
        return row
    widths = (found.there_mbps, found.back_mbps)
    if not (0 < found.latency_us <= found.latency_p95_us <= LATENCY_US_MAX) or not all(
        0 <= width <= BANDWIDTH_MBPS_MAX for width in widths
    ):
        raise Refused("link_measure_wrong", most_ms=LATENCY_US_MAX // 1000)
    row.state = LinkMeasurement.State.DONE
    for name, value in found._asdict().items():
        setattr(row, name, value)
    row.save()
    _enter(row, found, at)
    return row


def _enter(row: LinkMeasurement, found: Figures, at: datetime) -> None:
    asks, listens = row.asks.cluster, row.listens.cluster
    lesser, greater = sorted((asks.centre.code, listens.centre.code))
    Link.objects.update_or_create(
        one=lesser,
        other=greater,
        defaults={
            "latency_us": found.latency_us,
            # The narrower direction: nobody is promised more.
            "bandwidth_mbps": min(found.there_mbps, found.back_mbps),
            "measured_at": at,
            "measured_by": f"{asks.centre.code} · {asks.name}"[:80],
            "by_agents": True,
        },
    )


def give_up(*, at: datetime) -> int:
    """Let measurements end that nobody answered in time; how many there were."""
    over = LinkMeasurement.objects.filter(state=LinkMeasurement.State.ASKED, expires_at__lte=at)
    return over.update(state=LinkMeasurement.State.FAILED, reason="measure_expired", ended_at=at)
