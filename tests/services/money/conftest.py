"""A small city for the money tests: a company, a provider with a centre, and every office.

Rows of lower rooms are put in directly; everything this room promises goes through its services.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection

from suanwang.core.signed import FIRST_PREVIOUS_HASH, record_hash
from suanwang.jobs.models import Attempt, Job
from suanwang.ledger import chart
from suanwang.ledger.queries import balance
from suanwang.ledger.services import create_accounts, post_or_refuse
from suanwang.ledger.terms import TransferSpec
from suanwang.metering import services as metering
from suanwang.metering.models import Invoice
from suanwang.metering.rules import city_day
from suanwang.people.models import Member, Organisation, Person
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer
from suanwang.programmes import services as programmes
from suanwang.programmes.models import Application
from suanwang.registry.models import (
    AcceleratorModel,
    Cluster,
    DataCentre,
    Division,
    Node,
    Price,
    SiteAgent,
)
from suanwang.vouchers import services as vouchers
from suanwang.vouchers.models import Claim, Voucher

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass
class Meter:
    """An agent's end of the line: signs records and links them, as the real one does."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    sequence: int = 0
    previous: str = FIRST_PREVIOUS_HASH

    @property
    def public_key(self) -> str:
        raw = self.key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        return base64.b64encode(raw).decode()

    def record(
        self,
        attempt: uuid.UUID,
        meter: str,
        quantity: int,
        starts: datetime,
        ends: datetime,
        **corrects: object,
    ) -> dict[str, object]:
        """The next record of the chain."""
        self.sequence += 1
        fields: dict[str, object] = {
            "record_id": str(uuid.uuid4()),
            "attempt_id": str(attempt),
            "meter": meter,
            "quantity": quantity,
            "started_at": starts.isoformat(),
            "ended_at": ends.isoformat(),
            "sequence": self.sequence,
            **corrects,
        }
        link = record_hash(self.previous, fields)
        signature = base64.b64encode(self.key.sign(link.encode())).decode()
        whole = {**fields, "previous_hash": self.previous, "hash": link, "signature": signature}
        self.previous = link
        return whole


