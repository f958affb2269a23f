"""The fourth reading: the same compiled rule over symbols, so that z3 can speak of every case.

A promise that fails comes back with the case that breaks it, ready to be kept in ``cases.yaml``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

import z3

from suanwang.policy.language import Compiler
from suanwang.policy.overlap import payments
from suanwang.policy.package import Package
from suanwang.policy.parts import ROUNDING, Fact
from suanwang.policy.promises import AWARD, Promise
from suanwang.policy.reader import Text
from suanwang.policy.rule import Rule, compile_measure
from suanwang.policy.spans import span_of
from suanwang.policy.split import portions
from suanwang.policy.symbols import SYMBOLS
from suanwang.policy.why import Shown, shown_integer

TIMEOUT_MS = 20_000
Verdict = str
"""``holds``, ``broken`` or ``unknown`` (z3 found no answer in time; that is no proof)."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a promise holds for every case in the declared ranges."""

    name: str
    measure: str
    label: Text
    verdict: Verdict
    counterexample: Mapping[str, Shown] = field(default_factory=dict)
    """Facts for which it does not hold."""


def prove(package: Package, on: date) -> Iterator[Proof]:
    """Prove every promise of a package, with the figures of a day.

    Besides the promises written in the package, of every package: no award below zero, no two
    exceptions at once, the shares of every division add up, of overlapping awards exactly the
    highest is paid.
    """
    for promise in package.promises:
        yield prove_promise(package, promise, on)
    for name, measure in package.measures.items():
        if measure.steps:
            yield _never_negative(package, name, on)
        if any(len(step.exceptions) > 1 for step in (*measure.steps, *measure.caps)):
            yield never_in_conflict(package, name, on)
    yield from _shares_add_up(package)
    yield _highest_is_paid_once()


def prove_promise(package: Package, promise: Promise, on: date) -> Proof:
    """Prove one promise."""
    case = Symbolic(package, promise.measure, on)
    if promise.always is not None:
        compiler = Compiler(case.values, SYMBOLS, str(case.values.get(ROUNDING, "down")))
        compiler.step_scales[AWARD] = Fraction(1)
        claim = compiler.compile(promise.always).run({**case.env, AWARD: case.award})
        return case.proof(promise.name, promise.label, claim)
    more = Symbolic(package, promise.measure, on, "′", case, promise.rises_with)
    grown = more.env[promise.rises_with] >= case.env[promise.rises_with]
    claim = z3.Implies(z3.And(grown, more.ranges), more.award >= case.award)
    return case.proof(promise.name, promise.label, claim)


class Symbolic:
    """Every case of a measure at once: symbols for its facts, and the award they lead to."""

    def __init__(
        self,
        package: Package,
        measure: str,
        on: date,
        mark: str = "",
        like: Symbolic | None = None,
        but: str = "",
    ) -> None:
        self.package = package
        self.values = package.values(on)
        self.rule: Rule = compile_measure(package.measure(measure), self.values, SYMBOLS)
        self.env: dict[str, Any] = {}
        limits = []
        for name in self.rule.measure.facts:
            if like is not None and name != but:
                self.env[name] = like.env[name]
                continue
            symbol, limit = _symbol(package.facts[name], name + mark)
            self.env[name] = symbol
            limits.append(limit)
        self.ranges = z3.And(limits)
        worked = dict(self.env)
        award = self.rule.award(worked)
        self.award = z3.If(self.rule.met(worked), award, 0)
        self.worked = worked

    def proof(self, name: str, label: Text, claim: Any) -> Proof:
        """Look for a case in the ranges that breaks a claim."""
        solver = z3.Solver()
        solver.set("timeout", TIMEOUT_MS)
        solver.add(self.ranges, z3.Not(claim))
        found = solver.check()
        measure = self.rule.measure.name
        if found == z3.unsat:
            return Proof(name, measure, label, "holds")
        if found != z3.sat:
            return Proof(name, measure, label, "unknown")
        model = solver.model()
        case = {
            fact: shown_integer(
                self.package.facts[fact].type, _plain(model.eval(symbol, model_completion=True))
            )
            for fact, symbol in self.env.items()
        }
        return Proof(name, measure, label, "broken", case)


def _symbol(fact: Fact, name: str) -> tuple[Any, Any]:
    if fact.type.kind == "bool":
        return z3.Bool(name), True
    symbol, span = z3.Int(name), span_of(fact)
    return symbol, z3.And(symbol >= span.least, symbol <= span.most)


def _plain(value: Any) -> int | bool:
    return bool(z3.is_true(value)) if z3.is_bool(value) else int(value.as_long())


def _never_negative(package: Package, measure: str, on: date) -> Proof:
    label = {"zh": "金额从不为负", "en": "The amount is never below zero"}
    case = Symbolic(package, measure, on)
    return case.proof("never_negative", label, case.award >= 0)


def never_in_conflict(package: Package, measure: str, on: date) -> Proof:
    """Prove that of the exceptions to one step at most one ever applies."""
    label = {"zh": "两条例外从不同时成立", "en": "No two exceptions ever apply at once"}
    case = Symbolic(package, measure, on)
    claims = []
    for step in (*case.rule.steps, *case.rule.caps):
        fired = [when.run(case.worked) for when, _ in step.exceptions]
        if len(fired) > 1:
            claims.append(z3.AtMost(*fired, 1))
    return case.proof("never_in_conflict", label, z3.And(claims))


def _shares_add_up(package: Package) -> Iterator[Proof]:
    label = {"zh": "各级分担之和等于原额，且都不为负",
             "en": "The shares add up to the amount and none is negative"}  # fmt: skip
    rules = {row.funding.name: row.funding for row in package.divisions.values() if row.funding}
    for rule in rules.values():
        if not rule.shares:
            continue
        amount = z3.Int("amount_fen")
        for heir in rule.shares:
            parts = list(portions(amount, rule.shares, heir, SYMBOLS).values())
            claim = z3.And(sum(parts) == amount, *(part >= 0 for part in parts))
            verdict = _decided(z3.And(amount >= 0, z3.Not(claim)))
            yield Proof(f"shares_add_up_{heir}", rule.name, label, verdict)


def _highest_is_paid_once() -> Proof:
    """For any three awards that overlap on one fee."""
    label = {
        "zh": "重叠的奖励只付一项，且为最高",
        "en": "Of overlapping awards exactly the highest is paid",
    }
    awards = [z3.Int(f"award_{number}") for number in range(3)]
    paid = payments(awards, SYMBOLS)
    highest = SYMBOLS.most(SYMBOLS.most(awards[0], awards[1]), awards[2])
    claim = z3.And(sum(paid) == highest, z3.AtMost(*(part > 0 for part in paid), 1))
    positive = z3.And([award >= 0 for award in awards])
    verdict = _decided(z3.And(positive, z3.Not(claim)))
    return Proof("highest_is_paid_once", "overlap", label, verdict)


def _decided(counterexample: Any) -> Verdict:
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT_MS)
    solver.add(counterexample)
    found = solver.check()
    return "holds" if found == z3.unsat else "broken" if found == z3.sat else "unknown"
