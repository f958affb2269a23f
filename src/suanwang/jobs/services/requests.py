"""Signed requests of agents count once: every nonce is remembered while its time would pass."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from suanwang.core.errors import NotAllowed
from suanwang.core.signed import TIMESTAMP_TOLERANCE_SECONDS
from suanwang.jobs.models import AgentNonce
from suanwang.registry.models import SiteAgent

_REMEMBERED = timedelta(seconds=3 * TIMESTAMP_TOLERANCE_SECONDS)


_USE = """
    INSERT INTO jobs_agentnonce (agent_id, nonce, at) VALUES (%s, %s, %s)
    ON CONFLICT (agent_id, nonce) DO NOTHING
"""


def use_nonce(agent: SiteAgent, nonce: str, *, at: datetime) -> None:
    """Note a nonce as used; one statement, for every request of every agent comes by here.

    Refuses ``request_replayed`` for one that was used before.
    """
    with connection.cursor() as cursor:
        cursor.execute(_USE, [agent.pk, nonce, at])
        if not cursor.rowcount:
            raise NotAllowed("request_replayed")


def forget_nonces(at: datetime) -> int:
    """Drop the nonces no request could use again; how many were dropped."""
    return AgentNonce.objects.filter(at__lt=at - _REMEMBERED).delete()[0]
