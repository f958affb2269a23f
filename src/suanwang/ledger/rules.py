"""What becomes of a batch of transfers: pure decisions on the state that was read under lock.

``decide`` takes the accounts, their heads and the transfers a batch touches, and returns one
result per transfer and the rows to write. Leaf checks are functions of values; the order of the
batch, the chains and their undoing live in ``_Book`` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from suanwang.ledger.chain import entry_hash, transfer_hash
from suanwang.ledger.checks import (
    account_result,
    accounts_fit,
    changes,
    compare,
    fits,
    moved,
    resolvable,
    shape,
)
from suanwang.ledger.terms import (
    NIL,
    POST_ALL,
    RESOLVING,
    AccountFlag,
    AccountResult,
    AccountSpec,
    Balance,
    Entry,
    Head,
    Kind,
    Ledger,
    Recorded,
    Side,
    TransferResult,
    TransferSpec,
    post,
    void,
)

__all__ = [
    "POST_ALL",
    "AccountFlag",
    "AccountResult",
    "AccountSpec",
    "Balance",
    "Entry",
    "Head",
    "Kind",
    "Ledger",
    "Outcome",
    "Recorded",
    "State",
    "TransferResult",
    "TransferSpec",
    "account_result",
    "chains",
    "decide",
    "post",
    "void",
]

_R = TransferResult


@dataclass(frozen=True)
class State:
    """What a batch is decided on: read after the accounts were locked."""

    accounts: Mapping[UUID, AccountSpec]
    heads: Mapping[UUID, Head]
    """Of every account; version 0 and the account's own hash before its first entry."""
    transfers: Mapping[UUID, Recorded]
    """Those already recorded among the ids and pending ids of the batch."""
    resolutions: Mapping[UUID, Kind]
    """How pending transfers among them were resolved."""


@dataclass(frozen=True)
class Outcome:
    """One result per transfer asked for, and the rows that make them true."""

    results: list[TransferResult]
    transfers: list[Recorded]
    entries: list[Entry]


def decide(state: State, specs: Sequence[TransferSpec], *, at: datetime) -> Outcome:
    """Decide a batch in order; linked chains stand or fall as one."""
    book = _Book(state, at)
    for chain in chains(specs):
        book.take(chain)
    return Outcome(book.results, book.transfers, book.entries)


def chains(specs: Sequence[TransferSpec]) -> Iterator[Sequence[TransferSpec]]:
    """Cut a batch after every transfer that is not linked to the next."""
    start = 0
    for end, spec in enumerate(specs, start=1):
        if not spec.linked or end == len(specs):
            yield specs[start:end]
            start = end


