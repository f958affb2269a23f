"""What an agent or a provider says a cluster is made of, checked before it is believed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from suanwang.core.errors import Refused

NODES_MAX = 20_000
CORES_MAX = 65_536
MEMORY_MIB_MAX = 2**30
CARDS_MAX = 1_024


@dataclass(frozen=True)
class NodeReport:
    """One machine as reported: its whole capacity, and what others use of it if that is known."""

    name: str
    cores: int
    memory_mib: int
    accelerators: tuple[tuple[str, int], ...] = ()
    """``(model, count)``; a node holds cards of one model."""
    rack: str = ""
    others: tuple[int, int, int] | None = None
    """Cores, MiB and cards that work held which is not the platform's; None: its engine does not
    tell."""

    @property
    def cards(self) -> tuple[str | None, int]:
        """The model and the number of its cards."""
        held = [(model, count) for model, count in self.accelerators if count]
        return held[0] if held else (None, 0)


def check_inventory(nodes: Sequence[NodeReport]) -> None:
    """Refuse a report that cannot be true, as a whole: half an inventory misleads placement.

    A model of card that the catalogue does not know can be true: what becomes of it is no matter
    of this. Refuses ``inventory_too_large``, ``node_named_twice``, ``node_impossible``,
    ``node_mixes_cards``.
    """
    if len(nodes) > NODES_MAX:
        raise Refused("inventory_too_large", nodes=len(nodes), limit=NODES_MAX)
    if (twice := _first_repeated(node.name for node in nodes)) is not None:
        raise Refused("node_named_twice", node=twice)
    for node in nodes:
        possible = (
            0 < len(node.name) <= 80
            and node.name.isprintable()
            and len(node.rack) <= 40
            and 0 < node.cores <= CORES_MAX
            and 0 < node.memory_mib <= MEMORY_MIB_MAX
            and all(0 <= count <= CARDS_MAX for _, count in node.accelerators)
            and all(0 < len(m) <= 80 and m.isprintable() for m, _ in node.accelerators)
        )
        if not possible:
            raise Refused("node_impossible", node=node.name[:80])
        if sum(1 for _, count in node.accelerators if count) > 1:
            raise Refused("node_mixes_cards", node=node.name)


def _first_repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
