"""What the nodes of clusters have, what the city's jobs hold of it, and what others use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Q, Sum

from suanwang.jobs import queries as jobs
from suanwang.registry.models import Node


@dataclass
class Use:
    """Sums over the nodes of one cluster that are up."""

    nodes: int = 0
    cores: int = 0
    cards: int = 0
    cores_ours: int = 0
    cards_ours: int = 0
    cores_others: int = 0
    cards_others: int = 0
    told: bool = False
    """Whether its engine tells what others use."""


def of_clusters(clusters: Iterable[UUID]) -> dict[UUID, Use]:
    """By cluster, in two queries."""
    found = {cluster: Use() for cluster in clusters}
    sums = (
        Node.objects.filter(cluster_id__in=found, up=True)
        .order_by()
        .values_list("cluster_id")
        .annotate(
            Count("id"),
            Sum("cores"),
            Sum("accelerators"),
            Sum("others_cores", default=0),
            Sum("others_accelerators", default=0),
            told=Count("id", filter=Q(others_cores__isnull=False)),
        )
    )
    for cluster, nodes, cores, cards, others_cores, others_cards, told in sums:
        use = found[cluster]
        use.nodes, use.cores, use.cards, use.told = nodes, cores, cards, told > 0
        use.cores_others, use.cards_others = others_cores, others_cards
    for cluster, cores, cards in jobs.held_by_cluster(found):
        found[cluster].cores_ours, found[cluster].cards_ours = cores, cards
    return found
