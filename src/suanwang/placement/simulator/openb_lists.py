"""Reads openb's node list and pod lists, every bad line noted; takes lines, opens nothing.

Alibaba's GPU cluster trace of 2023 (github.com/alibaba/clusterdata, cluster-trace-gpu-v2023). A
node list: sn, cpu_milli, memory_mib, gpu, model. A pod list: name, cpu_milli, memory_mib, num_gpu,
gpu_milli (of each card), and where the list has it gpu_spec, the models that will do: ``A|B``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from suanwang.core.errors import Refused
from suanwang.placement.pool import Need
from suanwang.placement.simulator.problems import Problems
from suanwang.placement.simulator.tables import number_of, rows
from suanwang.placement.terms import WHOLE_CARD

CARDS_MAX = 62
"""Of a node: a bit each, where they are told."""
LARGEST = 1 << 32
NODES_MAX = 200_000
NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
POD_EXTRAS = ("gpu_spec", "qos", "pod_phase", "creation_time", "deletion_time", "scheduled_time")

Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes, an array entry each; those of one model are one group."""

    cores_milli: Whole
    memory_mib: Whole
    cards: Whole
    group: Whole
    models: tuple[str, ...]
    """The model of each group; "" is a node without cards."""

    @property
    def milli(self) -> int:
        """All cards, in thousandths of one."""
        return int(self.cards.sum()) * WHOLE_CARD


@dataclass(frozen=True, slots=True)
class PodList:
    """The pods of a list in the order of their names."""

    needs: tuple[Need, ...]
    """The distinct needs, in the order they first come."""
    kind: Whole
    """Which need each pod has."""

    @property
    def demand(self) -> Whole:
        """Of each need, in thousandths of a card."""
        asked = [need.cards * need.card_milli for need in self.needs]
        return np.array(asked, np.int64)

    @property
    def one_card(self) -> Whole:
        """Of each need, the thousandths asked of a single card; 0 without cards."""
        asked = [need.card_milli if need.cards else 0 for need in self.needs]
        return np.array(asked, np.int64)


def read_cluster(lines: Iterable[str], problems: Problems) -> Cluster:
    """The nodes. Notes ``trace_node_twice`` and what any table may have wrong.

    Refuses ``trace_empty``, ``trace_no_cards``, ``trace_nodes_too_many``.
    """
    found: list[tuple[int, int, int, int]] = []
    models: dict[str, int] = {}
    seen: set[str] = set()
    for line, row in _table(lines, NODE_COLUMNS, (), problems):
        values = _wholes(line, row, ("cpu_milli", "memory_mib", "gpu"), problems)
        if values is None:
            continue
        if row["sn"] in seen:
            problems.note(line, "trace_node_twice", node=row["sn"])
            continue
        if values[2] > CARDS_MAX:
            problems.note(line, "trace_value_wrong", column="gpu", value=row["gpu"])
            continue
        seen.add(row["sn"])
        model = row["model"] if values[2] else ""
        found.append((values[0], values[1], values[2], models.setdefault(model, len(models))))
        if len(found) > NODES_MAX:
            raise Refused("trace_nodes_too_many", most=NODES_MAX)
    if not found:
        raise Refused("trace_empty", skipped=len(problems.found))
    table = np.array(found, np.int64)
    if not table[:, 2].any():
        raise Refused("trace_no_cards", nodes=len(found))
    cores, memory, cards, group = table.T.copy()
    return Cluster(cores, memory, cards, group, tuple(models))


def read_pods(lines: Iterable[str], cluster: Cluster, problems: Problems) -> PodList:
    """The pods that the empty cluster could run, by name.

    A pod that names models of which the cluster has some keeps those. One without cards may run on
    any node, whatever it names. Notes ``job_twice``, ``job_model_unknown``, ``pod_model_ignored``,
    ``job_impossible`` and what any table may have wrong. Refuses ``trace_empty``.
    """
    named: dict[str, Need] = {}
    possible: dict[Need, bool] = {}
    for line, row in _table(lines, POD_COLUMNS, POD_EXTRAS, problems):
        need = _need(line, row, cluster, problems)
        if need is None:
            continue
        if row["name"] in named:
            problems.note(line, "job_twice", job=row["name"])
            continue
        if need not in possible:
            possible[need] = _possible(need, cluster)
        if possible[need]:
            named[row["name"]] = need
            continue
        problems.note(
            line,
            "job_impossible",
            job=row["name"],
            nodes=1,
            cores=f"{need.cores_milli / 1000:g}",
            memory_mib=need.memory_mib,
            cards=need.cards,
        )
    if not named:
        raise Refused("trace_empty", skipped=len(problems.found))
    numbers: dict[Need, int] = {}
    kind = [numbers.setdefault(named[name], len(numbers)) for name in sorted(named)]
    return PodList(tuple(numbers), np.array(kind, np.int64))


def _need(line: int, row: Mapping[str, str], cluster: Cluster, problems: Problems) -> Need | None:
    values = _wholes(line, row, POD_COLUMNS[1:], problems)
    if values is None:
        return None
    cores, memory, cards, milli = values
    if not cards:
        return Need(cores, memory)
    if cards > CARDS_MAX or not 0 < milli <= WHOLE_CARD:
        column = "num_gpu" if cards > CARDS_MAX else "gpu_milli"
        problems.note(line, "trace_value_wrong", column=column, value=row[column])
        return None
    asked = [model for model in row.get("gpu_spec", "").split("|") if model]
    groups = {cluster.models.index(model) for model in asked if model in cluster.models}
    for model in asked:
        if model in cluster.models:
            continue
        if not groups:
            problems.note(line, "job_model_unknown", job=row["name"], model=row["gpu_spec"])
            return None
        problems.note(line, "pod_model_ignored", job=row["name"], model=model)
    return Need(cores, memory, cards, milli, tuple(sorted(groups)) if asked else None)


def _possible(need: Need, cluster: Cluster) -> bool:
    """Whether some node could run it if all were idle."""
    able = (
        (cluster.cores_milli >= need.cores_milli)
        & (cluster.memory_mib >= need.memory_mib)
        & (cluster.cards >= need.cards)
    )
    if need.groups is not None:
        able &= np.isin(cluster.group, need.groups)
    return bool(able.any())


def _table(
    lines: Iterable[str], needed: Sequence[str], known: Sequence[str], problems: Problems
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows; a column nobody knows is noted once and not read."""
    whole = iter(lines)
    first = next(whole, None)
    if first is not None:
        for name in first.strip().lstrip("\ufeff").split(","):
            column = name.strip().strip('"')
            if column not in (*needed, *known):
                problems.note(1, "trace_column_unknown", column=column)
    return rows(chain([] if first is None else [first], whole), needed, problems)


def _wholes(
    line: int, row: Mapping[str, str], columns: Iterable[str], problems: Problems
) -> list[int] | None:
    found = []
    for column in columns:
        value = number_of(row[column])
        if value is None or not 0 <= value <= LARGEST or value != int(value):
            problems.note(line, "trace_value_wrong", column=column, value=row[column])
            return None
        found.append(int(value))
    return found
