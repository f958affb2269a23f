"""A measure as the calculator and the page of benefits show it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from django.utils.translation import gettext as _

from suanwang.console.language import pick, short
from suanwang.console.why import localised, shown_value
from suanwang.console.words import GAP_SIGNS, GAP_SIGNS_OF_DATES, word
from suanwang.policy import Package
from suanwang.policy.finder import Finding
from suanwang.policy.phrases import figure
from suanwang.policy.why import Gap

NAMED_AT_MOST = 6
"""Of a long list so many are named."""
_NAME = re.compile(r"[a-z_]+(\.[a-z_0-9]+)?")


def measures(package: Package, found: Sequence[Finding], state: str) -> list[dict[str, Any]]:
    """Those of a list that apply, are open or are out."""
    return [shown(package, one) for one in found if one.state == state]


def shown(package: Package, found: Finding) -> dict[str, Any]:
    """Where a measure stands for somebody, in the reader's words."""
    measure = found.measure
    return {
        "name": measure.name,
        "title": localised(measure.title),
        "article": localised(package.articles[measure.article]),
        "amount_fen": found.amount_fen if measure.steps else None,
        "decision": found.decision if measure.steps else None,
        "failed": [
            {
                "label": localised(condition.label),
                "article": localised(package.articles[condition.article]),
                "gaps": [told for gap in condition.gaps if (told := gap_in_words(package, gap))],
            }
            for condition in found.failed
        ],
        "asks": [localised(package.facts[name].label) for name in found.asks],
        "papers": [localised(paper) for paper in measure.evidence],
        "refers_to": localised(measure.refers_to) if measure.refers_to else "",
        "lead": localised(package.units[measure.lead]),
        "unconfirmed": len(found.decision.unconfirmed) if found.decision else 0,
    }


def gap_in_words(package: Package, gap: Gap) -> str:
    """What stands against a yes: what is there, what is needed, how far apart they are."""
    dated = gap.unit == "day" and isinstance(gap.needs, str)
    signs = GAP_SIGNS_OF_DATES if dated else GAP_SIGNS
    facts = {
        "what": _called(package, gap.has),
        "has": _value(package, gap, gap.has_value),
        "needs": pick("{}{}", "{} {}").format(
            word(signs, gap.sign), _value(package, gap, gap.needs)
        ),
    }
    if gap.by in (None, 0):
        return _("%(what)s: now %(has)s, needed: %(needs)s") % facts
    facts["by"] = _distance(gap)
    return _("%(what)s: now %(has)s, needed: %(needs)s, %(by)s away") % facts


def _called(package: Package, expression: str) -> str:
    """An expression with the words of its facts and figures instead of their names."""

    def words(found: re.Match[str]) -> str:
        name = found.group()
        part = package.facts.get(name) or package.parameters.get(name)
        return localised(part.label) if part else name

    return _NAME.sub(words, expression)


def _value(package: Package, gap: Gap, value: object) -> str:
    if isinstance(value, list):
        named = [_code(package, one) for one in value[:NAMED_AT_MOST]]
        return ", ".join([*named, *(["…"] if len(value) > NAMED_AT_MOST else [])])
    if isinstance(value, bool):
        return shown_value(value)
    if gap.unit and (number := _number(value)) is not None:
        return figure(number, gap.unit, short())
    return _code(package, str(value))


def _code(package: Package, code: str) -> str:
    """The words of a code of a choice, or the name of a division."""
    if code in package.divisions:
        return localised(package.divisions[code].name)
    for fact in package.facts.values():
        if code in fact.labels:
            return localised(fact.labels[code])
    return code


def _distance(gap: Gap) -> str:
    by, needs = _number(gap.by), _number(gap.needs)
    if by is None:
        return str(gap.by)
    # What may be above one, such as a PUE, is no share.
    share = gap.unit != "ratio" or (needs is not None and needs <= 1)
    return figure(by, gap.unit if share else "", short())


def _number(value: object) -> Fraction | None:
    """A whole number or a fraction as text; None of anything else."""
    try:
        return None if isinstance(value, bool) else Fraction(str(value))
    except ValueError:
        return None
