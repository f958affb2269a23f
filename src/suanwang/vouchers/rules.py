"""The pure part of vouchers: their four numbers, which fees may be claimed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from suanwang.core.clock import CITY_ZONE
from suanwang.core.money import Fen

LINES_AT_MOST = 5000
"""One claim stands on at most so many lines."""


class Numbers(NamedTuple):
    """What became of a voucher's face value, in fen. The four parts always add up to it."""

    granted: Fen
    available: Fen
    reserved: Fen
    """Under claims that wait for a decision."""
    redeemed: Fen
    """Approved for payment."""
    expired: Fen


def day_begins(day: date) -> datetime:
    """Midnight in the city."""
    return datetime(day.year, day.month, day.day, tzinfo=CITY_ZONE)


def end_of(day: date) -> datetime:
    """23:59:59 in the city: a voucher is valid until then on its last day."""
    return day_begins(day) + timedelta(days=1, seconds=-1)


@dataclass(frozen=True)
class FeeLine:
    """A paid line of an invoice as the policy sees it."""

    id: UUID
    invoice_number: str
    centre: str
    meter: str
    amount_fen: Fen
    """What its use came to and was paid, corrections counted in."""
    fee_fen: Fen
    """The part used inside the policy's validity, split by metered time (A3)."""
    starts: datetime
    ends: datetime
    first_day: date
    """First and last city day of the use that counts."""
    last_day: date
    paid_on: date
    number: str = ""
    """Of the invoice and the line in it, for people."""
