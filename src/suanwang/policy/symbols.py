"""The rule over symbols: z3 terms that stand for every possible case at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import z3


class Symbols:
    """z3 integers and truths. See ``language.compile.Algebra``."""

    def floor(self, value: Any, by: int) -> Any:
        return value // by if isinstance(value, int) else value / by  # z3: Euclidean, by > 0

    def least(self, a: Any, b: Any) -> Any:
        return self.choose(a <= b, a, b)

    def most(self, a: Any, b: Any) -> Any:
        return self.choose(a >= b, a, b)

    def both(self, a: Any, b: Any) -> Any:
        return z3.And(a, b)

    def either(self, a: Any, b: Any) -> Any:
        return z3.Or(a, b)

    def opposite(self, a: Any) -> Any:
        return z3.Not(a)

    def choose(self, test: Any, yes: Any, no: Any) -> Any:
        if isinstance(test, bool):
            return yes if test else no
        return z3.If(test, yes, no)

    def member(self, item: Any, codes: frozenset[int]) -> Any:
        return z3.Or([item == code for code in sorted(codes)])

    def stairs(self, value: Any, starts: Sequence[int], values: Sequence[int]) -> Any:
        steps: Any = values[0]
        for start, reached in zip(starts, values[1:], strict=True):
            steps = z3.If(value >= start, reached, steps)
        return steps


SYMBOLS = Symbols()
