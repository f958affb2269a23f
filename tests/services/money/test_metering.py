"""From a signed quantity to a paid invoice: counted once, priced exactly, settled to the fen."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from suanwang.core.errors import NotAllowed, Refused
from suanwang.jobs.models import Attempt, Job
from suanwang.metering import services as metering
from suanwang.metering.models import (
    Charge,
    Invoice,
    RatingProblem,
    RefusedUsage,
    Settlement,
    UsageRecord,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def refusals(answer):
    return [row["code"] for row in answer[1]]


def take(city, records):
    return metering.take_usage(city.agent, records, at=city.now)


def test_a_record_is_counted_once_however_often_it_comes(city):
    records = city.records(city.job().attempts.get())
    first = take(city, records)
    assert len(first[0]) == 2
    assert first[1] == []
    assert take(city, records) == first
    assert take(city, records + records) == (first[0] * 2, [])
    assert UsageRecord.objects.count() == 2


def test_the_same_id_with_other_content_is_refused_and_changes_nothing(city):
    [record, _] = city.records(city.job().attempts.get())
    take(city, [record])
    assert refusals(take(city, [{**record, "quantity": 1}])) == ["usage_record_differs"]
    assert UsageRecord.objects.get().quantity == 3600


def test_a_gap_in_the_sequence_names_the_record_that_is_expected(city):
    [first, second] = city.records(city.job().attempts.get())
    _, [refusal] = take(city, [second])
    assert refusal["code"] == "usage_sequence_gap"
    assert refusal["facts"]["expected"] == 1
    assert refusals(take(city, [first, second])) == []


def test_a_record_that_was_changed_or_signed_by_another_key_is_refused(city):
    [record, _] = city.records(city.job().attempts.get())
    assert refusals(take(city, [{**record, "quantity": 3599}])) == ["usage_chain_broken"]
    forged = {**record, "signature": "AAAA" + str(record["signature"])[4:]}
    assert refusals(take(city, [forged])) == ["usage_signature_wrong"]
    assert not UsageRecord.objects.exists()
    assert refusals(take(city, [record])) == []


@pytest.mark.parametrize("name", ["record_id", "meter", "quantity", "started_at", "hash"])
def test_an_unreadable_field_is_named(city, name):
    [record, _] = city.records(city.job().attempts.get())
    _, [refusal] = take(city, [{**record, name: "nonsense"}])
    assert refusal["code"] == "usage_record_unreadable"
    assert refusal["facts"] == {"field": name}


def test_an_impossible_record_keeps_its_place_in_the_chain_and_is_never_billed(city):
    job = city.job()
    attempt = job.attempts.get()
    assert attempt.started_at
    impossible = city.meter.record(
        attempt.pk, "core_seconds", 3601, attempt.started_at, attempt.ended_at
    )
    honest = city.records(attempt)
    assert refusals(take(city, [impossible, *honest])) == ["usage_more_than_allocated"]
    assert refusals(take(city, [impossible])) == ["usage_more_than_allocated"]
    assert RefusedUsage.objects.get().sequence == 1
    assert sorted(UsageRecord.objects.values_list("sequence", flat=True)) == [2, 3]


def test_usage_of_another_cluster_or_a_second_report_of_a_meter_is_refused(city):
    attempt = city.job().attempts.get()
    other = city.meter.record(
        city.agent.pk, "core_seconds", 1, attempt.started_at, attempt.ended_at
    )
    assert refusals(take(city, [other])) == ["usage_attempt_unknown"]
    take(city, city.records(attempt))
    again = city.records(attempt)
    assert refusals(take(city, again)) == ["usage_metered_twice"] * 2


def test_a_settled_job_costs_what_was_used_and_gives_back_the_rest_of_the_hold(city):
    before = city.spendable()
    job = city.used(cores=2, ran_seconds=1800, hold=10_000)
    assert Settlement.objects.get(job=job).amount_fen == 100
    assert city.spendable() == before - 100
    assert city.earned() == 100
    assert metering.settle(job, at=city.now + DAY).settled_at == city.now
    assert city.earned() == 100


def test_a_job_that_never_ran_costs_nothing(city):
    before = city.spendable()
    job = city.job(ran_seconds=None, state=Job.State.CANCELLED)
    assert city.spendable() == before - 10_000
    assert metering.settle(job, at=city.now).amount_fen == 0
    assert city.spendable() == before


def test_a_job_is_not_settled_before_it_ended_and_every_meter_is_in_and_rated(city):
    running = city.job(state=Job.State.RUNNING)
    with pytest.raises(Refused, match="job_not_ended"):
        metering.settle(running, at=city.now)
    job = city.job(cards=1)
    with pytest.raises(Refused, match="usage_incomplete"):
        metering.settle(job, at=city.now)
    city.report(job)
    with pytest.raises(Refused, match="usage_unrated"):
        metering.settle(job, at=city.now)
    assert metering.settle_ended(at=city.now) == 0
    metering.rate_pending(at=city.now)
    assert metering.settle_ended(at=city.now) == 1
    assert Settlement.objects.get().amount_fen == 1100


def test_a_job_whose_centre_fell_silent_is_closed_by_the_operator_for_what_came_in(city):
    before = city.spendable()
    job = city.job(cards=1, hold=5_000)
    core, memory, card = city.records(job.attempts.get())
    take(city, [core, memory])
    metering.rate_pending(at=city.now)

    def close(by=city.operator, reason="站点停运"):
        return metering.settle_without_usage(job, reason, actor=by, at=city.now)

    with pytest.raises(Refused, match="reason_missing"):
        close(reason=" ")
    with pytest.raises(NotAllowed, match="permission_missing"):
        close(by=city.provider_member)
    assert close().amount_fen == 100
    assert city.spendable() == before - 100
    with pytest.raises(Refused, match="job_settled_already"):
        close()
    take(city, [card])
    metering.rate_pending(at=city.now)
    assert RatingProblem.objects.get().code == "job_already_settled"
    whole = city.job()
    city.report(whole)
    metering.rate_pending(at=city.now)
    with pytest.raises(Refused, match="usage_is_complete"):
        metering.settle_without_usage(whole, "x", actor=city.operator, at=city.now)


def test_an_abandoned_attempt_is_metered_but_never_billed(city):
    job = city.job()
    job.attempts.update(state=Attempt.State.ABANDONED)
    city.attempt(job, city.now - 12 * HOUR, 1800)
    city.report(job)
    metering.rate_pending(at=city.now)
    assert metering.settle(job, at=city.now).amount_fen == 50
    assert (
        sorted(Charge.objects.values_list("basis", flat=True)) == ["abandoned"] * 2 + ["price"] * 2
    )


def test_seconds_past_the_walltime_are_not_billed(city):
    job = city.used(walltime=3600, ran_seconds=3700)
    charge = Charge.objects.get(job=job, usage__meter="core_seconds")
    assert (charge.billed_quantity, charge.amount_fen) == (3600, 100)


def test_charges_beyond_the_hold_are_taken_from_the_budget_or_wait_for_it(bare_city):
    city = bare_city
    city.prices()
    city.give_credit(80)
    job = city.job(hold=60)
    city.report(job)
    metering.rate_pending(at=city.now)
    with pytest.raises(Refused, match="ledger_exceeds_credits"):
        metering.settle(job, at=city.now)
    assert city.spendable() == 20, "nothing of it was posted"
    city.give_credit(20)
    assert metering.settle_ended(at=city.now) == 1
    assert (city.spendable(), city.earned()) == (0, 100)


def test_a_price_change_during_the_job_is_split_exactly_and_explained(bare_city):
    city = bare_city
    city.give_credit(1_000_000)
    starts = city.now - DAY
    city.price(fen=100, ends=starts + HOUR / 4)
    city.price(fen=300, starts=starts + HOUR / 4)
    city.price("memory_mib_seconds", 0)
    job = city.used(starts=starts)
    charge = Charge.objects.get(job=job, usage__meter="core_seconds")
    assert charge.amount_fen == 25 + 225
    assert [part["amount_fen"] for part in charge.parts] == ["25", "225"]


def test_an_unknown_price_waits_for_the_operator_and_is_never_zero(bare_city):
    city = bare_city
    city.give_credit(1_000_000)
    city.price("memory_mib_seconds", 0)
    job = city.job()
    city.report(job)
    assert metering.rate_pending(at=city.now) == (1, 1)
    assert metering.rate_pending(at=city.now) == (0, 0)
    problem = RatingProblem.objects.get()
    assert (problem.code, problem.facts["meter"]) == ("price_unknown", "core_seconds")
    with pytest.raises(Refused, match="usage_unrated"):
        metering.settle(job, at=city.now)

    def resolve(how, **rest):
        return metering.resolve_problem(problem, how, actor=city.operator, at=city.now, **rest)

    with pytest.raises(Refused, match="reason_missing"):
        resolve("written_off", reason=" ")
    with pytest.raises(Refused, match="agreed_amount_impossible"):
        resolve("agreed", reason="x", amount_fen=0)
    with pytest.raises(NotAllowed, match="permission_missing"):
        metering.resolve_problem(
            problem, "written_off", reason="x", actor=city.provider_member, at=city.now
        )
    resolve("agreed", reason="双方确认按上月价格", amount_fen=90)
    with pytest.raises(Refused, match="problem_already_resolved"):
        resolve("written_off", reason="x")
    assert metering.settle(job, at=city.now).amount_fen == 90


def test_usage_that_comes_after_settlement_is_not_billed_behind_the_users_back(city):
    job = city.job(ran_seconds=None, state=Job.State.LOST)
    metering.settle(job, at=city.now)
    city.attempt(job, city.now - DAY, 3600)
    city.report(job)
    metering.rate_pending(at=city.now)
    problem = RatingProblem.objects.get()
    assert problem.code == "job_already_settled"
    with pytest.raises(Refused, match="problem_only_written_off"):
        metering.resolve_problem(
            problem, "agreed", reason="x", amount_fen=5, actor=city.operator, at=city.now
        )


def test_an_invoice_takes_every_settled_charge_once_and_is_numbered_without_gaps(city):
    city.used()
    city.used(cores=2)
    unsettled = city.job()
    city.report(unsettled)
    metering.rate_pending(at=city.now)
    invoice = city.invoice()
    assert (invoice.number, invoice.total_fen) == ("F2026-000001", 300)
    assert sorted(line.amount_fen for line in invoice.lines.all()) == [100, 200]
    assert invoice.due_at == city.now + 30 * DAY
    with pytest.raises(Refused, match="nothing_to_invoice"):
        city.invoice()
    metering.settle(unsettled, at=city.now)
    assert metering.issue_all(at=city.now) == 1
    assert Invoice.objects.order_by("number").last().number == "F2026-000002"


def test_only_the_parties_and_the_operator_issue_an_invoice(city):
    city.used()
    stranger = city.approver
    with pytest.raises(NotAllowed, match="permission_missing"):
        metering.issue_invoice(city.company, city.provider, actor=stranger, at=city.now)
    with pytest.raises(NotAllowed, match="not_your_invoice"):
        metering.issue_invoice(city.provider, city.company, actor=city.owner, at=city.now)
    metering.issue_invoice(city.company, city.provider, actor=city.owner, at=city.now)


def pay(city, invoice, *, amount=None, reference="SLIP-1", day=date(2026, 3, 2), by=None):
    return metering.record_payment(
        invoice,
        "bank_slip",
        reference,
        invoice.total_fen if amount is None else amount,
        day,
        actor=by or city.provider_member,
        at=city.now,
    )


def test_a_payment_is_exactly_the_total_and_restores_what_may_be_spent(city):
    city.used()
    invoice = city.invoice()
    before = city.spendable()
    with pytest.raises(Refused, match="amount_differs"):
        pay(city, invoice, amount=99)
    payment = pay(city, invoice)
    assert city.spendable() == before + 100
    assert pay(city, invoice).pk == payment.pk, "the same slip again is the same payment"
    assert city.spendable() == before + 100
    with pytest.raises(Refused, match="invoice_already_paid"):
        pay(city, invoice, reference="SLIP-2")


def test_a_slip_counts_once_and_its_day_must_make_sense(city):
    first = city.paid_invoice()
    city.used()
    second = city.invoice()
    with pytest.raises(Refused, match="payment_reference_used"):
        pay(city, second, reference=first.payment.reference)
    with pytest.raises(Refused, match="channel_unknown"):
        metering.record_payment(
            second, "simulated", "S9", 100, date(2026, 3, 2), actor=city.operator, at=city.now
        )
    with pytest.raises(Refused, match="payment_reference_missing"):
        pay(city, second, reference="  ")
    with pytest.raises(Refused, match="payment_day_in_future"):
        pay(city, second, day=date(2026, 3, 3))
    with pytest.raises(Refused, match="payment_before_invoice"):
        pay(city, second, day=date(2026, 3, 1))
    with pytest.raises(NotAllowed, match="permission_missing"):
        pay(city, second, by=city.billing)
    second.refresh_from_db()
    assert second.status == "issued"


def test_a_payment_through_the_channel_is_confirmed_later_and_once(city):
    city.used()
    invoice = city.invoice()
    started = metering.start_channel_payment(invoice, actor=city.billing, at=city.now)
    again = metering.start_channel_payment(invoice, actor=city.billing, at=city.now)
    assert again.reference == started.reference
    invoice.refresh_from_db()
    assert invoice.status == "issued"
    for _ in range(2):
        closed = metering.confirm_channel_payment(started.reference, at=city.now)
        assert closed.state == "confirmed"
    invoice.refresh_from_db()
    assert invoice.status == "paid"
    assert invoice.payment.channel == "simulated"


def test_a_channel_that_comes_after_the_slip_fails_and_leaves_one_payment(city):
    city.used()
    invoice = city.invoice()
    started = metering.start_channel_payment(invoice, actor=city.billing, at=city.now)
    pay(city, invoice)
    closed = metering.confirm_channel_payment(started.reference, at=city.now)
    assert closed.state == "failed"
    assert city.spendable() == 1_000_000
