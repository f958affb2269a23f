"""A measure as the calculator and the page of benefits show it."""

from __future__ import annotations

from typing import Any

from suanwang.console.why import localised
from suanwang.policy import Package
from suanwang.policy.finder import Finding


def shown(package: Package, found: Finding) -> dict[str, Any]:
    """Where a measure stands for somebody, in the reader's words."""
    measure = found.measure
    return {
        "name": measure.name,
        "title": localised(measure.title),
        "article": localised(package.articles[measure.article]),
        "amount_fen": found.decision.amount_fen if found.decision and measure.steps else None,
        "failed": [localised(condition.label) for condition in found.failed],
        "asks": [localised(package.facts[name].label) for name in found.asks],
        "papers": [localised(paper) for paper in measure.evidence],
        "refers_to": localised(measure.refers_to) if measure.refers_to else "",
        "lead": localised(package.units[measure.lead]),
        "unconfirmed": len(found.decision.unconfirmed) if found.decision else 0,
    }
