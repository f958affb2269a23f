"""Agents: enrolled once with a token, known by their key ever after, revoked in one step."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction

from suanwang.core.errors import NotAllowed, Refused
from suanwang.engines.port import Ability
from suanwang.people.scope import Viewer
from suanwang.people.services import record
from suanwang.registry.inventory import NodeReport
from suanwang.registry.models import Cluster, SiteAgent
from suanwang.registry.queries import unknown_models
from suanwang.registry.services.centres import own, replace_inventory

TOKEN_LIFE = timedelta(hours=24)
_SEEN_EVERY = timedelta(seconds=10)


class Reported(NamedTuple):
    """What became of a report."""

    revision: str
    """Of the nodes as the books have them now."""
    full_wanted: bool
    changed: bool
    """Whether anything placement looks at is different now."""
    unknown_models: tuple[str, ...] | None = None
    """Models of its cards that the catalogue does not have; None: as at the last report."""


class Door(NamedTuple):
    """What an agent says of itself whenever it asks for work."""

    closed: str = ""
    """Why it takes no new work, as a code; empty: it does."""
    site_policy: str = ""
    states_owed: int = 0
    usage_owed: int = 0


def token_hash(token: str) -> str:
    """What is kept of a token: it has 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def create_enrolment(cluster: Cluster, *, actor: Viewer, at: datetime) -> tuple[SiteAgent, str]:
    """Make a token with which one agent may enrol once within 24 hours. It is shown only here."""
    own(cluster.centre, actor, "agents.enrol")
    token = "swe_" + secrets.token_urlsafe(32)
    agent = SiteAgent.objects.create(
        cluster=cluster, token_hash=token_hash(token), token_expires_at=at + TOKEN_LIFE
    )
    provider = cluster.centre.provider
    record(actor, "agents.enrol", subject=agent, concerns=provider, at=at, cluster=cluster.name)
    return agent, token


@transaction.atomic
def enrol(token: str, public_key: str, version: str, *, at: datetime) -> SiteAgent:
    """Turn a token into a known agent with its Ed25519 public key (base64 of 32 bytes).

    Repeating it with the same key answers the same agent, so that a lost answer can be asked
    for again; with another key the token is spent.

    Refuses ``enrolment_token_wrong``, ``enrolment_token_expired``, ``agent_revoked``,
    ``public_key_unusable``.
    """
    agent = (
        SiteAgent.objects.select_for_update(no_key=True)
        .filter(token_hash=token_hash(token))
        .first()
    )
    if agent is None:
        raise NotAllowed("enrolment_token_wrong")
    if agent.revoked_at is not None:
        raise NotAllowed("agent_revoked")
    if agent.enrolled_at is not None:
        if agent.public_key != public_key:
            raise NotAllowed("enrolment_token_wrong")
        return agent
    if at >= agent.token_expires_at:
        raise NotAllowed("enrolment_token_expired")
    try:
        usable = len(base64.b64decode(public_key, validate=True)) == 32
    except (binascii.Error, ValueError):
        usable = False
    if not usable:
        raise Refused("public_key_unusable")
    agent.public_key = public_key
    agent.version = version[:40]
    agent.enrolled_at = agent.last_seen_at = at
    agent.save(update_fields=["public_key", "version", "enrolled_at", "last_seen_at"])
    provider = agent.cluster.centre.provider
    record(None, "agents.enrol", subject=agent, concerns=provider, at=at, version=version[:40])
    return agent


@transaction.atomic
def revoke_agent(agent: SiteAgent, *, actor: Viewer, at: datetime) -> SiteAgent:
    """Believe nothing from this agent any more. Safe to repeat."""
    own(agent.cluster.centre, actor, "agents.enrol")
    if agent.revoked_at is None:
        agent.revoked_at = at
        agent.save(update_fields=["revoked_at"])
        provider = agent.cluster.centre.provider
        record(actor, "agents.enrol", subject=agent, concerns=provider, at=at, revoked=True)
    return agent


