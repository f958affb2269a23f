"""How usage, charges, invoices and payments look from outside. Amounts in fen, times in UTC."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from suanwang.api.http import In
from suanwang.metering.models import ChannelPayment, Charge, Invoice, Payment


class UsageOut(Schema):
    record_id: UUID
    agent_id: UUID
    attempt_id: UUID
    job_id: UUID = Field(alias="attempt.job_id")
    sequence: int
    meter: str
    quantity: int
    started_at: datetime
    ended_at: datetime
    previous_hash: str
    hash: str
    signature: str
    received_at: datetime


class RefusedUsageOut(Schema):
    record_id: UUID
    agent_id: UUID
    sequence: int
    code: str
    facts: dict[str, Any]
    received_at: datetime


class ChargeOut(Schema):
    id: UUID
    job_id: UUID
    organisation_id: UUID
    provider_id: UUID
    record_id: UUID = Field(alias="usage_id")
    meter: str = Field(alias="usage.meter")
    quantity: int = Field(alias="usage.quantity")
    billed_quantity: int
    basis: Charge.Basis
    parts: list[dict[str, Any]]
    amount_fen: int
    rated_at: datetime


class RatingProblemOut(Schema):
    id: int
    record_id: UUID = Field(alias="usage_id")
    job_id: UUID = Field(alias="usage.attempt.job_id")
    code: str
    facts: dict[str, Any]
    found_at: datetime
    resolved_at: datetime | None
    resolution: str
    reason: str


class UnsettledOut(Schema):
    """An ended job whose account is still open."""

    id: UUID
    organisation_id: UUID
    name: str
    state: str
    estimate_fen: int
    charged_fen: int
    submitted_at: datetime
    ended_at: datetime | None


class SettlementIn(In):
    reason: str = Field(min_length=1, max_length=2000)


class SettlementOut(Schema):
    job_id: UUID
    organisation_id: UUID
    amount_fen: int
    settled_at: datetime


class ResolutionIn(In):
    resolution: Literal["agreed", "written_off", "credited"]
    """``credited``: a late correction downwards is given back."""
    amount_fen: int = Field(0, ge=0, le=10**15)
    reason: str = Field(min_length=1, max_length=2000)


class InvoiceOut(Schema):
    id: UUID
    number: str
    organisation_id: UUID
    organisation: str = Field(alias="organisation.name")
    provider_id: UUID
    provider: str = Field(alias="provider.name")
    status: Invoice.Status
    total_fen: int
    period_start: datetime
    period_end: datetime
    issued_at: datetime
    due_at: datetime
    paid_at: datetime | None


class InvoiceLineOut(Schema):
    id: UUID
    position: int
    amount_fen: int
    job_id: UUID = Field(alias="charge.job_id")
    job_name: str = Field(alias="charge.job.name")
    centre: str = Field(alias="charge.usage.attempt.cluster.centre.name")
    meter: str = Field(alias="charge.usage.meter")
    billed_quantity: int = Field(alias="charge.billed_quantity")
    basis: Charge.Basis = Field(alias="charge.basis")
    parts: list[dict[str, Any]] = Field(alias="charge.parts")
    started_at: datetime = Field(alias="charge.usage.started_at")
    ended_at: datetime = Field(alias="charge.usage.ended_at")


class InvoiceIn(In):
    organisation_id: UUID | None = None
    """Whose use; not needed by its owner."""
    provider_id: UUID | None = None
    """Who asks for the money; not needed by the provider itself."""


class PaymentIn(In):
    reference: str = Field(min_length=1, max_length=80)
    amount_fen: int = Field(ge=1, le=10**15)
    paid_on: date


class PaymentOut(Schema):
    id: UUID
    invoice_id: UUID
    invoice_number: str = Field(alias="invoice.number")
    channel: Payment.Channel
    reference: str
    amount_fen: int
    paid_on: date
    recorded_at: datetime
    transfer_id: UUID


class ChannelPaymentIn(In):
    channel: Literal["simulated"] = "simulated"


class ChannelPaymentOut(Schema):
    id: UUID
    invoice_id: UUID
    channel: Payment.Channel
    reference: str
    amount_fen: int
    state: ChannelPayment.State
    started_at: datetime
    closed_at: datetime | None


class StatementRowOut(Schema):
    version: int
    at: datetime
    transfer: UUID
    code: str
    kind: str
    side: Literal["debit", "credit"]
    amount_fen: int
    pending_fen: int
    posted_fen: int
    available_fen: int
    facts: dict[str, Any]
    hash: str


class StatementOut(Schema):
    """An account and a page of its entries, the newest first, each with the balance after it."""

    account_id: UUID
    code: Literal["spend", "earnings"]
    available_fen: int
    """Spend: what may still be spent. Earnings: what was earned."""
    held_fen: int
    """Spend: under holds of jobs that run or wait."""
    items: list[StatementRowOut]
    next_cursor: str | None = None


class ReconciliationOut(Schema):
    jobs: int
    records: int
    used: int
    rated: int
    settled: int
    ledger: int
    invoiced: int
    not_invoiced: int
    paid: int
    agrees: bool
