"""The year a policy counts by: whose pool and caps an act falls under, and when it ends (A4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from suanwang.core.errors import Refused

if TYPE_CHECKING:
    from suanwang.policy.package import Package

BASIS = "validity.year_basis"
"""The parameter that says what a year is."""


@dataclass(frozen=True, slots=True)
class PolicyYear:
    """One year of a policy, named after the calendar year in which it begins."""

    number: int
    first_day: date
    last_day: date


def year_of(package: Package, on: date) -> PolicyYear:
    """The year a day falls in: the calendar year, or one from the day the policy came into force.

    Refuses ``policy_year_has_no_number``: twelve months that roll from day to day have no pool of
    their own. Before the policy is in force its first answer counts.
    """
    basis = package.parameter(BASIS, max(on, package.valid_from)).value
    if basis == "calendar":
        return PolicyYear(on.year, date(on.year, 1, 1), date(on.year, 12, 31))
    if basis != "policy_year":
        raise Refused("policy_year_has_no_number", policy=package.name, basis=str(basis))
    begins = _anniversary(package.valid_from, on.year)
    if on < begins:
        begins = _anniversary(package.valid_from, on.year - 1)
    ends = _anniversary(package.valid_from, begins.year + 1) - timedelta(days=1)
    return PolicyYear(begins.year, begins, ends)


def _anniversary(first: date, year: int) -> date:
    leap_day = (first.month, first.day) == (2, 29)
    return date(year, 3, 1) if leap_day else first.replace(year=year)
