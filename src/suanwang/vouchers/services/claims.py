"""Claims: pay first, then ask for the part the policy gives back. Baoding 2024, article 5."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID, uuid4, uuid5

from django.db import IntegrityError, transaction

from suanwang.core.errors import NotFound, Refused
from suanwang.core.money import format_yuan
from suanwang.ledger import chart
from suanwang.ledger.queries import balance
from suanwang.ledger.services import create_accounts, create_transfers, post_or_refuse
from suanwang.ledger.terms import Ledger, TransferResult, TransferSpec, post, void
from suanwang.metering.actors import person_of
from suanwang.metering.models import InvoiceLine
from suanwang.metering.numbering import next_number
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require, take_duty
from suanwang.policy import Package
from suanwang.vouchers import facts as facts_of
from suanwang.vouchers import queries
from suanwang.vouchers.choice import Standing, assess
from suanwang.vouchers.models import Claim, ClaimLine, Voucher
from suanwang.vouchers.policy_in_force import archived, budget_year, policy_of
from suanwang.vouchers.rules import LINES_AT_MOST, FeeLine
from suanwang.vouchers.services.entitlements import left_of, open_allowances


def matter(voucher_id: UUID) -> str:
    """What the separation of duties is about: a voucher with all its claims and payments."""
    return f"voucher:{voucher_id}"


@transaction.atomic
def file_claim(voucher: Voucher, lines: Collection[UUID], *, actor: Viewer, at: datetime) -> Claim:
    """Claim paid invoice lines against a voucher; the amount is the policy's and is reserved.

    Lines are claimed whole even when a cap cuts the amount; the decision says which cap cut. Lines
    that get more by another policy are left out and stay free (best, highest, not twice).

    Refuses ``voucher_not_found``, ``voucher_expired``, ``claim_without_lines``,
    ``claim_too_many_lines``, ``line_not_found``, ``line_not_paid``, ``line_already_claimed``,
    ``line_not_local_platform``, ``line_is_correction``, ``line_outside_validity``,
    ``claim_not_eligible`` with the policy's reasons, ``claim_better_elsewhere``,
    ``claim_amount_zero``, ``voucher_exhausted``.
    """
    require(actor, "claims.file")
    locked = Voucher.objects.select_for_update(of=("self",)).select_related("holder")
    held = locked.filter(pk=voucher.pk, holder_id=actor.organisation_id).first()
    if held is None:
        raise NotFound("voucher_not_found")
    if held.status != Voucher.Status.ISSUED or at > held.expires_at:
        raise Refused("voucher_expired", number=held.number, expired_at=held.expires_at)
    package = policy_of(held.policy, held.package_hash)
    fees = _fee_lines(held.holder, package, lines)
    assessed = assess(held, fees, at=at)
    decision = assessed.decision
    if assessed.better and not assessed.kept:
        raise Refused("claim_better_elsewhere", **_elsewhere(assessed.better))
    if not decision.eligible:
        raise Refused("claim_not_eligible", **facts_of.unmet(decision))
    if not decision.amount_fen:
        raise Refused("claim_amount_zero")
    fees = list(assessed.kept)
    for other in assessed.standings[1:]:
        archived(other.package, at=at)
    claim = Claim(
        id=uuid4(),
        voucher=held,
        organisation=held.holder,
        paid_fee_fen=sum(line.fee_fen for line in fees),
        amount_fen=decision.amount_fen,
        decision=decision.as_json(),
        facts=facts_of.as_json(assessed.facts),
        package=archived(package, at=at),
        comparison=assessed.as_json(),
        filed_by=person_of(actor),
        filed_at=at,
    )
    claim.reserve_id = uuid5(claim.pk, "reserve")
    _reserve(claim, at=at)
    claim.number = next_number("C", at=at)
    claim.save(force_insert=True)
    try:
        with transaction.atomic():
            ClaimLine.objects.bulk_create(
                ClaimLine(claim=claim, invoice_line_id=line.id, fee_fen=line.fee_fen)
                for line in fees
            )
    except IntegrityError:
        raise Refused("line_already_claimed", line="") from None
    _note(claim, "claims.file", actor, at=at, lines=len(fees), amount_fen=claim.amount_fen)
    return claim


def _fee_lines(
    organisation: Organisation, package: Package, ids: Collection[UUID]
) -> list[FeeLine]:
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise Refused("claim_without_lines")
    if len(wanted) > LINES_AT_MOST:
        raise Refused("claim_too_many_lines", limit=LINES_AT_MOST)
    # Held until the claim is written: no credit lowers the use of a line in between.
    held = InvoiceLine.objects.select_for_update(of=("self",), no_key=True)
    list(held.filter(pk__in=wanted).order_by("pk").values_list("pk"))
    found = queries.lines_of(organisation, wanted)
    fees: list[FeeLine] = []
    for line_id in wanted:
        line = found.get(line_id)
        if line is None:
            raise NotFound("line_not_found", line=str(line_id))
        fee = queries.fee_line(line, package)
        _must_be_claimable(line, queries.why_not(line, fee))
        assert fee is not None  # noqa: S101 - else it was refused: line_outside_validity
        fees.append(fee)
    return fees


def _elsewhere(better: Standing) -> dict[str, object]:
    """Where the fees get more, for people and for programs."""
    lead = better.package.units[better.package.measure(better.measure).lead]
    return {
        "policy": better.name,
        "policy_zh": better.package.title["zh"],
        "policy_en": better.package.title["en"],
        "lead_zh": lead["zh"],
        "lead_en": lead["en"],
        "amount": format_yuan(better.gives),
        "amount_fen": better.gives,
    }


def _must_be_claimable(line: InvoiceLine, code: str | None) -> None:
    named = f"{line.invoice.number}/{line.position}"
    match code:
        case None:
            return
        case "line_not_paid":
            raise Refused("line_not_paid", line=named)
        case "line_already_claimed":
            raise Refused("line_already_claimed", line=named)
        case "line_is_correction":
            raise Refused("line_is_correction", line=named)
        case "line_not_local_platform":
            raise Refused("line_not_local_platform", line=named)
        case _:
            raise Refused("line_outside_validity", line=named)


def _reserve(claim: Claim, *, at: datetime) -> None:
    voucher = claim.voucher
    account = chart.voucher(voucher.pk)
    redeemed = chart.redeemed(voucher.policy, voucher.year)
    create_accounts([redeemed])
    [result] = create_transfers(
        [
            TransferSpec(
                claim.reserve_id,
                account.id,
                redeemed.id,
                claim.amount_fen,
                Ledger.ENTITLEMENT,
                "claim",
                kind="pending",
            )
        ],
        at=at,
    )
    if not result.good:
        raise Refused("voucher_exhausted", **left_of(balance(account.id).available))


@transaction.atomic
def review_claim(
    claim: Claim, approve: bool, reason: str = "", *, actor: Viewer, at: datetime
) -> Claim:
    """Approve a claim, or reject it with a reason; never by who granted the voucher.

    Approving posts the reserve and counts against what the unit may be paid in the year of the
    approval (A5). Rejecting gives the reserve back to the voucher and frees the lines.

    Refuses ``claim_not_filed``, ``reason_missing``, ``unit_year_payment_cap_reached``,
    ``duties_not_separated``, ``own_organisation``.
    """
    require(actor, "claims.review")
    claim = lock_claim(claim.pk)
    if claim.state != Claim.State.FILED:
        raise Refused("claim_not_filed", number=claim.number, state=claim.state)
    if not approve and not reason.strip():
        raise Refused("reason_missing")
    take_duty(matter(claim.voucher_id), "review", actor=actor, concerns=claim.organisation, at=at)
    if approve:
        _approve(claim, at=at)
        claim.state = Claim.State.APPROVED
    else:
        _release(claim, at=at)
        claim.state = Claim.State.REJECTED
    claim.reviewed_by, claim.reviewed_at = actor.person, at
    claim.review_reason = reason.strip()
    claim.save()
    _note(claim, "claims.review", actor, at=at, approved=approve, reason=claim.review_reason)
    return claim


def lock_claim(claim_id: UUID) -> Claim:
    """The claim as it is now, held until the transaction ends."""
    return (
        Claim.objects.select_for_update(of=("self",))
        .select_related("voucher", "organisation")
        .get(pk=claim_id)
    )


def _approve(claim: Claim, *, at: datetime) -> None:
    policy, year = claim.voucher.policy, budget_year(at)
    package = policy_of(policy, claim.voucher.package_hash)
    open_allowances(package, year, claim.organisation_id, at=at)
    allowance = chart.payment_allowance(policy, year, claim.organisation_id)
    steps = [
        post(uuid5(claim.pk, "approve"), claim.reserve_id, linked=True),
        TransferSpec(
            uuid5(claim.pk, "payment_allowance"),
            allowance.id,
            chart.used(policy, year).id,
            claim.amount_fen,
            Ledger.ALLOWANCE,
            "payment_allowance",
        ),
    ]
    posted, counted = create_transfers(steps, at=at)
    if counted is TransferResult.EXCEEDS_CREDITS:
        raise Refused(
            "unit_year_payment_cap_reached", year=year, **left_of(balance(allowance.id).available)
        )
    if not (posted.good and counted.good):
        raise Refused("claim_not_posted", result=f"{posted}, {counted}")


def _release(claim: Claim, *, at: datetime) -> None:
    post_or_refuse([void(uuid5(claim.pk, "release"), claim.reserve_id)], at=at)
    claim.lines.update(released=True)


@transaction.atomic
def withdraw_claim(claim: Claim, *, actor: Viewer, at: datetime) -> Claim:
    """Take back a claim that nobody has decided yet; its lines may be claimed again.

    Refuses ``claim_not_found``, ``claim_not_filed``.
    """
    require(actor, "claims.file")
    claim = lock_claim(claim.pk)
    if claim.organisation_id != actor.organisation_id:
        raise NotFound("claim_not_found")
    if claim.state != Claim.State.FILED:
        raise Refused("claim_not_filed", number=claim.number, state=claim.state)
    _release(claim, at=at)
    claim.state = Claim.State.WITHDRAWN
    claim.save(update_fields=["state"])
    _note(claim, "claims.withdraw", actor, at=at)
    return claim


def advance(claim: Claim, state: str) -> None:
    """Carry a claim through its payment: approved, ordered, paid. For ``programmes`` only."""
    claim.state = state
    claim.save(update_fields=["state"])


def _note(claim: Claim, verb: str, actor: Viewer, *, at: datetime, **facts: object) -> None:
    record(
        actor,
        verb,
        subject=claim,
        concerns=claim.organisation,
        at=at,
        number=claim.number,
        **facts,
    )
