"""The ledger on PostgreSQL: what is recorded, what is refused, what the database itself forbids."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from suanwang.core.clock import SimulatedClock
from suanwang.core.errors import Refused
from suanwang.ledger import chart, queries, services, tasks
from suanwang.ledger.models import Account, Entry, Transfer
from suanwang.ledger.rules import (
    AccountResult,
    AccountSpec,
    Balance,
    TransferResult,
    TransferSpec,
    post,
    void,
)
from suanwang.site import clock

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
R = TransferResult


def move(debit: AccountSpec, credit: AccountSpec, amount: int, **more: object) -> TransferSpec:
    fields: dict[str, object] = {"id": uuid4(), "code": "payment", "ledger": debit.ledger} | more
    return TransferSpec(
        debit_account=debit.id,
        credit_account=credit.id,
        amount_fen=amount,
        **fields,  # type: ignore[arg-type]
    )


@pytest.fixture
def funded() -> tuple[AccountSpec, AccountSpec]:
    """A company that may spend 1,000 fen and a provider."""
    spend, earnings = chart.spend(uuid4()), chart.earnings(uuid4())
    services.create_accounts([chart.bank(), spend, earnings])
    services.post_or_refuse([move(chart.bank(), spend, 1000)], at=AT)
    return spend, earnings


def test_creating_an_account_twice_says_exists_and_changes_nothing() -> None:
    spend = chart.spend(uuid4())
    assert services.create_accounts([spend, spend]) == [AccountResult.CREATED, AccountResult.EXISTS]
    assert services.create_accounts([spend]) == [AccountResult.EXISTS]
    unlimited = AccountSpec(spend.id, "spend", 1, type(spend.flags)(0), spend.owner, "x")
    assert services.create_accounts([unlimited]) == [AccountResult.EXISTS_WITH_DIFFERENT_FLAGS]
    assert queries.account(spend.id) == spend


def test_a_hold_is_posted_in_part_and_the_rest_is_free_again(
    funded: tuple[AccountSpec, AccountSpec],
) -> None:
    spend, earnings = funded
    hold = move(spend, earnings, 700, kind="pending", code="hold")
    assert services.create_transfers([hold], at=AT) == [R.CREATED]
    assert queries.balance(spend.id).available == 300
    assert services.create_transfers([post(uuid4(), hold.id, 250)], at=AT) == [R.CREATED]
    assert queries.balance(spend.id) == Balance(0, 250, 0, 1000)
    assert queries.balance(earnings.id) == Balance(0, 0, 0, 250)
    assert queries.pending_state(hold.id) == "posted"
    again = services.create_transfers([void(uuid4(), hold.id)], at=AT)
    assert again == [R.PENDING_TRANSFER_ALREADY_POSTED]


def test_a_retry_of_the_same_batch_says_exists_and_writes_nothing(
    funded: tuple[AccountSpec, AccountSpec],
) -> None:
    spend, earnings = funded
    hold = move(spend, earnings, 700, kind="pending", facts={"job": "训练\t\\一\n号", "n": "1"})
    batch = [hold, post(uuid4(), hold.id), move(spend, earnings, 1)]
    assert services.create_transfers(batch, at=AT) == [R.CREATED] * 3
    assert services.create_transfers(batch, at=AT + timedelta(days=1)) == [R.EXISTS] * 3
    assert Transfer.objects.count() == 4
    assert queries.statement(spend.id, after=1, limit=1)[0].facts == hold.facts


def test_refuses_what_exceeds_the_credit_and_records_the_others(
    funded: tuple[AccountSpec, AccountSpec],
) -> None:
    spend, earnings = funded
    batch = [move(spend, earnings, amount) for amount in (600, 401, 400, 1)]
    expected = [R.CREATED, R.EXCEEDS_CREDITS, R.CREATED, R.EXCEEDS_CREDITS]
    assert services.create_transfers(batch, at=AT) == expected
    assert queries.balance(spend.id).available == 0


def test_post_or_refuse_records_nothing_of_a_batch_that_fails(
    funded: tuple[AccountSpec, AccountSpec],
) -> None:
    spend, earnings = funded
    with pytest.raises(Refused) as refused:
        services.post_or_refuse([move(spend, earnings, 600), move(spend, earnings, 401)], at=AT)
    assert refused.value.code == "ledger_exceeds_credits"
    assert refused.value.facts["amount_fen"] == 401
    assert queries.balance(spend.id).available == 1000


def test_transfers_go_with_the_callers_transaction(
    funded: tuple[AccountSpec, AccountSpec],
) -> None:
    spend, earnings = funded
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        services.post_or_refuse([move(spend, earnings, 600)], at=AT)
        raise ZeroDivisionError
    assert queries.balance(spend.id).available == 1000


def test_pending_transfers_expire_once_when_their_time_is_over(
    funded: tuple[AccountSpec, AccountSpec],
) -> None:
    spend, earnings = funded
    hold = move(spend, earnings, 700, kind="pending", timeout_seconds=60)
    kept = move(spend, earnings, 100, kind="pending")
    services.post_or_refuse([hold, kept], at=AT)
    assert services.expire_due(AT + timedelta(seconds=59)) == 0
    late = AT + timedelta(seconds=60)
    assert services.create_transfers([post(uuid4(), hold.id)], at=late) == [
        R.PENDING_TRANSFER_EXPIRED
    ]
    assert services.expire_due(late) == 1
    assert services.expire_due(late) == 0
    assert queries.balance(spend.id).available == 900
    assert queries.pending_state(hold.id) == "expired"


def test_replay_of_the_log_gives_the_balance(funded: tuple[AccountSpec, AccountSpec]) -> None:
    spend, earnings = funded
    holds = [move(spend, earnings, 100, kind="pending") for _ in range(4)]
    ends = [post(uuid4(), holds[0].id, 40), void(uuid4(), holds[1].id), post(uuid4(), holds[2].id)]
    services.post_or_refuse([*holds, *ends], at=AT)
    for account in (spend.id, earnings.id, chart.bank().id):
        assert queries.replay(account) == queries.balance(account)
    assert queries.balance(spend.id) == Balance(100, 140, 0, 1000)


def _statement(sql: str) -> Callable[[UUID], None]:
    def run(account: UUID) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(sql.replace("ACCOUNT", f"'{account}'"))

    return run


_ENTRY = (
    "INSERT INTO ledger_entry (account_id, version, transfer_id, side, pending_fen, posted_fen,"
    " debits_pending, debits_posted, credits_pending, credits_posted, hash)"
    " SELECT account_id, {version}, gen_random_uuid(), side, pending_fen, posted_fen,"
    " debits_pending, debits_posted, credits_pending, credits_posted, hash"
    " FROM ledger_entry WHERE account_id = ACCOUNT"
)


@pytest.mark.parametrize(
    "meddle",
    [
        _statement("UPDATE ledger_entry SET credits_posted = 9 WHERE account_id = ACCOUNT"),
        _statement("UPDATE ledger_transfer SET amount_fen = 9"),
        _statement("UPDATE ledger_account SET flags = 0 WHERE id = ACCOUNT"),
        _statement("DELETE FROM ledger_entry WHERE account_id = ACCOUNT"),
        _statement("DELETE FROM ledger_transfer"),
        _statement("TRUNCATE ledger_entry"),
        _statement("TRUNCATE ledger_account CASCADE"),
        _statement(_ENTRY.format(version="version")),
        _statement(_ENTRY.format(version="version + 1")),
        _statement(_ENTRY.format(version="version + 2")),
        _statement(
            "INSERT INTO ledger_transfer (id, debit_account_id, credit_account_id, amount_fen,"
            " ledger, code, kind, timeout_seconds, linked, chain_position, facts, at, hash)"
            " SELECT gen_random_uuid(), credit_account_id, debit_account_id, 1, 1, 'x', 'transfer',"
            " 0, false, 0, '{}', now(), hash FROM ledger_transfer"
        ),
    ],
)
def test_the_database_itself_refuses_to_change_the_log(
    funded: tuple[AccountSpec, AccountSpec], meddle: Callable[[UUID], None]
) -> None:
    before = list(Entry.objects.values_list()), list(Account.objects.values_list())
    with pytest.raises(IntegrityError), transaction.atomic():
        meddle(funded[0].id)
    assert (list(Entry.objects.values_list()), list(Account.objects.values_list())) == before


def test_the_periodic_task_lets_everything_due_expire_by_the_citys_clock(
    funded: tuple[AccountSpec, AccountSpec],
) -> None:
    spend, earnings = funded
    holds = [move(spend, earnings, 1, kind="pending", timeout_seconds=60) for _ in range(1001)]
    services.create_transfers([move(chart.bank(), spend, 1), *holds], at=AT)
    with clock.using(SimulatedClock(AT + timedelta(seconds=59))):
        assert tasks.expire_due(timestamp=0) == 0
    with clock.using(SimulatedClock(AT + timedelta(seconds=60))):
        assert tasks.expire_due(timestamp=0) == 1001
    assert queries.balance(spend.id) == Balance(0, 0, 0, 1001)
