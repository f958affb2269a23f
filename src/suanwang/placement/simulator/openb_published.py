"""The published medians of the openb protocol, to be told beside a run of our own."""

from __future__ import annotations

from functools import cache
from importlib import resources

import yaml


@cache
def published() -> dict[str, dict[str, list[float]]]:
    """By list and policy: per cent unallocated at ``openb.COLUMNS``, median of seeds 42 to 51."""
    source = resources.files("suanwang.placement.simulator") / "openb_published.yaml"
    found: dict[str, dict[str, list[float]]] = yaml.safe_load(source.read_text(encoding="utf-8"))
    return found
