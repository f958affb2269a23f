"""From a decision to payments: who pays whom how much, when, and what must be true first.

The ways of settling differ in who carries the money in the meantime, never in the sums: whoever
provides gets the whole price, whoever uses bears the price less the award, the budgets bear the
award. An award that supports no purchase goes from the budgets to whoever holds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from suanwang.core.errors import Refused
from suanwang.core.money import Fen
from suanwang.policy.language import INTEGERS, Algebra
from suanwang.policy.reader import Text
from suanwang.policy.split import Split

if TYPE_CHECKING:
    from suanwang.policy.package import Package
    from suanwang.policy.parts import Measure

FUND, RESERVE, USER, PROVIDER, HOLDER = "fund", "reserve", "user", "provider", "holder"
PARTIES: Mapping[str, Text] = {
    FUND: {"zh": "财政资金", "en": "the public budget"},
    RESERVE: {"zh": "备用金", "en": "the reserve held by the provider"},
    USER: {"zh": "使用方", "en": "the user"},
    PROVIDER: {"zh": "供给方", "en": "the provider"},
    HOLDER: {"zh": "获奖单位", "en": "whoever holds the award"},
}
EVENTS: Mapping[str, Text] = {
    "service_finished": {"zh": "服务已完成", "en": "the service is finished"},
    "paid_in_full": {"zh": "费用已全额付清", "en": "the fees are paid in full"},
    "ordered": {"zh": "已下单并出示算力券", "en": "the order is placed and the voucher shown"},
    "reserve_advanced": {"zh": "备用金已拨付", "en": "the reserve is advanced"},
    "delivered": {"zh": "已交付并确认", "en": "the service is delivered and confirmed"},
    "target_agreed": {"zh": "已签订目标责任书", "en": "the target letter is signed"},
    "approved": {"zh": "主管部门已核定", "en": "the department has approved it"},
    "funding_confirmed": {"zh": "分担比例已经财政局确认", "en": "finance has confirmed the split"},
}
"""What a payment can wait for, besides the stages a measure names."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A payment of a way of settling: from whom to whom, which sum, after what."""

    payer: str
    payee: str
    sum: str
    """``price``, ``award``, ``rest`` (price less award), ``reserved`` (the award as far as the
    reserve goes), ``beyond`` (the award beyond it)."""
    after: tuple[str, ...]


MODES: Mapping[str, tuple[Flow, ...]] = {
    "post_reimburse": (
        Flow(USER, PROVIDER, "price", ("service_finished",)),
        Flow(FUND, USER, "award", ("service_finished", "paid_in_full", "approved")),
    ),
    "deduct_at_purchase": (
        Flow(USER, PROVIDER, "rest", ("ordered",)),
        Flow(FUND, PROVIDER, "award", ("ordered", "delivered", "approved")),
    ),
    "provider_settled": (
        Flow(USER, PROVIDER, "rest", ("ordered",)),
        Flow(RESERVE, PROVIDER, "reserved", ("reserve_advanced", "delivered")),
        Flow(FUND, RESERVE, "reserved", ("delivered", "approved")),
        Flow(FUND, PROVIDER, "beyond", ("delivered", "approved")),
    ),
    "target_assessed": (Flow(FUND, HOLDER, "award", ("target_agreed", "approved")),),
    "granted": (Flow(FUND, HOLDER, "award", ("approved",)),),
}
BOUGHT = frozenset({"post_reimburse", "deduct_at_purchase", "provider_settled"})
"""The ways in which the award supports a purchase, and so can never exceed its price."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One payment."""

    payer: str
    """A party, or the level of government that bears this part."""
    payee: str
    division: str
    """Of a level of government: whose budget it is."""
    amount_fen: Fen
    after: tuple[str, ...]
    waits_for: tuple[str, ...]
    """What of it has not happened yet; empty: it can be paid."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The payments an award leads to."""

    mode: str
    price_fen: Fen
    award_fen: Fen
    movements: tuple[Movement, ...]
    words: Mapping[str, Text]
    """Everything a payment waits for, in words."""
    days: Mapping[str, int]
    """How many days a stage lasts, where the policy says so."""

    def net(self) -> dict[str, Fen]:
        """What each party has in the end, in fen; all together nothing."""
        net: dict[str, Fen] = {}
        for move in self.movements:
            net[move.payer] = net.get(move.payer, 0) - move.amount_fen
            net[move.payee] = net.get(move.payee, 0) + move.amount_fen
        return net


