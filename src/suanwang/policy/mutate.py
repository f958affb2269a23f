"""Are the cases and promises strong enough? Each slip must be caught by one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice

from suanwang.core.errors import SuanwangError
from suanwang.policy.build import read_package
from suanwang.policy.cases import AnyCase, read_all_cases
from suanwang.policy.mutants import Mutant, mutants
from suanwang.policy.package import Package
from suanwang.policy.prove import prove
from suanwang.policy.reader import Mistakes


@dataclass(frozen=True, slots=True)
class Judged:
    """A slip, and what caught it."""

    mutant: Mutant
    caught_by: str
    """``reading`` (the package cannot be built), a case, a promise; empty if it lives."""


def mutate(package: Package, on: date, first: int = 0) -> Iterator[Judged]:
    """Make every slip in turn, from the one numbered ``first``, and see what catches it.

    First the cases are asked, then the proofs. The same package has the same slips in order.
    """
    cases = read_all_cases(package, Mistakes({}))
    for mutant in islice(mutants(package), first, None):
        yield Judged(mutant, _caught(mutant, cases, on))


def _caught(mutant: Mutant, cases: list[AnyCase], on: date) -> str:
    mistakes = Mistakes({(): "mutant"})
    package = read_package(mutant.document, mistakes)
    if mistakes.found:
        return "reading"
    for case in cases:
        if case.outcome(package) != case.expected:
            return f"case: {case.name}"
    try:
        for proof in prove(package, on):
            if proof.verdict == "broken":
                return f"promise: {proof.name}"
    except SuanwangError as refused:
        return f"refusal: {refused.code}"
    return ""
