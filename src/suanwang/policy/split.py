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
    from suanwang.policy.parts import FundingRule

ODD_FEN_TO = "funding.odd_fen_to"
"""The parameter that says which level bears what a split leaves over."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one level bears."""

    level: str
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


def split(
    package: Package,
    division_code: str,
    amount_fen: int,
    on: date,
    steps: Mapping[str, int] | None = None,
) -> Split:
    """Split an amount by a division's funding rule of a day; the parts add up to the fen."""
    package.in_force(on)
    row = package.divisions.get(division_code)
    if row is None:
        raise NotFound("policy_division_unknown", division=division_code, policy=package.name)
    rule = row.funding_on(on)
    if not row.in_scope or rule is None:
        raise Refused("policy_division_not_in_scope", division=division_code, name=row.name["zh"])
    if amount_fen < 0:
        raise Refused("policy_amount_negative", amount_fen=amount_fen)
    parts = levels(rule, amount_fen, steps or {}, heir_of(package, rule, on), INTEGERS)
    bearers = {"self": division_code, "above": row.above}
    shares = tuple(
        Share(level, bearers.get(package.levels[level], package.levels[level]), fen)
        for level, fen in parts.items()
    )
    return Split(shares, rule.status, rule.article, rule.label, rule.source)


def heir_of(package: Package, rule: FundingRule, on: date) -> str:
    """Which level bears what a split by shares leaves over."""
    return str(package.parameter(ODD_FEN_TO, on).value) if len(rule.shares) > 1 else ""


def levels(
    rule: FundingRule, amount_fen: Any, steps: Mapping[str, Any], heir: str, algebra: Algebra
) -> dict[str, Any]:
    """Each level's part by one funding rule. Refuses ``policy_steps_missing``."""
    if not rule.stack:
        return portions(amount_fen, rule.shares, heir, algebra)
    missing = [step for _, step in rule.stack[:-1] if step not in steps]
    if missing:
        raise Refused("policy_steps_missing", steps=", ".join(missing))
    return stacked(amount_fen, {level: steps.get(step) for level, step in rule.stack}, algebra)


def stacked(amount_fen: Any, parts: Mapping[str, Any], algebra: Algebra) -> dict[str, Any]:
    """Levels on top of each other: each bears its part as far as the amount goes, the last the
    rest."""
    *lower, top = parts
    borne: dict[str, Any] = {}
    left = amount_fen
    for level in lower:
        borne[level] = algebra.least(algebra.most(parts[level], 0), left)
        left = left - borne[level]
    return {**borne, top: left}


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
