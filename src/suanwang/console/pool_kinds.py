"""The operator's pool by kind of computing and model of card, and the largest jobs that wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db.models import Count, F, QuerySet, Sum

from suanwang.jobs.models import Attempt, Job
from suanwang.people.scope import Viewer, visible
from suanwang.registry import queries as registry

LARGEST_MAX: Final = 10


@dataclass
class Part:
    """All nodes of one kind of centre with one model of card, or with none."""

    kind: str
    model: str
    nodes: int = 0
    cores: int = 0
    cards: int = 0
    cores_busy: int = 0
    cards_busy: int = 0


def parts(viewer: Viewer) -> list[Part]:
    """What is up and what of it is allocated. A job of several nodes counts where its first is;
    a share of a card counts as a card.
    """
    found: dict[tuple[str, str], Part] = {}

    def part(kind: str, model: str | None) -> Part:
        key = kind, model or ""
        return found.setdefault(key, Part(*key))

    have = (
        registry.working_nodes()
        .order_by()
        .values_list("cluster__centre__kind", "accelerator_model__name")
    )
    rows = have.annotate(Count("id"), Sum("cores"), Sum("accelerators"))
    for kind, model, nodes, cores, cards in rows:
        row = part(kind, model)
        row.nodes, row.cores, row.cards = nodes, cores, cards
    busy = (
        visible(Attempt, viewer)
        .filter(state__in=Attempt.LIVE)
        .order_by()
        .values_list("node__cluster__centre__kind", "node__accelerator_model__name")
    )
    for kind, model, cores, cards in busy.annotate(Sum("job__cores"), Sum("job__accelerators")):
        row = part(kind, model)
        row.cores_busy, row.cards_busy = cores, cards
    return [found[key] for key in sorted(found)]


def largest_waiting(viewer: Viewer) -> QuerySet[Job]:
    """The largest of the jobs that wait: by cards, then cores, then time."""
    waiting = visible(Job, viewer).filter(state=Job.State.QUEUED).select_related("organisation")
    return waiting.order_by(
        F("accelerators").desc(), F("cores").desc(), F("walltime_seconds").desc(), "pk"
    )[:LARGEST_MAX]
