"""What a policy promises for every possible case, as data beside its rules.

    - name: no_unit_above_its_yearly_cap
      label: {zh: …, en: …}
      article: "5"
      measures: [5b, 5c]
      always: award + unit_year_used_fen <= max(unit_year_used_fen, voucher.unit_year_cap_fen)
    - name: who_pays_more_gets_no_less
      …
      rises_with: paid_fee_fen

``award`` is what the measure gives: nothing if a condition fails. ``prove.py`` proves them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from suanwang.policy.language.nodes import Node
from suanwang.policy.language.parse import Mistaken, Names, parse
from suanwang.policy.language.types import BOOL, Type, number
from suanwang.policy.parts import Fact, Measure, Series
from suanwang.policy.reader import Path, Reader, Text

AWARD = "award"


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that holds for every case of a measure."""

    name: str
    label: Text
    article: str
    measure: str
    text: str
    always: Node | None
    """Holds in every case; or else:"""
    rises_with: str
    """When only this fact grows, the award never falls."""
    path: Path


def read_promises(
    entries: Reader,
    measures: Mapping[str, Sequence[Measure]],
    facts: Mapping[str, Fact],
    parameters: Mapping[str, Series],
) -> tuple[Promise, ...]:
    """The promises of a package, one for each measure they name.

    A promise holds for every text of a measure, and may speak of the facts of any of them.
    """
    if entries.value is None:
        return ()
    return tuple(
        promise
        for entry in entries.items()
        for promise in _read(entry, measures, facts, parameters)
    )


def _read(
    entry: Reader,
    measures: Mapping[str, Sequence[Measure]],
    facts: Mapping[str, Fact],
    parameters: Mapping[str, Series],
) -> list[Promise]:
    name, label = entry.at("name").text(), entry.at("label").words()
    article = entry.at("article").text()
    promises = []
    always = entry.maybe("always")
    rises_with = entry.maybe("rises_with")
    if (always is None) == (rises_with is None):
        entry.wrong("policy_entry_missing", entry="always | rises_with")
    for item in entry.at("measures").items():
        texts = measures.get(item.text())
        if texts is None:
            item.wrong("policy_name_unknown", name=item.value)
            continue
        known = {fact: facts[fact].type for text in texts for fact in text.facts}
        node = _always(always, known, parameters) if always else None
        if rises_with and rises_with.text() not in known:
            rises_with.wrong("policy_name_unknown", name=rises_with.text())
        promises.append(
            Promise(
                name=name,
                label=label,
                article=article,
                measure=item.text(),
                text=always.text() if always else "",
                always=node,
                rises_with=rises_with.text() if rises_with else "",
                path=entry.path,
            )
        )
    entry.closed()
    return promises


def _always(entry: Reader, facts: Mapping[str, Type], parameters: Mapping[str, Series]) -> Node:
    types = {name: series.type for name, series in parameters.items()}
    try:
        node = parse(entry.text(), Names(facts, types, {AWARD: number("fen")}))
    except Mistaken as wrong:
        entry.wrong(wrong.code, column=wrong.column, **wrong.facts)
        return Node(BOOL)
    if node.type != BOOL:
        entry.wrong("policy_type_wrong", expected="bool", found=node.type.shown)
    return node
