"""Turn quantities into charges by the price of the moment they were used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from django.db import transaction

from suanwang.core.errors import Refused
from suanwang.core.money import FEN_MAX
from suanwang.jobs.models import Attempt
from suanwang.metering import rules
from suanwang.metering.effects import rate_soon
from suanwang.metering.models import Charge, RatingProblem, Settlement, UsageRecord
from suanwang.metering.pricing import Rates, billed_part, card_model, price, rates_of
from suanwang.metering.services.crediting import credit
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require

BATCH = 1000


class Rating(NamedTuple):
    """How many records a round rated, and how many it put in the operator's inbox."""

    charged: int
    problems: int


@transaction.atomic
def rate_pending(*, at: datetime, limit: int = BATCH) -> Rating:
    """Rate records of ended attempts that have neither a charge nor a problem yet.

    A record without a price at any moment of its use becomes a ``RatingProblem``
    (``price_unknown``), as does one that arrives after its job was settled
    (``job_already_settled``). Safe to repeat and to run twice at once.
    """
    usages = list(
        UsageRecord.objects.filter(
            charge=None,
            problem=None,
            attempt__state__in=[Attempt.State.ENDED, Attempt.State.ABANDONED],
        )
        .select_related("attempt__job", "attempt__node", "attempt__cluster__centre", "corrects")
        .select_for_update(of=("self", "attempt__job"), skip_locked=True)
        .order_by("received_at", "sequence")[:limit]
    )
    rates = rates_of({usage.attempt.cluster.centre_id for usage in usages})
    settled = set(
        Settlement.objects.filter(job__in={usage.attempt.job_id for usage in usages}).values_list(
            "job_id", flat=True
        )
    )
    charges: list[Charge] = []
    problems: list[RatingProblem] = []
    for usage in usages:
        outcome = _rate(usage, rates, settled=usage.attempt.job_id in settled, at=at)
        if isinstance(outcome, Charge):
            charges.append(outcome)
        else:
            problems.append(outcome)
    # Another round may have taken the same row just before our lock: it came to the same amount.
    Charge.objects.bulk_create(charges, ignore_conflicts=True)
    RatingProblem.objects.bulk_create(problems, ignore_conflicts=True)
    return Rating(len(charges), len(problems))


def _rate(
    usage: UsageRecord,
    rates: Rates,
    *,
    settled: bool,
    at: datetime,
) -> Charge | RatingProblem:
    attempt = usage.attempt
    abandoned = attempt.state == Attempt.State.ABANDONED
    part = billed_part(usage)
    model = card_model(attempt, usage.meter)
    rated = price(usage, rates, model)
    facts: dict[str, object] = {
        "centre": attempt.cluster.centre.code,
        "meter": usage.meter,
        "model": model or "",
        "job": str(attempt.job_id),
    }
    if isinstance(rated, rules.Unpriced):
        facts["moment"] = rated.moment.isoformat()
        return RatingProblem(usage=usage, code="price_unknown", facts=facts, found_at=at)
    if usage.corrects is not None and not abandoned:
        return _rate_correction(usage, rated, rates, model, facts, settled=settled, at=at)
    if settled and not abandoned and rated.amount_fen:
        return RatingProblem(usage=usage, code="job_already_settled", facts=facts, found_at=at)
    basis = Charge.Basis.PRICE if rated.parts else Charge.Basis.NOTHING_USED
    return _charge(
        usage,
        basis=Charge.Basis.ABANDONED if abandoned else basis,
        billed_quantity=part.quantity,
        amount_fen=rated.amount_fen,
        parts=rated.parts,
        at=at,
    )


