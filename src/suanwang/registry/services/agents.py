"""Agents: enrolled once with a token, known by their key ever after, revoked in one step."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from suanwang.core.errors import NotAllowed, Refused
from suanwang.people.scope import Viewer
from suanwang.people.services import record
from suanwang.registry.inventory import NodeReport
from suanwang.registry.models import Cluster, SiteAgent
from suanwang.registry.services.centres import own, replace_inventory

TOKEN_LIFE = timedelta(hours=24)
_SEEN_EVERY = timedelta(seconds=10)


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
    at: datetime,
) -> None:
    """Replace what the books say about the agent's cluster by what it sees.

    Refuses ``engine_of_another_kind`` and what ``check_inventory`` refuses.
    """
    if engine != agent.cluster.engine:
        raise Refused("engine_of_another_kind", reported=engine[:20], known=agent.cluster.engine)
    replace_inventory(agent.cluster, nodes, at=at)
    if (agent.cluster.gangs, agent.cluster.summary) != (gangs, summary):
        agent.cluster.gangs, agent.cluster.summary = gangs, summary
        agent.cluster.save(update_fields=["gangs", "summary"])
    agent.version = version[:40]
    agent.isolation = isolation[:60]
    agent.last_seen_at = at
    agent.save(update_fields=["version", "isolation", "last_seen_at"])


def seen(*agents: SiteAgent, at: datetime) -> None:
    """Note that agents called; written at most every ten seconds of each."""
    due = [
        agent
        for agent in agents
        if agent.last_seen_at is None or at - agent.last_seen_at >= _SEEN_EVERY
    ]
    if due:
        SiteAgent.objects.filter(pk__in=[agent.pk for agent in due]).update(last_seen_at=at)
    for agent in due:
        agent.last_seen_at = at
