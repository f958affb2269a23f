"""From the registry's models of card to the names a cluster has for them, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from suanwang.engines.kubernetes.settings import AcceleratorName


@dataclass(frozen=True)
class Card:
    """A model, the resource to ask for, and which nodes have it: any of a label's values."""

    model: str
    resource: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def on(self, node_labels: Mapping[str, Any]) -> bool:
        return all(node_labels.get(name) in values for name, values in self.labels.items())


class Vendors:
    """The table that ships with the package, and what the site says otherwise."""

    def __init__(self, site: Mapping[str, AcceleratorName]) -> None:
        self._own = [
            Card(model, one.resource, {name: (value,) for name, value in one.node_labels.items()})
            for model, one in site.items()
        ]
        self._rest = [card for card in _shipped() if card.model not in site]
        self.resources = frozenset(card.resource for card in self._own + self._rest)

    def cards(self, model: str) -> list[Card]:
        """The ways this model may be had here, the site's own word alone if there is one."""
        return [card for card in self._own + self._rest if card.model == model]

    def model_on(self, resource: str, node_labels: Mapping[str, Any]) -> str:
        """Which model a node's resource is; the resource's name where that cannot be told."""
        for known in (self._own, self._rest):
            models = {c.model for c in known if c.resource == resource and c.on(node_labels)}
            if len(models) == 1:
                return models.pop()
        return resource


@cache
def _shipped() -> tuple[Card, ...]:
    text = files("suanwang.engines.kubernetes").joinpath("vendors.yaml").read_text("utf-8")
    return tuple(_read(yaml.safe_load(text)["resources"]))


def _read(entries: list[dict[str, Any]]) -> Iterator[Card]:
    for entry in entries:
        for model in entry.get("models", ()):
            yield Card(model, entry["resource"])
        for model, values in entry.get("products", {}).items():
            yield Card(model, entry["resource"], {entry["label"]: tuple(values)})