def _rate_correction(
    usage: UsageRecord,
    rated: rules.Rated,
    rates: Rates,
    model: str | None,
    facts: dict[str, object],
    *,
    settled: bool,
    at: datetime,
) -> Charge | RatingProblem:
    """The difference to what the replaced record comes to; the sum is as if it had been right.

    Of a settled job nothing is moved any more: a person decides (``usage_corrected_late``).
    """
    old = usage.corrects
    assert old is not None  # noqa: S101 - a type
    old.attempt = usage.attempt
    before = price(old, rates, model)
    if isinstance(before, rules.Unpriced):
        facts["moment"] = before.moment.isoformat()
        return RatingProblem(usage=usage, code="price_unknown", facts=facts, found_at=at)
    difference = rated.amount_fen - before.amount_fen
    if settled and difference:
        facts |= {"was": old.quantity, "now": usage.quantity, "difference_fen": difference}
        return RatingProblem(usage=usage, code="usage_corrected_late", facts=facts, found_at=at)
    return _charge(
        usage,
        basis=Charge.Basis.CORRECTED,
        billed_quantity=billed_part(usage).quantity,
        amount_fen=difference,
        parts=rated.parts,
        at=at,
    )


def _charge(
    usage: UsageRecord,
    *,
    basis: Charge.Basis,
    billed_quantity: int,
    amount_fen: int,
    parts: Sequence[rules.Part] = (),
    at: datetime,
) -> Charge:
    attempt = usage.attempt
    return Charge(
        usage=usage,
        organisation_id=attempt.job.organisation_id,
        provider_id=attempt.cluster.centre.provider_id,
        job_id=attempt.job_id,
        basis=basis,
        price_id=parts[0].rate.id if parts else None,
        parts=[part.as_json() for part in parts],
        billed_quantity=billed_quantity,
        amount_fen=amount_fen,
        rated_at=at,
    )


@transaction.atomic
def resolve_problem(
    problem: RatingProblem,
    resolution: Literal["agreed", "written_off", "credited"],
    *,
    reason: str,
    amount_fen: int = 0,
    actor: Viewer,
    at: datetime,
) -> Charge:
    """Settle by hand what could not be rated: an amount both sides agreed on, nothing, or, where
    accounting said after the settlement that it was less, what was charged too much given back.

    Prices are never back-dated, so this is the only way out of ``price_unknown``.

    Refuses ``problem_already_resolved``, ``reason_missing``, ``agreed_amount_impossible``,
    ``problem_only_written_off`` for a job that was settled before the record came, and what
    ``credit`` refuses.
    """
    require(actor, "rating.resolve")
    problem = RatingProblem.objects.select_for_update().get(pk=problem.pk)
    if problem.resolved_at is not None:
        raise Refused("problem_already_resolved", resolution=problem.resolution)
    if not reason.strip():
        raise Refused("reason_missing")
    if (resolution == "agreed") != (amount_fen > 0) or amount_fen > FEN_MAX:
        raise Refused("agreed_amount_impossible")
    if resolution == "agreed" and problem.code in ("job_already_settled", "usage_corrected_late"):
        raise Refused("problem_only_written_off")
    usage = UsageRecord.objects.select_related(
        "attempt__job__organisation", "attempt__node", "attempt__cluster__centre", "corrects"
    ).get(pk=problem.usage_id)
    if resolution == "credited":
        rated = _rate(usage, rates_of({usage.attempt.cluster.centre_id}), settled=False, at=at)
        if isinstance(rated, RatingProblem):
            raise Refused("problem_not_creditable")
        charge, amount_fen = rated, rated.amount_fen
        credit(problem, usage, charge, at=at)
    else:
        charge = _charge(
            usage,
            basis=Charge.Basis(resolution),
            billed_quantity=billed_part(usage).quantity,
            amount_fen=amount_fen,
            at=at,
        )
        charge.save(force_insert=True)
    problem.resolved_at, problem.resolved_by = at, actor.person
    problem.resolution, problem.reason = resolution, reason.strip()
    problem.save()
    record(
        actor,
        "rating.resolve",
        subject=charge,
        concerns=usage.attempt.job.organisation,
        at=at,
        resolution=resolution,
        amount_fen=amount_fen,
        reason=problem.reason,
    )
    rate_soon()
    return charge
