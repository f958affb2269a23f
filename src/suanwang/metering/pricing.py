"""From a usage record to the prices that apply to it; read by rating, audits and sums alike."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from suanwang.core.jobspec import WHOLE_CARD
from suanwang.jobs.models import Attempt, Job
from suanwang.metering import rules
from suanwang.metering.models import Charge, UsageRecord
from suanwang.registry.models import Price

RateKey = tuple[UUID, str, str | None]
Rates = Mapping[RateKey, Sequence[rules.Rate]]


def rates_of(centres: Collection[UUID]) -> Rates:
    """All prices of some centres, by centre, meter and accelerator model, in time."""
    found: dict[RateKey, list[rules.Rate]] = {}
    for price in Price.objects.filter(centre__in=centres).order_by("validity"):
        key = (price.centre_id, price.meter, price.accelerator_model_id)
        found.setdefault(key, []).append(
            rules.Rate(
                str(price.pk),
                price.price_fen,
                price.per_quantity,
                price.validity.lower,
                price.validity.upper,
            )
        )
    return found


def card_model(attempt: Attempt, meter: str) -> str | None:
    """The accelerator model whose price applies; None for meters that have no model."""
    if meter != Price.Meter.CARD_SECONDS:
        return None
    return attempt.job.accelerator_model or attempt.node.accelerator_model_id


def allocation(job: Job, meter: str) -> Fraction:
    """How much of a meter's unit a job holds each second over all its nodes: cores, cards (shares
    of them counted as such) or MiB.
    """
    return {
        "core_seconds": Fraction(job.cores),
        "card_seconds": Fraction(job.accelerators * job.card_milli, WHOLE_CARD),
        "memory_mib_seconds": Fraction(job.memory_mib),
    }[meter]


def billed_part(usage: UsageRecord) -> rules.Billed:
    """What of a record is billed at all: up to the walltime, nothing of an abandoned attempt."""
    job = usage.attempt.job
    if usage.attempt.state == Attempt.State.ABANDONED:
        return rules.Billed(0, usage.started_at, usage.ended_at)
    return rules.billed(
        usage.quantity,
        allocation(job, usage.meter),
        job.walltime_seconds,
        starts=usage.started_at,
        ends=usage.ended_at,
    )


def price(usage: UsageRecord, rates: Rates, model: str | None) -> rules.Rated | rules.Unpriced:
    """What a record costs by the prices of its centre."""
    key = (usage.attempt.cluster.centre_id, usage.meter, model)
    return rules.rate(billed_part(usage), rates.get(key, []))


class Again(NamedTuple):
    """A charge and what its record comes to when it is priced again."""

    charge: Charge
    amount_fen: int | None
    """None when no price is to be found any more."""


BY_HAND = (Charge.Basis.AGREED, Charge.Basis.WRITTEN_OFF)


def rated_again(charges: QuerySet[Charge]) -> Iterator[Again]:
    """Price the records behind charges once more; what a person decided stands as it is."""
    rows = charges.select_related(
        "price",
        "usage__attempt__job",
        "usage__attempt__node",
        "usage__attempt__cluster",
        "usage__corrects",
    )
    centres = charges.values_list("usage__attempt__cluster__centre", flat=True).distinct()
    rates = rates_of(list(centres))
    for charge in rows.iterator(chunk_size=2000):
        if charge.basis in BY_HAND:
            yield Again(charge, charge.amount_fen)
            continue
        usage = charge.usage
        # The card that was priced then: a node may have been fitted with another since.
        model = charge.price.accelerator_model_id if charge.price else None
        model = model or card_model(usage.attempt, usage.meter)
        yield Again(charge, _amount(charge, usage, rates, model))


def _amount(charge: Charge, usage: UsageRecord, rates: Rates, model: str | None) -> int | None:
    rated = price(usage, rates, model)
    if isinstance(rated, rules.Unpriced):
        return None
    if charge.basis != Charge.Basis.CORRECTED or usage.corrects is None:
        return rated.amount_fen
    usage.corrects.attempt = usage.attempt
    before = price(usage.corrects, rates, model)
    return None if isinstance(before, rules.Unpriced) else rated.amount_fen - before.amount_fen
