"""From a package's document to the package: every name resolved, every expression typed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from suanwang.policy.build_measures import read_measure
from suanwang.policy.build_parameters import read_fact, read_series
from suanwang.policy.build_terms import read_divisions, read_levels, read_pools, read_recovery
from suanwang.policy.language.types import Type
from suanwang.policy.package import Package
from suanwang.policy.parts import ROUNDING, DivisionRow, Fact, Measure, Series, Version
from suanwang.policy.promises import read_promises
from suanwang.policy.reader import Mistakes, Path, Reader

CONTENT = ("policy", "facts", "parameters", "conditions", "measures", "divisions", "promises")
"""What the content hash covers. Cases test a package; they do not change what it decides."""

IN_SCOPE = "divisions.in_scope"
"""The set of divisions the policy reaches, taken from the funding table."""


def read_package(document: Mapping[str, Any], mistakes: Mistakes) -> Package:
    """The package of a document; what is wrong is noted, and then the package is not to be used."""
    policy = Reader(document.get("policy"), ("policy",), mistakes)
    if not isinstance(policy.value, dict):
        mistakes.note(("policy",), "policy_entry_missing", entry="policy.yaml")
    facts = _facts(Reader(document.get("facts"), ("facts",), mistakes))
    levels, divisions = _divisions(Reader(document.get("divisions"), ("divisions",), mistakes))
    groups = Reader(document.get("parameters"), ("parameters",), mistakes)
    parameters: dict[str, Series] = {IN_SCOPE: _in_scope(divisions)}
    for group, entries in groups.entries():
        for name, entry in entries.entries():
            parameters[f"{group}.{name}"] = read_series(f"{group}.{name}", entry, facts)
    texts = _measures(document, mistakes, facts, parameters)
    measures = {name: versions[-1] for name, versions in texts.items()}
    content = {part: document[part] for part in CONTENT if part in document}
    package = Package(
        name=policy.at("name").text(),
        title=policy.at("title").words(),
        document_number=_named(policy, "document_number"),
        issuer=policy.at("issuer").words(),
        first_day=policy.at("first_day").text(),
        last_day=policy.at("last_day").text(),
        tail_days=_named(policy, "tail_days"),
        payment_tail_days=_named(policy, "payment_tail_days"),
        straddling=_named(policy, "straddling"),
        units={name: words.words() for name, words in policy.at("units").entries()},
        articles={name: words.words() for name, words in policy.at("articles").entries()},
        facts=facts,
        parameters=parameters,
        measures=measures,
        amendments={name: each for name, each in texts.items() if _changes(each)},
        instruments={name: words.words() for name, words in policy.named("instruments")},
        pools=read_pools(policy, parameters, facts),
        recovery=read_recovery(policy, parameters),
        superseded_by=_named(policy, "superseded_by"),
        levels=levels,
        divisions=divisions,
        promises=read_promises(
            Reader(document.get("promises"), ("promises",), mistakes), texts, facts, parameters
        ),
        governed_by=tuple(name.text() for name in policy.some("governed_by")),
        content=content,
        content_hash=hash_of(content),
        document=document,
    )
    policy.maybe("note")
    policy.closed()
    _check_validity(package, mistakes)
    for part in content:
        _check_articles(content[part], package, mistakes, (part,))
    _check_units(package, mistakes)
    _check_terms(package, mistakes)
    _check_rounding(package, mistakes)
    return package


def hash_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a package's content."""
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _named(reader: Reader, key: str) -> str:
    """A text that may be left out."""
    part = reader.maybe(key)
    return part.text() if part else ""


def _facts(reader: Reader) -> dict[str, Fact]:
    return {name: read_fact(name, entry) for name, entry in reader.entries()}


def _in_scope(divisions: Mapping[str, DivisionRow]) -> Series:
    codes = frozenset(code for code, row in divisions.items() if row.in_scope)
    version = Version(date.min, None, codes, "confirmed", "funding table")
    label = {"zh": "政策覆盖的县（市、区）", "en": "Divisions the policy reaches"}
    return Series(IN_SCOPE, Type("set"), "", label, "funding", (version,))


