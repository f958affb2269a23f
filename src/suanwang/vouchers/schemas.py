"""How vouchers and claims look from outside. Amounts in fen, times in UTC."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from suanwang.api.http import In
from suanwang.vouchers.models import Claim, Voucher


class NumbersOut(Schema):
    """granted = available + reserved + redeemed + expired."""

    granted: int
    available: int
    reserved: int
    redeemed: int
    expired: int


class VoucherOut(Schema):
    id: UUID
    number: str
    holder_id: UUID
    holder: str = Field(alias="holder.name")
    policy: str
    measure: str
    year: int
    face_fen: int
    status: Voucher.Status
    issued_at: datetime
    expires_at: datetime
    numbers: NumbersOut


class CertificateOut(Schema):
    """What the platform signed, and how to check it: Ed25519 over the canonical JSON of
    ``content`` (keys sorted, no spaces, UTF-8).
    """

    content: dict[str, Any]
    algorithm: str
    signature: str
    public_key: str


class VerificationIn(In):
    content: dict[str, Any] = Field(max_length=40)
    signature: str = Field(max_length=200)


class VerificationOut(Schema):
    genuine: bool


class KeyOut(Schema):
    algorithm: str
    public_key: str
    """Base64 of the 32 raw bytes."""


class FeeLineOut(Schema):
    id: UUID
    invoice_number: str
    centre: str
    meter: str
    amount_fen: int
    fee_fen: int
    """The part used inside the policy's validity."""
    starts: datetime
    ends: datetime
    paid_on: date


class PrefilledOut(Schema):
    lines: list[FeeLineOut]
    total_fee_fen: int
    amount_fen: int
    eligible: bool
    decision: dict[str, Any] | None
    claim_lines: list[UUID]
    """Of ``lines`` those that get most by this voucher; the others get more by another policy."""
    comparison: dict[str, Any] | None


class ClaimIn(In):
    lines: list[UUID] = Field(min_length=1, max_length=5000)


class ClaimOut(Schema):
    id: UUID
    number: str
    voucher_id: UUID
    voucher_number: str = Field(alias="voucher.number")
    organisation_id: UUID
    organisation: str = Field(alias="organisation.name")
    state: Claim.State
    paid_fee_fen: int
    amount_fen: int
    filed_at: datetime
    reviewed_at: datetime | None
    review_reason: str


class ClaimDetailOut(ClaimOut):
    decision: dict[str, Any]
    facts: dict[str, Any]
    package_hash: str | None = Field(alias="package_id")
    comparison: dict[str, Any]
    """Every policy that might support the fees, what each gives, and which line went to which."""


class ClaimLineOut(Schema):
    id: int
    invoice_line_id: UUID
    invoice_number: str = Field(alias="invoice_line.invoice.number")
    position: int = Field(alias="invoice_line.position")
    meter: str = Field(alias="invoice_line.charge.usage.meter")
    amount_fen: int = Field(alias="invoice_line.amount_fen")
    fee_fen: int
    released: bool


class ReviewIn(In):
    approve: bool
    reason: str = Field("", max_length=2000)


class ExpectedOut(Schema):
    """What would come back of a fee; not a promise."""

    amount_fen: int
    eligible: bool
    voucher_needed: bool
    decision: dict[str, Any] | None
    refusal: dict[str, str] | None


class PoolOut(Schema):
    year: int
    funded: int
    left: int
    granted: int
    reserved: int
    redeemed: int
    expired: int


class FundIn(In):
    year: int = Field(ge=2000, le=2100)


class ClaimableOut(Schema):
    """A valid voucher, and what could be claimed on it at once."""

    voucher_id: UUID
    number: str
    expires_at: datetime
    left_fen: int
    amount_fen: int
    lines: list[UUID]


class WhenPaidOut(Schema):
    """An invoice that is still owed, and what would come back of it."""

    invoice_id: UUID
    number: str
    total_fen: int
    amount_fen: int


class PossibleOut(Schema):
    """Another measure that applies, is open, or is out by what is known."""

    policy: str
    measure: str
    title: dict[str, str]
    article: dict[str, str]
    state: str
    amount_fen: int | None
    asks: list[str]
    failed: list[dict[str, str]]
    papers: list[dict[str, str]]


class BenefitsOut(Schema):
    """What an organisation could get by what the platform knows. Nothing is decided by it."""

    policy: str
    on: date
    ready_fen: int
    year_left_fen: int
    claimable: list[ClaimableOut]
    papers_to_bring: list[dict[str, str]]
    papers_held: list[dict[str, str]]
    without_voucher_fen: int
    """What paid fees that no voucher covers would give with one."""
    when_paid: list[WhenPaidOut]
    possible: list[PossibleOut]
    questions: list[str]
