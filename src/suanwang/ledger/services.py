"""The only writers of the ledger: create accounts, create transfers, let what is due expire.

Each call is one transaction, or a part of the caller's: business rows and the transfers that
belong to them commit together or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid5

from django.db import IntegrityError, transaction
from psycopg.errors import UniqueViolation

from suanwang.core.errors import Refused
from suanwang.ledger import rules, store
from suanwang.ledger.models import Transfer
from suanwang.ledger.retry import retried
from suanwang.ledger.rules import (
    AccountResult,
    AccountSpec,
    State,
    TransferResult,
    TransferSpec,
)


@retried
def create_accounts(specs: Sequence[AccountSpec]) -> list[AccountResult]:
    """Create the accounts that do not exist yet; one result for each, in order.

    Safe to repeat. An account that exists otherwise than asked is left alone and named.
    """
    standing = store.accounts({spec.id for spec in specs})
    results: list[AccountResult] = []
    new: dict[UUID, AccountSpec] = {}
    for spec in specs:
        result = rules.account_result(spec, standing.get(spec.id) or new.get(spec.id))
        if result is AccountResult.CREATED:
            new[spec.id] = spec
        results.append(result)
    if new:
        with transaction.atomic():
            store.insert_accounts([new[account] for account in sorted(new)])
    return results


@retried
def create_transfers(specs: Sequence[TransferSpec], *, at: datetime) -> list[TransferResult]:
    """Record a batch of transfers; one result for each, in order.

    Safe to repeat: an id that is recorded answers ``exists`` if it asks for the same thing and
    ``exists_with_different_…`` if not. A refused transfer changes nothing and does not stop the
    others, except within its linked chain. Amounts in fen; ``at`` with a zone.
    """
    if at.tzinfo is None:
        raise ValueError("a transfer needs a time with a zone")
    if not specs:
        return []
    try:
        with transaction.atomic():
            return _create_transfers(specs, at)
    except IntegrityError as error:
        if not isinstance(error.__cause__, UniqueViolation):
            raise
        # The same id was recorded meanwhile between other accounts, which our locks did not
        # cover. It is committed now: decide again, knowing it.
        with transaction.atomic():
            return _create_transfers(specs, at)


def _create_transfers(specs: Sequence[TransferSpec], at: datetime) -> list[TransferResult]:
    pending_ids = {spec.pending_id for spec in specs if spec.pending_id is not None}
    touched = {spec.debit_account for spec in specs} | {spec.credit_account for spec in specs}
    accounts = {account for account in touched if account is not None}
    if pending_ids:
        accounts |= store.accounts_of_pending(pending_ids)
    while True:
        seen = store.lock(accounts, {spec.id for spec in specs} | pending_ids)
        held = [seen.transfers[pending] for pending in pending_ids & seen.transfers.keys()]
        missing = {a for t in held for a in (t.debit_account, t.credit_account)} - seen.heads.keys()
        if not missing:
            break
        accounts |= missing  # of a pending transfer recorded between our two looks
    state = State(seen.accounts, seen.heads, seen.transfers, seen.resolutions)
    outcome = rules.decide(state, specs, at=at)
    if outcome.transfers:
        store.write(outcome.transfers, outcome.entries)
    return outcome.results


def post_or_refuse(specs: Sequence[TransferSpec], *, at: datetime) -> None:
    """Record all of a batch or nothing of it.

    Refuses ``ledger_<result>`` for the first transfer that does not stand afterwards: with the
    amount, the transfer and its accounts as facts.
    """
    with transaction.atomic():
        results = create_transfers(specs, at=at)
        failed = [(s, r) for s, r in zip(specs, results, strict=True) if not r.good]
        if failed:
            culprits = [f for f in failed if f[1] is not TransferResult.LINKED_EVENT_FAILED]
            raise _refusal(*(culprits or failed)[0])


def _refusal(spec: TransferSpec, result: TransferResult) -> Refused:
    return Refused(
        f"ledger_{result}",
        amount_fen=spec.amount_fen,
        transfer=str(spec.id),
        debit_account=str(spec.debit_account),
        credit_account=str(spec.credit_account),
        pending=str(spec.pending_id),
    )


def expire_due(at: datetime, *, limit: int = 1000) -> int:
    """Release the pending transfers whose time is over, oldest first; how many were.

    Safe to repeat and to run beside others: the expiry of a transfer has one id, and whoever
    posts or voids first wins. Call again while it returns ``limit``.
    """
    due = (
        Transfer.objects.filter(expires_at__lte=at, resolutions=None)
        .order_by("expires_at", "id")
        .values_list("id", flat=True)[:limit]
    )
    specs = [
        TransferSpec(expiry_id(pending), None, None, 0, 0, "", kind="expire", pending_id=pending)
        for pending in due
    ]
    return create_transfers(specs, at=at).count(TransferResult.CREATED)


def expiry_id(pending: UUID) -> UUID:
    """The one id under which a pending transfer can expire."""
    return uuid5(pending, "expire")