class _Book:
    """The state while a batch is worked through: what was read, and what the batch has added."""

    def __init__(self, state: State, at: datetime) -> None:
        self._accounts = state.accounts
        self._heads = dict(state.heads)
        self._known = dict(state.transfers)
        self._resolved = dict(state.resolutions)
        self._at = at
        self._heads_before: list[Head] = []
        self.results: list[TransferResult] = []
        self.transfers: list[Recorded] = []
        self.entries: list[Entry] = []

    def take(self, chain: Sequence[TransferSpec]) -> None:
        """Decide one chain (often of one transfer); undo all of it if a link fails.

        A chain that stands already answers ``exists`` throughout. One that stands in part is not
        the same chain, and fails.
        """
        first = chain[0].id if len(chain) > 1 else None
        mark = len(self.transfers)
        results: list[TransferResult] = []
        for position, spec in enumerate(chain):
            if spec.linked and position == len(chain) - 1:
                results.append(_R.LINKED_EVENT_CHAIN_OPEN)
            else:
                results.append(self._one(spec, first, position))
            if not results[-1].good:
                break
        whole = len(results) == len(chain) and len(set(results)) == 1 and results[0].good
        if not whole:
            self._undo(mark)
            results = [_R.LINKED_EVENT_FAILED if r is _R.CREATED else r for r in results]
            results += [_R.LINKED_EVENT_FAILED] * (len(chain) - len(results))
        self.results += results

    def _one(self, spec: TransferSpec, chain: UUID | None, position: int) -> TransferResult:
        if spec.id == NIL:
            return _R.ID_MUST_NOT_BE_ZERO
        pending = self._known.get(spec.pending_id) if spec.pending_id else None
        recorded = self._known.get(spec.id)
        if recorded is not None:
            return compare(spec, recorded, pending)
        problem = shape(spec)
        if problem is None and spec.kind in RESOLVING:
            resolved = self._resolved.get(spec.pending_id) if spec.pending_id else None
            problem = resolvable(spec, pending, resolved, self._at)
        elif problem is None:
            problem = accounts_fit(
                spec,
                self._accounts.get(spec.debit_account or NIL),
                self._accounts.get(spec.credit_account or NIL),
            )
        return problem or self._enter(self._record(spec, pending, chain, position), pending)

    def _record(
        self, spec: TransferSpec, pending: Recorded | None, chain: UUID | None, position: int
    ) -> Recorded:
        """The transfer as it would stand, with what a resolution left out filled in."""
        amount = spec.amount_fen
        if pending is not None and amount == POST_ALL:
            amount = pending.amount_fen
        recorded = Recorded(
            id=spec.id,
            debit_account=pending.debit_account if pending else spec.debit_account or NIL,
            credit_account=pending.credit_account if pending else spec.credit_account or NIL,
            amount_fen=amount,
            ledger=pending.ledger if pending else spec.ledger,
            code=spec.code or (pending.code if pending else ""),
            kind=spec.kind,
            pending_id=spec.pending_id,
            timeout_seconds=spec.timeout_seconds,
            linked=spec.linked,
            chain=chain,
            chain_position=position,
            facts=dict(spec.facts),
            at=self._at,
        )
        return recorded._replace(hash=transfer_hash(recorded))

    def _enter(self, transfer: Recorded, pending: Recorded | None) -> TransferResult:
        """Write both entries if the balances they leave are allowed."""
        pending_fen, posted_fen = changes(transfer, pending)
        debit, credit = transfer.debit_account, transfer.credit_account
        debit_after = moved(self._heads[debit].balance, "debit", pending_fen, posted_fen)
        credit_after = moved(self._heads[credit].balance, "credit", pending_fen, posted_fen)
        flags = self._accounts[debit].flags, self._accounts[credit].flags
        problem = fits(debit_after, credit_after, *flags)
        if problem is not None:
            return problem
        self._add(transfer, debit, "debit", pending_fen, posted_fen, debit_after)
        self._add(transfer, credit, "credit", pending_fen, posted_fen, credit_after)
        self.transfers.append(transfer)
        self._known[transfer.id] = transfer
        if transfer.pending_id is not None:
            self._resolved[transfer.pending_id] = transfer.kind
        return _R.CREATED

    def _add(
        self,
        transfer: Recorded,
        account: UUID,
        side: Side,
        pending_fen: int,
        posted_fen: int,
        balance: Balance,
    ) -> None:
        before = self._heads[account]
        version = before.version + 1
        link = entry_hash(
            before.hash, transfer.hash, account, version, side, pending_fen, posted_fen, balance
        )
        self._heads_before.append(before)
        self._heads[account] = Head(version, link, balance)
        self.entries.append(
            Entry(account, version, transfer.id, side, pending_fen, posted_fen, balance, link)
        )

    def _undo(self, mark: int) -> None:
        """Take back every transfer from a mark on, newest first."""
        while len(self.transfers) > mark:
            transfer = self.transfers.pop()
            del self._known[transfer.id]
            if transfer.pending_id is not None:
                del self._resolved[transfer.pending_id]
            for _side in ("credit", "debit"):
                entry = self.entries.pop()
                self._heads[entry.account] = self._heads_before.pop()
