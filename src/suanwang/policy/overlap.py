"""Best, highest, not twice: of awards that overlap on one fee, exactly the highest is paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from suanwang.policy.language import Algebra


def payments(awards: Sequence[Any], algebra: Algebra) -> list[Any]:
    """What each of several overlapping awards pays: the highest all, the others nothing.

    Of equal ones the first is taken, so the order is that of preference.
    """
    highest = awards[0]
    for award in awards[1:]:
        highest = algebra.most(highest, award)
    paid: list[Any] = []
    taken: Any = False
    for award in awards:
        takes = algebra.both(award >= highest, algebra.opposite(taken))
        paid.append(algebra.choose(takes, award, 0))
        taken = algebra.either(taken, takes)
    return paid
