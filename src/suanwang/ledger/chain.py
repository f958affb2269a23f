"""The links: what each row is hashed from, so that no row can change or leave unnoticed.

An account's hash covers the account; a transfer's covers the transfer; an entry's covers the
entry before it on the same account (the account itself for the first), its transfer, and the
balance it leaves. So every row is in a chain, and no chain needs a lock beyond its own account's.
The database recomputes an entry's hash on insert (migration 0002), by the same recipe.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from suanwang.ledger.terms import AccountSpec, Balance, Recorded, Side

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """A moment as whole microseconds since 1970, as exact as the database keeps it."""
    return (at - _EPOCH) // _MICROSECOND


def _canonical(values: list[object]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def account_hash(account: AccountSpec) -> bytes:
    """The hash over an account: the start of its chain."""
    return sha256(
        _canonical(
            [
                str(account.id),
                account.code,
                account.ledger,
                int(account.flags),
                account.owner,
                account.title,
            ]
        )
    ).digest()


def transfer_hash(transfer: Recorded) -> bytes:
    """The hash over a transfer's whole content."""
    return sha256(
        _canonical(
            [
                transfer.id.hex,
                transfer.debit_account.hex,
                transfer.credit_account.hex,
                transfer.amount_fen,
                transfer.ledger,
                transfer.code,
                transfer.kind,
                transfer.pending_id and transfer.pending_id.hex,
                transfer.timeout_seconds,
                transfer.linked,
                transfer.chain and transfer.chain.hex,
                transfer.chain_position,
                sorted(transfer.facts.items()),
                microseconds(transfer.at),
            ]
        )
    ).digest()


def entry_hash(
    previous: bytes,
    transfer: bytes,
    account: UUID,
    version: int,
    side: Side,
    pending_fen: int,
    posted_fen: int,
    balance: Balance,
) -> bytes:
    """The hash over an entry and all entries before it on its account."""
    content = (
        f"{account}|{version}|{side}|{pending_fen}|{posted_fen}|{balance.debits_pending}"
        f"|{balance.debits_posted}|{balance.credits_pending}|{balance.credits_posted}"
    )
    return sha256(previous + transfer + content.encode()).digest()
