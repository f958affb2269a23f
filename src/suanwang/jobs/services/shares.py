"""What an organisation has of the pool beside others, set by the operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from suanwang.core.errors import Refused
from suanwang.jobs import bells
from suanwang.jobs.models import OrganisationShare
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require

WEIGHT_MILLI_MAX: Final = 1_000_000
AMOUNT_MAX: Final = 100_000_000
COHORT_MAX: Final = 40


@dataclass(frozen=True)
class Share:
    """The terms of one share; what is left out is the usual."""

    weight_milli: int = 1000
    """Its share beside others, in thousandths."""
    cores: int | None = None
    """What it is sure of; None with ``cards``: no quota."""
    cards: int | None = None
    cohort: str = ""
    """Organisations of one cohort lend each other what is idle."""
    borrow: bool = True
    lend: bool = True
    high_priority: bool = False
    """Whether its jobs may ask to go before others."""


@transaction.atomic
def set_share(
    organisation: Organisation, share: Share, *, actor: Viewer, at: datetime
) -> OrganisationShare:
    """Let an organisation have so much from now on. Jobs that run go on.

    Refuses ``permission_missing``, ``share_weight_wrong``, ``share_quota_half`` (cores and cards,
    or neither), ``share_quota_wrong``, ``share_cohort_wrong``.
    """
    require(actor, "shares.set")
    if not 0 < share.weight_milli <= WEIGHT_MILLI_MAX:
        raise Refused("share_weight_wrong", most=WEIGHT_MILLI_MAX // 1000)
    if (share.cores is None) != (share.cards is None):
        raise Refused("share_quota_half")
    if any(not 0 <= amount <= AMOUNT_MAX for amount in (share.cores or 0, share.cards or 0)):
        raise Refused("share_quota_wrong", most=AMOUNT_MAX)
    cohort = share.cohort.strip()
    if len(cohort) > COHORT_MAX or not cohort.isprintable():
        raise Refused("share_cohort_wrong", limit=COHORT_MAX)
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    terms = {
        "weight_milli": share.weight_milli,
        "cores": share.cores,
        "cards": share.cards,
        "cohort": cohort,
        "borrow": share.borrow,
        "lend": share.lend,
        "high_priority": share.high_priority,
    }
    row, _ = OrganisationShare.objects.update_or_create(
        organisation=organisation, defaults={**terms, "set_at": at}
    )
    record(actor, "shares.set", subject=organisation, concerns=organisation, at=at, **terms)
    bells.ring(bells.QUEUE)
    return row