@dataclass
class City:
    """Everything the tests need, and the few verbs that lead up to the one under test."""

    company: Organisation
    provider: Organisation
    centre: DataCentre
    cluster: Cluster
    node: Node
    agent: SiteAgent
    meter: Meter
    people: dict[str, Viewer]
    now: datetime = NOW

    def __getattr__(self, name: str) -> Viewer:
        try:
            return self.people[name]
        except KeyError:
            raise AttributeError(name) from None

    def price(
        self,
        meter: str = "core_seconds",
        fen: int = 100,
        per: int = 3600,
        *,
        starts: datetime | None = None,
        ends: datetime | None = None,
        model: str | None = None,
    ) -> Price:
        return Price.objects.create(
            centre=self.centre,
            meter=meter,
            accelerator_model_id=model,
            price_fen=fen,
            per_quantity=per,
            validity=(starts or NOW - 400 * DAY, ends),
            created_at=NOW,
        )

    def prices(self) -> None:
        """100 fen a core-hour, 1,000 a card-hour, nothing for memory."""
        self.price()
        self.price("card_seconds", 1000, model="test-card")
        self.price("memory_mib_seconds", 0)

    def give_credit(self, fen: int, organisation: Organisation | None = None) -> None:
        spend = chart.spend((organisation or self.company).pk)
        create_accounts([chart.credit(), spend])
        post_or_refuse(
            [TransferSpec(uuid.uuid4(), chart.credit().id, spend.id, fen, 1, "credit")],
            at=self.now,
        )

    def job(
        self,
        *,
        organisation: Organisation | None = None,
        cores: int = 1,
        cards: int = 0,
        memory: int = 1024,
        walltime: int = 3600,
        hold: int = 10_000,
        starts: datetime | None = None,
        ran_seconds: int | None = 3600,
        state: str = Job.State.SUCCEEDED,
    ) -> Job:
        """An ended job with its hold; ``ran_seconds`` None: it never started."""
        organisation = organisation or self.company
        starts = starts or self.now - DAY
        job = Job.objects.create(
            organisation=organisation,
            submitted_by=self.people["owner"].person,
            name="test",
            spec={},
            cores=cores,
            memory_mib=memory,
            accelerators=cards,
            accelerator_model="test-card" if cards else "",
            walltime_seconds=walltime,
            state=state,
            cluster=self.cluster,
            estimate_fen=hold,
            hold_id=uuid.uuid4(),
            submitted_at=starts,
            ended_at=starts + timedelta(seconds=ran_seconds or 0),
        )
        if hold:
            spend, clearing = chart.spend(organisation.pk), chart.clearing()
            create_accounts([spend, clearing])
            post_or_refuse(
                [TransferSpec(job.hold_id, spend.id, clearing.id, hold, 1, "hold", kind="pending")],
                at=starts,
            )
        if ran_seconds is not None:
            self.attempt(job, starts, ran_seconds)
        return job

    def attempt(
        self, job: Job, starts: datetime, seconds: int, state: str = Attempt.State.ENDED
    ) -> Attempt:
        return Attempt.objects.create(
            job=job,
            number=job.attempts.count() + 1,
            cluster=self.cluster,
            node=self.node,
            state=state,
            leased_at=starts,
            expires_at=starts + DAY,
            started_at=starts,
            ended_at=starts + timedelta(seconds=seconds),
        )

    def records(self, attempt: Attempt) -> list[dict[str, object]]:
        """What an honest agent reports about an attempt."""
        job = attempt.job
        assert attempt.started_at
        assert attempt.ended_at
        seconds = (attempt.ended_at - attempt.started_at) // timedelta(seconds=1)
        allocations = {"core_seconds": job.cores, "memory_mib_seconds": job.memory_mib}
        if job.accelerators:
            allocations["card_seconds"] = job.accelerators
        return [
            self.meter.record(
                attempt.pk, meter, amount * seconds, attempt.started_at, attempt.ended_at
            )
            for meter, amount in allocations.items()
        ]

    def report(self, job: Job) -> None:
        """The agent reports all attempts of a job."""
        for attempt in job.attempts.order_by("number"):
            _, refused = metering.take_usage(self.agent, self.records(attempt), at=self.now)
            assert not refused, refused

    def used(self, **job: Any) -> Job:
        """A job that ran, was reported, rated and settled."""
        ran = self.job(**job)
        self.report(ran)
        metering.rate_pending(at=self.now)
        metering.settle(ran, at=self.now)
        return ran

    def invoice(self) -> Invoice:
        return metering.issue_invoice(
            self.company, self.provider, actor=self.people["provider_member"], at=self.now
        )

    def paid_invoice(self, **job: Any) -> Invoice:
        """A job's whole way to an invoice that is paid in full."""
        self.used(**job)
        invoice = self.invoice()
        metering.record_payment(
            invoice,
            "bank_slip",
            f"SLIP-{uuid.uuid4().hex[:8]}",
            invoice.total_fen,
            city_day(self.now),
            actor=self.people["provider_member"],
            at=self.now,
        )
        invoice.refresh_from_db()
        return invoice

    def spendable(self, organisation: Organisation | None = None) -> int:
        return balance(chart.spend((organisation or self.company).pk).id).available

    def fund(self) -> None:
        vouchers.fund_pool(self.now.year, actor=self.people["finance"], at=self.now)

    def apply(self, fen: int = 50_000_00) -> Application:
        return programmes.file_application(
            fen, "训练模型", actor=self.people["billing"], at=self.now
        )

    def voucher(self, fen: int = 50_000_00, **rest: Any) -> Voucher:
        """A granted voucher, from a funded pool."""
        self.fund()
        return programmes.grant(
            self.apply(fen), fen, actor=self.people["reviewer"], at=self.now, **rest
        )

    def claim(self, voucher: Voucher, *invoices: Invoice) -> Claim:
        lines = [line.pk for invoice in invoices for line in invoice.lines.all()]
        return vouchers.file_claim(voucher, lines, actor=self.people["billing"], at=self.now)

    def approved(self, voucher: Voucher, *invoices: Invoice) -> Claim:
        claim = self.claim(voucher, *invoices)
        return vouchers.review_claim(claim, True, actor=self.people["approver"], at=self.now)

    def earned(self) -> int:
        return balance(chart.earnings(self.provider.pk).id).credits_posted


