"""Signed requests of agents count once: every nonce is remembered while its time would pass."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from suanwang.core.errors import NotAllowed
from suanwang.core.signed import TIMESTAMP_TOLERANCE_SECONDS
from suanwang.jobs.models import AgentNonce
from suanwang.registry.models import SiteAgent

_REMEMBERED = timedelta(seconds=3 * TIMESTAMP_TOLERANCE_SECONDS)


@transaction.atomic
def use_nonce(agent: SiteAgent, nonce: str, *, at: datetime) -> None:
    """Note a nonce as used. Refuses ``request_replayed`` for one that was used before."""
    try:
        with transaction.atomic():
            AgentNonce.objects.create(agent=agent, nonce=nonce, at=at)
    except IntegrityError as error:
        raise NotAllowed("request_replayed") from error


def forget_nonces(at: datetime) -> int:
    """Drop the nonces no request could use again; how many were dropped."""
    return AgentNonce.objects.filter(at__lt=at - _REMEMBERED).delete()[0]
