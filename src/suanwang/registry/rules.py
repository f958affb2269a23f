"""What follows from the facts of a centre: PUE, green share, capacity, what a quantity costs. Pure.

Every ratio is an exact fraction and every amount a whole number of fen; no float comes near.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from suanwang.core.money import FEN_MAX, Fen, round_fen

SPARSITIES = frozenset({"dense", "sparse"})
BASES = frozenset({"nominal", "measured"})
EVIDENCE = frozenset({"vendor", "measured", "third_party", "unverified"})
PRECISIONS = frozenset({"fp64", "fp32", "bf16", "fp16", "int8"})

QUANTITY_MAX = 2**62
"""Larger quantities or prices are typing errors, and still fit a signed 64-bit integer."""


def pue(it_wh: int, facility_wh: int) -> Fraction:
    """Power usage effectiveness: facility energy over IT energy, exactly. Never below 1."""
    return Fraction(facility_wh, it_wh)


def green_share(green_wh: int, facility_wh: int) -> Fraction:
    """The part of a centre's energy that was green, between 0 and 1."""
    return Fraction(green_wh, facility_wh)


def cost_fen(quantity: int, price_fen: Fen, per_quantity: int) -> Fen:
    """What a quantity in base units costs, in fen.

    The exact fraction is rounded once, half up, per line: the sum of the lines is then what is
    owed, with no rest to spread.
    """
    return round_fen(Fraction(quantity * price_fen, per_quantity), "half_up")


def price_possible(price_fen: Fen, per_quantity: int) -> bool:
    """Whether a price can be meant at all."""
    return 0 <= price_fen <= FEN_MAX and 0 < per_quantity < QUANTITY_MAX


@dataclass(frozen=True)
class Figure:
    """One published performance figure of a model, in GFLOPS (GOPS for int8)."""

    precision: str
    sparsity: str
    basis: str
    gflops: int
    evidence: str

    @property
    def eligible(self) -> bool:
        """Whether it counts towards a policy threshold: dense, and from vendor or measurement."""
        return self.sparsity == "dense" and self.evidence in ("vendor", "measured")


def counted_gflops(figures: Iterable[Figure], precision: str) -> tuple[int, str] | None:
    """The one figure that counts for a card, and its basis; None if none is good enough.

    Public sources conflict. Among the eligible figures a nominal one goes before a measured one,
    because thresholds are written in nominal capacity; among equals the smallest counts.
    """
    fitting = [f for f in figures if f.eligible and f.precision == precision]
    if not fitting:
        return None
    best = min(fitting, key=lambda f: (f.basis != "nominal", f.gflops))
    return best.gflops, best.basis


@dataclass(frozen=True)
class Capacity:
    """What a set of cards can do at one precision, and what it leaves out for want of evidence."""

    precision: str
    gflops: int
    cards_counted: int
    cards_without_evidence: int

    @property
    def pflops(self) -> Fraction:
        """In P: 10^15 operations a second."""
        return Fraction(self.gflops, 1_000_000)


def capacity(
    cards: Mapping[str, int], figures: Mapping[str, list[Figure]], precision: str
) -> Capacity:
    """Add up cards by model. A card without an eligible figure is counted apart, never guessed."""
    gflops = counted = without = 0
    for model, count in cards.items():
        figure = counted_gflops(figures.get(model, ()), precision)
        if figure is None:
            without += count
        else:
            gflops += figure[0] * count
            counted += count
    return Capacity(precision, gflops, counted, without)
