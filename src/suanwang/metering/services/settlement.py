"""Close a job's account: its hold is posted for exactly what was used, the rest is released."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import Count, F, Q, Sum

from suanwang.core.errors import Refused
from suanwang.jobs.models import Attempt, Job
from suanwang.ledger import chart
from suanwang.ledger.models import Transfer
from suanwang.ledger.services import create_accounts, create_transfers, post_or_refuse
from suanwang.ledger.terms import Ledger, TransferResult, TransferSpec, chained, post, void
from suanwang.metering.models import Charge, Settlement, UsageRecord
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require


def settlement_ids(job: Job) -> dict[str, UUID]:
    """The ids of the transfers that settle a job; deterministic, so that twice is once."""
    return {step: uuid5(job.pk, step) for step in ("charge", "beyond", "void")}


def earnings_id(job: Job, provider: UUID) -> UUID:
    """The id of the transfer that hands a provider its part of a settled job."""
    return uuid5(job.pk, f"earnings:{provider}")


@transaction.atomic
def settle(job: Job, *, at: datetime) -> Settlement:
    """Post the hold for the sum of the job's charges and pass it on to the providers.

    Nothing to pay voids the hold. Safe to repeat: a job is settled once. Refuses
    ``job_not_ended``, ``usage_incomplete`` (a started attempt has not reported every meter),
    ``usage_unrated``, and ``ledger_exceeds_credits`` when charges go beyond the hold and the
    budget does not cover the rest.
    """
    job = Job.objects.select_for_update().get(pk=job.pk)
    done = Settlement.objects.filter(job=job).first()
    if done is not None:
        return done
    if job.state not in Job.ENDED:
        raise Refused("job_not_ended", state=job.state)
    _must_be_rated(job)
    missing = missing_meters(job)
    if missing:
        raise Refused("usage_incomplete", missing=", ".join(missing))
    return _close(job, at=at)


@transaction.atomic
def settle_without_usage(job: Job, reason: str, *, actor: Viewer, at: datetime) -> Settlement:
    """Close the account of a job whose centre will not report any more, for what did come in.

    Without this its hold would stand for ever. What arrives later can only be written off.

    Refuses ``reason_missing``, ``job_not_ended``, ``job_settled_already``, ``usage_unrated``, and
    ``usage_is_complete`` when nothing is missing.
    """
    require(actor, "rating.resolve")
    if not reason.strip():
        raise Refused("reason_missing")
    job = Job.objects.select_for_update(of=("self",)).select_related("organisation").get(pk=job.pk)
    if job.state not in Job.ENDED:
        raise Refused("job_not_ended", state=job.state)
    if Settlement.objects.filter(job=job).exists():
        raise Refused("job_settled_already")
    _must_be_rated(job)
    missing = missing_meters(job)
    if not missing:
        raise Refused("usage_is_complete")
    settlement = _close(job, at=at)
    record(
        actor,
        "rating.resolve",
        subject=job,
        concerns=job.organisation,
        at=at,
        missing=missing,
        reason=reason.strip(),
        amount_fen=settlement.amount_fen,
    )
    return settlement


def _close(job: Job, *, at: datetime) -> Settlement:
    by_provider: dict[UUID, int] = dict(
        Charge.objects.filter(job=job)
        .values_list("provider_id")
        .annotate(amount=Sum("amount_fen"))
        .filter(amount__gt=0)
        .order_by("provider_id")
    )
    total = sum(by_provider.values())
    if total:
        _post(job, by_provider, at=at)
    else:
        _release(job, at=at)
    return Settlement.objects.create(
        job=job, organisation_id=job.organisation_id, amount_fen=total, settled_at=at
    )


def missing_meters(job: Job) -> list[str]:
    """The meters that started attempts of a job have not reported yet."""
    needed = {"core_seconds", "memory_mib_seconds"}
    if job.accelerators:
        needed.add("card_seconds")
    ran = job.attempts.filter(state=Attempt.State.ENDED, started_at__isnull=False)
    missing: set[str] = set()
    for attempt in ran:
        missing |= needed - set(attempt.usage.values_list("meter", flat=True))
    return sorted(missing)


def _must_be_rated(job: Job) -> None:
    # Of an abandoned attempt nothing is ever billed, so nothing needs to be waited for.
    unrated = UsageRecord.objects.filter(
        attempt__job=job, attempt__state=Attempt.State.ENDED, charge=None
    ).count()
    if unrated:
        raise Refused("usage_unrated", records=unrated)


def _post(job: Job, by_provider: dict[UUID, int], *, at: datetime) -> None:
    total = sum(by_provider.values())
    ids = settlement_ids(job)
    spend, clearing = chart.spend(job.organisation_id), chart.clearing()
    create_accounts([spend, clearing, *(chart.earnings(each) for each in by_provider)])
    held = Transfer.objects.filter(pk=job.hold_id).values_list("amount_fen", flat=True).first() or 0
    facts = {"job": str(job.pk)}
    steps: list[TransferSpec] = []
    if held:
        steps.append(post(ids["charge"], job.hold_id, min(total, held), facts=facts))
    if total > held:
        steps.append(
            TransferSpec(
                ids["beyond"],
                spend.id,
                clearing.id,
                total - held,
                Ledger.MONEY,
                "charge",
                facts=facts,
            )
        )
    for provider, amount in by_provider.items():
        steps.append(
            TransferSpec(
                earnings_id(job, provider),
                clearing.id,
                chart.earnings(provider).id,
                amount,
                Ledger.MONEY,
                "earnings",
                facts=facts,
            )
        )
    post_or_refuse(chained(steps), at=at)


_RELEASED = frozenset(
    {
        TransferResult.CREATED,
        TransferResult.EXISTS,
        TransferResult.PENDING_TRANSFER_ALREADY_VOIDED,
        TransferResult.PENDING_TRANSFER_EXPIRED,
        TransferResult.PENDING_TRANSFER_NOT_FOUND,  # a job that costs nothing takes no hold
    }
)


def _release(job: Job, *, at: datetime) -> None:
    [result] = create_transfers([void(settlement_ids(job)["void"], job.hold_id)], at=at)
    if result not in _RELEASED:
        raise Refused("hold_not_released", result=result.value)


def settle_ended(*, at: datetime) -> int:
    """Settle every ended job that can be; those that still wait for something are left alone."""
    settled = 0
    for job in _ready():
        try:
            settle(job, at=at)
        except Refused:
            continue
        settled += 1
    return settled


def _ready() -> list[Job]:
    """Ended jobs whose started attempts have reported and whose records are all rated."""
    ran = Q(attempts__state=Attempt.State.ENDED, attempts__started_at__isnull=False)
    return list(
        Job.objects.filter(state__in=Job.ENDED, settlement=None)
        .annotate(
            ran=Count("attempts", filter=ran, distinct=True),
            rated=Count(
                "attempts__usage",
                filter=ran & Q(attempts__usage__charge__isnull=False),
                distinct=True,
            ),
        )
        .filter(Q(ran=0) | Q(rated__gte=2 * F("ran")))
        .order_by("ended_at", "id")
    )
