"""The leaf checks: what one transfer, account or balance is refused for. Functions of values."""

from __future__ import annotations

from datetime import datetime

from suanwang.ledger.terms import (
    AMOUNT_MAX_FEN,
    BALANCE_MAX_FEN,
    KINDS,
    NIL,
    POST_ALL,
    RESOLVING,
    TIMEOUT_MAX_SECONDS,
    AccountFlag,
    AccountResult,
    AccountSpec,
    Balance,
    Kind,
    Recorded,
    Side,
    TransferResult,
    TransferSpec,
)

_R = TransferResult


def account_result(spec: AccountSpec, existing: AccountSpec | None) -> AccountResult:
    """Whether an account may be created, or stands already. Its title is not compared."""
    both = AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS | AccountFlag.CREDITS_MUST_NOT_EXCEED_DEBITS
    if spec.id == NIL:
        return AccountResult.ID_MUST_NOT_BE_ZERO
    if existing is not None:
        if existing.ledger != spec.ledger:
            return AccountResult.EXISTS_WITH_DIFFERENT_LEDGER
        if existing.code != spec.code:
            return AccountResult.EXISTS_WITH_DIFFERENT_CODE
        if existing.flags != spec.flags:
            return AccountResult.EXISTS_WITH_DIFFERENT_FLAGS
        if existing.owner != spec.owner:
            return AccountResult.EXISTS_WITH_DIFFERENT_OWNER
        return AccountResult.EXISTS
    if spec.ledger <= 0:
        return AccountResult.LEDGER_MUST_NOT_BE_ZERO
    if not spec.code:
        return AccountResult.CODE_MUST_NOT_BE_EMPTY
    if spec.flags & both == both:
        return AccountResult.FLAGS_ARE_MUTUALLY_EXCLUSIVE
    return AccountResult.CREATED


def limit_broken(balance: Balance, flags: AccountFlag) -> bool:
    """Whether a balance breaks its account's limit; what is pending counts."""
    if flags & AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS:
        return balance.debits_posted + balance.debits_pending > balance.credits_posted
    if flags & AccountFlag.CREDITS_MUST_NOT_EXCEED_DEBITS:
        return balance.credits_posted + balance.credits_pending > balance.debits_posted
    return False


def moved(balance: Balance, side: Side, pending_fen: int, posted_fen: int) -> Balance:
    """The balance after a change on one side."""
    dp, do, cp, co = balance
    if side == "debit":
        return Balance(dp + pending_fen, do + posted_fen, cp, co)
    return Balance(dp, do, cp + pending_fen, co + posted_fen)


def changes(transfer: Recorded, pending: Recorded | None) -> tuple[int, int]:
    """What a transfer changes on each of its accounts: (pending, posted), in fen."""
    if transfer.kind == "pending":
        return transfer.amount_fen, 0
    if transfer.kind == "transfer":
        return 0, transfer.amount_fen
    assert pending is not None  # noqa: S101  a resolution was checked to name one
    return -pending.amount_fen, transfer.amount_fen if transfer.kind == "post" else 0


def shape(spec: TransferSpec) -> TransferResult | None:
    """What is wrong with a transfer by itself, whatever the ledger holds."""
    if spec.kind not in KINDS:
        return _R.KIND_IS_UNKNOWN
    if spec.timeout_seconds and spec.kind != "pending":
        return _R.TIMEOUT_RESERVED_FOR_PENDING_TRANSFER
    if spec.timeout_seconds < 0:
        return _R.TIMEOUT_MUST_NOT_BE_NEGATIVE
    if spec.timeout_seconds > TIMEOUT_MAX_SECONDS:
        return _R.TIMEOUT_IS_TOO_LARGE
    if spec.kind in ("void", "expire"):
        if spec.amount_fen != 0:
            return _R.AMOUNT_MUST_BE_ZERO
    elif spec.amount_fen <= 0:
        return _R.AMOUNT_MUST_BE_POSITIVE
    elif spec.amount_fen > AMOUNT_MAX_FEN and not (
        spec.kind == "post" and spec.amount_fen == POST_ALL
    ):
        return _R.AMOUNT_IS_TOO_LARGE
    return _shape_of_resolution(spec) if spec.kind in RESOLVING else _shape_of_direct(spec)


def _shape_of_resolution(spec: TransferSpec) -> TransferResult | None:
    if spec.pending_id is None or spec.pending_id == NIL:
        return _R.PENDING_ID_MUST_BE_NAMED
    if spec.pending_id == spec.id:
        return _R.PENDING_ID_MUST_BE_DIFFERENT
    return None


