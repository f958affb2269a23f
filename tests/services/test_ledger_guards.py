"""No code path can exceed a cap: wrong decisions, written as if they were right, are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from suanwang.ledger import chart, queries, rules, services, store
from suanwang.ledger.chain import entry_hash, transfer_hash
from suanwang.ledger.checks import moved as moved_balance
from suanwang.ledger.rules import (
    AccountFlag,
    AccountSpec,
    Balance,
    Entry,
    Head,
    Outcome,
    Recorded,
    State,
    TransferResult,
    TransferSpec,
    post,
)

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
SOURCE, POOL = chart.appropriation("test", 2026), chart.pool("test", 2026)
VOUCHER = chart.voucher(uuid4())
HELD = TransferSpec(uuid4(), POOL.id, VOUCHER.id, 300, 2, "grant", kind="pending")


def grant(amount: int) -> TransferSpec:
    return TransferSpec(uuid4(), POOL.id, VOUCHER.id, amount, 2, "grant")


@pytest.fixture(autouse=True)
def books() -> None:
    """A pool of 1,000 fen of which 300 are held."""
    services.create_accounts([SOURCE, POOL, VOUCHER])
    fund = TransferSpec(uuid4(), SOURCE.id, POOL.id, 1000, 2, "fund")
    services.post_or_refuse([fund, HELD], at=AT)


def decided(specs: list[TransferSpec], mislead: Callable[[State], State]) -> Outcome:
    """What the rules decide when they are told something that is not so."""
    ids = {spec.id for spec in specs} | {spec.pending_id for spec in specs if spec.pending_id}
    seen = store.lock({POOL.id, VOUCHER.id}, ids)
    told = mislead(State(seen.accounts, seen.heads, seen.transfers, seen.resolutions))
    outcome = rules.decide(told, specs, at=AT)
    assert set(outcome.results) == {TransferResult.CREATED}
    return outcome


def write(outcome: Outcome) -> None:
    with transaction.atomic():
        store.write(outcome.transfers, outcome.entries)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def relinked(heads: dict[UUID, Head], transfer: Recorded, entries: list[Entry]) -> list[Entry]:
    """Entries with links that fit what they claim, so that only the claim itself is wrong."""
    return [
        entry._replace(
            hash=entry_hash(heads[entry.account].hash, transfer.hash, *entry[:2], *entry[3:7])
        )
        for entry in entries
    ]


def refused(outcome: Outcome, problem: str) -> None:
    before = queries.balances([POOL.id, VOUCHER.id])
    with pytest.raises(IntegrityError, match=problem):
        write(outcome)
    assert queries.balances([POOL.id, VOUCHER.id]) == before


@pytest.mark.parametrize("amounts", [[701], [700, 1], [1] * 701])
def test_more_than_is_free_is_refused_by_the_database_too(amounts: list[int]) -> None:
    def without_limits(state: State) -> State:
        free = {k: replace(a, flags=AccountFlag(0)) for k, a in state.accounts.items()}
        return replace(state, accounts=free)

    refused(decided([grant(amount) for amount in amounts], without_limits), "exceeds_credits")


def test_a_decision_on_a_balance_that_is_not_the_newest_is_refused() -> None:
    def an_older_head(state: State) -> State:
        older = {k: Head(h.version - 1, h.hash, h.balance) for k, h in state.heads.items()}
        return replace(state, heads=state.heads | {POOL.id: older[POOL.id]})

    with pytest.raises(IntegrityError):
        write(decided([grant(1)], an_older_head))


def test_a_balance_made_up_is_refused() -> None:
    def rich(state: State) -> State:
        head = state.heads[POOL.id]
        return replace(
            state, heads=state.heads | {POOL.id: head._replace(balance=Balance(0, 0, 0, 10**9))}
        )

    refused(decided([grant(10**6)], rich), "balance_does_not_follow")


def test_a_gap_in_the_numbers_is_refused() -> None:
    def ahead(state: State) -> State:
        head = state.heads[POOL.id]
        return replace(state, heads=state.heads | {POOL.id: head._replace(version=9)})

    refused(decided([grant(1)], ahead), "entry_out_of_sequence")


def test_a_link_that_does_not_follow_is_refused() -> None:
    def another_chain(state: State) -> State:
        head = state.heads[POOL.id]
        return replace(state, heads=state.heads | {POOL.id: head._replace(hash=b"x" * 32)})

    refused(decided([grant(1)], another_chain), "hash_does_not_follow")


def test_posting_more_than_was_pending_is_refused() -> None:
    def held_more(state: State) -> State:
        more = state.transfers[HELD.id]._replace(amount_fen=300)
        return replace(state, transfers={HELD.id: more})

    outcome = decided([post(uuid4(), HELD.id, 300)], held_more)
    [moved] = outcome.transfers
    more = moved._replace(amount_fen=301, hash=b"")
    more = more._replace(hash=transfer_hash(more))
    heads = store.heads([POOL.id, VOUCHER.id])
    entries = [
        entry._replace(
            posted_fen=301,
            balance=moved_balance(heads[entry.account].balance, entry.side, -300, 301),
        )
        for entry in outcome.entries
    ]
    entries = relinked(heads, more, entries)
    refused(Outcome([], [more], entries), "resolution_does_not_fit")


def test_resolving_twice_is_refused_by_a_unique_index() -> None:
    services.post_or_refuse([post(uuid4(), HELD.id, 100)], at=AT)

    def still_pending(state: State) -> State:
        head = state.heads[POOL.id]
        held = head.balance._replace(debits_pending=300)
        credit = state.heads[VOUCHER.id]
        awaited = credit.balance._replace(credits_pending=300)
        heads = {
            POOL.id: head._replace(balance=held),
            VOUCHER.id: credit._replace(balance=awaited),
        }
        return replace(state, resolutions={}, heads=heads)

    refused(decided([post(uuid4(), HELD.id, 1)], still_pending), "transfer_resolved_once")


def test_an_entry_for_another_account_or_amount_is_refused() -> None:
    outcome = decided([grant(5)], lambda state: state)
    [moved] = outcome.transfers
    debit, credit = outcome.entries
    swapped = [debit._replace(side="credit"), credit._replace(side="debit")]
    refused(Outcome([], [moved], swapped), "entry_is_not_its_transfers")
    less = [e._replace(posted_fen=4) for e in outcome.entries]
    refused(Outcome([], [moved], less), "entry_is_not_its_transfers")


def test_a_transfer_without_both_entries_is_refused_at_the_end() -> None:
    outcome = decided([grant(5)], lambda state: state)
    refused(Outcome([], outcome.transfers, outcome.entries[:1]), "transfer_without_entries")
    other = decided([grant(5)], lambda state: state)
    refused(Outcome([], outcome.transfers, other.entries), "entry_without_transfer")


def test_an_account_with_a_limit_nobody_knows_cannot_be_made() -> None:
    strange = AccountSpec(uuid4(), "x", 1, AccountFlag(3), "", "")
    with pytest.raises(IntegrityError, match="account_possible"), transaction.atomic():
        store.insert_accounts([strange])
