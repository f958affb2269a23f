"""Cases an official can read: facts in, amount and reasons out. Every one runs in the tests.

- name: a small company gets half back
  measure: 5c
  on: 2026-07-20
  facts: {paid_fee_fen: 30_000_001, …}
  amount_fen: 15_000_000
- name: fees paid too late
  like: a small company gets half back     # the same facts, but for …
  but: {paid_on: 2027-02-24}
  unmet: [paid_in_time]                    # not eligible, for these reasons only
- name: the yearly cap
  like: a small company gets half back
  vary: unit_year_used_fen                 # one fact takes several values: below, at, above
  gives: {"85_000_000": 15_000_000, "85_000_001": 14_999_999, …}

Cases of what is not a measure (splits, pools, settlements, recoveries) are in ``case_kinds.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from suanwang.core.errors import SuanwangError
from suanwang.policy.case_kinds import KINDS, OtherCase
from suanwang.policy.decision import verdict
from suanwang.policy.package import Package
from suanwang.policy.reader import Mistakes, Path, Reader


@dataclass(frozen=True, slots=True)
class Case:
    """What must come out of a measure for given facts."""

    name: str
    measure: str
    on: date
    facts: Mapping[str, object]
    amount_fen: int
    unmet: tuple[str, ...]
    """Names of exactly the conditions that fail; none means eligible."""
    path: Path
    assumed: Mapping[str, object] = field(default_factory=dict)
    """Parameters with another value than the package gives them."""

    def outcome(self, package: Package) -> str:
        """What comes out, as one comparable text; a refusal is an outcome as well."""
        try:
            assumed = package.assuming(self.assumed) if self.assumed else package
            amount_fen, unmet = verdict(assumed, self.measure, self.facts, self.on)
        except SuanwangError as refused:
            return f"refused {refused.code}"
        return _outcome(amount_fen, unmet)

    @property
    def expected(self) -> str:
        """What must come out."""
        return _outcome(self.amount_fen, self.unmet)


AnyCase = Case | OtherCase


def read_cases(package: Package, mistakes: Mistakes) -> list[Case]:
    """The cases of the measures of a package."""
    return [case for case in read_all_cases(package, mistakes) if isinstance(case, Case)]


def read_all_cases(package: Package, mistakes: Mistakes) -> list[AnyCase]:
    """The cases of a package, tables of values written out one by one."""
    cases: dict[str, Case] = {}
    every: list[AnyCase] = []
    for entry in Reader(package.document.get("cases"), ("cases",), mistakes).items():
        kind = next((kind for kind in KINDS if entry.has(kind)), "")
        if kind:
            model = entry.maybe("like")
            facts = cases[model.text()].facts if model and model.text() in cases else {}
            every.extend(KINDS[kind](entry, package, facts))
            entry.closed()
            continue
        for case in _read(entry, cases, package):
            every.append(case)
            cases.setdefault(entry.at("name").text(), case)
        entry.closed()
    return every


def _read(entry: Reader, known: Mapping[str, Case], package: Package) -> Iterator[Case]:
    name = entry.at("name").text()
    model: Case | None = None
    if like := entry.maybe("like"):
        model = known.get(like.text())
        if model is None:
            like.wrong("policy_name_unknown", name=like.text())
            return
    facts = dict(model.facts) if model else {}
    for key in ("facts", "but"):
        facts |= {fact: _fact(package, fact, part) for fact, part in entry.named(key)}
    measure = entry.at("measure").text() if entry.has("measure") or not model else model.measure
    entry.maybe("measure")
    wanted = {fact for text in package.texts() if text.name == measure for fact in text.facts}
    if wanted:
        facts = {fact: value for fact, value in facts.items() if fact in wanted}
    assumed = dict(model.assumed) if model else {}
    for parameter, other in entry.named("assume"):
        if parameter not in package.parameters:
            other.wrong("policy_name_unknown", name=parameter)
            return
        assumed[parameter] = other.value
    day = entry.maybe("on")
    on = day.day() if day else model.on if model else entry.at("on").day()
    if vary := entry.maybe("vary"):
        for value, gives in entry.named("gives"):
            varied = {**facts, vary.text(): _plain(package, vary.text(), value)}
            amount, unmet = _expected(gives)
            yield Case(f"{name}: {value}", measure, on, varied, amount, unmet, gives.path, assumed)
        return
    unmet = entry.at("unmet").texts() if entry.has("unmet") else ()
    entry.maybe("unmet")
    amount = 0 if unmet else int(entry.at("amount_fen").exact())
    yield Case(name, measure, on, facts, amount, unmet, entry.path, assumed)


def _expected(gives: Reader) -> tuple[int, tuple[str, ...]]:
    """A number is the amount; a name, or several, are the conditions that fail."""
    if isinstance(gives.value, int):
        return gives.value, ()
    if isinstance(gives.value, list):
        return 0, gives.texts()
    return 0, (gives.text(),)


def _fact(package: Package, name: str, part: Reader) -> object:
    if name not in package.facts:
        part.wrong("policy_name_unknown", name=name)
    return part.value


def _plain(package: Package, name: str, text: str) -> object:
    """A key of a table as the fact it stands for."""
    fact = package.facts.get(name)
    if fact is not None and fact.type.kind == "bool":
        return {"true": True, "false": False}.get(text, text)
    return text.replace("_", "") if fact is not None and fact.type.kind == "number" else text


def _outcome(amount_fen: int, unmet: tuple[str, ...]) -> str:
    return f"no: {', '.join(sorted(unmet))}" if unmet else f"{amount_fen} fen"
