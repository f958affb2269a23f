"""Accounting that comes to another figure later: no second is billed twice, none dropped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from suanwang.core.errors import Refused
from suanwang.ledger import chart
from suanwang.ledger.queries import balance
from suanwang.metering import audit
from suanwang.metering import queries as metering_queries
from suanwang.metering import services as metering
from suanwang.metering.models import Charge, Invoice, RatingProblem, Settlement, UsageRecord
from suanwang.metering.rules import city_day
from suanwang.vouchers import audit as vouchers_audit
from suanwang.vouchers import queries
from suanwang.vouchers import services as vouchers


def correct(city: Any, old: UsageRecord, quantity: int) -> tuple[list[str], list[str]]:
    """A correction of a record as its agent would send it; what was accepted and refused."""
    record = city.meter.record(
        old.attempt_id, old.meter, quantity, old.started_at,
        max(old.ended_at, old.started_at + timedelta(seconds=quantity)),
        corrects=str(old.record_id),
    )  # fmt: skip
    accepted, refused = metering.take_usage(city.agent, [record], at=city.now)
    return accepted, [str(one["code"]) for one in refused]


def reported(city: Any) -> Any:
    """A job that ran for half an hour on a core, reported but not settled: 50 fen."""
    job = city.job(cores=1, ran_seconds=1800)
    city.report(job)
    return job


def core_record(job: Any) -> UsageRecord:
    return UsageRecord.objects.get(
        attempt__job=job, meter="core_seconds", corrected_by__isnull=True
    )


def kept() -> None:
    checks = [*audit.checks(), *vouchers_audit.checks()]
    broken = [found for check in checks if not (found := check()).kept]
    assert broken == []


def paid(city: Any, *quantities: int) -> Invoice:
    """Half an hour on a core, corrected in turn before it was settled, invoiced and paid."""
    job = reported(city)
    for quantity in quantities:
        metering.rate_pending(at=city.now)
        assert correct(city, core_record(job), quantity)[1] == []
    metering.rate_pending(at=city.now)
    metering.settle(job, at=city.now)
    return pay(city, city.invoice())


def pay(city: Any, invoice: Invoice) -> Invoice:
    slip, day = f"SLIP-{invoice.number}", city_day(city.now)
    metering.record_payment(
        invoice, "bank_slip", slip, invoice.total_fen, day,
        actor=city.provider_member, at=city.now,
    )  # fmt: skip
    invoice.refresh_from_db()
    return invoice


@pytest.mark.parametrize("rated_before", [False, True])
@pytest.mark.parametrize("quantities", [[3600], [900], [0], [3600, 900], [900, 1801], [1800]])
def test_a_job_costs_what_its_last_correction_says_whenever_that_comes(
    city: Any, quantities: list[int], rated_before: bool
) -> None:
    job = reported(city)
    for quantity in quantities:
        if rated_before:
            metering.rate_pending(at=city.now)
        assert correct(city, core_record(job), quantity)[1] == []
    metering.rate_pending(at=city.now)
    settlement = metering.settle(job, at=city.now)
    # 100 fen an hour; each record rounded half up, as if it had been right at once
    assert settlement.amount_fen == (quantities[-1] * 100 * 2 + 3600) // 7200
    assert sum(Charge.objects.values_list("amount_fen", flat=True)) == settlement.amount_fen
    kept()
    if settlement.amount_fen:
        assert city.invoice().total_fen == settlement.amount_fen
        kept()


def test_after_the_settlement_a_person_decides_and_nothing_moves_by_itself(city: Any) -> None:
    job = reported(city)
    metering.rate_pending(at=city.now)
    settled = metering.settle(job, at=city.now).amount_fen
    correct(city, core_record(job), 900)
    metering.rate_pending(at=city.now)
    problem = RatingProblem.objects.get()
    assert problem.code == "usage_corrected_late"
    assert (problem.facts["was"], problem.facts["now"]) == (1800, 900)
    assert problem.facts["difference_fen"] == -25
    with pytest.raises(Refused, match="problem_only_written_off"):
        metering.resolve_problem(
            problem, "agreed", reason="x", amount_fen=5, actor=city.operator, at=city.now
        )
    assert Settlement.objects.get(job=job).amount_fen == settled
    kept()


def test_a_correction_of_something_else_is_refused_and_never_billed(city: Any) -> None:
    job, other = reported(city), reported(city)
    first = core_record(job)
    record = city.meter.record(
        core_record(other).attempt_id, "core_seconds", 5, first.started_at, first.ended_at,
        corrects=str(first.record_id),
    )  # fmt: skip
    _, refused = metering.take_usage(city.agent, [record], at=city.now)
    assert [one["code"] for one in refused] == ["usage_correction_unknown"]
    assert correct(city, first, 900)[1] == []
    assert correct(city, first, 901)[1] == ["usage_correction_unknown"]  # not the newest
    metering.rate_pending(at=city.now)
    assert metering.settle(job, at=city.now).amount_fen == 25
    kept()


def test_a_correction_is_counted_once_however_often_it_comes(city: Any) -> None:
    job = reported(city)
    old = core_record(job)
    record = city.meter.record(
        old.attempt_id, old.meter, 900, old.started_at, old.ended_at, corrects=str(old.record_id)
    )
    first = metering.take_usage(city.agent, [record], at=city.now)
    assert metering.take_usage(city.agent, [record, record], at=city.now) == (first[0] * 2, [])
    forged = {**record, "corrects": str(core_record(job).record_id)}
    refused = metering.take_usage(city.agent, [forged], at=city.now)[1]
    assert [one["code"] for one in refused] == ["usage_record_differs"]
    kept()


@pytest.mark.parametrize(
    ("quantities", "lines", "fee"),
    [([900], 2, 25), ([3600], 2, 100), ([3600, 900], 3, 25), ([0, 3600, 1800], 4, 50)],
)
def test_a_corrected_use_is_claimed_once_and_for_what_it_came_to_in_the_end(
    city: Any, quantities: list[int], lines: int, fee: int
) -> None:
    voucher = city.voucher()
    invoice = paid(city, *quantities)
    assert invoice.lines.count() == lines
    [line] = queries.claimable_lines(city.company)
    assert (line.amount_fen, line.fee_fen) == (fee, fee)
    follows = [one.pk for one in invoice.lines.all() if one.pk != line.id]
    for chosen in (follows, [line.id, *follows]):
        with pytest.raises(Refused, match="line_is_correction"):
            vouchers.file_claim(voucher, chosen, actor=city.billing, at=city.now)
    claim = vouchers.file_claim(voucher, [line.id], actor=city.billing, at=city.now)
    assert claim.paid_fee_fen == fee
    kept()


def test_a_use_that_came_to_nothing_at_first_is_claimed_by_its_correction(city: Any) -> None:
    city.voucher()
    job = reported_nothing(city)
    assert correct(city, core_record(job), 3600)[1] == []
    metering.rate_pending(at=city.now)
    metering.settle(job, at=city.now)
    pay(city, city.invoice())
    assert [line.fee_fen for line in queries.claimable_lines(city.company)] == [100]
    kept()


def reported_nothing(city: Any) -> Any:
    """A job whose first accounting said that it used nothing."""
    job = city.job(cores=1, ran_seconds=3600)
    attempt = job.attempts.get()
    records = [
        city.meter.record(attempt.pk, meter, 0, attempt.started_at, attempt.ended_at)
        for meter in ("core_seconds", "memory_mib_seconds")
    ]
    assert metering.take_usage(city.agent, records, at=city.now)[1] == []
    return job


def late(city: Any, quantity: int) -> RatingProblem:
    """A job of 50 fen that was invoiced and paid, and then corrected."""
    job = reported(city)
    metering.rate_pending(at=city.now)
    metering.settle(job, at=city.now)
    pay(city, city.invoice())
    return corrected_again(city, job, quantity)


def corrected_again(city: Any, job: Any, quantity: int) -> RatingProblem:
    assert correct(city, core_record(job), quantity)[1] == []
    metering.rate_pending(at=city.now)
    return RatingProblem.objects.latest("pk")


def give_back(city: Any, problem: RatingProblem) -> Charge:
    return metering.resolve_problem(
        problem, "credited", reason="accounting", actor=city.operator, at=city.now
    )


def test_what_was_charged_too_much_comes_back_and_lowers_the_next_invoice(city: Any) -> None:
    problem = late(city, 900)
    spendable, earned = city.spendable(), balance(chart.earnings(city.provider.pk).id)
    assert give_back(city, problem).amount_fen == -25
    sums = metering_queries.reconcile(
        city.company.pk, starts=city.now - timedelta(days=1), ends=city.now + timedelta(days=1)
    )
    assert (sums.used, sums.rated, sums.settled, sums.ledger) == (25, 25, 25, 25)
    assert (sums.invoiced, sums.not_invoiced) == (50, -25)
    assert city.spendable() == spendable + 25
    now = balance(chart.earnings(city.provider.pk).id)
    assert now.credits_posted - now.debits_posted == (
        earned.credits_posted - earned.debits_posted - 25
    )
    kept()
    with pytest.raises(Refused, match="nothing_to_invoice"):
        city.invoice()  # nothing it could be taken off from
    city.used()
    assert city.invoice().total_fen == 100 - 25
    kept()
    with pytest.raises(Refused, match="problem_already_resolved"):
        give_back(city, problem)


def test_late_usage_is_never_charged_after_the_settlement(city: Any) -> None:
    problem = late(city, 3600)
    assert problem.facts["difference_fen"] == 50
    with pytest.raises(Refused, match="problem_not_creditable"):
        give_back(city, problem)
    metering.resolve_problem(
        problem, "written_off", reason="too late", actor=city.operator, at=city.now
    )
    kept()


def test_corrections_are_given_back_in_their_order(city: Any) -> None:
    first = late(city, 900)
    job = first.usage.attempt.job
    second = corrected_again(city, job, 360)
    with pytest.raises(Refused, match="correction_before_open"):
        give_back(city, second)
    assert (give_back(city, first).amount_fen, give_back(city, second).amount_fen) == (-25, -15)
    kept()


def test_a_use_under_a_claim_is_put_right_there_first(city: Any) -> None:
    voucher = city.voucher()
    problem = late(city, 900)
    [line] = queries.claimable_lines(city.company)
    claim = vouchers.file_claim(voucher, [line.id], actor=city.billing, at=city.now)
    with pytest.raises(Refused, match="use_under_claim") as refused:
        give_back(city, problem)
    assert refused.value.facts["claim"] == claim.number
    vouchers.withdraw_claim(claim, actor=city.billing, at=city.now)
    give_back(city, problem)
    [line] = queries.claimable_lines(city.company)
    assert line.fee_fen == 25
    vouchers.file_claim(voucher, [line.id], actor=city.billing, at=city.now)
    kept()
