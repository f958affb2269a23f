"""How paid money comes back: in full and with a block, or as far as the base has shrunk (A35, A38).

Nothing is recovered that was not paid, and after a refund there stays exactly what the rule gives
on what was really borne.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from suanwang.core.errors import Refused
from suanwang.core.money import Fen
from suanwang.policy.decision import Decision
from suanwang.policy.language import INTEGERS, Algebra
from suanwang.policy.parts import Parameter

if TYPE_CHECKING:
    from suanwang.policy.package import Package

Cause = Literal["deceit", "refund"]
CAUSES: tuple[Cause, ...] = ("deceit", "refund")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What is to come back, and why. ``paid = kept + recover``."""

    cause: Cause
    measure: str
    paid_fen: Fen
    due_fen: Fen
    """What should have been paid."""
    recover_fen: Fen
    kept_fen: Fen
    blocked_until: date | None
    """Last day on which nothing is granted to whoever obtained money by deceit."""
    decision: Decision | None
    """After a refund: the award on the reduced base, with every reason."""
    by: tuple[Parameter, ...]
    """The readings it stands on, with source and status."""


def recover(
    package: Package,
    measure: str,
    *,
    cause: Cause,
    paid_fen: Fen,
    facts: Mapping[str, object],
    decided_on: date,
    found_on: date,
) -> Recovery:
    """What of a paid award comes back.

    ``facts`` are those of the case as they really are: after a refund, with the fee reduced. The
    award is worked out again with the rules of ``decided_on``, the day it was decided; the block
    runs from ``found_on``. After deceit everything comes back, whatever the facts. Refuses
    ``policy_recovery_unstated``, ``policy_amount_negative``, ``policy_cause_unknown``, and what
    deciding refuses.
    """
    terms = package.recovery
    if terms is None:
        raise Refused("policy_recovery_unstated", policy=package.name)
    if paid_fen < 0:
        raise Refused("policy_amount_negative", amount_fen=paid_fen)
    package.measure(measure, decided_on)
    if cause == "deceit":
        years = package.parameter(terms.block_years, decided_on)
        until = _years_later(found_on, int(str(years.value)))
        return Recovery(cause, measure, paid_fen, 0, paid_fen, 0, until, None, (years,))
    if cause != "refund":
        raise Refused("policy_cause_unknown", cause=cause, known=", ".join(CAUSES))
    reading = package.parameter(terms.refunds, decided_on)
    decision = package.decide(measure, facts, decided_on)
    due = decision.amount_fen if reading.value == "reduce_or_recover" else paid_fen
    back = to_recover(paid_fen, due, INTEGERS)
    return Recovery(
        cause=cause,
        measure=measure,
        paid_fen=paid_fen,
        due_fen=due,
        recover_fen=back,
        kept_fen=paid_fen - back,
        blocked_until=None,
        decision=decision,
        by=(reading,),
    )


def to_recover(paid: Any, due: Any, algebra: Algebra) -> Any:
    """What was paid beyond what was due; never below nothing."""
    return algebra.most(paid - algebra.most(due, 0), 0)


def _years_later(day: date, years: int) -> date:
    """The corresponding day so many years later; 29 February becomes the 28th."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)
