"""The ledger under many hands: one plain list on PostgreSQL, eight writers at once, kill -9."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4, uuid5

import psycopg
import pytest
from django.db import connection, transaction

from suanwang.ledger import audit, chart, queries, services
from suanwang.ledger.models import Transfer
from suanwang.ledger.retry import retried
from suanwang.ledger.rules import AccountSpec, TransferResult, TransferSpec, post, void

from ..rules.ledger_model import Mischief, PlainLedger, city

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
R = TransferResult


def assert_every_promise_kept() -> None:
    broken = [finding for check in audit.checks() if not (finding := check()).kept]
    assert broken == []


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(4))
def test_the_database_answers_as_the_plain_ledger_does(seed: int) -> None:
    accounts, at = city(), AT
    services.create_accounts(accounts)
    plain = PlainLedger({account.id: account for account in accounts})
    mischief = Mischief(random.Random(seed), accounts)
    for _ in range(25):
        at += timedelta(seconds=mischief.random.choice([0, 1, 30, 60]))
        batch = mischief.batch(12)
        said = [str(result) for result in services.create_transfers(batch, at=at)]
        assert said == plain.submit(batch, at)
    assert Transfer.objects.count() == len(plain.accepted)
    for account in accounts:
        assert queries.balance(account.id) == plain.balance(account.id)
        assert queries.replay(account.id) == plain.balance(account.id)
    assert_every_promise_kept()


@pytest.fixture
def pool() -> AccountSpec:
    """A pool of 200,000 fen, and 40 vouchers to grant from it."""
    source, pool = chart.appropriation("test", 2026), chart.pool("test", 2026)
    services.create_accounts([source, pool, *VOUCHERS, chart.redeemed("test", 2026)])
    services.post_or_refuse([TransferSpec(uuid4(), source.id, pool.id, 200_000, 2, "fund")], at=AT)
    return pool


VOUCHERS = [chart.voucher(UUID(int=number)) for number in range(1, 41)]


class Writer:
    """Grants, reserves and redeems at random; 30% repeated ids, 5% beyond the cap."""

    def __init__(self, seed: int, pool: AccountSpec, shared: list[TransferSpec]) -> None:
        self.random = random.Random(seed)
        self.pool = pool
        self.shared = shared
        self.acknowledged: dict[UUID, TransferSpec] = {}
        self.answers: list[TransferResult] = []

    def spec(self) -> TransferSpec:
        dice = self.random.random()
        if self.shared and dice < 0.30:
            return self.random.choice(self.shared)
        if dice < 0.35:
            return self._grant(10**9)
        if dice < 0.60:
            return self._grant(self.random.randint(1, 500))
        if dice < 0.80 or not self.shared:
            voucher, redeemed = self.random.choice(VOUCHERS), chart.redeemed("test", 2026)
            amount = self.random.randint(1, 300)
            return TransferSpec(
                self._id(), voucher.id, redeemed.id, amount, 2, "reserve", kind="pending"
            )
        pending = [spec for spec in self.shared if spec.kind == "pending"]
        if not pending:
            return self._grant(1)
        held = self.random.choice(pending)
        if self.random.random() < 0.3:
            return void(self._id(), held.id)
        return post(self._id(), held.id, self.random.randint(1, held.amount_fen + 1))

    def _id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128))

    def _grant(self, amount: int) -> TransferSpec:
        voucher = self.random.choice(VOUCHERS)
        return TransferSpec(self._id(), self.pool.id, voucher.id, amount, 2, "grant")

    def write(self, calls: int) -> None:
        for call in range(calls):
            batch = [self.spec() for _ in range(self.random.choice([1, 1, 1, 5, 25]))]
            self.shared += batch
            results = services.create_transfers(batch, at=AT + timedelta(seconds=call))
            self.answers += results
            self.acknowledged |= {
                spec.id: spec for spec, result in zip(batch, results, strict=True) if result.good
            }


def in_threads(work: list[Callable[[], None]]) -> None:
    """Run all at once, each on a connection of its own; the first error is raised."""
    start = threading.Barrier(len(work))

    def run(one: Callable[[], None]) -> None:
        try:
            start.wait(30)
            one()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(work)) as threads:
        for done in [threads.submit(run, one) for one in work]:
            done.result(120)


@pytest.mark.django_db(transaction=True)
def test_eight_writers_with_repeats_and_too_much_leave_every_promise_kept(
    pool: AccountSpec,
) -> None:
    shared: list[TransferSpec] = []
    writers = [Writer(seed, pool, shared) for seed in range(8)]
    in_threads([lambda writer=writer: writer.write(60) for writer in writers])  # type: ignore[misc]

    acknowledged = {k: v for writer in writers for k, v in writer.acknowledged.items()}
    answers = [answer for writer in writers for answer in writer.answers]
    assert Transfer.objects.exclude(code="fund").count() == len(acknowledged)
    assert answers.count(R.CREATED) == len(acknowledged)
    assert answers.count(R.EXISTS) > 100
    assert answers.count(R.EXCEEDS_CREDITS) > 100
    again = list(acknowledged.values())
    assert set(services.create_transfers(again, at=AT)) == {R.EXISTS}
    granted = sum(spec.amount_fen for spec in again if spec.code == "grant")
    assert queries.balance(pool.id).available == 200_000 - granted >= 0
    assert_every_promise_kept()


@pytest.mark.django_db(transaction=True)
def test_the_same_id_between_different_accounts_at_once_is_recorded_once(
    pool: AccountSpec,
) -> None:
    for round_ in range(15):
        id_ = uuid5(pool.id, str(round_))
        answers: list[TransferResult] = []

        def record(account: AccountSpec, id_: UUID = id_, answers: list[TransferResult] = answers):
            source = chart.appropriation("test", 2026)
            other = VOUCHERS[0] if account is pool else VOUCHERS[1]
            debit = pool if account is pool else source
            spec = TransferSpec(id_, debit.id, other.id, 1, 2, "grant")
            answers += services.create_transfers([spec], at=AT)

        in_threads([lambda a=account: record(a) for account in (pool, VOUCHERS[1])])  # type: ignore[misc]
        assert sorted(answers) == [R.CREATED, R.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT]
    assert_every_promise_kept()


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_between_two_transactions_is_begun_again_by_the_outermost(
    pool: AccountSpec,
) -> None:
    both_hold_one = threading.Barrier(2)
    one, other = VOUCHERS[0], VOUCHERS[1]
    target = {one.id: VOUCHERS[2], other.id: VOUCHERS[3]}
    services.create_transfers(
        [TransferSpec(uuid4(), pool.id, v.id, 1000, 2, "grant") for v in VOUCHERS[:4]], at=AT
    )

    def crosswise(first: AccountSpec, second: AccountSpec) -> Callable[[], None]:
        tries = iter([True])

        @retried
        @transaction.atomic
        def service() -> None:
            services.post_or_refuse(
                [TransferSpec(uuid4(), first.id, target[first.id].id, 1, 2, "x")], at=AT
            )
            if next(tries, False):
                both_hold_one.wait(30)
            services.post_or_refuse(
                [TransferSpec(uuid4(), second.id, target[second.id].id, 1, 2, "x")], at=AT
            )

        return service

    in_threads([crosswise(one, other), crosswise(other, one)])
    assert queries.balance(one.id).available == queries.balance(other.id).available == 998


@pytest.fixture
def city_of_its_own() -> Iterator[Path]:
    """A home for a PostgreSQL that may be killed."""
    home = Path(tempfile.mkdtemp(prefix="sw-kill-"))
    home.chmod(0o711)  # PostgreSQL under another account must pass, as root
    yield home
    shutil.rmtree(home, ignore_errors=True)


CYCLES = 4
WRITERS = 4


def test_no_acknowledged_transfer_is_lost_when_postgresql_is_killed(city_of_its_own: Path) -> None:
    from suanwang.site import postgres

    server = postgres.start(city_of_its_own)
    environment = os.environ | {
        "SUANWANG_DATABASE_URL": server.dsn,
        "SUANWANG_HOME": str(city_of_its_own),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    program = [sys.executable, str(Path(__file__).with_name("ledger_writer.py"))]
    logs = [city_of_its_own / f"writer-{number}" for number in range(WRITERS)]
    writers: list[subprocess.Popen[bytes]] = []
    try:
        subprocess.run([*program, "prepare"], env=environment, check=True)
        writers = [
            subprocess.Popen([*program, "write", str(number), str(log)], env=environment)
            for number, log in enumerate(logs)
        ]
        for _ in range(CYCLES):
            until_each_has_written_more(logs)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            server.stop()
            server = postgres.start(city_of_its_own)
        until_each_has_written_more(logs)
        for writer in writers:
            writer.terminate()
            assert writer.wait(60) == 0
        acknowledged = {UUID(line) for log in logs for line in log.read_text().split()}
        with psycopg.connect(server.dsn) as database:
            recorded = {row[0] for row in database.execute("SELECT id FROM ledger_transfer")}
        assert len(acknowledged) > WRITERS * CYCLES
        assert acknowledged <= recorded
        subprocess.run([*program, "audit"], env=environment, check=True)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
        server.stop()


def until_each_has_written_more(logs: list[Path]) -> None:
    before = [log.stat().st_size if log.exists() else 0 for log in logs]
    deadline = time.monotonic() + 60
    for log, size in zip(logs, before, strict=True):
        while not log.exists() or log.stat().st_size <= size:
            assert time.monotonic() < deadline, "a writer stands still"
            time.sleep(0.01)
