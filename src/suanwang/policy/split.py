"""Which budget bears an award: the funding table, to the fen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from suanwang.core.errors import NotFound, Refused
from suanwang.policy.language import INTEGERS, Algebra
from suanwang.policy.reader import Text

if TYPE_CHECKING:
    from suanwang.policy.package import Package

ODD_FEN_TO = "funding.odd_fen_to"
"""The parameter that says which level bears what a split leaves over."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one level bears."""

    level: Literal["city", "county"]
    division: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of an amount. Without a confirmed rule there are none, and payment must wait."""

    shares: tuple[Share, ...]
    status: Literal["confirmed", "to_confirm"]
    article: str
    label: Text
    source: str


def split(package: Package, division_code: str, amount_fen: int, on: date) -> Split:
    """Split an amount by the funding rule of a division; the parts add up to the fen."""
    package.in_force(on)
    row = package.divisions.get(division_code)
    if row is None:
        raise NotFound("policy_division_unknown", division=division_code, policy=package.name)
    if not row.in_scope or row.funding is None:
        raise Refused("policy_division_not_in_scope", division=division_code, name=row.name["zh"])
    if amount_fen < 0:
        raise Refused("policy_amount_negative", amount_fen=amount_fen)
    rule = row.funding
    heir = str(package.parameter(ODD_FEN_TO, on).value) if len(rule.shares) > 1 else ""
    parts = portions(amount_fen, rule.shares, heir, INTEGERS)
    city = next(code for code, unit in package.divisions.items() if unit.kind == "city")
    shares = tuple(
        Share("city", city, fen) if level == "city" else Share("county", division_code, fen)
        for level, fen in parts.items()
    )
    return Split(shares, rule.status, rule.article, rule.label, rule.source)


def portions(
    amount_fen: Any, shares: Mapping[str, Fraction], heir: str, algebra: Algebra
) -> dict[str, Any]:
    """Each level's whole fen; the heir (or the first level) bears what the others leave over."""
    if not shares:
        return {}
    heir = heir if heir in shares else next(iter(shares))
    parts = {
        level: algebra.floor(amount_fen * share.numerator, share.denominator)
        for level, share in shares.items()
    }
    others = sum(part for level, part in parts.items() if level != heir)
    return {**parts, heir: amount_fen - others}
