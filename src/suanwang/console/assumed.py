"""The parameters of a package as fields to be changed in a what-if, and what was put into them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.http import QueryDict
from django.utils.translation import gettext as _

from suanwang.console.language import short
from suanwang.console.why import localised
from suanwang.core.errors import SuanwangError
from suanwang.core.money import parse_yuan
from suanwang.core.refusals import explain
from suanwang.policy import Package
from suanwang.policy.language.compile import Value
from suanwang.policy.parts import Series, Version
from suanwang.policy.what_if_html import names_of, shown_value

START: Final = "set-"
"""In front of a parameter's name in the form."""
VALUE_MAX: Final = 40
_PERCENT: Final = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,6}))?\s*%")


@dataclass(frozen=True)
class Field:
    """One parameter: what it is today and by which source, and what is assumed instead."""

    name: str
    label: str
    kind: str
    today: str
    article: str
    source: str
    confirmed: bool
    unit: str
    choices: list[tuple[str, str, bool]]
    """Code, words, and whether it is chosen."""
    value: str
    error: str

    @property
    def touched(self) -> bool:
        """Whether its group should stand open."""
        return bool(self.value or self.error)


@dataclass(frozen=True)
class Group:
    """The parameters that a measure, or the pools, are the first to use."""

    title: str
    fields: list[Field]

    @property
    def touched(self) -> bool:
        return any(field.touched for field in self.fields)


def changes(
    package: Package, said: QueryDict, on: date
) -> tuple[dict[str, object], dict[str, str]]:
    """What is to be changed, and for each field that is wrong the engine's refusal in words."""
    wanted: dict[str, object] = {}
    errors: dict[str, str] = {}
    for name, series, version in _offered(package, on):
        given = [text.strip()[:VALUE_MAX] for text in said.getlist(START + name) if text.strip()]
        if not given and not (series.type.kind == "set" and START + name in said):
            continue
        try:
            value = _read(series, given)
            package.assuming({name: value})
        except SuanwangError as refusal:
            errors[name] = explain(refusal, short()).replace(name, localised(series.label))
            continue
        if series.type.kind != "set" or value != sorted(map(str, _members(version.value))):
            wanted[name] = value
    return wanted, errors


def groups(
    package: Package, said: QueryDict, changed: dict[str, object], errors: dict[str, str], on: date
) -> list[Group]:
    """The fields, by the measure that uses each first; those of the pools come first."""
    fields = {
        name: _field(package, series, version, said, name in changed, errors.get(name, ""))
        for name, series, version in _offered(package, on)
    }
    found = []
    for title, names in _by_use(package, on):
        own = [fields.pop(name) for name in names if name in fields]
        if own:
            found.append(Group(title, own))
    return found


def _offered(package: Package, on: date) -> Iterator[tuple[str, Series, Version]]:
    """What a simulation reads, except tables and lists of divisions: those need a file."""
    for name in dict.fromkeys(name for _use, names in _by_use(package, on) for name in names):
        series = package.parameters[name]
        version = series.on(on)
        listed = series.type.kind == "set" and not series.type.choices
        if version is not None and series.type.kind != "table" and not listed:
            yield name, series, version


def _by_use(package: Package, on: date) -> Iterator[tuple[str, list[str]]]:
    pools = [name for pool in package.pools.values() for name in pool.parameters()]
    yield _("The pool of the year"), [name for name in pools if name in package.parameters]
    for measure in package.measures_on(on).values():
        if measure.steps and measure.is_award:
            used = [name for name in measure.parameters() if name in package.parameters]
            yield f"{localised(measure.title)} · {measure.name}", sorted(used)


def _field(
    package: Package, series: Series, version: Version, said: QueryDict, changed: bool, error: str
) -> Field:
    given = said.getlist(START + series.name)
    in_set = set(given) if START + series.name in said else _members(version.value)
    typed = given[0].strip()[:VALUE_MAX] if given else ""
    return Field(
        name=series.name,
        label=localised(series.label),
        kind=series.type.kind,
        today=shown_value(package, series, version.value, short()),
        article=localised(package.articles.get(series.article, series.article)),
        source=version.source,
        confirmed=version.status == "confirmed",
        unit=_("yuan") if _in_yuan(series) else "",
        choices=[
            (code, words, code in in_set if series.type.kind == "set" else code == typed)
            for code, words in _choices(package, series)
        ],
        value=typed if changed or error else "",
        error=error,
    )


def _choices(package: Package, series: Series) -> list[tuple[str, str]]:
    if series.type.kind == "bool":
        return [("true", _("Yes")), ("false", _("No"))]
    words = names_of(package, series)
    return [
        (code, localised(words[code]) if code in words else code)
        for code in series.type.choices
        if series.type.kind in ("choice", "set")
    ]


def _read(series: Series, given: list[str]) -> object:
    """Yuan as fen and per cent as a fraction; the rest is the engine's to judge."""
    if series.type.kind == "set":
        return sorted(code for code in given if code != "-")
    text = given[0]
    if series.type.kind == "bool":
        return {"true": True, "false": False}.get(text, text)
    if series.type.kind == "number" and _in_yuan(series):
        return str(parse_yuan(text))
    percent = _PERCENT.fullmatch(text)
    if percent and series.unit == "ratio":
        whole, decimals = percent[1], percent[2] or ""
        return f"{int(whole + decimals)}/{100 * 10 ** len(decimals)}"
    return text


def _in_yuan(series: Series) -> bool:
    return series.type.kind == "number" and series.unit.startswith("fen")


def _members(value: Value) -> frozenset[str]:
    return frozenset(map(str, value)) if isinstance(value, frozenset) else frozenset()
