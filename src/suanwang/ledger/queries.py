"""Reads: balances, statements with a running balance, and the replay of the log."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db.models import Q, Sum

from suanwang.ledger import store
from suanwang.ledger.models import Entry, Transfer
from suanwang.ledger.terms import RESOLVING, AccountSpec, Balance, Kind, Recorded, Side

PendingState = Literal["pending", "posted", "voided", "expired"]


@dataclass(frozen=True)
class StatementRow:
    """One entry of an account's statement, with the balance after it. Amounts in fen."""

    version: int
    """Its place on the account: 1, 2, 3, …; the cursor of the next page."""
    at: datetime
    transfer: UUID
    code: str
    kind: Kind
    side: Side
    amount_fen: int
    pending_fen: int
    posted_fen: int
    other_account: UUID
    pending_id: UUID | None
    facts: dict[str, str]
    balance: Balance
    hash: str


def balance(account: UUID) -> Balance:
    """The four numbers of an account now; all zero if it has no entry or does not exist."""
    return balances([account])[account]


def balances(accounts: Collection[UUID]) -> dict[UUID, Balance]:
    """The balances of several accounts, in one statement."""
    found = dict.fromkeys(accounts, Balance())
    found.update({account: head.balance for account, head in store.heads(accounts).items()})
    return found


def account(account_id: UUID) -> AccountSpec | None:
    """An account as it was created."""
    return store.accounts([account_id]).get(account_id)


def transfer(transfer_id: UUID) -> Recorded | None:
    """A transfer as it stands in the log."""
    return store.transfers([transfer_id])[0].get(transfer_id)


def pending_state(transfer_id: UUID) -> PendingState | None:
    """What became of a pending transfer; None if there is none of this id."""
    recorded, resolutions = store.transfers([transfer_id])
    if transfer_id not in recorded or recorded[transfer_id].kind != "pending":
        return None
    how = resolutions.get(transfer_id)
    return {"post": "posted", "void": "voided", "expire": "expired"}[how] if how else "pending"  # type: ignore[return-value]


def statement(
    account: UUID, *, after: int | None = None, limit: int = 50, newest_first: bool = False
) -> list[StatementRow]:
    """A page of an account's entries, from the one after a version on (before it, if newest first).

    Ask for one more than shown to learn whether there is a next page.
    """
    entries = Entry.objects.filter(account_id=account).select_related("transfer")
    if after is not None:
        entries = entries.filter(Q(version__lt=after) if newest_first else Q(version__gt=after))
    entries = entries.order_by("-version" if newest_first else "version")[:limit]
    return [_statement_row(entry) for entry in entries]


def _statement_row(entry: Entry) -> StatementRow:
    moved = entry.transfer
    debit_side = entry.side == "debit"
    return StatementRow(
        version=entry.version,
        at=moved.at,
        transfer=moved.id,
        code=moved.code,
        kind=moved.kind,  # type: ignore[arg-type]
        side="debit" if debit_side else "credit",
        amount_fen=moved.amount_fen,
        pending_fen=entry.pending_fen,
        posted_fen=entry.posted_fen,
        other_account=moved.credit_account_id if debit_side else moved.debit_account_id,
        pending_id=moved.pending_id,
        facts=moved.facts,
        balance=Balance(
            entry.debits_pending, entry.debits_posted, entry.credits_pending, entry.credits_posted
        ),
        hash=bytes(entry.hash).hex(),
    )


def replay(account: UUID) -> Balance:
    """The balance of an account computed from the log of transfers alone, not from its entries."""
    debits_pending, debits_posted = _replayed_side(Q(debit_account=account))
    credits_pending, credits_posted = _replayed_side(Q(credit_account=account))
    return Balance(debits_pending, debits_posted, credits_pending, credits_posted)


def _replayed_side(side: Q) -> tuple[int, int]:
    log = Transfer.objects.filter(side)
    sums = log.aggregate(
        held_fen=Sum("amount_fen", filter=Q(kind="pending"), default=0),
        posted_fen=Sum("amount_fen", filter=Q(kind__in=("transfer", "post")), default=0),
        resolved_fen=Sum("pending__amount_fen", filter=Q(kind__in=sorted(RESOLVING)), default=0),
    )
    return int(sums["held_fen"] - sums["resolved_fen"]), int(sums["posted_fen"])
