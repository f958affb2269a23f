"""What the agent tells of its nodes: all of them once, then only what has changed.

The platform answers with the revision it has. If that is not the one the next report builds on
(it was restored, another agent spoke for the cluster), or it asks, everything is told again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from suanwang.engines.port import Ability, Accelerators, Engine, NodeFacts

Facts = dict[str, Any]


class Inventory:
    """The nodes as last looked at, and as the platform last acknowledged them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.nodes: Sequence[NodeFacts] = ()
        self._known: dict[str, NodeFacts] | None = None
        """None: the platform must be told everything."""
        self._revision = ""

    def look(self) -> None:
        """Ask the engine again. Raises ``EngineUnavailable``; what was known stays."""
        self.nodes = tuple(self._engine.inventory())

    @property
    def changed(self) -> bool:
        """Whether the platform does not know all of it yet."""
        return self._known is None or self._known != _by_name(self.nodes)

    def report(self) -> Facts:
        """The nodes that are new to the platform, on top of which revision, and what it becomes."""
        now = _by_name(self.nodes)
        if self._known is None:
            told, gone, after = list(now.values()), [], ""
        else:
            told = [node for name, node in now.items() if self._known.get(name) != node]
            gone, after = sorted(self._known.keys() - now.keys()), self._revision
        unchanged = bool(after) and not told and not gone
        capabilities = self._engine.capabilities()
        return {
            "nodes": [_as_json(node) for node in told],
            "gone": gone,
            "after": after,
            "revision": after if unchanged else secrets.token_hex(8),
            "engine": capabilities.engine,
            "isolation": capabilities.isolation,
            "gangs": Ability.GANGS in capabilities.abilities,
            "abilities": sorted(capabilities.abilities),
        }

    def acknowledged(self, report: Mapping[str, Any], revision: str, *, full_wanted: bool) -> bool:
        """The platform has answered; False if it must be told everything now.

        ``revision`` is empty from a platform that knows of none: it is told everything each time.
        """
        if full_wanted or revision != report["revision"]:
            self._known, self._revision = None, ""
            return not full_wanted
        self._known, self._revision = _by_name(self.nodes), revision
        return True


def _by_name(nodes: Sequence[NodeFacts]) -> dict[str, NodeFacts]:
    return {node.name: node for node in nodes}


def _as_json(node: NodeFacts) -> Facts:
    found: Facts = {
        "name": node.name,
        "cores": node.cores,
        "memory_mib": node.memory_mib,
        "accelerators": _cards(node.accelerators),
    }
    if node.others is not None:
        found["others"] = {
            "cores": node.others.cores,
            "memory_mib": node.others.memory_mib,
            "accelerators": _cards(node.others.accelerators),
        }
    return found


def _cards(cards: Sequence[Accelerators]) -> list[Facts]:
    return [{"model": one.model, "count": one.count} for one in cards]
