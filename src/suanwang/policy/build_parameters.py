"""Reading the facts and the dated parameters of a package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

from suanwang.core.errors import Refused
from suanwang.policy.language.compile import YEARS, Value
from suanwang.policy.language.types import BOOL, DATE, DIVISION, Type, parse_unit
from suanwang.policy.parts import Fact, Series, Version
from suanwang.policy.reader import Mistakes, Reader

FEN_MOST = Fraction(10**14)
"""No single amount of a case is larger; columns of such amounts still fit 64 bits."""


def read_fact(name: str, entry: Reader) -> Fact:
    """One declared fact."""
    kind = entry.at("type").one_of("number", "bool", "date", "choice", "division")
    labels = {}
    least: Fraction | date | None = None
    most: Fraction | date | None = None
    type_ = {"bool": BOOL, "date": DATE, "division": DIVISION}.get(kind, BOOL)
    if kind == "choice":
        labels = {code: words.words() for code, words in entry.at("choices").entries()}
        type_ = Type("choice", choices=tuple(labels))
    elif kind == "number":
        decimals = entry.maybe("decimals")
        places = int(decimals.exact()) if decimals else 0
        type_ = Type("number", _unit(entry.at("unit")), places)
        least = low.exact() if (low := entry.maybe("least")) else Fraction(0)
        most = high.exact() if (high := entry.maybe("most")) else FEN_MOST
    elif kind == "date":
        least = low.day() if (low := entry.maybe("least")) else None
        most = high.day() if (high := entry.maybe("most")) else None
    example = entry.maybe("example")
    fact = Fact(
        name=name,
        type=type_,
        label=entry.at("label").words(),
        least=least,
        most=most,
        labels=labels,
        example=example.value if example else None,
        limits=_limits(type_, least, most),
    )
    entry.closed()
    return fact


def _limits(
    type_: Type, least: Fraction | date | None, most: Fraction | date | None
) -> tuple[int, int]:
    match type_.kind:
        case "number":
            scale = 10 ** (type_.decimals or 0)
            assert isinstance(least, Fraction)  # noqa: S101 - read above
            assert isinstance(most, Fraction)  # noqa: S101
            return int(least * scale), int(most * scale)
        case "date":
            first = least if isinstance(least, date) else date(YEARS[0], 1, 1)
            last = most if isinstance(most, date) else date(YEARS[-1], 12, 31)
            return first.toordinal(), last.toordinal()
        case "choice":
            return 0, len(type_.choices) - 1
        case "division":
            return 0, 999_999
    return 0, 1


def read_series(name: str, entry: Reader, facts: Mapping[str, Fact]) -> Series:
    """One dated parameter with all its values."""
    type_, unit = _parameter_type(entry, facts)
    decision = entry.maybe("decision")
    readings = {value: words.words() for value, words in entry.named("readings")}
    if type_.kind == "choice":
        type_ = Type("choice", choices=tuple(readings))
    versions = [_version(value, type_) for value in entry.at("values").items()]
    counted = type_.kind in ("number", "table") and type_.unit  # a ratio may always be a fraction
    if counted and all(_whole(version.value) for version in versions):
        type_ = replace(type_, decimals=0)
    for earlier, later in pairwise(versions):
        if later.since <= earlier.since:
            entry.wrong("policy_values_out_of_order", name=name, since=later.since)
    if not versions:
        entry.wrong("policy_entry_missing", entry="values")
    series = Series(
        name=name,
        type=type_,
        unit=unit,
        label=entry.at("label").words(),
        article=entry.at("article").text(),
        versions=tuple(_closed(versions)),
        decision=decision.text() if decision else "",
        readings=readings,
        reason=reason.words() if (reason := entry.maybe("reason")) else {},
    )
    entry.closed()
    return series


def assume(series: Series, value: object) -> Series:
    """The series with one value for ever. Refuses ``policy_value_wrong``."""
    mistakes = Mistakes({(): series.name})
    read = _value(Reader(value, (), mistakes), series.type)
    if mistakes.found or (series.type.decimals == 0 and counts(series) and not _whole(read)):
        raise Refused(
            "policy_value_wrong", parameter=series.name, expected=series.type.shown, found=value
        )
    version = Version(date.min, None, read, "default", "assumed")
    return replace(series, versions=(version,))


def _parameter_type(entry: Reader, facts: Mapping[str, Fact]) -> tuple[Type, str]:
    kind = entry.at("type").one_of("number", "bool", "date", "choice", "set", "divisions", "table")
    match kind:
        case "bool":
            return BOOL, ""
        case "date":
            return DATE, ""
        case "choice":
            return Type("choice"), ""
        case "divisions":
            return Type("set"), ""
        case "set":
            of = entry.at("of").text()
            if of not in facts:
                entry.wrong("policy_name_unknown", name=of)
                return Type("set"), ""
            return Type("set", choices=facts[of].type.choices), ""
    unit = entry.at("unit")
    return Type("table" if kind == "table" else "number", _unit(unit), None), unit.text()


def _version(entry: Reader, type_: Type) -> Version:
    until = entry.maybe("until")
    version = Version(
        since=entry.at("from").day(),
        until=until.day() if until else None,
        value=_value(entry.at("value"), type_),
        status="confirmed"
        if entry.at("status").one_of("confirmed", "default") == "confirmed"
        else "default",
        source=entry.at("source").text(),
    )
    entry.closed()
    return version


def _value(entry: Reader, type_: Type) -> Value:
    match type_.kind:
        case "bool":
            return entry.truth()
        case "date":
            return entry.day()
        case "choice":
            return entry.one_of(*(type_.choices or ("",)))
        case "set":
            codes = entry.texts()
            for code in codes:
                if type_.choices and code not in type_.choices:
                    entry.wrong("policy_code_unknown", found=code, choice=type_.shown)
            return frozenset(codes)
        case "table":
            rows = [(row.at("from").exact(), row.at("is").exact()) for row in entry.items()]
            if [start for start, _ in rows] != sorted({start for start, _ in rows}):
                entry.wrong("policy_values_out_of_order", name="table", since=rows)
            return tuple(rows)
    return entry.exact()


def counts(series: Series) -> bool:
    """Whether a parameter is a figure or a table of figures."""
    return series.type.kind in ("number", "table")


def _whole(value: Value) -> bool:
    if isinstance(value, tuple):
        return all(amount.denominator == 1 for _, amount in value)
    return isinstance(value, Fraction) and value.denominator == 1


def _closed(versions: list[Version]) -> list[Version]:
    """Each value ends the day before the next begins, unless it ends earlier."""
    closed = []
    for index, version in enumerate(versions):
        following = versions[index + 1].since if index + 1 < len(versions) else None
        until = version.until
        if following is not None and (until is None or until >= following):
            until = following - timedelta(days=1)
        closed.append(Version(version.since, until, version.value, version.status, version.source))
    return closed


def _unit(entry: Reader) -> tuple[tuple[str, int], ...]:
    try:
        return parse_unit(entry.text())
    except ValueError as unknown:
        entry.wrong("policy_unit_unknown", unit=str(unknown))
        return ()
