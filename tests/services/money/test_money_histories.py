"""Whatever people do, in whatever order, and at once: every promise of money is kept."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suanwang.core.errors import NotAllowed, NotFound, Refused
from suanwang.jobs.models import Job
from suanwang.ledger import audit as ledger_audit
from suanwang.ledger import chart
from suanwang.ledger.queries import balance
from suanwang.metering import audit as metering_audit
from suanwang.metering import services as metering
from suanwang.metering.models import Invoice, Settlement, UsageRecord
from suanwang.people.roles import Role
from suanwang.programmes import audit as programmes_audit
from suanwang.programmes import services as programmes
from suanwang.programmes.models import Application, PaymentOrder, PaymentShare
from suanwang.vouchers import audit as vouchers_audit
from suanwang.vouchers import queries
from suanwang.vouchers import services as vouchers
from suanwang.vouchers.models import Claim, Voucher

from .conftest import City, organisation, viewer

ROOMS = (ledger_audit, metering_audit, vouchers_audit, programmes_audit)


def audit() -> None:
    for room in ROOMS:
        for check in room.checks():
            finding = check()
            assert finding.kept, (finding.name, finding.broken)


class History:
    """One random life of the city; every choice comes from one seed."""

    def __init__(self, city: City, seed: int) -> None:
        self.city, self.chance = city, random.Random(seed)
        self.done: set[str] = set()

    def one(self, rows):
        found = list(rows.order_by("pk" if rows.model is PaymentShare else "number"))
        return self.chance.choice(found) if found else None

    def who(self, *names: str):
        return self.city.people[self.chance.choice(names)]

    def run_job(self) -> None:
        city = self.city
        job = city.job(
            cores=self.chance.randint(1, 64),
            cards=self.chance.choice([0, 0, 1, 8]),
            hold=self.chance.choice([0, 1, 50, 10_000]),
            walltime=self.chance.choice([600, 3600]),
            ran_seconds=self.chance.choice([None, 0, 1, 599, 3600, 4000]),
            starts=city.now - timedelta(hours=self.chance.randint(2, 40)),
        )
        if self.chance.random() < 0.2:
            job.attempts.update(state="abandoned")
        if self.chance.random() < 0.9:
            city.report(job)

    def rate(self) -> None:
        metering.rate_pending(at=self.city.now)
        metering.settle_ended(at=self.city.now)

    def invoice(self) -> None:
        metering.issue_all(at=self.city.now)

    def pay(self) -> None:
        invoice = self.one(Invoice.objects.all())
        if invoice:
            amount = self.chance.choice([invoice.total_fen] * 4 + [1, invoice.total_fen + 1])
            metering.record_payment(
                invoice,
                "bank_slip",
                f"S{self.chance.randint(1, 30)}",
                amount,
                self.city.now.date(),
                actor=self.who("provider_member", "provider_member", "operator"),
                at=self.city.now,
            )

    def apply(self) -> None:
        self.city.apply(self.chance.choice([1, 700, 90_000, 100_000_000]))

    def grant(self) -> None:
        application = self.one(Application.objects.filter(state="filed"))
        if application:
            amount = self.chance.choice([application.asked_fen, 1, application.asked_fen + 1])
            days = self.chance.choice([0, 20, 400])
            programmes.grant(
                application,
                amount,
                last_day=self.city.now.date() + timedelta(days=days) if days < 400 else None,
                actor=self.who("reviewer", "finance"),
                at=self.city.now,
            )

    def claim(self) -> None:
        voucher = self.one(Voucher.objects.all())
        lines = [line.id for line in queries.claimable_lines(self.city.company)]
        if voucher and lines:
            chosen = self.chance.sample(lines, self.chance.randint(1, len(lines)))
            vouchers.file_claim(voucher, chosen, actor=self.city.billing, at=self.city.now)

    def claim_again(self) -> None:
        old = self.one(Claim.objects.all())
        if old:
            lines = list(old.lines.values_list("invoice_line", flat=True))
            vouchers.file_claim(old.voucher, lines, actor=self.city.billing, at=self.city.now)

    def review(self) -> None:
        claim = self.one(Claim.objects.all())
        if claim:
            vouchers.review_claim(
                claim,
                self.chance.random() < 0.7,
                "理由",
                actor=self.who("approver", "approver", "reviewer"),
                at=self.city.now,
            )

    def withdraw(self) -> None:
        claim = self.one(Claim.objects.all())
        if claim:
            vouchers.withdraw_claim(claim, actor=self.city.billing, at=self.city.now)

    def order(self) -> None:
        claim = self.one(Claim.objects.all())
        if claim:
            programmes.issue_payment_order(
                claim, actor=self.who("finance", "finance2", "approver"), at=self.city.now
            )

    def receive(self) -> None:
        share = self.one(PaymentShare.objects.all())
        if share:
            programmes.record_receipt(
                share,
                f"R{self.chance.randint(1, 20)}",
                actor=self.who("finance", "county"),
                at=self.city.now,
            )

    def return_order(self) -> None:
        order = self.one(PaymentOrder.objects.all())
        if order:
            programmes.return_order(order, "退回", actor=self.city.finance, at=self.city.now)

    def days_pass(self) -> None:
        self.city.now += timedelta(days=self.chance.choice([1, 25]))
        vouchers.expire_vouchers(at=self.city.now)

    def live(self, steps: int) -> None:
        self.city.fund()
        often: list[tuple[Callable[[], None], int]] = [
            (self.run_job, 4),
            (self.rate, 3),
            (self.invoice, 2),
            (self.pay, 4),
            (self.apply, 2),
            (self.grant, 3),
            (self.claim, 4),
            (self.claim_again, 1),
            (self.review, 3),
            (self.withdraw, 1),
            (self.order, 3),
            (self.receive, 3),
            (self.return_order, 1),
            (self.days_pass, 1),
        ]
        verbs, weights = zip(*often, strict=True)
        for verb in self.chance.choices(verbs, weights, k=steps):
            try:
                with transaction.atomic():
                    verb()
                self.done.add(verb.__name__)
            except (Refused, NotAllowed, NotFound) as refusal:
                self.done.add(refusal.code)


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32))
def test_no_history_breaks_a_promise(city, seed):
    now, sequence, previous = city.now, city.meter.sequence, city.meter.previous
    save = transaction.savepoint()
    try:
        History(city, seed).live(45)
        audit()
    finally:
        transaction.savepoint_rollback(save)
        city.now, city.meter.sequence, city.meter.previous = now, sequence, previous


def test_a_long_history_reaches_every_room_and_keeps_every_promise(city):
    history = History(city, 20260302)
    history.live(300)
    audit()
    reached = {"pay", "grant", "claim", "review", "order", "receive", "withdraw", "return_order"}
    refused = {"line_already_claimed", "amount_differs", "permission_missing"}
    assert reached <= history.done
    assert refused <= history.done


def at_once(count: int, act: Callable[[int], object]) -> list[object]:
    """Do something from several connections at the same moment; answers or refusals, in order."""
    gate = Barrier(count)

    def one(number: int) -> object:
        try:
            gate.wait(timeout=30)
            return act(number)
        except Refused as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_one_line_claimed_on_two_vouchers_at_once_is_claimed_once(committed_city):
    city = committed_city
    held = [city.voucher(1000), city.voucher(1000)]
    invoice = city.paid_invoice(cores=4)
    results = at_once(2, lambda number: city.claim(held[number], invoice))
    assert sorted(isinstance(result, Claim) for result in results) == [False, True]
    assert "line_already_claimed" in results
    assert sum(numbers.reserved for numbers in queries.numbers(held).values()) == 200
    audit()


def test_eight_officials_cannot_grant_more_than_the_pool_holds(committed_city):
    city = committed_city
    city.fund()
    applications = []
    for number in range(16):
        company = organisation(f"企业{number}", "enterprise")
        billing = viewer(f"billing{number}", company, Role.BILLING)
        applications.append(
            programmes.file_application(100_000_000, "训练", actor=billing, at=city.now)
        )

    def grant_two(number: int) -> list[object]:
        granted: list[object] = []
        for application in applications[2 * number : 2 * number + 2]:
            try:
                granted.append(
                    programmes.grant(application, 100_000_000, actor=city.reviewer, at=city.now)
                )
            except Refused as refusal:
                granted.append(refusal.code)
        return granted

    answers = [answer for pair in at_once(8, grant_two) for answer in pair]
    assert sum(isinstance(answer, Voucher) for answer in answers) == 10
    assert answers.count("pool_exhausted") == 6
    assert balance(chart.pool("baoding-2024", 2026).id).available == 0
    audit()


def test_what_is_done_many_times_at_once_is_done_once(committed_city):
    city = committed_city
    job = city.job(cores=2)
    records = city.records(job.attempts.get())
    at_once(4, lambda _: metering.take_usage(city.agent, records, at=city.now))
    assert UsageRecord.objects.count() == 2
    at_once(4, lambda _: metering.rate_pending(at=city.now))
    at_once(4, lambda _: metering.settle(job, at=city.now))
    assert Settlement.objects.count() == 1
    assert city.earned() == 200
    issued = at_once(4, lambda _: city.invoice())
    assert sorted(str(result) for result in issued).count("nothing_to_invoice") == 3
    [invoice] = Invoice.objects.all()
    day = datetime(2026, 3, 2, tzinfo=UTC).date()
    at_once(
        4,
        lambda number: metering.record_payment(
            invoice, "bank_slip", f"S{number}", 200, day, actor=city.operator, at=city.now
        ),
    )
    assert city.spendable() == 1_000_000
    assert Job.objects.count() == 1
    audit()
