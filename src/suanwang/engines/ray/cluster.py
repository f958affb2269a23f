"""The nodes of a Ray cluster, and what a job takes of them in Ray's words."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from suanwang.core.jobspec import WHOLE_CARD, JobSpec
from suanwang.engines.others import Amount, Holding, Others, as_use
from suanwang.engines.port import Accelerators, EngineState, NodeFacts
from suanwang.engines.ray.dashboard import Dashboard, RayJob, RayNode
from suanwang.engines.ray.endings import STATES
from suanwang.engines.ray.records import Records
from suanwang.engines.ray.settings import GPU, Cards, RaySettings

_CPU, _MEMORY = "CPU", "memory"
_MARKER_SHARE: Final = 0.001
"""Ray counts markers too: a job takes the least there is of one."""
HOLDS: Final = "suanwang_holds"
"""In a submission's metadata: milli-cores, MiB and milli-cards of it."""
_ROUNDING: Final = 1e-6
_FRESH_SECONDS: Final = 5
_REMEMBERED_SECONDS: Final = 3600


@dataclass(frozen=True)
class Demand:
    """What one job takes, all of it on one node."""

    cores: int
    memory_bytes: int
    resources: Mapping[str, float] = field(default_factory=dict)

    @property
    def entrypoint(self) -> dict[str, Any]:
        """The fields of a submission."""
        custom = {name: amount for name, amount in self.resources.items() if name != GPU}
        wanted: dict[str, Any] = {
            "entrypoint_num_cpus": self.cores,
            "entrypoint_memory": self.memory_bytes,
        }
        if GPU in self.resources:
            wanted["entrypoint_num_gpus"] = self.resources[GPU]
        if custom:
            wanted["entrypoint_resources"] = custom
        return wanted

    @property
    def told(self) -> str:
        """What it holds, for the metadata of the submission: Ray itself does not say it again."""
        cards = sum(amount for amount in self.resources.values() if amount > _MARKER_SHARE)
        milli = round(cards * WHOLE_CARD)
        return f"{self.cores * 1000} {self.memory_bytes >> 20} {milli}"

    def fits(self, node: RayNode) -> bool:
        """Whether the node, were it empty, would do."""
        wanted = {_CPU: self.cores, _MEMORY: self.memory_bytes, **self.resources}
        return all(node.resources_total.get(name, 0) >= much for name, much in wanted.items())


def demand(
    spec: JobSpec, settings: RaySettings, nodes: Sequence[RayNode]
) -> tuple[Demand | None, str]:
    """What to ask Ray for, or None and in plain words why no node of the cluster ever fits."""
    if spec.nodes > 1:
        return None, "a Ray job starts on one node; its tasks may use others"
    if spec.accelerators > 1 and spec.card_milli != WHOLE_CARD:
        return None, "Ray counts shares of one card only"
    wanted = [Demand(spec.cores, spec.memory_mib << 20)]
    if spec.accelerators:
        wanted = [
            Demand(spec.cores, spec.memory_mib << 20, _resources(spec, cards))
            for cards in _candidates(spec, settings)
        ]
    for one in wanted:
        if any(one.fits(node) for node in nodes):
            return one, ""
    return None, f"none of {len(nodes)} nodes has so much"


def _candidates(spec: JobSpec, settings: RaySettings) -> list[Cards]:
    if spec.accelerator_model is not None:
        named = settings.accelerators.get(spec.accelerator_model)
        return [named] if named is not None else []
    if spec.capability is not None and len(settings.accelerators) > 1:
        return []  # which of them can do it is not known here
    return list(settings.accelerators.values())


def _resources(spec: JobSpec, cards: Cards) -> dict[str, float]:
    share = spec.card_milli / WHOLE_CARD if spec.card_milli != WHOLE_CARD else 1
    marked = {cards.marker: _MARKER_SHARE} if cards.marker is not None else {}
    return {cards.resource: spec.accelerators * share, **marked}


