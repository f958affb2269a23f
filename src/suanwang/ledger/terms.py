"""The words of the ledger: accounts, transfers, their kinds, and the name of every answer.

The vocabulary is TigerBeetle's. Where this ledger differs: a zero amount is refused; a whole
linked chain sent again answers ``exists`` throughout; a refused id may be used again later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum, IntFlag, StrEnum
from typing import Literal, NamedTuple, get_args
from uuid import UUID

from suanwang.core.money import FEN_MAX

AMOUNT_MAX_FEN = FEN_MAX
"""The most one transfer may move."""

BALANCE_MAX_FEN = 2**63 - 1
TIMEOUT_MAX_SECONDS = 10 * 366 * 86_400
POST_ALL = BALANCE_MAX_FEN
"""As the amount of a ``post``: everything that is pending."""

NIL = UUID(int=0)

Kind = Literal["transfer", "pending", "post", "void", "expire"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RESOLVING: frozenset[Kind] = frozenset({"post", "void", "expire"})
Side = Literal["debit", "credit"]


class Ledger(IntEnum):
    """Transfers stay within one ledger. All three count fen."""

    MONEY = 1
    ENTITLEMENT = 2
    """Face value of vouchers."""
    ALLOWANCE = 3
    """What is left of a cap."""


class AccountFlag(IntFlag):
    """Limits of an account; what is pending counts against them."""

    NONE = 0
    DEBITS_MUST_NOT_EXCEED_CREDITS = 1
    CREDITS_MUST_NOT_EXCEED_DEBITS = 2


@dataclass(frozen=True)
class AccountSpec:
    """An account as asked for. Once created it never changes."""

    id: UUID
    code: str
    ledger: int
    flags: AccountFlag
    owner: str
    title: str


@dataclass(frozen=True)
class TransferSpec:
    """A transfer as asked for. The id is chosen by the caller, so that asking twice is safe.

    ``post``, ``void`` and ``expire`` name their pending transfer in ``pending_id`` and may leave
    the accounts ``None``, the ledger 0 and the code empty: they are those of the pending one.
    The amount of a ``post`` may be less (the rest is released) or ``POST_ALL``; that of a ``void``
    or ``expire`` is 0. ``linked`` ties a transfer to the next one: all of a chain or nothing.
    """

    id: UUID
    debit_account: UUID | None
    credit_account: UUID | None
    amount_fen: int
    ledger: int
    code: str
    kind: Kind = "transfer"
    pending_id: UUID | None = None
    timeout_seconds: int = 0
    linked: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.amount_fen) is not int:
            raise TypeError(f"an amount is a whole number of fen, not {self.amount_fen!r}")
        for name, value in self.facts.items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError(f"facts are text: {name!r}={value!r}")
            if "\0" in name + value:
                raise ValueError(f"facts cannot hold the character U+0000: {name!r}")


def post(
    id: UUID,  # noqa: A002
    pending_id: UUID,
    amount_fen: int = POST_ALL,
    *,
    code: str = "",
    linked: bool = False,
    facts: Mapping[str, str] | None = None,
) -> TransferSpec:
    """The transfer that posts a pending one, all of it or a part; the rest is released."""
    return TransferSpec(
        id, None, None, amount_fen, 0, code, "post", pending_id, 0, linked, facts or {}
    )


def void(
    id: UUID,  # noqa: A002
    pending_id: UUID,
    *,
    code: str = "",
    linked: bool = False,
    facts: Mapping[str, str] | None = None,
) -> TransferSpec:
    """The transfer that releases a pending one unused."""
    return TransferSpec(id, None, None, 0, 0, code, "void", pending_id, 0, linked, facts or {})


def chained(steps: Iterable[TransferSpec]) -> list[TransferSpec]:
    """The steps linked in order, so that all of them stand or none does."""
    *first, last = steps
    return [*(replace(step, linked=True) for step in first), replace(last, linked=False)]


class Balance(NamedTuple):
    """The four numbers of an account, in fen."""

    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0

    @property
    def available(self) -> int:
        """What may still be debited from an account that must not be overdrawn."""
        return self.credits_posted - self.debits_posted - self.debits_pending


class Head(NamedTuple):
    """The newest entry of an account: how many there are, the last link of its chain, the sum."""

    version: int
    hash: bytes
    balance: Balance


class Recorded(NamedTuple):
    """A transfer as it stands in the log."""

    id: UUID
    debit_account: UUID
    credit_account: UUID
    amount_fen: int
    ledger: int
    code: str
    kind: Kind
    pending_id: UUID | None
    timeout_seconds: int
    linked: bool
    chain: UUID | None
    """The id of the first transfer of its linked chain."""
    chain_position: int
    facts: Mapping[str, str]
    at: datetime
    hash: bytes = b""

    @property
    def expires_at(self) -> datetime | None:
        """From when on a pending transfer can only expire; None for never."""
        if self.kind != "pending" or not self.timeout_seconds:
            return None
        return self.at + timedelta(seconds=self.timeout_seconds)


class Entry(NamedTuple):
    """One side of a transfer on one account, with the balance it leaves and its link."""

    account: UUID
    version: int
    transfer: UUID
    side: Side
    pending_fen: int
    """Change of what is pending on that side."""
    posted_fen: int
    balance: Balance
    hash: bytes


class AccountResult(StrEnum):
    """What became of a request to create an account."""

    CREATED = "created"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_LEDGER = "exists_with_different_ledger"
    EXISTS_WITH_DIFFERENT_CODE = "exists_with_different_code"
    EXISTS_WITH_DIFFERENT_FLAGS = "exists_with_different_flags"
    EXISTS_WITH_DIFFERENT_OWNER = "exists_with_different_owner"
    ID_MUST_NOT_BE_ZERO = "id_must_not_be_zero"
    LEDGER_MUST_NOT_BE_ZERO = "ledger_must_not_be_zero"
    CODE_MUST_NOT_BE_EMPTY = "code_must_not_be_empty"
    FLAGS_ARE_MUTUALLY_EXCLUSIVE = "flags_are_mutually_exclusive"

    @property
    def good(self) -> bool:
        """Whether the account now stands as asked."""
        return self in (AccountResult.CREATED, AccountResult.EXISTS)


class TransferResult(StrEnum):
    """What became of a request to transfer. Only ``created`` and ``exists`` are good."""

    CREATED = "created"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_FLAGS = "exists_with_different_flags"
    """Another kind, or linked where it was not."""
    EXISTS_WITH_DIFFERENT_PENDING_ID = "exists_with_different_pending_id"
    EXISTS_WITH_DIFFERENT_TIMEOUT = "exists_with_different_timeout"
    EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT = "exists_with_different_debit_account"
    EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT = "exists_with_different_credit_account"
    EXISTS_WITH_DIFFERENT_AMOUNT = "exists_with_different_amount"
    EXISTS_WITH_DIFFERENT_FACTS = "exists_with_different_facts"
    EXISTS_WITH_DIFFERENT_LEDGER = "exists_with_different_ledger"
    EXISTS_WITH_DIFFERENT_CODE = "exists_with_different_code"
    LINKED_EVENT_FAILED = "linked_event_failed"
    LINKED_EVENT_CHAIN_OPEN = "linked_event_chain_open"
    ID_MUST_NOT_BE_ZERO = "id_must_not_be_zero"
    KIND_IS_UNKNOWN = "kind_is_unknown"
    AMOUNT_MUST_BE_POSITIVE = "amount_must_be_positive"
    AMOUNT_MUST_BE_ZERO = "amount_must_be_zero"
    """Of a void or an expiry: they always release everything."""
    AMOUNT_IS_TOO_LARGE = "amount_is_too_large"
    LEDGER_MUST_NOT_BE_ZERO = "ledger_must_not_be_zero"
    CODE_MUST_NOT_BE_EMPTY = "code_must_not_be_empty"
    TIMEOUT_RESERVED_FOR_PENDING_TRANSFER = "timeout_reserved_for_pending_transfer"
    TIMEOUT_MUST_NOT_BE_NEGATIVE = "timeout_must_not_be_negative"
    TIMEOUT_IS_TOO_LARGE = "timeout_is_too_large"
    DEBIT_ACCOUNT_MUST_BE_NAMED = "debit_account_must_be_named"
    CREDIT_ACCOUNT_MUST_BE_NAMED = "credit_account_must_be_named"
    ACCOUNTS_MUST_BE_DIFFERENT = "accounts_must_be_different"
    DEBIT_ACCOUNT_NOT_FOUND = "debit_account_not_found"
    CREDIT_ACCOUNT_NOT_FOUND = "credit_account_not_found"
    ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER = "accounts_must_have_the_same_ledger"
    TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS = (
        "transfer_must_have_the_same_ledger_as_accounts"
    )
    PENDING_ID_MUST_BE_EMPTY = "pending_id_must_be_empty"
    PENDING_ID_MUST_BE_NAMED = "pending_id_must_be_named"
    PENDING_ID_MUST_BE_DIFFERENT = "pending_id_must_be_different"
    PENDING_TRANSFER_NOT_FOUND = "pending_transfer_not_found"
    PENDING_TRANSFER_NOT_PENDING = "pending_transfer_not_pending"
    PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT = "pending_transfer_has_different_debit_account"
    PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT = "pending_transfer_has_different_credit_account"
    PENDING_TRANSFER_HAS_DIFFERENT_LEDGER = "pending_transfer_has_different_ledger"
    EXCEEDS_PENDING_TRANSFER_AMOUNT = "exceeds_pending_transfer_amount"
    PENDING_TRANSFER_ALREADY_POSTED = "pending_transfer_already_posted"
    PENDING_TRANSFER_ALREADY_VOIDED = "pending_transfer_already_voided"
    PENDING_TRANSFER_EXPIRED = "pending_transfer_expired"
    PENDING_TRANSFER_NOT_EXPIRED = "pending_transfer_not_expired"
    """An expiry before its time, or of a pending transfer without a timeout."""
    OVERFLOWS_DEBITS = "overflows_debits"
    OVERFLOWS_CREDITS = "overflows_credits"
    EXCEEDS_CREDITS = "exceeds_credits"
    EXCEEDS_DEBITS = "exceeds_debits"

    @property
    def good(self) -> bool:
        """Whether the transfer now stands in the log as asked."""
        return self in (TransferResult.CREATED, TransferResult.EXISTS)
