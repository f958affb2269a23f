"""From what a job asks for to what Slurm is asked for, and what no node here could ever give."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from suanwang.core.jobspec import WHOLE_CARD, JobSpec
from suanwang.engines.others import Amount, Holding, Others, as_use
from suanwang.engines.port import Accelerators, NodeFacts, NodeUse
from suanwang.engines.slurm.rows import JobRow, NodeRow, PartitionLimits, cards
from suanwang.engines.slurm.settings import SlurmSettings
from suanwang.engines.slurm.spool import Spool
from suanwang.engines.slurm.transport import NotTaken, Transport
from suanwang.engines.slurm.watch import Watch

_INVENTORY_POLLS = 10
"""Nodes are looked at once in so many polls."""
_CARDS = ("gpu", "npu", "mlu", "dcu")
"""The GRES that are cards; others (licences, local disks) are none."""


class Models:
    """The platform's names of card models and Slurm's GRES, by the provider's table."""

    def __init__(self, settings: SlurmSettings) -> None:
        self._gres = settings.accelerators
        self._models = {gres: model for model, gres in settings.accelerators.items()}

    def of(self, gres: str) -> tuple[Accelerators, ...]:
        """The cards in a node's GRES. What the table does not name goes by its own type."""
        found: dict[str, int] = {}
        for name, count in cards(gres).items():
            kind, _, typed = name.partition(":")
            if kind in _CARDS or name in self._models:
                model = self._models.get(name) or typed or kind
                found[model] = found.get(model, 0) + count
        return tuple(Accelerators(model, count) for model, count in sorted(found.items()))

    def gres(self, spec: JobSpec, nodes: Sequence[NodeRow]) -> str | None:
        """For each node of the job. Raises ``NotTaken`` for a model nobody here has."""
        wanted = spec.per_node[2]
        if wanted == 0:
            return None
        if spec.card_milli != WHOLE_CARD:
            raise NotTaken(True, "engine_no_card_shares", "cards are given whole here")
        here = {name for node in nodes for name in cards(node.gres)}
        model = spec.accelerator_model
        if model is None:
            kinds = {name.partition(":")[0] for name in here} & set(_CARDS) or {"gpu"}
            return f"{min(kinds)}:{wanted}"
        named = {name for name in here if name.partition(":")[2] == model}
        gres = self._gres.get(model) or min(named, default=None)
        if gres is None:
            raise NotTaken(True, "engine_no_such_card", f"no GRES here is {model[:80]!r}")
        return f"{gres}:{wanted}"


def node_facts(node: NodeRow, models: Models, others: Amount) -> NodeFacts:
    """A node, and what others hold of it: all of one that is kept for them."""
    whole = models.of(node.gres)
    use = as_use(others, whole)
    if node.reserved:
        use = NodeUse(node.cores, node.memory_mib, whole)
    return NodeFacts(node.name, node.cores, node.memory_mib, whole, use)


def taken(node: NodeRow, models: Models) -> Amount:
    """What all jobs hold of a node, ours too."""
    return Amount(node.cores_used, node.memory_mib_used, _count(models.of(node.gres_used)))


def holding(row: JobRow, models: Models) -> Holding | None:
    """What a job of ours holds; none while it waits."""
    held = row.holds
    if held is None:
        return None
    return Holding(held.nodes, Amount(held.cores, held.memory_mib, _count(models.of(held.gres))))


def _count(cards: Sequence[Accelerators]) -> int:
    return sum(one.count for one in cards)


def check(
    spec: JobSpec, gres: str | None, nodes: Sequence[NodeRow], limits: PartitionLimits
) -> None:
    """Refuse what could never start here. Slurm itself would let much of it wait for ever."""
    cores, memory_mib, _ = spec.per_node
    fit = [
        node
        for node in nodes
        if cores <= node.cores and memory_mib <= node.memory_mib and _has(node, gres)
    ]
    if len(fit) < spec.nodes or (limits.nodes is not None and spec.nodes > limits.nodes):
        told = f"{spec.nodes} nodes with {cores} cores, {memory_mib} MiB, {gres or 'no cards'}"
        raise NotTaken(True, "engine_no_node_fits", f"there are not {told}")
    most = limits.walltime_seconds
    if most is not None and spec.walltime_seconds > most:
        raise NotTaken(True, "engine_walltime_too_long", f"at most {most} seconds here")


def _has(node: NodeRow, gres: str | None) -> bool:
    if gres is None:
        return True
    name, _, count = gres.rpartition(":")
    there = sum(
        number
        for kind, number in cards(node.gres).items()
        if kind == name or kind.startswith(f"{name}:")
    )
    return there >= int(count)


class Offer:
    """What the cluster has, looked at now and then, and whether a job could ever have it."""

    def __init__(
        self, transport: Transport, settings: SlurmSettings, watch: Watch, spool: Spool
    ) -> None:
        self._transport = transport
        self._watch = watch
        self._spool = spool
        self._models = Models(settings)
        self._pause = settings.poll_seconds * _INVENTORY_POLLS
        self._nodes: list[NodeRow] = []
        self._others = Others()
        self._held_by_others: Mapping[str, Amount] = {}
        self._limits = PartitionLimits()
        self._looked_at = float("-inf")
        self._no_partition: NotTaken | None = None

    def facts(self) -> list[NodeFacts]:
        """The nodes that take work: those that are down or drained are left out."""
        self._look()
        return [
            node_facts(node, self._models, self._held_by_others.get(node.name, Amount()))
            for node in self._nodes
            if node.usable
        ]

    def gres_for(self, spec: JobSpec) -> str | None:
        """The cards of a job on each node. Raises ``NotTaken`` where it could never start."""
        self._look()
        if self._no_partition is not None:
            raise self._no_partition
        gres = self._models.gres(spec, self._nodes)
        check(spec, gres, self._nodes, self._limits)
        return gres

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= self._pause:
            try:
                limits, no_partition = self._transport.limits(), None
            except NotTaken as error:
                limits, no_partition = PartitionLimits(), error
            before = self._ours()
            self._nodes = self._transport.nodes()
            after = self._ours(after=time.monotonic())
            told = {node.name: taken(node, self._models) for node in self._nodes}
            self._held_by_others = self._others.hold(told, before, after)
            self._limits, self._no_partition = limits, no_partition
            self._looked_at = now

    def _ours(self, *, after: float = float("-inf")) -> dict[str, Holding]:
        """What jobs hold that went through this engine; whoever else is of our name is another."""
        live, known = self._watch.live(after=after), self._spool.open_ids()
        return {
            row.name: held
            for row in live.values()
            if row.job_id in known and (held := holding(row, self._models)) is not None
        }
