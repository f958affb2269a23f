"""Why an amount is what it is: a stored decision of the policy in the reader's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from django.utils.translation import gettext as _

from suanwang.console.language import pick
from suanwang.console.rulebook import rulebook
from suanwang.console.words import UNITS, word
from suanwang.core.money import format_yuan

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A step or a cap: what it is called, which article says so, its amount, what it looked at."""

    label: str
    article: str
    amount: str
    inputs: list[tuple[str, str]]
    note: str = ""


@dataclass(frozen=True)
class Condition:
    label: str
    article: str
    met: bool


@dataclass(frozen=True)
class Default:
    """A figure the policy leaves open and nobody has confirmed yet."""

    label: str
    value: str
    source: str


@dataclass(frozen=True)
class Reasons:
    """Everything behind one amount, ready to be shown."""

    title: str
    amount_fen: int
    eligible: bool
    steps: list[Line]
    caps: list[Line]
    conditions: list[Condition]
    defaults: list[Default]
    policy: str
    package_hash: str


def localised(text: Any) -> str:
    """``{zh: …, en: …}`` in the active language; plain text as it is."""
    if isinstance(text, Mapping):
        return pick(str(text.get("zh", "")), str(text.get("en", "")))
    return str(text)


def reasons(decision: Json | None) -> Reasons | None:
    """The reasons of a decision as ``Decision.as_json`` wrote them."""
    if not decision:
        return None
    articles = decision.get("articles", {})

    def article(name: str) -> str:
        return localised(articles.get(name, name))

    return Reasons(
        title=localised(decision["title"]),
        amount_fen=decision["amount_fen"],
        eligible=decision["eligible"],
        steps=[
            Line(
                localised(one["label"]),
                article(one["article"]),
                shown_value(one["value"], money=True),
                [(_label(name), shown_value(value, name)) for name, value in one["inputs"].items()],
            )
            for one in decision["steps"]
        ],
        caps=[
            Line(
                localised(one["label"]),
                article(one["article"]),
                format_yuan(one["limit_fen"]),
                [],
                _("takes off %s") % format_yuan(one["cut_fen"]) if one["cut_fen"] else "",
            )
            for one in decision["caps"]
        ],
        conditions=[
            Condition(localised(one["label"]), article(one["article"]), one["met"])
            for one in decision["conditions"]
        ],
        defaults=[
            Default(
                localised(one["label"]), shown_parameter(one["name"], one["value"]), one["source"]
            )
            for one in decision["unconfirmed"]
        ],
        policy=decision["policy"],
        package_hash=decision["package_hash"],
    )


def _label(name: str) -> str:
    """What a fact or a parameter is called; its own name where the policy says nothing."""
    package = rulebook()
    if package is None:
        return name
    if name in package.facts:
        return localised(package.facts[name].label)
    if name in package.parameters:
        return localised(package.parameters[name].label)
    return name


def shown_value(value: Any, name: str = "", *, money: bool = False) -> str:
    """A value of a rule for reading: fen as yuan, truths as words, fractions as they are."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, Fraction) and value.denominator == 1:
        value = int(value)
    if isinstance(value, int) and (money or name.endswith("_fen")):
        return format_yuan(value)
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(sorted(_one(one) for one in value))
    return str(value)


def _one(value: Any) -> str:
    """A member of a set or a row of a table: ``70 → 3/10``."""
    if isinstance(value, list | tuple):
        return " → ".join(_one(one) for one in value)
    return str(value)


def shown_parameter(name: str, value: Any) -> str:
    """A parameter's value in words where the policy has words for it."""
    package = rulebook()
    series = package.parameters.get(name) if package is not None else None
    if package is None or series is None:
        return shown_value(value, name)
    words = {code: text for fact in package.facts.values() for code, text in fact.labels.items()}
    words |= series.readings
    if isinstance(value, list | tuple | set | frozenset):
        named = {unit.code: unit.name for unit in package.divisions.values()}
        return ", ".join(
            localised((words | named).get(one, one)) for one in sorted(map(str, value))
        )
    if isinstance(value, str) and value in words:
        return localised(words[value])
    money = series.unit == "fen" or series.unit.startswith("fen/")
    unit = series.unit.removeprefix("fen").removeprefix("/")
    shown = shown_value(value, name, money=money)
    if not unit or unit == "ratio":
        return shown
    return f"{shown} / {word(UNITS, unit)}" if money else f"{shown} {word(UNITS, unit)}"
