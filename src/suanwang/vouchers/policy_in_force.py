"""The policy the city applies now, and every policy something was ever decided by."""

from __future__ import annotations

import json
from datetime import date, datetime
from functools import cache

from suanwang import policy
from suanwang.core.clock import CITY_ZONE
from suanwang.policy.years import year_of
from suanwang.site.settings import settings
from suanwang.vouchers.models import PolicyPackage


def in_force() -> policy.Package:
    """The package the settings name; read again when its files change."""
    return policy.load(settings().policies / settings().policy)


def measure_in_force() -> str:
    """The measure of the policy in force that vouchers for use of local compute rest on."""
    return settings().voucher_measure


def issue_measure() -> str:
    """The measure of the policy in force that says how much of a voucher can be issued."""
    return settings().issue_measure


def overlapping(name: str, measure: str) -> list[tuple[policy.Package, str]]:
    """Every other measure of the city's policies that may support the same fees.

    Refuses ``policy_package_unknown``: fees are not paid while a policy they may fall under
    cannot be read.
    """
    told = [f"{settings().policy}/{measure_in_force()}", *settings().overlapping_measures]
    others = [tuple(one.split("/", 1)) for one in dict.fromkeys(told)]
    return [
        (policy.load(settings().policies / folder), wanted)
        for folder, wanted in others
        if (folder, wanted) != (name, measure)
    ]


def budget_year(at: datetime) -> int:
    """The year whose pool and caps an act counts against; the policy says what a year is (A4)."""
    return year_of(in_force(), at.astimezone(CITY_ZONE).date()).number


def fen(package: policy.Package, parameter: str, on: date) -> int:
    """An amount the policy sets, in fen."""
    value = package.parameter(parameter, on).value
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{parameter} of {package.name} is not a whole number of fen: {value!r}")
    return value


def archived(package: policy.Package, *, at: datetime) -> PolicyPackage:
    """The row that keeps a package as it is now; made when first needed."""
    row, _ = PolicyPackage.objects.get_or_create(
        hash=package.content_hash,
        defaults={
            "name": package.name,
            "published": {
                "name": package.name,
                "hash": package.content_hash,
                "content": package.content,
            },
            "first_used_at": at,
        },
    )
    return row


def policy_of(name: str, content_hash: str) -> policy.Package:
    """The policy something was granted under: as it is now, or as it was if another followed it."""
    now = in_force()
    return now if now.name == name else by_hash(content_hash)


@cache
def by_hash(content_hash: str) -> policy.Package:
    """A package as it was when something was decided by it, rebuilt from the database."""
    row = PolicyPackage.objects.get(hash=content_hash)
    return policy.load_published(json.dumps(row.published))
