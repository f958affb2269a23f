"""What the cluster has, and what others hold of it: from its nodes, or the namespace's quota.

Nodes and other users' Pods are facts of the whole cluster. Where these may not be read, a
ResourceQuota of the namespace says how much it may use; where there is none, nothing is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from suanwang.engines.kubernetes.client import ApiRefused, Client
from suanwang.engines.kubernetes.facts import ATTEMPT, MANAGED, SELECTOR, condition, mapping
from suanwang.engines.kubernetes.quantity import amount
from suanwang.engines.kubernetes.settings import KubernetesSettings
from suanwang.engines.kubernetes.vendors import Vendors
from suanwang.engines.others import Amount, all_but, as_use
from suanwang.engines.port import Accelerators, NodeFacts

_LIVE = "status.phase!=Succeeded,status.phase!=Failed"
_MIB = 1 << 20


@dataclass(frozen=True)
class Node:
    """A node that takes work, by the names Kubernetes has."""

    name: str
    labels: Mapping[str, Any]
    whole: Mapping[str, Fraction]
    """By resource: cores, bytes, cards."""
    others: Counter[str] | None = None
    """What Pods that are not ours have asked for, by resource."""


@dataclass
class Survey:
    """All of them, and what could not be read."""

    nodes: list[Node] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bounded_by_quota: bool = False
    others_known: bool = False


def survey(client: Client, settings: KubernetesSettings) -> Survey:
    """Look at the cluster as far as we may. Raises ``EngineUnavailable``."""
    found = Survey()
    try:
        found.nodes = _nodes(client, settings)
    except ApiRefused as refusal:
        found.notes.append(
            f"nodes may not be read ({refusal.reason}): the quota says what there is"
        )
        return _by_quota(client, found)
    try:
        others = _others(client)
    except ApiRefused as refusal:
        found.notes.append(
            f"others' pods may not be read ({refusal.reason}): what they hold is not known"
        )
        return found
    found.nodes = [
        Node(node.name, node.labels, node.whole, others.get(node.name, Counter()))
        for node in found.nodes
    ]
    found.others_known = True
    return found


def _nodes(client: Client, settings: KubernetesSettings) -> list[Node]:
    """Those that are ready and take new Pods."""
    wanted = ",".join(f"{name}={value}" for name, value in settings.node_selector.items())
    nodes = []
    for page in client.pages("/api/v1/nodes", **({"labelSelector": wanted} if wanted else {})):
        for one in page["items"]:
            meta, spec, status = (
                mapping(one, "metadata"),
                mapping(one, "spec"),
                mapping(one, "status"),
            )
            if spec.get("unschedulable") or not condition(status, "Ready"):
                continue
            if not _bearable(spec.get("taints"), settings):
                continue
            whole = {name: amount(text) for name, text in mapping(status, "allocatable").items()}
            nodes.append(Node(str(meta.get("name")), mapping(meta, "labels"), whole))
    return nodes


def _bearable(taints: Any, settings: KubernetesSettings) -> bool:
    for taint in taints if isinstance(taints, list) else ():
        if not isinstance(taint, dict) or taint.get("effect") == "PreferNoSchedule":
            continue
        if not any(
            one.key == taint.get("key")
            and one.effect in ("", taint.get("effect"))
            and (one.operator == "Exists" or one.value == taint.get("value", ""))
            for one in settings.tolerations
        ):
            return False
    return True


def _others(client: Client) -> dict[str, Counter[str]]:
    """By node, what the Pods on it have asked for that are not ours."""
    held: dict[str, Counter[str]] = {}
    for page in client.pages("/api/v1/pods", fieldSelector=_LIVE):
        for one in page["items"]:
            spec = mapping(one, "spec")
            if isinstance(node := spec.get("nodeName"), str) and not _ours(client, one):
                held.setdefault(node, Counter()).update(_asked(spec))
    return held


def _ours(client: Client, pod: Any) -> bool:
    meta = mapping(pod, "metadata")
    labels = mapping(meta, "labels")
    managed = all(labels.get(name) == value for name, value in MANAGED.items())
    return managed and ATTEMPT in labels and meta.get("namespace") == client.namespace


def _held_by_ours(client: Client) -> Counter[str]:
    """What our Pods in the namespace have asked for."""
    held: Counter[str] = Counter()
    path = f"/api/v1/namespaces/{client.namespace}/pods"
    for page in client.pages(path, labelSelector=SELECTOR, fieldSelector=_LIVE):
        for one in page["items"]:
            if _ours(client, one):
                held.update(_asked(mapping(one, "spec")))
    return held


def _asked(spec: Mapping[str, Any]) -> dict[str, Fraction]:
    """The sum over containers, or what one init container wants if that is more."""
    total: dict[str, Fraction] = {"pods": Fraction(1)}
    for kind, together in (("containers", True), ("initContainers", False)):
        found = spec.get(kind)
        for container in found if isinstance(found, list) else ():
            asked = mapping(mapping(container, "resources"), "requests")
            for name, text in asked.items():
                so_far = total.get(name, Fraction(0))
                total[name] = so_far + amount(text) if together else max(so_far, amount(text))
    return total


def _by_quota(client: Client, found: Survey) -> Survey:
    """The tightest of the namespace's quotas, as if it were one node."""
    hard: dict[str, Fraction] = {}
    used: Counter[str] = Counter()
    path = f"/api/v1/namespaces/{client.namespace}/resourcequotas"
    try:
        quotas = [one for page in client.pages(path) for one in page["items"]]
    except ApiRefused as refusal:
        found.notes.append(
            f"quotas may not be read ({refusal.reason}): what there is, is not known"
        )
        return found
    for quota in quotas:
        status = mapping(quota, "status")
        for name, text in mapping(status, "hard").items():
            plain = name.removeprefix("requests.").removeprefix("limits.")
            left, limit = mapping(status, "used").get(name), amount(text)
            if plain not in hard or limit < hard[plain]:
                hard[plain] = limit
                used[plain] = amount(left)  # type: ignore[assignment]
    if hard.get("cpu") and hard.get("memory"):
        others = None
        try:
            others = used - _held_by_ours(client)  # what would be less than nothing is left out
        except ApiRefused as refusal:
            found.notes.append(f"pods may not be read ({refusal.reason}): others are not known")
        found.nodes = [Node(f"namespace {client.namespace}", {}, hard, others)]
        found.bounded_by_quota, found.others_known = True, others is not None
    else:
        found.notes.append("no quota bounds cpu and memory: what there is, is not known")
    return found


