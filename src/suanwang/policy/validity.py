"""Use at the edges of a policy's validity: which part of a fee counts, and until when to act.

A fee for use that reaches over the first or the last day is split by the time that was metered
(question A3): to the microsecond, and to the fen. Use inside the validity may still be paid for and
claimed in the tail (question A2).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import Refused
from suanwang.core.money import Fen, round_fen
from suanwang.policy.parts import ROUNDING, Parameter

if TYPE_CHECKING:
    from suanwang.policy.package import Package

_TICK = timedelta(microseconds=1)
Rounding = Literal["down", "half_up", "up"]


@dataclass(frozen=True, slots=True)
class UseSplit:
    """A fee parted by when its use was metered. The three parts add up to the fee."""

    before_fen: Fen
    inside_fen: Fen
    """The part that counts."""
    after_fen: Fen
    first_day: date | None
    """First and last city day of use inside the validity; None if there is none."""
    last_day: date | None
    reading: Parameter
    """By which answer to question A3, with its source and status."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The last days of a policy, each until 23:59:59 in the city."""

    service: date
    payment: date
    filing: date


def split_use(
    package: Package, fee_fen: Fen, *, starts: datetime, ends: datetime, on: date
) -> UseSplit:
    """Part a fee into what was used before, inside and after the validity of a policy.

    ``starts`` and ``ends`` are the metered period, with a zone; what is used in an instant counts
    by that instant. ``on`` is the day whose parameters apply. Where the policy reads contracts as a
    whole, a fee that reaches over an edge does not count at all. Refuses
    ``policy_amount_negative``, ``policy_straddling_unstated`` and ``policy_use_reversed``.
    """
    if fee_fen < 0:
        raise Refused("policy_amount_negative", amount_fen=fee_fen)
    if ends < starts:
        raise Refused("policy_use_reversed", starts=starts, ends=ends)
    if not package.straddling:
        raise Refused("policy_straddling_unstated", policy=package.name)
    reading = package.parameter(package.straddling, on)
    opens, closes = _midnight(package.valid_from), _midnight(package.valid_to + timedelta(days=1))
    before = max(min(ends, opens) - starts, timedelta(0))
    after = max(ends - max(starts, closes), timedelta(0))
    if starts == ends:
        before_fen, after_fen = fee_fen * (starts < opens), fee_fen * (starts >= closes)
    elif reading.value == "whole_contract" and (before or after):
        before_fen, after_fen = (fee_fen, 0) if before else (0, fee_fen)
    else:
        rounding: Rounding = str(package.parameter(ROUNDING, on).value)  # type: ignore[assignment]
        outside_fen = fee_fen - _part(
            fee_fen, ends - starts - before - after, ends - starts, rounding
        )
        before_fen = _part(outside_fen, before, before + after, "down")
        after_fen = outside_fen - before_fen
    inside_fen = fee_fen - before_fen - after_fen
    some = starts < closes and ends >= opens and (inside_fen > 0 or not (before or after))
    return UseSplit(
        before_fen=before_fen,
        inside_fen=inside_fen,
        after_fen=after_fen,
        first_day=_day(max(starts, opens)) if some else None,
        last_day=min(_day(ends), package.valid_to) if some else None,
        reading=reading,
    )


def deadlines(package: Package, on: date) -> Deadlines:
    """Until when use counts, fees may be paid and claims be filed (question A2).

    A policy that states no tail ends with its last day.
    """
    last = package.valid_to
    return Deadlines(
        service=last,
        payment=last + _days(package, package.payment_tail_days, on),
        filing=last + _days(package, package.tail_days, on),
    )


def _days(package: Package, parameter: str, on: date) -> timedelta:
    return timedelta(days=int(str(package.parameter(parameter, on).value)) if parameter else 0)


def _part(amount_fen: Fen, of: timedelta, whole: timedelta, rounding: Rounding) -> Fen:
    if not whole:
        return 0
    return round_fen(amount_fen * Fraction(of // _TICK, whole // _TICK), rounding)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=CITY_ZONE)


def _day(moment: datetime) -> date:
    return moment.astimezone(CITY_ZONE).date()