def settle(
    package: Package,
    measure: str,
    *,
    price_fen: Fen,
    award_fen: Fen,
    on: date,
    done: Collection[str] = (),
    division: str = "",
    steps: Mapping[str, int] | None = None,
) -> Settlement:
    """The payments for a decided award, in the way its measure is settled.

    ``done`` names the events and stages that have happened; with a division the public money is
    split by the funding table, and waits where that waits. Refuses ``policy_settlement_unstated``,
    ``policy_event_unknown``, ``policy_award_above_price``, ``policy_amount_negative`` and what
    splitting refuses.
    """
    rule = package.measure(measure, on)
    if not rule.settlement:
        raise Refused("policy_settlement_unstated", measure=measure, policy=package.name)
    if award_fen < 0 or price_fen < 0:
        raise Refused("policy_amount_negative", amount_fen=min(award_fen, price_fen))
    if award_fen > price_fen and rule.settlement in BOUGHT:
        raise Refused("policy_award_above_price", award_fen=award_fen, price_fen=price_fen)
    words = {**EVENTS, **{stage.name: stage.label for stage in rule.procedure}}
    if unknown := sorted(set(done) - words.keys()):
        raise Refused("policy_event_unknown", event=", ".join(unknown), known=", ".join(words))
    reserve = int(str(package.parameter(rule.reserve, on).value)) if rule.reserve else 0
    split = package.split(division, award_fen, on, steps) if division else None
    left = [(s.level, s.division, s.amount_fen) for s in split.shares] if split else []
    movements = []
    for flow, fen in flows(rule.settlement, price_fen, award_fen, reserve, INTEGERS):
        after, waits = _waits(flow, rule, split, done)
        payers = [(flow.payer, "", fen)]
        if flow.payer == FUND and left:
            payers, left = _taken(left, fen)
        movements += [
            Movement(payer, flow.payee, whose, part, after, waits) for payer, whose, part in payers
        ]
    movements = [movement for movement in movements if movement.amount_fen]
    days = {
        stage.name: int(str(package.parameter(stage.days, on).value))
        for stage in rule.procedure
        if stage.days
    }
    return Settlement(rule.settlement, price_fen, award_fen, tuple(movements), words, days)


def flows(
    mode: str, price: Any, award: Any, reserve: Any, algebra: Algebra
) -> Iterator[tuple[Flow, Any]]:
    """Every payment of a way of settling with its sum, in any algebra."""
    reserved = algebra.least(award, reserve)
    sums = {
        "price": price,
        "award": award,
        "rest": price - award,
        "reserved": reserved,
        "beyond": award - reserved,
    }
    for flow in MODES[mode]:
        yield flow, sums[flow.sum]


def _waits(
    flow: Flow, rule: Measure, split: Split | None, done: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a payment comes after, and what of it has not happened yet."""
    after = flow.after
    if flow.payer == FUND:
        after = (*after, *(stage.name for stage in rule.procedure), "funding_confirmed")
    happened = {*done}
    if split is None or split.status == "confirmed":
        happened.add("funding_confirmed")
    return after, tuple(event for event in after if event not in happened)


Portion = tuple[str, str, Fen]
"""A level, its division, what it still bears."""


def _taken(left: list[Portion], fen: Fen) -> tuple[list[Portion], list[Portion]]:
    """So much out of what the levels bear, in their order; and what they then still bear."""
    taken, rest = [], []
    for level, division, borne in left:
        part = min(borne, fen)
        fen -= part
        taken.append((level, division, part))
        rest.append((level, division, borne - part))
    return taken, rest
