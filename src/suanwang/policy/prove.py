"""The fourth reading: the same compiled rule over symbols, so that z3 can speak of every case.

A promise that fails comes back with the case that breaks it, ready to be kept in ``cases.yaml``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction
from typing import Any

import z3

from suanwang.policy.language import Compiler
from suanwang.policy.language.nodes import FactName
from suanwang.policy.package import Package
from suanwang.policy.parts import ROUNDING, Fact
from suanwang.policy.promises import AWARD, Promise
from suanwang.policy.proofs import TIMEOUT_MS, Proof
from suanwang.policy.prove_terms import prove_terms
from suanwang.policy.reader import Text
from suanwang.policy.recovery import to_recover
from suanwang.policy.rule import Rule, compile_measure
from suanwang.policy.spans import span_of
from suanwang.policy.symbols import SYMBOLS
from suanwang.policy.why import shown_integer


def prove(package: Package, on: date) -> Iterator[Proof]:
    """Prove every promise of a package, with the figures of a day.

    Besides the promises written in the package, of every package: no award below zero, no two
    exceptions at once, after a refund exactly what is due is kept, and what ``prove_terms`` proves.
    """
    measures = package.measures_on(on)
    for promise in package.promises:
        if promise.measure in measures:
            yield prove_promise(package, promise, on)
    for name, measure in measures.items():
        if measure.steps:
            yield _never_negative(package, name, on)
        if any(len(step.exceptions) > 1 for step in (*measure.steps, *measure.caps)):
            yield never_in_conflict(package, name, on)
        if measure.stands_on and package.recovery is not None:
            yield _refund_leaves_what_is_due(package, name, on)
    yield from prove_terms(package, on)


def prove_promise(package: Package, promise: Promise, on: date) -> Proof:
    """Prove one promise."""
    spoken = promise.always.walk() if promise.always else ()
    named = {part.name for part in spoken if isinstance(part, FactName) and not part.is_step}
    case = Symbolic(package, promise.measure, on, also=sorted(named))
    if promise.always is not None:
        compiler = Compiler(case.values, SYMBOLS, str(case.values.get(ROUNDING, "down")))
        compiler.step_scales[AWARD] = Fraction(1)
        claim = compiler.compile(promise.always).run({**case.env, AWARD: case.award})
        return case.proof(promise.name, promise.label, claim)
    if promise.rises_with not in case.env:
        return Proof(promise.name, promise.measure, promise.label, "holds")
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
        also: Sequence[str] = (),
    ) -> None:
        self.package = package
        self.values = package.values(on)
        self.rule: Rule = compile_measure(package.measure(measure, on), self.values, SYMBOLS)
        self.env: dict[str, Any] = {}
        limits = []
        for name in dict.fromkeys((*self.rule.measure.facts, *also)):
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


def _refund_leaves_what_is_due(package: Package, measure: str, on: date) -> Proof:
    """Of what was paid on the whole fee, recovering leaves what the reduced fee gives."""
    label = {"zh": "退款追回后，留存的正是按剩余费用应得的",
             "en": "After a refund there stays exactly what the rest of the fee gives"}  # fmt: skip
    fee = package.measure(measure, on).stands_on
    paid = Symbolic(package, measure, on)
    due = Symbolic(package, measure, on, "′", paid, fee)
    reduced = z3.And(due.ranges, due.env[fee] <= paid.env[fee])
    back = to_recover(paid.award, due.award, SYMBOLS)
    claim = z3.Implies(reduced, z3.And(paid.award - back == due.award, back >= 0))
    return paid.proof("refund_leaves_what_is_due", label, claim)


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
