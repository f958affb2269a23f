"""What if the policy were other? Today's rules beside changed ones, for the offices that keep them.

Nothing is stored, and nothing here is a forecast. The bounds keep an answer below two seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from suanwang import policy
from suanwang.console import assumed
from suanwang.console.language import short
from suanwang.console.session import signed_in
from suanwang.console.why import localised
from suanwang.core.clock import CITY_ZONE
from suanwang.core.errors import Refused, SuanwangError
from suanwang.core.refusals import explain
from suanwang.people.scope import Viewer
from suanwang.policy import Package
from suanwang.policy.population import CHARACTERS_MAX, ROWS_MAX, SYNTHETIC_MAX, read_csv
from suanwang.policy.simulate import synthetic
from suanwang.policy.vector import Table
from suanwang.policy.what_if import SEED, WhatIf, csv_text, what_if
from suanwang.policy.what_if_html import fragment, page
from suanwang.site.clock import now
from suanwang.site.settings import settings

UNITS: Final = 300
"""How many made-up units are tried unless somebody says otherwise."""

PLACES: Final = {"on": "on", "units": "units", "csv": "file"}
"""Beside which field of the page a part of the question stands."""


@dataclass
class Asked:
    """What the form says, as it was typed, and what is wrong with it by field."""

    on: str
    units: str
    csv: str
    errors: dict[str, str] = field(default_factory=dict)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in("policy.assess")
def trial(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Choose a package, a population and changes; see them side by side, or take them as a file."""
    packages = list(_packages())
    chosen = _chosen(packages, request.POST.get("package") or request.GET.get("package", ""))
    if chosen is None:
        return render(request, "console/public/what_if.html", {"rulebook": None})
    asked = _asked(request, chosen)
    day = _day(asked, chosen)
    changes, errors = assumed.changes(chosen, request.POST, day)
    found = None
    if request.method == "POST" and not errors and not asked.errors:
        found = _find(chosen, changes, asked, day)
        if found is not None and (file := _as_file(found, request.POST.get("as", ""))):
            return file
    facts = {
        "rulebook": chosen,
        "packages": [(one.name, localised(one.title)) for one in packages],
        "asked": asked,
        "groups": assumed.groups(chosen, request.POST, changes, errors, day),
        "columns": _columns(chosen, day),
        "found": mark_safe(fragment(found, short())) if found else "",  # noqa: S308 - escaped there
        "wrong": [
            *((PLACES[name], error) for name, error in asked.errors.items()),
            *((f"f-{name}", error) for name, error in errors.items()),
        ],
        "synthetic_max": SYNTHETIC_MAX,
        "rows_max": ROWS_MAX,
    }
    status = 409 if errors or asked.errors else 200
    return render(request, "console/public/what_if.html", facts, status=status)


def _packages() -> Iterator[Package]:
    """Every package that can be read; one that cannot is for ``policy check``, not for this."""
    for folder in policy.packages(settings().policies):
        try:
            yield policy.load(folder)
        except SuanwangError:
            continue


def _chosen(packages: Sequence[Package], name: str) -> Package | None:
    """The package asked for, else the city's own, else the first."""
    by_name = {one.name: one for one in packages}
    own = by_name.get(settings().policy)
    return by_name.get(name) or own or next(iter(packages), None)


def _asked(request: HttpRequest, package: Package) -> Asked:
    today = now().astimezone(CITY_ZONE).date()
    nearest = min(max(today, package.valid_from), package.valid_to)
    post = request.POST
    asked = Asked(
        on=post.get("on", "").strip()[:10] or nearest.isoformat(),
        units=post.get("units", "").strip()[:20] or str(UNITS),
        csv=post.get("csv", ""),
    )
    upload = request.FILES.get("file")
    if upload is not None:
        try:
            if (upload.size or 0) > 4 * CHARACTERS_MAX:
                raise ValueError("larger")
            asked.csv = upload.read().decode("utf-8-sig")
        except ValueError:
            refusal = Refused("policy_population_unreadable", found=upload.name, problem="UTF-8")
            asked.errors["csv"] = explain(refusal, short())
    if len(asked.csv) > CHARACTERS_MAX:
        asked.csv = ""
        asked.errors["csv"] = _("At most %(most)s characters are read.") % {
            "most": f"{CHARACTERS_MAX:,}"
        }
    return asked


def _day(asked: Asked, package: Package) -> date:
    """The day asked for; a wrong one is noted, and the page drawn for the last day there is."""
    try:
        on = date.fromisoformat(asked.on)
        package.in_force(on)
    except ValueError:
        refusal: SuanwangError = Refused("policy_day_unreadable", found=asked.on)
    except SuanwangError as refused:
        refusal = refused
    else:
        return on
    asked.errors["on"] = explain(refusal, short())
    return package.valid_to


def _find(package: Package, changes: dict[str, object], asked: Asked, on: date) -> WhatIf | None:
    """The comparison; None if it is refused, with the refusal beside the population."""
    place = "csv" if asked.csv.strip() else "units"
    try:
        return what_if(package, changes, _population(package, asked, on), on)
    except SuanwangError as refusal:
        asked.errors[place] = explain(refusal, short())
        return None


def _population(package: Package, asked: Asked, on: date) -> Table:
    if asked.csv.strip():
        return read_csv(package, asked.csv.splitlines(), found="CSV", rows_max=ROWS_MAX)
    if not asked.units.isdecimal() or not 0 < int(asked.units) <= SYNTHETIC_MAX:
        most = f"1 – {SYNTHETIC_MAX:,}"
        raise Refused("policy_population_unreadable", found=asked.units, problem=most)
    return synthetic(package, int(asked.units), SEED, on)


def _columns(package: Package, on: date) -> list[tuple[str, str, str]]:
    """The facts a file may state: name, words, and a value that is right."""
    awards = [one for one in package.measures_on(on).values() if one.steps and one.is_award]
    names = dict.fromkeys(name for one in awards for name in one.facts)
    return [
        (name, localised(package.facts[name].label), str(package.facts[name].example).lower())
        for name in names
    ]


def _as_file(found: WhatIf, kind: str) -> HttpResponse | None:
    name = f"what-if-{found.package.name}-{found.on}"
    match kind:
        case "csv":
            # The mark in front makes Excel read it as UTF-8.
            content, media = "\ufeff" + csv_text(found), "text/csv; charset=utf-8"
        case "html":
            content, media = page(found, short()), "text/html; charset=utf-8"
        case _:
            return None
    kept = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return HttpResponse(content, content_type=media, headers=kept)
