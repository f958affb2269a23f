"""Reading a measure: its conditions, the steps to the amount, and its caps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Literal

from suanwang.policy.build_terms import read_stages
from suanwang.policy.language.nodes import FactName, Node
from suanwang.policy.language.parse import Mistaken, Names, parse
from suanwang.policy.language.types import BOOL, Type, number
from suanwang.policy.parts import Condition, Exception_, Measure, StepRule
from suanwang.policy.reader import Reader
from suanwang.policy.terms import SETTLEMENTS

Benefit = Literal["fixed_once", "percent_capped", "rate_capped", "selected_up_to", "negotiated"]
BENEFITS = (
    "fixed_once",
    "percent_capped",
    "rate_capped",
    "selected_up_to",
    "selected_unspecified",
    "negotiated",
    "county_discretion",
    "refer_out",
    "matching_service",
    "task_only",
)
"""The kinds of benefit a measure can give."""
PAYING = frozenset(
    {"fixed_once", "percent_capped", "rate_capped", "selected_up_to", "negotiated"}
    | {"selected_unspecified"}
)


def read_measure(
    entry: Reader, facts: Mapping[str, Type], parameters: Mapping[str, Type], shared: Reader
) -> Measure:
    """One measure file. A condition is written out, or is the name of a shared one."""
    names = _Names(facts, parameters)
    benefit = entry.at("benefit").one_of(*BENEFITS)
    conditions = tuple(_condition(part, names, shared) for part in entry.some("conditions"))
    steps = tuple(_step(part, names) for part in entry.some("award"))
    caps = tuple(_step(part, names, fen=True) for part in entry.some("caps"))
    if benefit in PAYING and not steps:
        entry.wrong("policy_entry_missing", entry="award")
    if steps and steps[-1].node.type != number("fen"):
        entry.mistakes.note(
            steps[-1].path,
            "policy_type_wrong",
            expected=number("fen").shown,
            found=steps[-1].node.type.shown,
        )
    others, refers = entry.maybe("others"), entry.maybe("refers_to")
    evidence, governed = entry.maybe("evidence"), entry.maybe("governed_by")
    settlement, holder = entry.maybe("settlement"), entry.maybe("holder")
    reserve, instrument = entry.maybe("reserve"), entry.maybe("instrument")
    since, until = entry.maybe("from"), entry.maybe("until")
    if reserve and reserve.text() not in parameters:
        reserve.wrong("policy_name_unknown", name=reserve.value)
    pool, fee, award = entry.maybe("pool"), entry.maybe("stands_on"), entry.maybe("is_award")
    if fee and fee.text() not in names.used:
        fee.wrong("policy_name_unknown", name=fee.value)
    measure = Measure(
        name=entry.at("measure").text(),
        article=entry.at("article").text(),
        title=entry.at("title").words(),
        benefit=benefit,
        lead=entry.at("lead").text(),
        others=others.texts() if others else (),
        conditions=conditions,
        steps=steps,
        caps=caps,
        facts=tuple(names.used),
        path=entry.path,
        since=since.day() if since else date.min,
        until=until.day() if until else None,
        instrument=instrument.text() if instrument else "",
        reserve=reserve.text() if reserve else "",
        procedure=read_stages(entry),
        settlement=settlement.one_of(*SETTLEMENTS) if settlement else "",
        holder=holder.one_of("demand", "supply") if holder else "",
        evidence=tuple(item.words() for item in evidence.items()) if evidence else (),
        refers_to=refers.words() if refers else {},
        governed_by=_governed(governed, parameters) if governed else (),
        pool=pool.text() if pool else "",
        stands_on=fee.text() if fee else "",
        is_award=award.truth() if award else True,
    )
    entry.closed()
    return measure


def _governed(entry: Reader, parameters: Mapping[str, Type]) -> tuple[str, ...]:
    for item in entry.items():
        if item.text() not in parameters:
            item.wrong("policy_name_unknown", name=item.value)
    return entry.texts()


class _Names:
    """What the rules of a measure may speak of so far, and which facts they did speak of."""

    def __init__(self, facts: Mapping[str, Type], parameters: Mapping[str, Type]) -> None:
        self.facts = facts
        self.parameters = parameters
        self.steps: dict[str, Type] = {}
        self.used: dict[str, None] = {}

    def read(self, entry: Reader) -> Node:
        """A typed expression; a wrong one is noted and reads as false."""
        try:
            node = parse(entry.text(), Names(self.facts, self.parameters, self.steps))
        except Mistaken as wrong:
            entry.wrong(wrong.code, column=wrong.column, **wrong.facts)
            return Node(BOOL)
        for part in node.walk():
            if isinstance(part, FactName) and not part.is_step:
                self.used[part.name] = None
        return node

    def truth(self, entry: Reader) -> Node:
        """An expression that is true or false."""
        node = self.read(entry)
        if node.type != BOOL:
            entry.wrong("policy_type_wrong", expected="bool", found=node.type.shown)
        return node


def _condition(entry: Reader, names: _Names, shared: Reader) -> Condition:
    name = entry.value if isinstance(entry.value, str) else ""
    if name:
        if not shared.has(name):
            entry.wrong("policy_name_unknown", name=name)
        entry = shared.at(name)
    holds = entry.at("holds")
    condition = Condition(
        name=name or entry.at("name").text(),
        label=entry.at("label").words(),
        article=entry.at("article").text(),
        text=holds.text(),
        node=names.truth(holds),
        path=holds.path,
    )
    entry.closed()
    return condition


def _step(entry: Reader, names: _Names, *, fen: bool = False) -> StepRule:
    value = entry.at("at_most" if fen else "value")
    node = names.read(value)
    exceptions = tuple(_exception(part, names) for part in entry.some("exceptions"))
    step = StepRule(
        name=entry.at("name").text(),
        label=entry.at("label").words(),
        article=entry.at("article").text(),
        text=value.text(),
        node=node,
        path=value.path,
        exceptions=exceptions,
    )
    wanted = number("fen") if fen else replace(node.type, decimals=0)
    for part in (node, *(exception.node for exception in exceptions)):
        found = part.type if fen else replace(part.type, decimals=0)
        if found != wanted:
            value.wrong("policy_type_wrong", expected=wanted.shown, found=found.shown)
    if step.name in names.steps or step.name in names.facts:
        entry.wrong("policy_entry_twice", entry=step.name)
    names.steps[step.name] = node.type
    entry.closed()
    return step


def _exception(entry: Reader, names: _Names) -> Exception_:
    when, value = entry.at("when"), entry.at("value")
    exception = Exception_(
        name=entry.at("name").text(),
        label=entry.at("label").words(),
        article=entry.at("article").text(),
        when_text=when.text(),
        when=names.truth(when),
        text=value.text(),
        node=names.read(value),
        path=value.path,
    )
    entry.closed()
    return exception
