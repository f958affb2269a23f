"""The policy page: measures with their articles, figures with their sources, who bears what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from suanwang.console.rulebook import rulebook
from suanwang.console.session import public
from suanwang.console.why import localised, shown_parameter
from suanwang.core.clock import CITY_ZONE
from suanwang.people.scope import Viewer
from suanwang.policy import Package
from suanwang.policy.parts import Condition, StepRule
from suanwang.site.clock import now


@require_safe
@public
def policy(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The measures in force with their articles, and the defaults nobody has confirmed yet."""
    package = rulebook()
    facts: dict[str, Any] = {"rulebook": package}
    if package is not None:
        facts |= {
            "measures": [_measure(package, name) for name in package.measures],
            "parameters": _parameters(package),
        }
    return render(request, "console/public/policy.html", facts)


def _article(package: Package, name: str) -> str:
    return localised(package.articles.get(name, name))


def _measure(package: Package, name: str) -> dict[str, Any]:
    measure = package.measures[name]

    def lines(parts: Iterable[Condition | StepRule]) -> list[tuple[str, str]]:
        return [(localised(one.label), _article(package, one.article)) for one in parts]

    return {
        "name": name,
        "title": localised(measure.title),
        "benefit": measure.benefit,
        "article": _article(package, measure.article),
        "evidence": [localised(one) for one in measure.evidence],
        "refers_to": localised(measure.refers_to) if measure.refers_to else "",
        "conditions": lines(measure.conditions),
        "steps": lines(measure.steps),
        "caps": lines(measure.caps),
    }


def _parameters(package: Package) -> list[dict[str, Any]]:
    """Every figure of the rules as it holds today, the unconfirmed ones first."""
    today = now().astimezone(CITY_ZONE).date()
    found = []
    for name, series in package.parameters.items():
        version = series.on(today)
        if version is None:
            continue
        found.append(
            {
                "label": localised(series.label),
                "value": shown_parameter(name, version.value),
                "article": _article(package, series.article),
                "source": version.source,
                "confirmed": version.status == "confirmed",
            }
        )
    return sorted(found, key=lambda one: (one["confirmed"], one["label"]))
