"""The rule over ranges: how large can any number in it become?

One more algebra for the integer program: a ``Span`` is every value a number can take. Run over the
ranges the facts are declared in, it proves that columns of 64 bits hold every intermediate value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suanwang.core.errors import Refused
from suanwang.policy.parts import Fact

MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Span:
    """All whole numbers from ``least`` to ``most``. Refuses ``policy_numbers_too_large``."""

    least: int
    most: int

    def __post_init__(self) -> None:
        if self.least < -MOST or self.most > MOST:
            raise Refused("policy_numbers_too_large", least=self.least, most=self.most)

    def __add__(self, other: Span | int) -> Span:
        b = _span(other)
        return Span(self.least + b.least, self.most + b.most)

    def __sub__(self, other: Span | int) -> Span:
        b = _span(other)
        return Span(self.least - b.most, self.most - b.least)

    def __mul__(self, other: Span | int) -> Span:
        b = _span(other)
        corners = [x * y for x in (self.least, self.most) for y in (b.least, b.most)]
        return Span(min(corners), max(corners))

    def __rsub__(self, other: int) -> Span:
        return _span(other) - self

    __radd__ = __add__
    __rmul__ = __mul__

    # What a comparison says does not matter here: both branches of a choice are taken.
    def _unknown(self, other: Span | int) -> None:
        return None

    __lt__ = __le__ = __gt__ = __ge__ = _unknown
    __eq__ = __ne__ = _unknown  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class Spans:
    """Ranges of values. See ``language.compile.Algebra``."""

    def floor(self, value: Span | int, by: int) -> Span:
        span = _span(value)
        return Span(span.least // by, span.most // by)

    def least(self, a: Span | int, b: Span | int) -> Span:
        x, y = _span(a), _span(b)
        return Span(min(x.least, y.least), min(x.most, y.most))

    def most(self, a: Span | int, b: Span | int) -> Span:
        x, y = _span(a), _span(b)
        return Span(max(x.least, y.least), max(x.most, y.most))

    def both(self, a: object, b: object) -> None:
        return None

    def either(self, a: object, b: object) -> None:
        return None

    def opposite(self, a: object) -> None:
        return None

    def choose(self, test: object, yes: Span | int, no: Span | int) -> Span | None:
        if yes is None or no is None:
            return None
        x, y = _span(yes), _span(no)
        return Span(min(x.least, y.least), max(x.most, y.most))

    def member(self, item: object, codes: frozenset[int]) -> None:
        return None

    def stairs(self, value: object, starts: Sequence[int], values: Sequence[int]) -> Span:
        return Span(min(values), max(values))


SPANS = Spans()


def span_of(fact: Fact) -> Span:
    """The integers a fact can be, at the scale of its last decimal."""
    return Span(*fact.limits)


def _span(value: Span | int) -> Span:
    return value if isinstance(value, Span) else Span(value, value)
