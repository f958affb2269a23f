"""What a quantity costs, and whether a quantity can be true. Pure: values in, values out.

Amounts are integer fen, rates and parts exact fractions; one record is rounded once, half up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from math import ceil

from suanwang.core.clock import CITY_ZONE
from suanwang.core.money import Fen, round_fen

CLOCK_SKEW = timedelta(minutes=2)
"""How far a centre's clock may be off before its records are doubted."""

DUE_DAYS = 30
"""An invoice is due this many days after it was issued."""

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Rate:
    """One price of one meter: ``price_fen`` per ``per_quantity`` base units, while it is valid."""

    id: str
    price_fen: Fen
    per_quantity: int
    starts: datetime | None
    ends: datetime | None

    def covers(self, moment: datetime) -> bool:
        return (self.starts is None or self.starts <= moment) and (
            self.ends is None or moment < self.ends
        )


@dataclass(frozen=True)
class Part:
    """The stretch of a record that fell under one price, with its exact share and cost."""

    rate: Rate
    starts: datetime
    ends: datetime
    quantity: Fraction
    amount_fen: Fraction

    def as_json(self) -> dict[str, object]:
        """For the charge row: everything needed to work the amount out again by hand."""
        return {
            "price": self.rate.id,
            "price_fen": self.rate.price_fen,
            "per_quantity": self.rate.per_quantity,
            "starts": self.starts.isoformat(),
            "ends": self.ends.isoformat(),
            "quantity": str(self.quantity),
            "amount_fen": str(self.amount_fen),
        }


@dataclass(frozen=True)
class Rated:
    """A priced record: the exact parts and their sum in whole fen."""

    amount_fen: Fen
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Unpriced:
    """A moment of use for which no price was valid; the whole record waits for a person."""

    moment: datetime


@dataclass(frozen=True)
class Billed:
    """What of a record is billed: at most the walltime that was asked for."""

    quantity: int
    starts: datetime
    ends: datetime


def billed(
    quantity: int,
    allocation: int | Fraction,
    walltime_seconds: int,
    *,
    starts: datetime,
    ends: datetime,
) -> Billed:
    """Cut a record at the walltime: nobody pays for the seconds it took to stop the job.

    ``allocation`` is in the meter's unit a second (cores, cards or shares of them, MiB).
    """
    limit = ceil(allocation * walltime_seconds)
    if quantity <= limit:
        return Billed(quantity, starts, ends)
    return Billed(limit, starts, min(ends, starts + timedelta(seconds=walltime_seconds)))


def rate(usage: Billed, rates: Sequence[Rate]) -> Rated | Unpriced:
    """Price a quantity by the prices valid while it was used; half a fen and more rounds up.

    Use is spread evenly over its period. A period that straddles a change of price is split at
    the change, each part priced exactly, and only the sum is rounded.
    """
    if usage.quantity == 0:
        return Rated(0, ())
    if usage.starts >= usage.ends:
        found = _rate_at(usage.starts, rates)
        if found is None:
            return Unpriced(usage.starts)
        return _sum([_part(found, usage.starts, usage.ends, Fraction(usage.quantity))])
    whole = (usage.ends - usage.starts) // _TICK
    parts: list[Part] = []
    moment = usage.starts
    while moment < usage.ends:
        found = _rate_at(moment, rates)
        if found is None:
            return Unpriced(moment)
        until = usage.ends if found.ends is None else min(usage.ends, found.ends)
        share = Fraction((until - moment) // _TICK, whole)
        parts.append(_part(found, moment, until, usage.quantity * share))
        moment = until
    return _sum(parts)


def _rate_at(moment: datetime, rates: Iterable[Rate]) -> Rate | None:
    return next((rate for rate in rates if rate.covers(moment)), None)


def _part(rate: Rate, starts: datetime, ends: datetime, quantity: Fraction) -> Part:
    return Part(rate, starts, ends, quantity, quantity * rate.price_fen / rate.per_quantity)


def _sum(parts: Sequence[Part]) -> Rated:
    exact = sum((part.amount_fen for part in parts), Fraction(0))
    return Rated(round_fen(exact, "half_up"), tuple(parts))


def doubt(
    quantity: int,
    allocation: int | Fraction,
    *,
    starts: datetime,
    ends: datetime,
    leased_at: datetime,
    received_at: datetime,
) -> str | None:
    """Why a record cannot be true, as a refusal code; None when it can.

    ``usage_period_backwards``, ``usage_before_lease``, ``usage_in_the_future`` and
    ``usage_more_than_allocated`` (more than the allocation could do in the whole seconds).
    """
    if ends < starts:
        return "usage_period_backwards"
    if starts < leased_at - CLOCK_SKEW:
        return "usage_before_lease"
    if ends > received_at + CLOCK_SKEW:
        return "usage_in_the_future"
    whole_seconds = -((starts - ends) // timedelta(seconds=1))
    if quantity < 0 or quantity > ceil(allocation * whole_seconds):
        return "usage_more_than_allocated"
    return None


def city_day(moment: datetime) -> date:
    """The calendar day of a moment in the city."""
    return moment.astimezone(CITY_ZONE).date()