def facts(found: Survey, vendors: Vendors) -> tuple[NodeFacts, ...]:
    """As the port tells it; nodes too small for any job are left out."""
    told = []
    for node in found.nodes:
        cores, memory_mib = _plain(node.whole)
        if cores < 1 or memory_mib < 16:
            continue
        cards = _cards(node, node.whole, vendors)
        others = None
        if node.others is not None:
            left = {name: max(much - node.others[name], 0) for name, much in node.whole.items()}
            rest = _cards(node, left, vendors)
            others = as_use(
                all_but(
                    Amount(*_plain(left), _count(rest)), Amount(cores, memory_mib, _count(cards))
                ),
                cards,
            )
        told.append(NodeFacts(node.name, cores, memory_mib, cards, others))
    return tuple(told)


def _plain(amounts: Mapping[str, Any]) -> tuple[int, int]:
    return int(amounts.get("cpu", 0)), int(amounts.get("memory", 0) // _MIB)


def _count(cards: tuple[Accelerators, ...]) -> int:
    return sum(one.count for one in cards)


def _cards(node: Node, amounts: Mapping[str, Any], vendors: Vendors) -> tuple[Accelerators, ...]:
    counted: Counter[str] = Counter()
    for name, much in amounts.items():
        if name in vendors.resources and int(node.whole.get(name, 0)):
            counted[vendors.model_on(name, node.labels)] += int(much)
    return tuple(Accelerators(model, count) for model, count in sorted(counted.items()))