@pytest.fixture
def whole_city(city: City) -> City:
    """One of everything: paid and open invoices, every state of a claim, closed and open orders."""
    voucher = city.voucher()
    for number, claim in enumerate(
        city.approved(voucher, city.paid_invoice(cores=cores)) for cores in (2, 3, 5)
    ):
        order = programmes.issue_payment_order(claim, actor=city.finance, at=city.now)
        if number == 0:
            for share in order.shares.order_by("level"):
                programmes.record_receipt(
                    share, f"R-{share.level}", actor=city.finance, at=city.now
                )
        if number == 1:
            programmes.return_order(order, "户名不符", actor=city.finance, at=city.now)
    rejected = city.claim(voucher, city.paid_invoice())
    vouchers.review_claim(rejected, False, "重复", actor=city.approver, at=city.now)
    vouchers.withdraw_claim(
        city.claim(voucher, city.paid_invoice()), actor=city.billing, at=city.now
    )
    city.claim(voucher, city.paid_invoice(cards=1))
    city.used(cores=7)
    city.invoice()
    city.used(cores=11)
    abandoned = city.job()
    abandoned.attempts.update(state="abandoned")
    city.report(abandoned)
    [record] = city.records(city.job(memory=1).attempts.get())[:1]
    metering.take_usage(city.agent, [{**record, "quantity": 5}], at=city.now)
    city.meter.sequence, city.meter.previous = city.meter.sequence - 2, record["previous_hash"]
    return city


def organisation(name: str, kind: str, division: str = "130602") -> Organisation:
    return Organisation.objects.create(
        name=name, kind=kind, division=division, status="active", created_at=NOW
    )


def viewer(name: str, of: Organisation, role: Role) -> Viewer:
    person = Person.objects.create(username=name, display_name=name)
    Member.objects.create(organisation=of, person=person, role=role, joined_at=NOW)
    return Viewer(person=person, organisation_id=of.pk, role=role, division=of.division)


def build_city() -> City:
    company = organisation("演示企业", "enterprise")
    provider = organisation("演示算力中心", "provider")
    operator = organisation("演示运营方", "operator")
    bureau = organisation("演示主管部门", "bureau")
    county = organisation("演示区财政", "county")
    Division.objects.get_or_create(
        code="130602",
        defaults={"name": "竞秀区", "name_en": "Jingxiu", "kind": "市辖区", "in_scope": True},
    )
    centre = DataCentre.objects.create(
        provider=provider,
        code="test-centre",
        name="演示中心",
        tier="center",
        kind="intelligent",
        division_id="130602",
        racks=10,
        is_local_platform=True,
        created_at=NOW,
    )
    cluster = Cluster.objects.create(centre=centre, name="main", engine="memory")
    card = AcceleratorModel.objects.get_or_create(
        code="test-card",
        defaults={"vendor": "x", "name": "x", "memory_mib": 65536, "domestic": True},
    )[0]
    node = Node.objects.create(
        cluster=cluster,
        name="n1",
        cores=64,
        memory_mib=262144,
        accelerator_model=card,
        accelerators=8,
        reported_at=NOW,
    )
    meter = Meter()
    agent = SiteAgent.objects.create(
        cluster=cluster,
        token_hash=uuid.uuid4().hex,
        token_expires_at=NOW,
        public_key=meter.public_key,
        enrolled_at=NOW,
    )
    people = {
        "owner": viewer("owner", company, Role.OWNER),
        "billing": viewer("billing", company, Role.BILLING),
        "provider_member": viewer("provider", provider, Role.PROVIDER),
        "operator": viewer("operator", operator, Role.OPERATOR),
        "reviewer": viewer("reviewer", bureau, Role.REVIEWER),
        "approver": viewer("approver", bureau, Role.APPROVER),
        "finance": viewer("finance", bureau, Role.FINANCE),
        "finance2": viewer("finance2", bureau, Role.FINANCE),
        "county": viewer("county", county, Role.COUNTY),
    }
    return City(company, provider, centre, cluster, node, agent, meter, people)


@pytest.fixture
def city(db: None) -> City:
    """A city with prices and 10,000 yuan of credit for the company."""
    made = build_city()
    made.prices()
    made.give_credit(1_000_000)
    return made


@pytest.fixture
def bare_city(db: None) -> City:
    """The same without prices and without credit."""
    return build_city()


@pytest.fixture
def committed_city(transactional_db: None) -> City:
    """A city that other threads can see."""
    made = build_city()
    made.prices()
    made.give_credit(1_000_000)
    return made


@pytest.fixture
def behind_the_guards(db: None) -> Iterator[Callable[[str, list[Any]], None]]:
    """Run SQL as a vandal with the keys to the database would: triggers and constraints asleep."""

    def run(sql: str, values: list[Any]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(sql, values)
            assert cursor.rowcount, "the vandal changed nothing"
            cursor.execute("SET LOCAL session_replication_role = origin")

    return run
