"""What organisations have of the pool beside each other: weights, quotas, and what they used."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from django.db import connection

from suanwang.jobs.models import OrganisationShare
from suanwang.placement import Policy, Quota

HALF_LIFE: Final = timedelta(days=2)
"""After so long past use weighs half."""
_LOOKED_BACK: Final = 5 * HALF_LIFE
_ROWS_MAX: Final = 200_000


def policy() -> Policy:
    """How the city schedules now: the usual, with the shares the operator set."""
    weights, quotas = {}, []
    for share in OrganisationShare.objects.order_by("organisation_id"):
        name = str(share.organisation_id)
        weights[name] = Fraction(share.weight_milli, 1000)
        if share.cores is not None and share.cards is not None:
            quotas.append(
                Quota(
                    name,
                    share.cohort,
                    share.cores * 1000,
                    share.cards * 1000,
                    borrow=share.borrow,
                    lend=share.lend,
                )
            )
    return Policy(weights=weights, quotas=tuple(quotas))


_USED = """
    WITH pool AS (
        SELECT greatest(sum(cores), 1)::float8 AS cores, greatest(sum(accelerators), 1)::float8
               AS cards FROM registry_node WHERE up),
    lately AS (
        SELECT job_id, started_at, ended_at FROM jobs_attempt
         WHERE ended_at >= %(since)s AND started_at IS NOT NULL AND state = 'ended'
         ORDER BY ended_at DESC LIMIT %(limit)s)
    SELECT j.organisation_id::text,
           sum(greatest(j.cores / pool.cores, j.accelerators * j.card_milli / 1000.0 / pool.cards)
               * extract(epoch FROM a.ended_at - a.started_at)
               * power(0.5, extract(epoch FROM %(at)s - a.ended_at) / %(half_life)s))
      FROM lately a JOIN jobs_job j ON j.id = a.job_id CROSS JOIN pool
     GROUP BY 1
"""


def usage(at: datetime) -> dict[str, float]:
    """Decayed use of each organisation lately, in seconds of the whole pool's dominant resource.

    One query over at most the newest 200,000 attempts of ten days.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _USED,
            {
                "since": at - _LOOKED_BACK,
                "at": at,
                "limit": _ROWS_MAX,
                "half_life": HALF_LIFE.total_seconds(),
            },
        )
        return {name: float(used) for name, used in cursor.fetchall()}
