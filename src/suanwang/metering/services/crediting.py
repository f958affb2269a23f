"""Give back what a settled job was charged too much, once its centre's accounting says so."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid5

from suanwang.core.errors import Refused
from suanwang.ledger import chart
from suanwang.ledger.services import create_accounts, post_or_refuse
from suanwang.ledger.terms import Ledger, TransferSpec, chained
from suanwang.metering.models import Charge, InvoiceLine, RatingProblem, UsageRecord

CREDIT, EARNINGS_BACK = "charge_back", "earnings_back"
"""Codes of the two transfers: provider to clearing, clearing to the user's budget."""


def credit(problem: RatingProblem, usage: UsageRecord, charge: Charge, *, at: datetime) -> None:
    """Post a late correction of a settled job, in the caller's transaction: the charge below
    nothing, the money back from the provider into what the user may spend. It lowers the next
    invoice of both; settlement and earlier invoices stand as they are.

    Only downwards: usage that arrives after the settlement is never charged. What the policy has
    paid, or is asked to pay, on the use must be put right first, by a person.

    Refuses ``problem_not_creditable``, ``correction_before_open`` (an earlier correction of the
    same use waits, or was not given back) and ``use_under_claim``.
    """
    if problem.code != "usage_corrected_late" or charge.amount_fen >= 0:
        raise Refused("problem_not_creditable")
    before = Charge.objects.filter(usage=usage.corrects_id).first()
    if before is None or before.basis in (Charge.Basis.WRITTEN_OFF, Charge.Basis.AGREED):
        raise Refused("correction_before_open")
    _must_be_unclaimed(usage)
    charge.save(force_insert=True)
    spend, clearing = chart.spend(charge.organisation_id), chart.clearing()
    earnings = chart.earnings(charge.provider_id)
    create_accounts([spend, clearing, earnings])
    facts, fen = {"job": str(charge.job_id)}, -charge.amount_fen
    steps = [
        TransferSpec(
            uuid5(usage.record_id, code), debit.id, to.id, fen, Ledger.MONEY, code, facts=facts
        )
        for code, debit, to in ((EARNINGS_BACK, earnings, clearing), (CREDIT, clearing, spend))
    ]
    post_or_refuse(chained(steps), at=at)


def _must_be_unclaimed(usage: UsageRecord) -> None:
    lines = InvoiceLine.objects.filter(
        charge__usage__attempt=usage.attempt_id, charge__usage__meter=usage.meter
    )
    list(lines.select_for_update(of=("self",), no_key=True).order_by("pk").values_list("pk"))
    # Vouchers are a floor above; their claims are reached through the line they stand on.
    claimed = lines.filter(claim_lines__released=False)
    if claims := sorted(set(claimed.values_list("claim_lines__claim__number", flat=True))):
        raise Refused("use_under_claim", claim=", ".join(claims))