def _measures(
    document: Mapping[str, Any],
    mistakes: Mistakes,
    facts: Mapping[str, Fact],
    parameters: Mapping[str, Series],
) -> dict[str, tuple[Measure, ...]]:
    """Every text of every measure; an amended one has several, each from its day on."""
    fact_types: dict[str, Type] = {name: fact.type for name, fact in facts.items()}
    parameter_types = {name: series.type for name, series in parameters.items()}
    shared = Reader(document.get("conditions"), ("conditions",), mistakes)
    texts: dict[str, tuple[Measure, ...]] = {}
    for _, entry in Reader(document.get("measures"), ("measures",), mistakes).entries():
        measure = read_measure(entry, fact_types, parameter_types, shared)
        earlier = texts.get(measure.name, ())
        if any(measure.since == other.since for other in earlier):
            entry.wrong("policy_entry_twice", entry=measure.name)
        versions = sorted((*earlier, measure), key=lambda text: text.since)
        texts[measure.name] = tuple(versions)
    return {name: _followed(versions) for name, versions in texts.items()}


def _followed(versions: tuple[Measure, ...]) -> tuple[Measure, ...]:
    """Each text ends the day before the next begins, unless it ends earlier."""
    ends = [later.since - timedelta(days=1) for later in versions[1:]]
    closed = [
        replace(text, until=min(end, text.until or end))
        for text, end in zip(versions, ends, strict=False)
    ]
    return (*closed, versions[-1])


def _changes(versions: tuple[Measure, ...]) -> bool:
    first, last = versions[0], versions[-1]
    return len(versions) > 1 or first.since != date.min or last.until is not None


def _divisions(reader: Reader) -> tuple[dict[str, str], dict[str, DivisionRow]]:
    if reader.value is None:
        return {}, {}
    levels = read_levels(reader)
    rows = read_divisions(reader, levels)
    reader.closed()
    return levels, rows


def _check_validity(package: Package, mistakes: Mistakes) -> None:
    """A parameter needs a value on every day on which a rule may ask for it."""
    for name in package.bounds:
        if name not in package.parameters:
            mistakes.note(("policy",), "policy_name_unknown", name=name)
            return
    day, last = package.valid_from, package.tail_until
    for name, series in package.parameters.items():
        path = ("parameters", *name.split("."))
        for day in _edges(series, package):
            if series.on(day) is None:
                mistakes.note(path, "policy_parameter_gap", name=name, day=day)
    if last < day:
        mistakes.note(("policy",), "policy_validity_reversed", first=day, last=last)


def _check_articles(part: Any, package: Package, mistakes: Mistakes, path: Path) -> None:
    """Everything that names an article must name one of the policy's."""
    if isinstance(part, dict):
        if isinstance(part.get("article"), str) and part["article"] not in package.articles:
            article = part["article"]
            mistakes.note((*path, "article"), "policy_article_unknown", article=article)
        for key, value in part.items():
            _check_articles(value, package, mistakes, (*path, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            _check_articles(value, package, mistakes, (*path, index))


def _check_units(package: Package, mistakes: Mistakes) -> None:
    """The bureaus a measure and its stages name must be among the policy's responsible units."""
    for measure in package.texts():
        for unit in (measure.lead, *measure.others, *(stage.by for stage in measure.procedure)):
            if unit and unit not in package.units:
                mistakes.note(measure.path, "policy_unit_responsible_unknown", unit=unit)


def _check_terms(package: Package, mistakes: Mistakes) -> None:
    """The pool, the instrument and the spans of days a measure names must be the policy's."""
    for measure in package.texts():
        named = (
            (measure.pool, package.pools),
            (measure.instrument, package.instruments),
            *((stage.days, package.parameters) for stage in measure.procedure),
        )
        for name, known in named:
            if name and name not in known:
                mistakes.note(measure.path, "policy_name_unknown", name=name)


def _check_rounding(package: Package, mistakes: Mistakes) -> None:
    """How an amount is rounded is a declared parameter of the policy, never a habit of the code."""
    for measure in package.texts():
        if ROUNDING in measure.parameters() and ROUNDING not in package.parameters:
            mistakes.note(measure.path, "policy_name_unknown", name=ROUNDING)


def _edges(series: Series, package: Package) -> list[Any]:
    """The days on which a series could first lack a value."""
    first, last = package.valid_from, package.tail_until
    days = [first, last]
    days += [v.until + timedelta(days=1) for v in series.versions if v.until is not None]
    return sorted(day for day in set(days) if first <= day <= last)
