"""What is free on the nodes a decision named, counted again under their locks, card by card.

That is the whole less what others use by the last report, less what live attempts hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from django.db.models import Q

from suanwang.jobs.asks import room
from suanwang.jobs.models import Attempt
from suanwang.placement import WHOLE_CARD, Room
from suanwang.placement.others import of_others
from suanwang.registry.models import Node


class Floor:
    """The locked nodes and what is left of each. Runs inside the caller's transaction."""

    def __init__(self, wanted: Collection[int]) -> None:
        rows = Node.objects.select_for_update(no_key=True).filter(pk__in=wanted, up=True)
        self.nodes = {node.pk: node for node in rows.order_by("id")}
        self._cores = {pk: node.cores * 1000 for pk, node in self.nodes.items()}
        self._memory = {pk: node.memory_mib for pk, node in self.nodes.items()}
        self._cards = {pk: [WHOLE_CARD] * node.accelerators for pk, node in self.nodes.items()}
        for node, held, cards in _held(wanted):
            if node in self.nodes:
                self._take(node, held, cards)
        for each in self.nodes.values():
            self._take_theirs(each)

    def take(
        self, nodes: Sequence[int], asked: Room, wished: Sequence[Sequence[int]]
    ) -> list[list[int]] | None:
        """Hold a job's room on all of its nodes and say which cards on each; None: there is not
        enough on one of them any more, and nothing is held.
        """
        chosen: list[list[int]] = []
        for position, node in enumerate(nodes):  # one may be there twice: spread "node"
            wish = list(wished[position]) if position < len(wished) else []
            cards = self._cards_for(node, asked, wish)
            if cards is None:
                for held, given in zip(nodes, chosen, strict=False):
                    self._take(held, asked, given, -1)
                return None
            self._take(node, asked, cards)
            chosen.append(cards)
        return chosen if asked.cards else []

    def _cards_for(self, node: int, asked: Room, wish: list[int]) -> list[int] | None:
        """Cards of a node for one part of a job; None: it has no room for it."""
        if node not in self.nodes or not self._has(node, asked):
            return None
        cards = wish if self._free(node, asked, wish) else self._first_free(node, asked)
        return cards if len(cards) >= asked.cards else None

    def _has(self, node: int, asked: Room) -> bool:
        return asked.core_milli <= self._cores[node] and asked.memory_mib <= self._memory[node]

    def _free(self, node: int, asked: Room, cards: Sequence[int]) -> bool:
        left = self._cards[node]
        return len(set(cards)) == asked.cards and all(
            0 <= card < len(left) and left[card] >= asked.card_milli for card in cards
        )

    def _first_free(self, node: int, asked: Room) -> list[int]:
        """The fullest cards with room, so that whole ones stay whole."""
        left = self._cards[node]
        open_cards = [card for card, milli in enumerate(left) if milli >= asked.card_milli]
        return sorted(open_cards, key=lambda card: (left[card], card))[: asked.cards]

    def _take_theirs(self, node: Node) -> None:
        """What others of the centre use, as the core counts it: cards ours use least."""
        pk = node.pk
        self._cores[pk] -= (node.others_cores or 0) * 1000
        self._memory[pk] -= node.others_memory_mib or 0
        for card in of_others(self._cards[pk], node.others_accelerators or 0):
            self._cards[pk][card] -= WHOLE_CARD

    def _take(self, node: int, held: Room, cards: Sequence[int], sign: int = 1) -> None:
        self._cores[node] -= sign * held.core_milli
        self._memory[node] -= sign * held.memory_mib
        known = cards if len(cards) == held.cards else self._first_free(node, held)
        for card in known:
            if card < len(self._cards[node]):  # a node may have lost cards under a running job
                self._cards[node][card] -= sign * held.card_milli


def _held(nodes: Collection[int]) -> Iterator[tuple[int, Room, list[int]]]:
    """What each live attempt holds on each of some nodes; those that name their cards first."""
    rows = (
        Attempt.objects.filter(state__in=Attempt.LIVE)
        .filter(Q(node_id__in=nodes) | Q(nodes_more__overlap=list(nodes)))
        .values_list(
            "node_id",
            "nodes_more",
            "cards",
            "job__cores",
            "job__memory_mib",
            "job__accelerators",
            "job__nodes",
            "job__card_milli",
        )
    )
    for node, more, cards, *totals in sorted(rows, key=lambda row: not row[2]):
        for position, each in enumerate((node, *more)):
            yield each, room(*totals), cards[position] if position < len(cards) else []
