"""Leases: what an agent is handed, how long it may keep it, and what it must stop."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from suanwang.jobs.models import Attempt, Job
from suanwang.jobs.rules import LEASE_RENEWED
from suanwang.registry.models import Node, SiteAgent

_RENEWED_EVERY = timedelta(seconds=60)
LEASES_AT_ONCE = 250
LEASES_BYTES = 3 << 20
"""What one answer carries of leases at most: an agent takes no answer of any length, and what is
left over is handed out as soon as it has named the first.
"""


@dataclass(frozen=True)
class Lease:
    """One job handed to an agent: run it once, under this attempt's id."""

    attempt_id: UUID
    job_id: UUID
    spec: dict[str, Any]
    node: str
    """The first of its nodes."""
    expires_at: datetime
    nodes: list[str] = field(default_factory=list)
    cards: list[list[int]] = field(default_factory=list)
    """Which cards on each node; empty without cards."""
    organisation: str = ""
    organisation_name: str = ""
    """Whose job it is: the centre may choose whom it takes."""


@dataclass(frozen=True)
class GiveWay:
    """An attempt that must stop for another job, and how long it may take to save its work."""

    attempt_id: UUID
    grace_seconds: int


@dataclass
class Orders:
    """What an agent is to start and to stop."""

    leases: list[Lease] = field(default_factory=list)
    cancel: list[UUID] = field(default_factory=list)
    give_way: list[GiveWay] = field(default_factory=list)
    news: bool = False
    """Whether an order to give way is in it that the agent was not handed before. Such an order
    is repeated for as long as it holds, but nobody is woken for it twice.
    """

    def __bool__(self) -> bool:
        return bool(self.leases or self.cancel or self.news)


def lease(agent: SiteAgent, running: Collection[UUID], *, at: datetime) -> Orders:
    """Renew what the agent runs, hand it what waits for it, and name what it must stop.

    A lease is handed out again until the agent names it: an answer that was lost costs nothing.
    What the agent runs and the platform has given up, or never knew, must be stopped.
    """
    orders = Orders()
    something, strange = _glance(agent, running, at)
    orders.cancel.extend(strange)
    if something:
        with transaction.atomic():
            _give(agent, set(running), orders, at)
    return orders


def _give(agent: SiteAgent, running: Collection[UUID], orders: Orders, at: datetime) -> None:
    """Put what is to be said of live attempts into the orders, and note what was handed out."""
    live = Attempt.objects.filter(cluster=agent.cluster_id, state__in=Attempt.LIVE).filter(
        Q(agent=None) | Q(agent=agent)
    )
    taken, told = _look(live, running, orders, at)
    if taken:
        mine = _unlocked(taken, agent=None, state=Attempt.State.LEASED)
        Attempt.objects.filter(pk__in=mine).update(agent=agent)
        lost = set(taken) - mine  # another agent, or a cancel, came first
        orders.leases[:] = [each for each in orders.leases if each.attempt_id not in lost]
    if told:
        orders.news = True
        Attempt.objects.filter(pk__in=_unlocked(told)).update(give_way_told=True)


def _unlocked(attempts: Iterable[UUID], **still: Any) -> set[UUID]:
    """Those that are still so, locked; without those somebody has at hand just now. Reports lock
    attempts job by job: whoever waited here for one of many could wait in a circle.
    """
    rows = Attempt.objects.select_for_update(skip_locked=True, of=("self",))
    return set(rows.filter(pk__in=list(attempts), **still).values_list("pk", flat=True))


