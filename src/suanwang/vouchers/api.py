"""Vouchers, their certificates and claims over HTTP."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from suanwang.api.http import Page, Paging, language_of, page, viewer_of
from suanwang.core.errors import NotFound
from suanwang.core.refusals import explain
from suanwang.metering.csv_export import ROWS_AT_MOST, csv_answer, yuan
from suanwang.people.services import require
from suanwang.registry.models import DataCentre
from suanwang.site import clock
from suanwang.vouchers import certificate, queries, schemas, services
from suanwang.vouchers.benefits import Possible, benefits_of
from suanwang.vouchers.models import Voucher
from suanwang.vouchers.platform_key import public_key, public_key_text
from suanwang.vouchers.policy_in_force import budget_year, in_force

router = Router(tags=["vouchers"])

ClaimState = Literal["filed", "approved", "ordered", "paid", "rejected", "withdrawn"]


@router.get("", response=Page[schemas.VoucherOut])
def vouchers(request: HttpRequest, paging: Query[Paging]) -> Any:
    """Vouchers with their four numbers, the newest first."""
    found = queries.vouchers(viewer_of(request))
    rows = page(found, cursor=paging.cursor, limit=paging.limit, order=("-issued_at", "pk"))
    _number(rows.items)
    return rows


def _number(vouchers: list[Any]) -> None:
    """Put the four numbers beside each voucher."""
    found = queries.numbers(vouchers)
    for voucher in vouchers:
        voucher.numbers = found[voucher.pk]._asdict()


@router.get("/key", response=schemas.KeyOut)
def key(request: HttpRequest) -> Any:
    """The platform's public key, for anyone who wants to verify a certificate."""
    return {"algorithm": certificate.ALGORITHM, "public_key": public_key_text()}


@router.post("/verification", response=schemas.VerificationOut)
def verify(request: HttpRequest, payload: schemas.VerificationIn) -> Any:
    """Whether a certificate is the platform's. Anyone may ask; nothing is stored."""
    return {"genuine": certificate.genuine(payload.content, payload.signature, public_key())}


@router.get("/expected", response=schemas.ExpectedOut)
def expected(request: HttpRequest, fee_fen: int, centre_id: UUID) -> Any:
    """What the policy would pay back of a fee at a centre, before committing to it."""
    viewer = viewer_of(request)
    require(viewer, "vouchers.read")
    centre = DataCentre.objects.filter(pk=centre_id).first()
    if centre is None:
        raise NotFound("centre_not_found_for_voucher")
    organisation = queries.own_organisation(viewer)
    found = queries.expected_reimbursement(
        organisation, max(0, min(fee_fen, 10**15)), centre, at=clock.now()
    )
    refusal = found.refusal
    return {
        "amount_fen": found.amount_fen,
        "eligible": found.eligible,
        "voucher_needed": found.voucher_needed,
        "decision": found.decision.as_json() if found.decision else None,
        "refusal": {"code": refusal.code, "message": explain(refusal, language_of(request))}
        if refusal
        else None,
    }


@router.get("/benefits", response=schemas.BenefitsOut)
def benefits(request: HttpRequest) -> Any:
    """What the own organisation could get by what the platform knows, and what is missing."""
    viewer = viewer_of(request)
    require(viewer, "vouchers.read")
    found = benefits_of(queries.own_organisation(viewer), at=clock.now())
    return {
        "policy": found.package.name,
        "on": found.on,
        "ready_fen": found.ready_fen,
        "year_left_fen": found.year_left_fen,
        "claimable": [
            {
                "voucher_id": one.voucher.pk,
                "number": one.voucher.number,
                "expires_at": one.voucher.expires_at,
                "left_fen": one.left_fen,
                "amount_fen": one.amount_fen,
                "lines": [line.id for line in one.lines],
            }
            for one in found.claimable
        ],
        "papers_to_bring": found.papers,
        "papers_held": found.papers_held,
        "without_voucher_fen": found.with_voucher.decision.amount_fen if found.with_voucher else 0,
        "when_paid": [
            {
                "invoice_id": one.invoice.pk,
                "number": one.invoice.number,
                "total_fen": one.invoice.total_fen,
                "amount_fen": one.expected.amount_fen,
            }
            for one in found.when_paid
        ],
        "possible": [_possible(one) for one in found.possible],
        "questions": found.questions,
    }


def _possible(one: Possible) -> dict[str, Any]:
    measure = one.found.measure
    return {
        "policy": one.package.name,
        "measure": measure.name,
        "title": measure.title,
        "article": one.package.articles[measure.article],
        "state": one.found.state,
        "amount_fen": one.found.amount_fen,
        "asks": list(one.found.asks),
        "failed": [condition.label for condition in one.found.failed],
        "papers": one.papers,
    }


@router.get("/pool", response=schemas.PoolOut)
def pool(request: HttpRequest, year: int | None = None) -> Any:
    """Where the pool of a year stands."""
    require(viewer_of(request), "pool.read")
    wanted = budget_year(clock.now()) if year is None else min(max(year, 1), 9999)
    return queries.pool_gauge(in_force().name, wanted)


