"""What a policy says beside its rules: its pools, the way to payment, how money comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from suanwang.policy.reader import Path, Text

WHEN_DRY = ("first_come", "queue", "pro_rata")
"""What happens when a pool runs dry: who came first is served and the rest is turned away; the
rest waits for the next money; or all get the same part of what they asked for."""

SETTLEMENTS = (
    "post_reimburse",
    "deduct_at_purchase",
    "provider_settled",
    "target_assessed",
    "granted",
)
"""The ways an award can be paid; ``settlement.py`` says who pays whom in each."""

STAGES = (
    "review",
    "county_recheck",
    "expert_review",
    "third_party_assessment",
    "public_notice",
    "performance_audit",
)
"""What a claim may have to pass between filing and payment."""

REFUNDS = ("reduce_or_recover", "ignore")
"""What a refund after payment does: the base shrinks and the difference comes back, or nothing."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Money put out year by year. Each field but the first three names a parameter."""

    name: str
    label: Text
    article: str
    year_fen: str
    carry_over: str
    """Whether what is left at the end of a year adds to the next."""
    when_dry: str
    last_year: str
    """Whether the year in which the validity ends, if it is cut short, gets new money."""
    arrival: str
    """The fact by which claims of a population come in order; empty: the order of the rows."""
    path: Path

    def parameters(self) -> Iterator[str]:
        """The parameters it stands on."""
        yield from filter(None, (self.year_fen, self.carry_over, self.when_dry, self.last_year))


@dataclass(frozen=True, slots=True)
class Recovery:
    """How paid money comes back; both fields name a parameter."""

    article: str
    block_years: str
    """For how many years after a full recovery nothing is granted."""
    refunds: str

    def parameters(self) -> Iterator[str]:
        """The parameters it stands on."""
        yield from filter(None, (self.block_years, self.refunds))


@dataclass(frozen=True, slots=True)
class Stage:
    """Something a claim must pass before it is paid."""

    name: str
    label: Text
    article: str
    by: str
    """The responsible unit."""
    days: str
    """The parameter that says how long it lasts, or nothing."""
    path: Path
