"""Policies by name: the core as the city runs it, and what it is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

from suanwang.core.errors import NotFound
from suanwang.placement import core as city_core
from suanwang.placement.memory import Memory
from suanwang.placement.simulator import baseline
from suanwang.placement.simulator.events import Core
from suanwang.placement.simulator.scenario import Scenario
from suanwang.placement.terms import Policy

Backfill = Literal["none", "easy", "conservative"]


class Named(NamedTuple):
    """A policy and the core that carries it out."""

    name: str
    core: Core
    policy: Policy


def _plain(order: str, backfill: Backfill = "easy", packing: str = "bestfit") -> Policy:
    return Policy(order=order, backfill=backfill, packing=packing)


_BASELINES: Mapping[str, Policy] = {
    "fcfs": _plain("fcfs", "none"),
    "easy": _plain("fcfs"),
    "sjf": _plain("sjf"),
    "smallest_area": _plain("smallest_area"),
    "f1": _plain("f1"),
    "bestfit": _plain("fcfs"),
    "random": _plain("fcfs", packing="random"),
}
"""By ``baseline.decide``. ``bestfit`` is the name of ``easy`` among packing rules."""
NAMES = ("ours", *_BASELINES)


def named(name: str, scenario: Scenario, *, seed: int = 0) -> Named:
    """A policy with the city's weights and quotas. Refuses ``simulator_policy_unknown``."""
    if name == "ours":
        core: Core = partial(city_core.decide, memory=Memory())
        policy = Policy()
    elif name in _BASELINES:
        core, policy = baseline.decide, _BASELINES[name]
    else:
        raise NotFound("simulator_policy_unknown", name=name[:40], names=", ".join(NAMES))
    return Named(
        name,
        core,
        replace(policy, weights=dict(scenario.weights), quotas=tuple(scenario.quotas), seed=seed),
    )
