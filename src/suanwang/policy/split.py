"""Which budget bears an award: the funding table, to the fen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

from suanwang.core.errors import NotFound, Refused
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
    parts = {level: int(amount_fen * share) for level, share in rule.shares.items()}
    if parts:
        rest = amount_fen - sum(parts.values())
        heir = str(package.parameter(ODD_FEN_TO, on).value) if rest else ""
        heir = heir if heir in parts else next(iter(parts))
        parts[heir] += rest
    city = next(code for code, unit in package.divisions.items() if unit.kind == "city")
    shares = tuple(
        Share("city", city, fen) if level == "city" else Share("county", division_code, fen)
        for level, fen in parts.items()
    )
    return Split(shares, rule.status, rule.article, rule.label, rule.source)