@router.post("/pool", response=schemas.PoolOut)
def fund(request: HttpRequest, payload: schemas.FundIn) -> Any:
    """Put the policy's yearly amount into the pool, once."""
    viewer = viewer_of(request)
    services.fund_pool(payload.year, actor=viewer, at=clock.now())
    return queries.pool_gauge(in_force().name, payload.year)


@router.get("/claimable-lines", response=list[schemas.FeeLineOut])
def claimable_lines(request: HttpRequest) -> Any:
    """Paid lines of the own organisation that a claim could stand on now."""
    viewer = viewer_of(request)
    require(viewer, "claims.read")
    return queries.claimable_lines(queries.own_organisation(viewer))


@router.get("/claims", response=Page[schemas.ClaimOut])
def claims(request: HttpRequest, paging: Query[Paging], state: ClaimState | None = None) -> Any:
    """Claims, the newest first."""
    found = queries.claims(viewer_of(request), state=state)
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-filed_at", "pk"))


@router.get("/claims/export.csv")
def export_claims(request: HttpRequest) -> HttpResponse:
    """The same as a table for a spreadsheet, amounts in yuan."""
    rows = queries.claims(viewer_of(request)).order_by("-filed_at", "pk")[:ROWS_AT_MOST]
    return csv_answer(
        "claims",
        ["number", "voucher", "organisation", "state", "fees_yuan", "amount_yuan", "filed"],
        (
            [
                row.number,
                row.voucher.number,
                row.organisation.name,
                row.state,
                yuan(row.paid_fee_fen),
                yuan(row.amount_fen),
                row.filed_at.isoformat(),
            ]
            for row in rows
        ),
    )


@router.get("/claims/{uuid:claim_id}", response=schemas.ClaimDetailOut)
def claim(request: HttpRequest, claim_id: UUID) -> Any:
    """One claim with the policy's whole decision: steps, conditions, caps, articles."""
    return queries.claim(claim_id, viewer_of(request))


@router.get("/claims/{uuid:claim_id}/lines", response=Page[schemas.ClaimLineOut])
def claim_lines(request: HttpRequest, claim_id: UUID, paging: Query[Paging]) -> Any:
    """The paid invoice lines it stands on."""
    found = queries.claim_lines(claim_id, viewer_of(request))
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("pk",))


@router.post("/claims/{uuid:claim_id}/review", response=schemas.ClaimDetailOut)
def review(request: HttpRequest, claim_id: UUID, payload: schemas.ReviewIn) -> Any:
    """Approve a claim, or reject it with a reason."""
    viewer = viewer_of(request)
    require(viewer, "claims.review")
    return services.review_claim(
        queries.claim(claim_id, viewer),
        payload.approve,
        payload.reason,
        actor=viewer,
        at=clock.now(),
    )


@router.post("/claims/{uuid:claim_id}/withdrawal", response=schemas.ClaimDetailOut)
def withdraw(request: HttpRequest, claim_id: UUID) -> Any:
    """Take back a claim nobody has decided yet."""
    viewer = viewer_of(request)
    require(viewer, "claims.file")
    return services.withdraw_claim(queries.claim(claim_id, viewer), actor=viewer, at=clock.now())


@router.get("/{uuid:voucher_id}", response=schemas.VoucherOut)
def voucher(request: HttpRequest, voucher_id: UUID) -> Any:
    """One voucher with its four numbers."""
    found = queries.voucher(voucher_id, viewer_of(request))
    _number([found])
    return found


@router.get("/{uuid:voucher_id}/certificate", response=schemas.CertificateOut)
def certificate_of(request: HttpRequest, voucher_id: UUID) -> Any:
    """The signed electronic certificate of a voucher."""
    found: Voucher = queries.voucher(voucher_id, viewer_of(request))
    return {
        "content": found.stated,
        "algorithm": certificate.ALGORITHM,
        "signature": found.signature,
        "public_key": public_key_text(),
    }


@router.get("/{uuid:voucher_id}/claim-draft", response=schemas.PrefilledOut)
def prefill(request: HttpRequest, voucher_id: UUID) -> Any:
    """A claim as it could be filed now: every claimable line, the amount and why."""
    viewer = viewer_of(request)
    require(viewer, "claims.read")
    drafted = queries.prefill_claim(queries.voucher(voucher_id, viewer), at=clock.now())
    decision, assessed = drafted.decision, drafted.assessed
    return {
        "lines": drafted.lines,
        "claim_lines": [line.id for line in assessed.kept] if assessed else [],
        "comparison": assessed.as_json() if assessed else None,
        "total_fee_fen": sum(line.fee_fen for line in drafted.lines),
        "amount_fen": decision.amount_fen if assessed and assessed.kept and decision else 0,
        "eligible": decision.eligible if decision else False,
        "decision": decision.as_json() if decision else None,
    }


@router.post("/{uuid:voucher_id}/claims", response={201: schemas.ClaimDetailOut})
def file_claim(request: HttpRequest, voucher_id: UUID, payload: schemas.ClaimIn) -> Any:
    """Claim paid lines against a voucher; the policy decides the amount."""
    viewer = viewer_of(request)
    require(viewer, "claims.file")
    filed = services.file_claim(
        queries.voucher(voucher_id, viewer), payload.lines, actor=viewer, at=clock.now()
    )
    return Status(201, filed)
