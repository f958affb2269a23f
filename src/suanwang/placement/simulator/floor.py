"""The nodes as they really are: what is free of each, and the last word on every start.

As in production, a decision is carried out only if all of a job's nodes have the room; a centre
known by summary finds the nodes itself, or refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suanwang.placement.terms import WHOLE_CARD, Ask, Machine, Room

Cards = tuple[int, ...]


@dataclass(slots=True)
class _Node:
    machine: Machine
    core_milli: int
    memory_mib: int
    card_milli: list[int]
    up: bool = True

    def holds(self, room: Room) -> bool:
        if not self.up or room.core_milli > self.core_milli or room.memory_mib > self.memory_mib:
            return False
        return room.cards == 0 or self._fitting(room) >= room.cards

    def _fitting(self, room: Room) -> int:
        return sum(free >= room.card_milli for free in self.card_milli)

    def tightest_cards(self, room: Room) -> Cards:
        """The cards with the least left that will do; whole ones stay whole."""
        fitting = [
            (free, number) for number, free in enumerate(self.card_milli) if free >= room.card_milli
        ]
        return tuple(sorted(number for _, number in sorted(fitting)[: room.cards]))


class Floor:
    """What is free. Not safe for two threads."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._nodes = {
            m.id: _Node(m, m.whole.core_milli, m.whole.memory_mib, [WHOLE_CARD] * m.whole.cards)
            for m in machines
        }
        self._by_cluster: dict[object, list[_Node]] = {}
        for node in self._nodes.values():
            self._by_cluster.setdefault(node.machine.cluster_id, []).append(node)

    def take(
        self, ask: Ask, machine_ids: Sequence[int], cards: Sequence[Cards]
    ) -> tuple[Cards, ...] | None:
        """Hold the room on all of the nodes, or on none and answer None; which cards on each.

        ``cards`` may be empty: then the tightest that will do.
        """
        held: list[Cards] = []
        for position, machine_id in enumerate(machine_ids):
            chosen = self._take_one(self._nodes[machine_id], ask.room, cards, position)
            if chosen is None:
                self.give_back(ask.room, machine_ids[:position], held)
                return None
            held.append(chosen)
        return tuple(held)

    def _take_one(
        self, node: _Node, room: Room, cards: Sequence[Cards], position: int
    ) -> Cards | None:
        if not node.holds(room):
            return None
        told = cards[position] if position < len(cards) else ()
        chosen = told or node.tightest_cards(room)
        wrong = len(set(chosen)) != room.cards or any(
            not 0 <= number < len(node.card_milli) or node.card_milli[number] < room.card_milli
            for number in chosen
        )
        if wrong:
            return None
        node.core_milli -= room.core_milli
        node.memory_mib -= room.memory_mib
        for number in chosen:
            node.card_milli[number] -= room.card_milli
        return chosen

    def give_back(self, room: Room, machine_ids: Sequence[int], cards: Sequence[Cards]) -> None:
        """Free what was held."""
        for machine_id, chosen in zip(machine_ids, cards, strict=True):
            node = self._nodes[machine_id]
            node.core_milli += room.core_milli
            node.memory_mib += room.memory_mib
            for number in chosen:
                node.card_milli[number] += room.card_milli

    def found_by_cluster(self, ask: Ask, cluster_id: object) -> list[int] | None:
        """The nodes a centre's own engine would start the job on: tightest first; None: refused.

        One node each, unless the job wants all of it on one.
        """
        room, nodes = ask.room, ask.nodes
        if ask.spread == "node" and nodes > 1:
            room = Room(
                room.core_milli * nodes,
                room.memory_mib * nodes,
                room.cards * nodes,
                room.card_milli,
            )
        able = [node for node in self._by_cluster[cluster_id] if node.holds(room)]
        able.sort(key=lambda n: (sum(n.card_milli), n.core_milli, n.memory_mib, n.machine.id))
        if ask.spread == "node" and nodes > 1:
            return [able[0].machine.id] * nodes if able else None
        return [node.machine.id for node in able[:nodes]] if len(able) >= nodes else None

    def set_up(self, machine_id: int, up: bool) -> None:
        """A node breaks, or is repaired."""
        self._nodes[machine_id].up = up

    def up(self, machine_id: int) -> bool:
        """Whether the node works."""
        return self._nodes[machine_id].up
