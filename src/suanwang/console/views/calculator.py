"""The calculator: a few questions, and which measures apply, for how much, by which article.

Only what still matters is asked; what the platform knows of a signed-in organisation is filled in.
Nothing is stored, and nothing here is a decision of the city.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from suanwang.console.language import short
from suanwang.console.measures import measures
from suanwang.console.rulebook import rulebook
from suanwang.console.session import public
from suanwang.console.why import localised
from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import SuanwangError
from suanwang.core.money import format_yuan, parse_yuan
from suanwang.core.refusals import sentence
from suanwang.people.models import Organisation
from suanwang.people.roles import CONSUMER_KINDS
from suanwang.people.scope import Viewer
from suanwang.policy import Package
from suanwang.policy.facts import encode_one
from suanwang.policy.finder import find, questions
from suanwang.policy.language.types import show_unit
from suanwang.policy.parts import Fact
from suanwang.site.clock import now
from suanwang.vouchers.benefits import everything_known

AT_ONCE: Final = 6
"""Questions on one page."""
TRUTHS: Final = {"yes": True, "no": False}


@dataclass(frozen=True)
class Question:
    """One fact, as a field of the form."""

    name: str
    label: str
    kind: str
    choices: list[tuple[str, str]]
    unit: str
    value: str
    error: str = ""


@dataclass(frozen=True)
class Answered:
    """A fact that is known, and whether the platform knew it."""

    name: str
    label: str
    said: str
    value: str
    from_platform: bool
    change: str
    """The address that asks for it again."""


@require_safe
@public
def calculator(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Answer what still matters; see what applies, what is open and what is out."""
    package = rulebook()
    if package is None:
        return render(request, "console/public/calculator.html", {"rulebook": None})
    said, errors = _answers(package, request)
    # An answer somebody wants to change is asked for once more, with what was said in the field.
    again = request.GET.get("change", "")
    known = {name: value for name, value in said.items() if name != again}
    organisation = _organisation(viewer)
    told = everything_known(organisation, at=now()) if organisation else {}
    unsaid = {*errors, again}
    facts = {name: value for name, value in told.items() if name not in unsaid} | known
    today = now().astimezone(CITY_ZONE).date()
    on = min(max(today, package.valid_from), package.tail_until)
    # Bases, issues and other readings are steps of the office's work, not things to apply for.
    found = [one for one in find(package, facts, on) if one.measure.is_award]
    first = [*errors, *([again] if again in package.facts else [])]
    asked = list(dict.fromkeys([*first, *questions(found)]))
    page = {
        "rulebook": package,
        "questions": [_question(package, name, request, told, errors) for name in asked[:AT_ONCE]],
        "more": max(0, len(asked) - AT_ONCE),
        "answers": [
            _answered(package, name, value, request, name not in known)
            for name, value in facts.items()
        ],
        **{state: measures(package, found, state) for state in ("applies", "open", "out")},
        "started": bool(request.GET),
        "benefits": organisation is not None and organisation.kind in CONSUMER_KINDS,
    }
    return render(request, "console/public/calculator.html", page)


def _organisation(viewer: Viewer) -> Organisation | None:
    if viewer.organisation_id is None:
        return None
    return Organisation.objects.get(pk=viewer.organisation_id)


def _answers(package: Package, request: HttpRequest) -> tuple[dict[str, object], dict[str, str]]:
    """The facts in the address, and for each that is wrong what is wrong with it."""
    facts: dict[str, object] = {}
    errors: dict[str, str] = {}
    for name, text in request.GET.items():
        fact = package.facts.get(name)
        if fact is None or not str(text).strip():
            continue
        try:
            value = _read(fact, str(text).strip())
            encode_one(fact, value)
            facts[name] = value
        except SuanwangError as refused:
            errors[name] = _in_words(fact, refused)
    return facts, errors


def _read(fact: Fact, text: str) -> object:
    if fact.type.kind == "bool":
        return TRUTHS.get(text, text)
    return parse_yuan(text) if _in_yuan(fact) else text


def _in_words(fact: Fact, refused: SuanwangError) -> str:
    """A refusal with the reader's words for the fact, for what it should be, and yuan for fen."""
    facts = dict(refused.facts) | {"fact": localised(fact.label)}
    if "expected" in facts:
        facts["expected"] = {
            "number": _("a number such as 12.5"),
            "date": _("a day such as 2026-07-20"),
            "bool": _("yes or no"),
        }.get(fact.type.kind, _("one of the choices"))
    if _in_yuan(fact):
        for name in ("least", "most", "found"):
            with suppress(KeyError, ValueError):
                facts[name] = format_yuan(int(str(facts[name])))
    return sentence(refused.code, facts, short()) or refused.code


def _question(
    package: Package,
    name: str,
    request: HttpRequest,
    told: Mapping[str, object],
    errors: Mapping[str, str],
) -> Question:
    fact = package.facts[name]
    known = _as_field(fact, told[name]) if name in told else ""
    return Question(
        name=name,
        label=localised(fact.label),
        kind=fact.type.kind,
        choices=_choices(package, fact),
        unit=_("yuan") if _in_yuan(fact) else _unit(fact),
        value=request.GET.get(name, known)[:40],
        error=errors.get(name, ""),
    )


def _choices(package: Package, fact: Fact) -> list[tuple[str, str]]:
    match fact.type.kind:
        case "bool":
            return [("yes", _("Yes")), ("no", _("No"))]
        case "choice":
            return [(code, localised(label)) for code, label in fact.labels.items()]
        case "division":
            units = [(row.code, localised(row.name)) for row in package.divisions.values()]
            return [*units, ("000000", _("Elsewhere"))]
    return []


def _answered(
    package: Package, name: str, value: object, request: HttpRequest, from_platform: bool
) -> Answered:
    fact = package.facts[name]
    said = str(value)
    for code, label in _choices(package, fact):
        if code == value or TRUTHS.get(code) is value:
            said = label
    if _in_yuan(fact) and isinstance(value, int):
        said = format_yuan(value)
    others = request.GET.copy()
    others["change"] = name
    return Answered(
        name=name,
        label=localised(fact.label),
        said=said,
        value=request.GET.get(name, ""),
        from_platform=from_platform,
        change=others.urlencode(),
    )


def _as_field(fact: Fact, value: object) -> str:
    """A known value as the field of the form writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _in_yuan(fact) and isinstance(value, int):
        return f"{value // 100}.{value % 100:02d}"
    return str(value)


def _in_yuan(fact: Fact) -> bool:
    return fact.type.kind == "number" and show_unit(fact.type.unit).startswith("fen")


def _unit(fact: Fact) -> str:
    unit = show_unit(fact.type.unit) if fact.type.kind == "number" else ""
    return "" if unit in ("ratio", "unit", "point") else unit
