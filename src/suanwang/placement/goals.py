"""What a place costs a job: one function of money, time and grey energy, for every goal.

    cost(group) = m x money / least money + t x seconds / least seconds + g x grey / least grey

- *money*: fen for the full walltime of all its nodes, at the prices valid now;
- *seconds*: how long it computes there: as long as its walltime on the fastest of the cards that
  will do, longer in proportion on slower ones (dense GFLOPS by the best evidence; a model without
  evidence counts as half as fast as the slowest with some); without cards the same everywhere;
- *grey*: watt-hours of power that is not green: watts of what it holds x hours x PUE x
  (1 - green share); none in a centre's green hours.

Each term is a multiple of the least among the places that will do, so the sum has no unit and 1
is best. A goal is a row of weights (``WEIGHTS``). Where the least is nothing at all, a term is 1
plus its value. The estimate a user is shown is made of the same offers (``offer``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from suanwang.placement.terms import WHOLE_CARD, Card, Goal, Rates, Room, Site

CORE_WATTS = 8
"""Of a core under load, its share of memory and board included: a nominal value."""
CARD_WATTS = 400
"""Of a card whose data sheet is not known."""


class Weights(NamedTuple):
    """How much each term of the cost counts."""

    money: int
    time: int
    grey: int


WEIGHTS: dict[Goal, Weights] = {
    "cheapest": Weights(1, 0, 0),
    "fastest": Weights(0, 1, 0),
    "greenest": Weights(0, 0, 1),
    "balanced": Weights(1, 1, 1),
}


class Offer(NamedTuple):
    """What a job would be at one place."""

    money_fen: Fraction
    """For the full walltime, exact."""
    gflops: int
    """Of one card; 0: no evidence, or no cards."""
    grey_wh: Fraction
    """Watt-hours that are not green, over the full walltime."""


def offer(
    room: Room,
    nodes: int,
    seconds: int,
    *,
    rates: Rates,
    card: Card | None,
    site: Site,
    now: datetime,
    precision: str = "fp16",
) -> Offer | None:
    """What so many nodes would be there for so long; None: a price is missing."""
    money = rates.cost_fen(room, seconds)
    if money is None:
        return None
    gflops = card.gflops.get(precision, 0) if card and room.cards else 0
    watts = Fraction(room.core_milli * CORE_WATTS, 1000)
    if room.cards:
        of_a_card = (card.watts if card else 0) or CARD_WATTS
        watts += Fraction(room.cards * room.card_milli * of_a_card, WHOLE_CARD)
    grey = watts * seconds / 3600 * grey_energy(site, now)
    return Offer(money * nodes, gflops, grey * nodes)


def grey_energy(site: Site, now: datetime) -> Fraction:
    """PUE x (1 - green share) there now."""
    return Fraction(0) if is_green(site, now) else site.grey_energy


def is_green(site: Site, now: datetime) -> bool:
    """Whether its power is green in this hour."""
    return now.hour in site.green_hours


def costs(goal: Goal, offers: Sequence[Offer]) -> list[Fraction]:
    """The cost of each of the places that will do, as the module says; the least is best."""
    if not offers:
        return []
    weights = WEIGHTS[goal]
    known = [each.gflops for each in offers if each.gflops]
    unknown = Fraction(min(known), 2) if known else Fraction(1)
    speeds = [Fraction(each.gflops) if each.gflops else unknown for each in offers]
    terms = (
        [each.money_fen for each in offers],
        [max(speeds) / speed for speed in speeds],
        [each.grey_wh for each in offers],
    )
    total = [Fraction(0)] * len(offers)
    for weight, values in zip(weights, terms, strict=True):
        if weight:
            least = min(values)
            total = [
                so_far + weight * _multiple(value, least)
                for so_far, value in zip(total, values, strict=True)
            ]
    return total


def _multiple(value: Fraction, least: Fraction) -> Fraction:
    """How many times the least; free or wholly green places stay comparable."""
    return value / least if least else 1 + value
