"""How applications and payment orders look from outside. Amounts in fen, times in UTC."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from ninja import Schema
from pydantic import Field

from suanwang.api.http import In
from suanwang.programmes.models import Application, PaymentOrder, PaymentShare


class ApplicationIn(In):
    asked_fen: int = Field(ge=1, le=10**15)
    purpose: str = Field(min_length=1, max_length=2000)


class ApplicationOut(Schema):
    id: UUID
    number: str
    organisation_id: UUID
    organisation: str = Field(alias="organisation.name")
    policy: str
    measure: str
    asked_fen: int
    purpose: str
    state: Application.State
    filed_at: datetime
    decided_at: datetime | None
    decision_reason: str
    voucher_id: UUID | None


class GrantIn(In):
    amount_fen: int = Field(ge=1, le=10**15)
    reason: str = Field("", max_length=2000)
    last_day: date | None = None
    """The voucher's last day; without it the latest the policy allows."""


class ReasonIn(In):
    reason: str = Field(min_length=1, max_length=2000)


class ShareOut(Schema):
    id: int
    order_id: UUID
    level: str
    division: str
    amount_fen: int
    receipt: str
    receipted_at: datetime | None


class OrderOut(Schema):
    id: UUID
    number: str
    claim_id: UUID
    claim_number: str = Field(alias="claim.number")
    organisation_id: UUID = Field(alias="claim.organisation_id")
    organisation: str = Field(alias="claim.organisation.name")
    amount_fen: int
    state: PaymentOrder.State
    ordered_at: datetime
    closed_at: datetime | None
    reason: str
    shares: list[ShareOut]

    @staticmethod
    def resolve_shares(order: PaymentOrder) -> list[PaymentShare]:
        return sorted(order.shares.all(), key=lambda share: share.level)


class OrderIn(In):
    claim_id: UUID


class ReceiptIn(In):
    receipt: str = Field(min_length=1, max_length=80)