def _look(
    live: QuerySet[Attempt], running: Collection[UUID], orders: Orders, at: datetime
) -> tuple[list[UUID], list[UUID]]:
    """Put what is to be said of live attempts into the orders; which leases nobody was handed
    before, and which are told to give way for the first time. Of thousands that simply run
    nothing is to be said, so nothing is read of them.
    """
    taken: list[UUID] = []
    told: list[UUID] = []
    rows = live.select_related("job__organisation", "node").order_by("leased_at", "id")
    ordered = Q(job__state=Job.State.CANCELLING) | Q(give_way_by__isnull=False)
    waiting = rows.filter(state=Attempt.State.LEASED).exclude(ordered)
    special = [*rows.filter(ordered), *waiting[:LEASES_AT_ONCE]]
    names = _names_of_others(special)
    left_bytes = LEASES_BYTES
    for attempt in special:
        if attempt.job.state == Job.State.CANCELLING:
            orders.cancel.append(attempt.pk)
        elif attempt.give_way_by is not None and attempt.agent_id is not None:
            left = math.ceil((attempt.give_way_by - at).total_seconds())
            orders.give_way.append(GiveWay(attempt.pk, max(left, 1)))
            if not attempt.give_way_told:
                told.append(attempt.pk)
        elif attempt.pk not in running and attempt.state == Attempt.State.LEASED:
            left_bytes -= len(json.dumps(attempt.job.spec))
            if left_bytes < 0 and orders.leases:
                break  # leases come last; those left over are handed out at the next poll
            if attempt.agent_id is None:
                taken.append(attempt.pk)
            orders.leases.append(
                Lease(
                    attempt.pk,
                    attempt.job_id,
                    attempt.job.spec,
                    attempt.node.name,
                    attempt.expires_at,
                    [attempt.node.name, *(names[node] for node in attempt.nodes_more)],
                    attempt.cards,
                    str(attempt.job.organisation_id),
                    attempt.job.organisation.name,
                )
            )
    return taken, told


_RENEW = """
    UPDATE jobs_attempt SET expires_at = %s
     WHERE id IN (
        SELECT id FROM jobs_attempt
         WHERE id = ANY(%s::uuid[]) AND expires_at < %s
           AND state IN ('leased', 'accepted', 'running') AND cluster_id = %s
           AND (agent_id IS NULL OR agent_id = %s)
           FOR UPDATE SKIP LOCKED)
"""
_GLANCE = """
    WITH stopping AS MATERIALIZED (SELECT id FROM jobs_job WHERE state = 'cancelling')
    SELECT EXISTS (
        SELECT 1 FROM jobs_attempt
         WHERE cluster_id = %s AND state IN ('leased', 'accepted', 'running')
           AND (state = 'leased' OR give_way_by IS NOT NULL
                OR job_id IN (SELECT id FROM stopping))),
      named.strange, named.due
      FROM (
        SELECT array_agg(n.id) FILTER (WHERE NOT known) AS strange,
               bool_or(live AND known AND expires_at < %s) AS due
          FROM unnest(%s::uuid[]) AS n(id) LEFT JOIN jobs_attempt a ON a.id = n.id,
          LATERAL (SELECT coalesce(a.state IN ('leased', 'accepted', 'running'), false)) l(live),
          LATERAL (SELECT coalesce(a.state = 'ended' OR live AND a.cluster_id = %s
                           AND (a.agent_id IS NULL OR a.agent_id = %s), false)) k(known)
      ) named
"""


def _glance(agent: SiteAgent, running: Collection[UUID], at: datetime) -> tuple[bool, list[UUID]]:
    """Whether anything is to be said of live attempts, and what the agent names that the platform
    has given up or never gave it. What is due of the others is renewed. Agents ask this all day:
    it is one question as a rule, and nothing is made into objects.
    """
    named = "{" + ",".join(map(str, running)) + "}"
    cluster, until = agent.cluster_id, at + LEASE_RENEWED
    before = until - _RENEWED_EVERY
    with connection.cursor() as cursor:
        cursor.execute(_GLANCE, [cluster, before, named, cluster, agent.pk])
        something, strange, due = cursor.fetchone()
        if due:
            cursor.execute(_RENEW, [until, named, before, cluster, agent.pk])
    return bool(something), sorted(strange or ())


def _names_of_others(live: Iterable[Attempt]) -> dict[int, str]:
    """The names of the further nodes of jobs of several nodes."""
    others = {node for attempt in live for node in attempt.nodes_more}
    return dict(Node.objects.filter(pk__in=others).values_list("id", "name")) if others else {}
