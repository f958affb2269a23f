"""Every mistake an author can make in a package, each with its file and line.

Reading the package finds what is malformed, mistyped or unnamed. Here is what only shows when the
whole is seen: a case that comes out otherwise, an input that never changes an output, a parameter
nobody follows, a row outside the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from suanwang.policy.cases import AnyCase, Case, read_all_cases
from suanwang.policy.loader import open_package
from suanwang.policy.package import Package
from suanwang.policy.reader import Mistake, Mistakes
from suanwang.policy.thresholds import untried
from suanwang.policy.why import shown_integer


def check(folder: Path) -> tuple[Package | None, list[Mistake]]:
    """The package, if it can be built, and every mistake in it."""
    package, mistakes = open_package(folder)
    if package is None:
        return None, mistakes.found
    every = read_all_cases(package, mistakes)
    cases = [case for case in every if isinstance(case, Case)]
    if not mistakes.found:
        _check_cases(package, every, mistakes)
        _check_parameters(package, mistakes)
        _check_inputs(package, cases, mistakes)
        _check_thresholds(package, cases, mistakes)
        _check_conflicts(package, mistakes)
    return package, mistakes.found


def _check_cases(package: Package, cases: Sequence[AnyCase], mistakes: Mistakes) -> None:
    for case in cases:
        found = case.outcome(package)
        if found != case.expected:
            mistakes.note(
                case.path, "policy_case_fails", case=case.name, expected=case.expected, found=found
            )


def _check_parameters(package: Package, mistakes: Mistakes) -> None:
    """A parameter is used by a formula, or somebody says that it governs what they do."""
    followed = set(package.governed_by)
    for measure in package.texts():
        followed |= {*measure.parameters(), *measure.governed_by}
    for name in package.parameters.keys() - followed - package.terms() - {"divisions.in_scope"}:
        mistakes.note(("parameters", *name.split(".")), "policy_parameter_unused", name=name)
    for name in set(package.governed_by) - package.parameters.keys():
        mistakes.note(("policy", "governed_by"), "policy_name_unknown", name=name)


def _check_inputs(package: Package, cases: Sequence[Case], mistakes: Mistakes) -> None:
    """Every fact changes some outcome in some case, or it should not be asked for."""
    asked = {fact for measure in package.measures.values() for fact in measure.facts}
    for fact in package.facts.keys() - asked:
        mistakes.note(("facts", fact), "policy_fact_unused", fact=fact)
    for measure in package.measures.values():
        own = [case for case in cases if case.measure == measure.name]
        if not own:
            mistakes.note(measure.path, "policy_measure_without_case", measure=measure.name)
        for fact in measure.facts if own else ():
            if not any(_changes(package, case, fact) for case in own):
                mistakes.note(
                    measure.path, "policy_fact_changes_nothing", fact=fact, measure=measure.name
                )


def _check_thresholds(package: Package, cases: Sequence[Case], mistakes: Mistakes) -> None:
    """Strict and inclusive differ at one value only: there must be a case on either side of it."""
    for threshold, missing in untried(package, cases):
        value = shown_integer(package.facts[threshold.fact].type, missing)
        mistakes.note(threshold.path, "policy_threshold_untried", fact=threshold.fact, value=value)


def _check_conflicts(package: Package, mistakes: Mistakes) -> None:
    """Two exceptions to one step must never apply at once: z3 looks for a case, if it is there."""
    rivals = [
        measure
        for measure in package.measures.values()
        if any(len(step.exceptions) > 1 for step in (*measure.steps, *measure.caps))
    ]
    if not rivals or find_spec("z3") is None:
        return
    from suanwang.policy.prove import never_in_conflict

    for measure in rivals:
        proof = never_in_conflict(package, measure.name, package.valid_to)
        if proof.verdict != "holds":
            case = ", ".join(f"{name}={value}" for name, value in proof.counterexample.items())
            mistakes.note(
                measure.path, "policy_rules_can_conflict", measure=measure.name, case=case
            )


def _changes(package: Package, case: Case, fact: str) -> bool:
    """Whether another value of a fact gives a case another outcome."""
    before = case.outcome(package)
    return any(
        _but(case, fact, value).outcome(package) != before for value in _others(package, fact)
    )


def _but(case: Case, fact: str, value: object) -> Case:
    return replace(case, facts={**case.facts, fact: value})


def _others(package: Package, name: str) -> Iterator[object]:
    fact = package.facts[name]
    match fact.type.kind:
        case "bool":
            yield from (True, False)
        case "choice":
            yield from fact.type.choices
        case "division":
            yield from (*package.divisions, "000000")
        case "date":
            first, last = package.valid_from, package.valid_to
            yield from (first - timedelta(days=1), first, last, last + timedelta(days=200))
        case "number":
            least, most = fact.least, fact.most
            yield from (value for value in (least, most, 0, 1, 1000, 10**7) if value is not None)
