"""An estimate with what the policy would pay back: jobs and vouchers meet here, above both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema

from suanwang.core.jobspec import JobSpec
from suanwang.core.money import Fen
from suanwang.core.refusals import Language, explain
from suanwang.jobs import services as jobs
from suanwang.jobs.estimate import CentreOption, Estimate
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer
from suanwang.vouchers.queries import Expected, expected_reimbursement


class LineOut(Schema):
    """One meter at the full walltime: quantity x price_fen / per_quantity, rounded half up."""

    meter: str
    quantity: int
    price_id: UUID
    price_fen: int
    per_quantity: int
    amount_fen: int
    until: datetime | None


class RefusalOut(Schema):
    code: str
    message: str


class ReimbursementOut(Schema):
    """What the policy would pay back of ``amount_fen`` once paid, with every step. No promise."""

    amount_fen: int
    eligible: bool
    voucher_needed: bool
    decision: dict[str, Any] | None
    refusal: RefusalOut | None


class OptionOut(Schema):
    """One place the job could go to."""

    centre: str
    centre_name: str
    tier: str
    kind: str
    cluster: str
    model: str | None
    fits: bool
    excluded: str | None
    """The wish that keeps the job from there, by its field."""
    acceptable: bool
    online: bool
    missing_prices: list[str]
    lines: list[LineOut]
    amount_fen: int
    hold_fen: int
    price_until: datetime | None
    reimbursement: ReimbursementOut | None
    """Null for a caller without an organisation, and for work that costs nothing."""


class EstimateOut(Schema):
    """All places, the cheapest acceptable one first; ``hold_fen`` is what submitting holds."""

    options: list[OptionOut]
    cheapest: str
    hold_fen: int
    walltime_seconds: int


@dataclass(frozen=True)
class Offer:
    """One option with what would come back of it."""

    option: CentreOption
    expected: Expected | None
    """None for a viewer without an organisation, and for work that costs nothing."""

    @property
    def net_fen(self) -> Fen:
        """What is left to the user after the policy has paid."""
        return self.option.amount_fen - (self.expected.amount_fen if self.expected else 0)


def offers(estimate: Estimate, viewer: Viewer, at: datetime) -> list[Offer]:
    """Every option beside what the viewer's organisation could expect back by the policy."""
    organisation = (
        Organisation.objects.get(pk=viewer.organisation_id) if viewer.organisation_id else None
    )
    return [
        Offer(
            option,
            expected_reimbursement(organisation, option.amount_fen, option.centre, at=at)
            if organisation is not None and option.acceptable and option.amount_fen
            else None,
        )
        for option in estimate.options
    ]


def estimate_out(spec: JobSpec, viewer: Viewer, at: datetime, language: Language) -> dict[str, Any]:
    """The whole answer to ``POST /jobs/estimate``."""
    estimated = jobs.estimate(spec, viewer=viewer, at=at)
    return {
        "options": [_option_out(offer, language) for offer in offers(estimated, viewer, at)],
        "cheapest": estimated.cheapest.centre.code,
        "hold_fen": estimated.hold_fen,
        "walltime_seconds": spec.walltime_seconds,
    }


def _option_out(offer: Offer, language: Language) -> dict[str, Any]:
    option = offer.option
    return {
        "centre": option.centre.code,
        "centre_name": option.centre.name,
        "tier": option.centre.tier,
        "kind": option.centre.kind,
        "cluster": option.cluster.name,
        "model": option.model,
        "fits": option.fits,
        "excluded": option.excluded,
        "acceptable": option.acceptable,
        "online": option.online,
        "missing_prices": list(option.missing_prices),
        "lines": option.lines,
        "amount_fen": option.amount_fen,
        "hold_fen": option.hold_fen,
        "price_until": option.price_until,
        "reimbursement": _expected_out(offer.expected, language) if offer.expected else None,
    }


def _expected_out(expected: Expected, language: Language) -> dict[str, Any]:
    refusal = expected.refusal
    return {
        "amount_fen": expected.amount_fen,
        "eligible": expected.eligible,
        "voucher_needed": expected.voucher_needed,
        "decision": expected.decision.as_json() if expected.decision else None,
        "refusal": (
            {"code": refusal.code, "message": explain(refusal, language)} if refusal else None
        ),
    }