def _shape_of_direct(spec: TransferSpec) -> TransferResult | None:
    if spec.pending_id is not None:
        return _R.PENDING_ID_MUST_BE_EMPTY
    if spec.debit_account is None or spec.debit_account == NIL:
        return _R.DEBIT_ACCOUNT_MUST_BE_NAMED
    if spec.credit_account is None or spec.credit_account == NIL:
        return _R.CREDIT_ACCOUNT_MUST_BE_NAMED
    if spec.debit_account == spec.credit_account:
        return _R.ACCOUNTS_MUST_BE_DIFFERENT
    if spec.ledger <= 0:
        return _R.LEDGER_MUST_NOT_BE_ZERO
    if not spec.code:
        return _R.CODE_MUST_NOT_BE_EMPTY
    return None


def compare(spec: TransferSpec, recorded: Recorded, pending: Recorded | None) -> TransferResult:
    """Whether the same id asks for the same thing. What a resolution may leave out is filled in."""
    debit, credit, ledger = spec.debit_account, spec.credit_account, spec.ledger
    code, amount = spec.code, spec.amount_fen
    if spec.kind in RESOLVING and pending is not None:
        debit, credit = debit or pending.debit_account, credit or pending.credit_account
        ledger, code = ledger or pending.ledger, code or pending.code
        amount = pending.amount_fen if amount == POST_ALL else amount
    if spec.kind != recorded.kind or spec.linked != recorded.linked:
        return _R.EXISTS_WITH_DIFFERENT_FLAGS
    if spec.pending_id != recorded.pending_id:
        return _R.EXISTS_WITH_DIFFERENT_PENDING_ID
    if spec.timeout_seconds != recorded.timeout_seconds:
        return _R.EXISTS_WITH_DIFFERENT_TIMEOUT
    if debit != recorded.debit_account:
        return _R.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT
    if credit != recorded.credit_account:
        return _R.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT
    if amount != recorded.amount_fen:
        return _R.EXISTS_WITH_DIFFERENT_AMOUNT
    if dict(spec.facts) != dict(recorded.facts):
        return _R.EXISTS_WITH_DIFFERENT_FACTS
    if ledger != recorded.ledger:
        return _R.EXISTS_WITH_DIFFERENT_LEDGER
    if code != recorded.code:
        return _R.EXISTS_WITH_DIFFERENT_CODE
    return _R.EXISTS


def resolvable(
    spec: TransferSpec, pending: Recorded | None, resolved: Kind | None, at: datetime
) -> TransferResult | None:
    """What forbids resolving a pending transfer in the way asked."""
    if pending is None:
        return _R.PENDING_TRANSFER_NOT_FOUND
    if pending.kind != "pending":
        return _R.PENDING_TRANSFER_NOT_PENDING
    if spec.debit_account not in (None, pending.debit_account):
        return _R.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT
    if spec.credit_account not in (None, pending.credit_account):
        return _R.PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT
    if spec.ledger not in (0, pending.ledger):
        return _R.PENDING_TRANSFER_HAS_DIFFERENT_LEDGER
    if spec.amount_fen > pending.amount_fen and spec.amount_fen != POST_ALL:
        return _R.EXCEEDS_PENDING_TRANSFER_AMOUNT
    if resolved == "post":
        return _R.PENDING_TRANSFER_ALREADY_POSTED
    if resolved == "void":
        return _R.PENDING_TRANSFER_ALREADY_VOIDED
    if resolved == "expire":
        return _R.PENDING_TRANSFER_EXPIRED
    due = pending.expires_at is not None and at >= pending.expires_at
    if spec.kind == "expire":
        return None if due else _R.PENDING_TRANSFER_NOT_EXPIRED
    return _R.PENDING_TRANSFER_EXPIRED if due else None


def accounts_fit(
    spec: TransferSpec, debit: AccountSpec | None, credit: AccountSpec | None
) -> TransferResult | None:
    """What forbids a transfer between these two accounts."""
    if debit is None:
        return _R.DEBIT_ACCOUNT_NOT_FOUND
    if credit is None:
        return _R.CREDIT_ACCOUNT_NOT_FOUND
    if debit.ledger != credit.ledger:
        return _R.ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER
    if spec.ledger != debit.ledger:
        return _R.TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS
    return None


def fits(
    debit: Balance, credit: Balance, debit_flags: AccountFlag, credit_flags: AccountFlag
) -> TransferResult | None:
    """What forbids the balances a transfer would leave."""
    if debit.debits_pending + debit.debits_posted > BALANCE_MAX_FEN:
        return _R.OVERFLOWS_DEBITS
    if credit.credits_pending + credit.credits_posted > BALANCE_MAX_FEN:
        return _R.OVERFLOWS_CREDITS
    if limit_broken(debit, debit_flags):
        return _R.EXCEEDS_CREDITS
    if limit_broken(credit, credit_flags):
        return _R.EXCEEDS_DEBITS
    return None
