"""What the ledger says over HTTP. Amounts in fen."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ninja import Schema


class AccountOut(Schema):
    """An account with its four numbers now."""

    id: UUID
    code: str
    ledger: int
    owner: str
    title: str
    limit: str | None
    debits_pending: int
    debits_posted: int
    credits_pending: int
    credits_posted: int
    available_fen: int


class EntryOut(Schema):
    """One line of an account, with the balance after it and its link in the chain."""

    version: int
    at: datetime
    transfer: UUID
    code: str
    kind: str
    side: str
    amount_fen: int
    pending_fen: int
    posted_fen: int
    other_account: UUID
    pending_id: UUID | None
    facts: dict[str, str]
    debits_pending: int
    debits_posted: int
    credits_pending: int
    credits_posted: int
    available_fen: int
    hash: str


class TransferOut(Schema):
    """A transfer as it stands in the log, and what became of it if it was pending."""

    id: UUID
    debit_account: UUID
    credit_account: UUID
    amount_fen: int
    ledger: int
    code: str
    kind: str
    pending_id: UUID | None
    pending_state: str | None
    expires_at: datetime | None
    chain: UUID | None
    chain_position: int
    facts: dict[str, str]
    at: datetime
    hash: str
