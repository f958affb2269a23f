"""The pure part of vouchers: their four numbers, their last day, which fees may be claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from suanwang.core.clock import CITY_ZONE
from suanwang.core.money import Fen
from suanwang.metering.rules import fee_inside

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


def last_day(year: int, policy_ends: date) -> date:
    """The last day of a voucher of a budget year: the year's, or the policy's if that is sooner."""
    return min(date(year, 12, 31), policy_ends)


@dataclass(frozen=True)
class FeeLine:
    """A paid line of an invoice as the policy sees it."""

    id: UUID
    invoice_number: str
    centre: str
    meter: str
    amount_fen: Fen
    """As invoiced and paid."""
    fee_fen: Fen
    """The part used inside the policy's validity, split by metered time (A3)."""
    starts: datetime
    ends: datetime
    paid_on: date


def eligible_fee(
    amount_fen: Fen, *, starts: datetime, ends: datetime, valid_from: date, valid_to: date
) -> Fen:
    """The part of a paid fee that was used from the first to the last day of a policy."""
    return fee_inside(
        amount_fen,
        starts=starts,
        ends=ends,
        valid_from=day_begins(valid_from),
        valid_until=day_begins(valid_to + timedelta(days=1)),
    )


def service_period(
    lines: Sequence[FeeLine], *, valid_from: date, valid_to: date
) -> tuple[date, date]:
    """First and last city day of use under the lines, cut to the validity they were split by."""
    first = min(line.starts for line in lines).astimezone(CITY_ZONE).date()
    last = max(line.ends for line in lines).astimezone(CITY_ZONE).date()
    return max(first, valid_from), min(last, valid_to)
