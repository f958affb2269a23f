"""Proofs of what holds beside the measures: shares, pools, payments, recoveries, overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import z3

from suanwang.policy.overlap import payments
from suanwang.policy.package import Package
from suanwang.policy.parts import FundingRule
from suanwang.policy.pools import share_out
from suanwang.policy.proofs import Proof, decided
from suanwang.policy.recovery import to_recover
from suanwang.policy.settlement import BOUGHT, FUND, HOLDER, PROVIDER, RESERVE, USER, flows
from suanwang.policy.split import portions, stacked
from suanwang.policy.symbols import SYMBOLS

CLAIMS = 3
"""So many claims stand for any number of them."""


def prove_terms(package: Package, on: date) -> Iterator[Proof]:
    """For every amount: shares add up, no pool is exceeded, no fen is lost on the way."""
    for rule in package.rules_of_funding():
        yield from _shares_add_up(rule)
    for pool in package.pools.values():
        when_dry = str(package.parameter(pool.when_dry, on).value)
        yield from _pool_is_kept(pool.name, when_dry)
    modes = {measure.settlement for measure in package.measures_on(on).values()} - {""}
    for mode in sorted(modes):
        yield _nothing_is_lost(mode)
    if package.recovery is not None:
        yield _never_more_than_paid()
    yield _highest_is_paid_once()


def _shares_add_up(rule: FundingRule) -> Iterator[Proof]:
    label = {"zh": "各级分担之和等于原额，且都不为负",
             "en": "The shares add up to the amount and none is negative"}  # fmt: skip
    amount = z3.Int("amount_fen")
    if rule.stack:
        steps = {level: z3.Int(step) for level, step in rule.stack}
        ways = {"stacked": stacked(amount, steps, SYMBOLS)}
    else:
        ways = {heir: portions(amount, rule.shares, heir, SYMBOLS) for heir in rule.shares}
    for heir, parts in ways.items():
        borne = list(parts.values())
        claim = z3.And(sum(borne) == amount, *(part >= 0 for part in borne))
        yield Proof(
            f"shares_add_up_{heir}", rule.name, label, decided(z3.And(amount >= 0, z3.Not(claim)))
        )


def _pool_is_kept(pool: str, when_dry: str) -> Iterator[Proof]:
    """For any claims, and any amount of money."""
    label = {
        "zh": "资金从不超出，且无人多得",
        "en": "No more than the pool, to nobody more than asked",
    }
    money = z3.Int("pool_fen")
    asked = [z3.Int(f"asked_{number}") for number in range(CLAIMS)]
    sane = z3.And(money >= 0, *(one >= 0 for one in asked))
    if when_dry == "pro_rata":
        yield Proof(f"pool_is_kept_{when_dry}", pool, label, _pro_rata_is_kept())
        return
    paid = share_out(money, asked, when_dry, SYMBOLS)
    each = [z3.And(part >= 0, part <= one) for part, one in zip(paid, asked, strict=True)]
    kept = z3.And(sum(paid) == SYMBOLS.least(sum(asked), money), *each)
    yield Proof(f"pool_is_kept_{when_dry}", pool, label, decided(z3.And(sane, z3.Not(kept))))
    order = {"zh": "先到者足额之前，后到者不得", "en": "Nobody is served before who came earlier"}
    served = z3.And(
        [
            z3.Implies(paid[later] > 0, paid[earlier] == asked[earlier])
            for later in range(CLAIMS)
            for earlier in range(later)
        ]
    )
    yield Proof(f"in_order_{when_dry}", pool, order, decided(z3.And(sane, z3.Not(served))))


def _pro_rata_is_kept() -> str:
    """By the definition of division, in three steps that z3 can take.

    A claim's part is the quotient of ``asked × money`` by the total asked, with a rest below the
    total; money is at most the total. (1) No part exceeds what was asked, and is below it where
    there is a rest. (2) What the parts leave over, times the total, is the sum of the rests, so it
    is no more fen than there are rests above nothing. (3) Then exactly so many claims get one fen
    more, and each of those has a rest.
    """
    asked, money, total, part, rest = z3.Ints("asked money total part rest")
    divided = z3.And(asked * money == part * total + rest, rest >= 0, rest < total)
    sane = z3.And(asked >= 0, money >= 0, money <= total, part >= 0)
    first = z3.And(part <= asked, z3.Implies(rest > 0, part < asked))
    rests = [z3.Int(f"rest_{number}") for number in range(CLAIMS)]
    over = z3.Int("left_over")
    below = z3.And([z3.And(one >= 0, one < total) for one in rests])
    some = sum(z3.If(one > 0, 1, 0) for one in rests)
    second = z3.And(over >= 0, over <= some)
    more = foremost(rests, over)
    third = z3.And(
        sum(more) == over,
        *(z3.Implies(one == 1, own > 0) for one, own in zip(more, rests, strict=True)),
    )
    steps = [
        z3.And(divided, sane, z3.Not(first)),
        z3.And(below, total > 0, over * total == sum(rests), z3.Not(second)),
        z3.And(below, second, z3.Not(third)),
    ]
    verdicts = {decided(step) for step in steps}
    return "holds" if verdicts == {"holds"} else "broken" if "broken" in verdicts else "unknown"


def foremost(remainders: Sequence[Any], count: Any) -> list[Any]:
    """``pools.largest`` in symbols: one is among them if fewer than ``count`` are before it."""
    chosen = []
    for at, own in enumerate(remainders):
        before = [
            z3.If(z3.Or(other > own, z3.And(other == own, z3.BoolVal(index < at))), 1, 0)
            for index, other in enumerate(remainders)
            if index != at
        ]
        chosen.append(z3.If(sum(before) < count, 1, 0))
    return chosen


def _nothing_is_lost(mode: str) -> Proof:
    """For any price, award and reserve."""
    label = {
        "zh": "无论怎样结算，供给方得全价，使用方负担差额，财政负担奖励",
        "en": "The provider gets the price, the user bears the rest, the budget the award",
    }
    price, award, reserve = z3.Int("price_fen"), z3.Int("award_fen"), z3.Int("reserve_fen")
    net: dict[str, Any] = dict.fromkeys((USER, PROVIDER, FUND, RESERVE, HOLDER), 0)
    sums = []
    for flow, fen in flows(mode, price, award, reserve, SYMBOLS):
        net[flow.payer] = net[flow.payer] - fen
        net[flow.payee] = net[flow.payee] + fen
        sums.append(fen >= 0)
    bought = mode in BOUGHT
    claim = z3.And(
        net[FUND] == -award,
        net[RESERVE] == 0,
        net[USER] == (award - price if bought else 0),
        net[PROVIDER] == (price if bought else 0),
        net[HOLDER] == (0 if bought else award),
        *sums,
    )
    sane = z3.And(award >= 0, award <= price, reserve >= 0)
    return Proof("nothing_is_lost", mode, label, decided(z3.And(sane, z3.Not(claim))))


def _never_more_than_paid() -> Proof:
    label = {"zh": "追回不超过已付，追回后留存不超过应付",
             "en": "No more comes back than was paid, and no more stays than was due"}  # fmt: skip
    paid, due = z3.Int("paid_fen"), z3.Int("due_fen")
    back = to_recover(paid, due, SYMBOLS)
    claim = z3.And(
        back >= 0,
        back <= paid,
        z3.Implies(z3.And(due >= 0, due <= paid), paid - back == due),
        z3.Implies(due > paid, back == 0),
    )
    return Proof(
        "never_more_than_paid", "recovery", label, decided(z3.And(paid >= 0, z3.Not(claim)))
    )


def _highest_is_paid_once() -> Proof:
    """For any three awards that overlap on one fee."""
    label = {
        "zh": "重叠的奖励只付一项，且为最高",
        "en": "Of overlapping awards exactly the highest is paid",
    }
    awards = [z3.Int(f"award_{number}") for number in range(CLAIMS)]
    paid = payments(awards, SYMBOLS)
    highest = SYMBOLS.most(SYMBOLS.most(awards[0], awards[1]), awards[2])
    claim = z3.And(sum(paid) == highest, z3.AtMost(*(part > 0 for part in paid), 1))
    positive = z3.And([award >= 0 for award in awards])
    return Proof("highest_is_paid_once", "overlap", label, decided(z3.And(positive, z3.Not(claim))))
