"""Deal fee lines out to overlapping policies so that all together get most. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import permutations

from suanwang.policy.overlap import COMBINATIONS, Offer, best_combination

PASSES = 3
"""How often single lines are tried elsewhere when there are too many to try every way."""


def deal(
    offers: Sequence[Offer], fees: Mapping[str, int], on: date
) -> tuple[dict[str, str], dict[str, int], bool]:
    """Give every line to one offer so that the sum of the awards is highest.

    Answers the offer of each line, the award of each offer, and whether all ways were tried. Of
    equal ways the first offer's is taken.
    """
    whole = sum(fees.values())
    best_alone = sum(
        max((one.award(fee, on) for one in offers), default=0) for fee in fees.values()
    )
    for only in offers:
        # Caps only ever cut: nothing beats what no cap has cut and is best for every line alone.
        if only.award(whole, on) >= best_alone:
            given = {one.name: one.award(whole, on) if one is only else 0 for one in offers}
            return dict.fromkeys(fees, only.name), given, True
    if len(offers) ** len(fees) <= COMBINATIONS:
        found = best_combination(offers, fees, on)
        return dict(found.lines), dict(found.awards), found.exact
    dealt = _moved(offers, fees, _halved(offers, fees, on), on)
    sums = _sums(offers, fees, dealt)
    return dealt, {one.name: one.award(sums[one.name], on) for one in offers}, False


def _halved(offers: Sequence[Offer], fees: Mapping[str, int], on: date) -> dict[str, str]:
    """The largest lines to one offer, the others to another, parted where the total is highest.

    Awards depend on sums of fees alone, so each point at which the lines may be parted is tried.
    """
    order = sorted(fees, key=lambda line: (-fees[line], line))
    running = [0]
    for line in order:
        running.append(running[-1] + fees[line])
    best, found = -1, dict.fromkeys(order, offers[0].name)
    for first, second in permutations(offers, 2):
        for taken in range(len(order), -1, -1):
            total = first.award(running[taken], on)
            total += second.award(running[-1] - running[taken], on)
            if total > best:
                best = total
                found = dict.fromkeys(order[:taken], first.name)
                found |= dict.fromkeys(order[taken:], second.name)
    return found


def _moved(
    offers: Sequence[Offer], fees: Mapping[str, int], dealt: dict[str, str], on: date
) -> dict[str, str]:
    """Move single lines as long as the total grows, at most ``PASSES`` times over."""
    dealt, named = dict(dealt), {one.name: one for one in offers}
    sums = _sums(offers, fees, dealt)
    gives = {name: offer.award(sums[name], on) for name, offer in named.items()}
    for _ in range(PASSES):
        improved = False
        for line, fee in fees.items():
            here = dealt[line]
            without = named[here].award(sums[here] - fee, on)
            for there in (name for name in named if name != here):
                with_it = named[there].award(sums[there] + fee, on)
                if without + with_it > gives[here] + gives[there]:
                    dealt[line], improved = there, True
                    sums[here], sums[there] = sums[here] - fee, sums[there] + fee
                    gives[here], gives[there] = without, with_it
                    break
        if not improved:
            break
    return dealt


def _sums(
    offers: Sequence[Offer], fees: Mapping[str, int], dealt: Mapping[str, str]
) -> dict[str, int]:
    sums = dict.fromkeys((one.name for one in offers), 0)
    for line, name in dealt.items():
        sums[name] += fees[line]
    return sums