@transaction.atomic
def report_nodes(
    agent: SiteAgent,
    nodes: Sequence[NodeReport],
    *,
    engine: str,
    version: str,
    isolation: str,
    gangs: bool = False,
    summary: bool = False,
    abilities: Sequence[str] = (),
    measure_address: str = "",
    gone: Collection[str] = (),
    after: str = "",
    revision: str = "",
    at: datetime,
) -> Reported:
    """Make what the books say about the agent's cluster agree with what it sees.

    Without ``after`` the nodes are all of them. With it they are those that changed since that
    revision, and ``gone`` those that are no more; if the books are at another revision nothing is
    written and everything is asked for.

    Cards of a model that the catalogue does not have are not offered, and named in the answer.
    Refuses ``engine_of_another_kind`` and what ``check_inventory`` refuses.
    """
    cluster = agent.cluster
    if engine != cluster.engine:
        raise Refused("engine_of_another_kind", reported=engine[:20], known=cluster.engine)
    revision = revision[:64]
    changed = not after or bool(nodes) or bool(gone)
    if not changed:
        current = cluster.revision == after
    elif after:
        current = replace_inventory(
            cluster, nodes, after=after, gone=gone, revision=revision, at=at
        )
    else:
        current = replace_inventory(cluster, nodes, revision=revision, at=at)
    if not current:
        known = Cluster.objects.values_list("revision", flat=True).get(pk=cluster.pk)
        return Reported(known, full_wanted=True, changed=False)
    unknown: tuple[str, ...] | None = None
    if changed:
        cluster.revision = revision
        unknown = tuple(unknown_models(cluster))
    images = Ability.IMAGES in abilities
    if (cluster.gangs, cluster.images, cluster.summary) != (gangs, images, summary):
        cluster.gangs, cluster.images, cluster.summary = gangs, images, summary
        cluster.save(update_fields=["gangs", "images", "summary"])
        changed = True
    agent.version, agent.isolation = version[:40], isolation[:60]
    agent.abilities = [one[:20] for one in abilities][:20]
    agent.measure_address = measure_address[:120]
    agent.last_seen_at = agent.last_report_at = at
    with connection.cursor() as cursor:
        cursor.execute(
            _REPORTED,
            [
                agent.version,
                agent.isolation,
                agent.abilities,
                agent.measure_address,
                at,
                at,
                agent.pk,
            ],
        )
    return Reported(revision, full_wanted=False, changed=changed, unknown_models=unknown)


_REPORTED = """
    UPDATE registry_siteagent
       SET version = %s, isolation = %s, abilities = %s::varchar[], measure_address = %s,
           last_seen_at = %s, last_report_at = %s
     WHERE id = %s
"""


@transaction.atomic
def order_drain(agent: SiteAgent, *, drain: bool, actor: Viewer, at: datetime) -> SiteAgent:
    """Let an agent take no new work, or take it again; what runs ends in its own time.

    Safe to repeat. Refuses ``agent_revoked`` and what ``own`` refuses.
    """
    own(agent.cluster.centre, actor, "agents.enrol")
    if agent.revoked_at is not None:
        raise NotAllowed("agent_revoked")
    if agent.drain_ordered != drain:
        agent.drain_ordered = drain
        agent.save(update_fields=["drain_ordered"])
        provider = agent.cluster.centre.provider
        record(actor, "agents.drain", subject=agent, concerns=provider, at=at, drain=drain)
    return agent


def told(agent: SiteAgent, door: Door) -> bool:
    """Note what an agent said at the door, if it is new; True if it takes work again."""
    before = Door(agent.closed, agent.site_policy, agent.states_owed, agent.usage_owed)
    if door == before:
        return False
    opened = before.closed != "" and door.closed == ""
    again = opened or before.site_policy != door.site_policy
    agent.closed, agent.site_policy, agent.states_owed, agent.usage_owed = door
    agent.save(update_fields=["closed", "site_policy", "states_owed", "usage_owed"])
    return again


def seen(*agents: SiteAgent, at: datetime) -> None:
    """Note that agents called; written at most every ten seconds of each."""
    due = [
        agent
        for agent in agents
        if agent.last_seen_at is None or at - agent.last_seen_at >= _SEEN_EVERY
    ]
    if due:
        with connection.cursor() as cursor:
            cursor.execute(_SEEN, [at, [agent.pk for agent in due]])
    for agent in due:
        agent.last_seen_at = at


_SEEN = "UPDATE registry_siteagent SET last_seen_at = %s WHERE id = ANY(%s)"