def facts(
    nodes: Sequence[RayNode], others: Mapping[str, Amount], settings: RaySettings
) -> list[NodeFacts]:
    """The nodes that can take any job at all, with what others hold where Ray says what is taken.

    ``others`` in milli-cores, MiB and milli-cards, by node id.
    """
    names = [node.node_name or node.node_id[:16] for node in nodes]
    found = []
    for node, name in zip(nodes, names, strict=True):
        cores, memory_mib = _amount(node, _CPU), _amount(node, _MEMORY) >> 20
        if cores < 1 or memory_mib < 16:
            continue
        unique = name if names.count(name) == 1 else f"{name}-{node.node_id[:8]}"
        cards, held = _cards(node, settings), others.get(node.node_id)
        use = None
        if held is not None:
            spare = node.resources_total.get(_CPU, 0) - held.cores / 1000
            whole_cores = cores - max(int(spare + _ROUNDING), 0)
            whole = Amount(whole_cores, min(held.memory_mib, memory_mib), -(-held.cards // 1000))
            use = as_use(whole, cards)
        found.append(NodeFacts(unique[:80], cores, memory_mib, cards, use))
    return found


def taken(
    nodes: Sequence[RayNode], in_use: Mapping[str, Mapping[str, float]], settings: RaySettings
) -> dict[str, Amount]:
    """What is taken of each node of which Ray says it: milli-cores, MiB, milli-cards."""
    kinds = {cards.resource for cards in settings.accelerators.values()}
    return {
        node.node_id: Amount(
            round(used.get(_CPU, 0) * 1000),
            int(used.get(_MEMORY, 0)) >> 20,
            round(sum(used.get(_camel(kind), 0) for kind in kinds) * WHOLE_CARD),
        )
        for node in nodes
        if (used := in_use.get(node.node_id)) is not None
    }


def holding(job: RayJob) -> Holding | None:
    """What a job of ours holds, once it is known on which node it runs."""
    if job.driver_node_id is None or STATES.get(job.status) is not EngineState.RUNNING:
        return None
    told = (job.metadata or {}).get(HOLDS, "").split()
    if len(told) != len(Amount._fields) or not all(one.isdecimal() for one in told):
        return None
    return Holding((job.driver_node_id,), Amount(*(int(one[:18]) for one in told)))


def _cards(node: RayNode, settings: RaySettings) -> tuple[Accelerators, ...]:
    return tuple(
        Accelerators(model, count)
        for model, cards in settings.accelerators.items()
        if cards.marker is None or cards.marker in node.resources_total
        if (count := _amount(node, cards.resource)) > 0
    )


def _amount(node: RayNode, name: str) -> int:
    return max(int(node.resources_total.get(name, 0)), 0)


def _camel(name: str) -> str:
    """As the dashboard rewrites names in its status."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


class Roster:
    """The nodes as last asked for, and those that were there a while ago."""

    def __init__(self, dashboard: Dashboard, records: Records, settings: RaySettings) -> None:
        self._dashboard = dashboard
        self._records = records
        self._settings = settings
        self._nodes: list[RayNode] = []
        self._asked_at = -math.inf
        self._facts: list[NodeFacts] = []
        self._facts_at = -math.inf
        self._seen: dict[str, tuple[float, RayNode]] = {}
        self._others = Others()
        self._taken: dict[str, Amount] = {}
        self._ours: dict[str, Holding] = {}

    def alive(self, *, within_seconds: float = _FRESH_SECONDS) -> list[RayNode]:
        """The nodes that are up, asked for anew if that is longer ago."""
        now = time.monotonic()
        if now - self._asked_at > within_seconds:
            self._nodes, self._asked_at = self._dashboard.nodes(), now
            old = now - _REMEMBERED_SECONDS
            self._seen = {name: one for name, one in self._seen.items() if one[0] > old}
            self._seen |= {node.node_name or node.node_id: (now, node) for node in self._nodes}
        return self._nodes

    def lately(self) -> list[RayNode]:
        """As ``alive``, with those that went away within the last hour: they may come back."""
        return [node for _, node in self._seen.values()]

    def facts(self) -> list[NodeFacts]:
        now = time.monotonic()
        if now - self._facts_at > _FRESH_SECONDS:
            nodes = self.alive(within_seconds=0)
            self._facts = facts(nodes, self._held_by_others(nodes), self._settings)
            self._facts_at = now
        return self._facts

    def _held_by_others(self, nodes: Sequence[RayNode]) -> Mapping[str, Amount]:
        """By node id. Ray tells what is taken seconds late, and of a job that is being started
        not yet on which node it is; so what is told is what was taken at two looks, and ours are
        those of both looks."""
        now = taken(nodes, self._dashboard.in_use(), self._settings)
        steady = {
            node: Amount(*map(min, amount, self._taken.get(node, amount)))
            for node, amount in now.items()
        }
        before, after = self._ours, self._running()
        self._taken, self._ours = now, after
        return self._others.hold(steady, before, after)

    def _running(self) -> dict[str, Holding]:
        """What jobs hold that this engine gave to Ray. What their tasks take beside that, nobody
        counts as ours."""
        jobs = self._dashboard.jobs()
        held = {ref: one for ref, job in jobs.items() if (one := holding(job)) is not None}
        known = self._records.get(held)
        return {ref: one for ref, one in held.items() if ref in known}
