"""The calculator: a few questions, and which measures apply, for how much, by which article.

Only what still matters is asked; what the platform knows of a signed-in organisation is filled in.
Nothing is stored, and nothing here is a decision of the city.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from suanwang.console.language import short
from suanwang.console.measures import shown
from suanwang.console.rulebook import rulebook
from suanwang.console.session import public
from suanwang.console.why import localised
from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import SuanwangError
from suanwang.core.money import format_yuan, parse_yuan
from suanwang.core.refusals import explain
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer
from suanwang.policy import Package
from suanwang.policy.facts import encode_one
from suanwang.policy.finder import find, questions
from suanwang.policy.language.types import show_unit
from suanwang.policy.parts import Fact
from suanwang.site.clock import now
from suanwang.vouchers.facts import approved_in_year
from suanwang.vouchers.policy_in_force import budget_year

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


@require_safe
@public
def calculator(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Answer what still matters; see what applies, what is open and what is out."""
    package = rulebook()
    if package is None:
        return render(request, "console/public/calculator.html", {"rulebook": None})
    known, errors = _answers(package, request)
    told = _platform_knows(package, viewer)
    facts = {name: value for name, value in told.items() if name not in request.GET} | known
    today = now().astimezone(CITY_ZONE).date()
    on = min(max(today, package.valid_from), package.tail_until)
    # Bases, issues and other readings are steps of the office's work, not things to apply for.
    found = [one for one in find(package, facts, on) if one.measure.is_award]
    asked = list(dict.fromkeys([*errors, *questions(found)]))[:AT_ONCE]
    page = {
        "rulebook": package,
        "questions": [_question(package, name, request, errors) for name in asked],
        "answers": [
            _answered(package, name, value, request, name not in known)
            for name, value in facts.items()
        ],
        "applies": [shown(package, one) for one in found if one.state == "applies"],
        "open": [shown(package, one) for one in found if one.state == "open"],
        "out": [shown(package, one) for one in found if one.state == "out"],
        "started": bool(known),
    }
    return render(request, "console/public/calculator.html", page)


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
            errors[name] = explain(refused, short()).replace(name, localised(fact.label))
    return facts, errors


def _read(fact: Fact, text: str) -> object:
    if fact.type.kind == "bool":
        return TRUTHS.get(text, text)
    return parse_yuan(text) if _in_yuan(fact) else text


def _platform_knows(package: Package, viewer: Viewer) -> Mapping[str, object]:
    """What nobody needs to say who has signed in for an organisation."""
    if viewer.organisation_id is None:
        return {}
    at = now()
    organisation = Organisation.objects.get(pk=viewer.organisation_id)
    known: dict[str, object] = {
        "applicant_kind": organisation.kind,
        "division_code": organisation.division,
        "filed_on": at.astimezone(CITY_ZONE).date().isoformat(),
        "unit_year_used_fen": approved_in_year(package, budget_year(at), organisation),
    }
    return {name: value for name, value in known.items() if name in package.facts}


def _question(
    package: Package, name: str, request: HttpRequest, errors: Mapping[str, str]
) -> Question:
    fact = package.facts[name]
    return Question(
        name=name,
        label=localised(fact.label),
        kind=fact.type.kind,
        choices=_choices(package, fact),
        unit=_("yuan") if _in_yuan(fact) else _unit(fact),
        value=request.GET.get(name, "")[:40],
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
    return Answered(name, localised(fact.label), said, request.GET.get(name, ""), from_platform)


def _in_yuan(fact: Fact) -> bool:
    return fact.type.kind == "number" and show_unit(fact.type.unit).startswith("fen")


def _unit(fact: Fact) -> str:
    unit = show_unit(fact.type.unit) if fact.type.kind == "number" else ""
    return "" if unit in ("ratio", "unit", "point") else unit
