"""Takes a job: decides whether this cluster can have it at all, and puts its objects there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from suanwang.core.jobspec import WHOLE_CARD, JobSpec
from suanwang.engines.kubernetes import manifest, shared
from suanwang.engines.kubernetes.client import ApiRefused, Client
from suanwang.engines.kubernetes.nodes import Node
from suanwang.engines.kubernetes.settings import KubernetesSettings
from suanwang.engines.kubernetes.vendors import Card, Vendors
from suanwang.engines.port import Rejected, Submission

GROUP: Final = "scheduling.volcano.sh/v1beta1"


class Places:
    """Where the objects of one namespace are."""

    def __init__(self, namespace: str) -> None:
        self.jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self.pods = f"/api/v1/namespaces/{namespace}/pods"
        self.secrets = f"/api/v1/namespaces/{namespace}/secrets"
        self.services = f"/api/v1/namespaces/{namespace}/services"
        self.pod_groups = f"/apis/{GROUP}/namespaces/{namespace}/podgroups"


class Submitter:
    """Submits one job after the other."""

    def __init__(self, client: Client, settings: KubernetesSettings, vendors: Vendors) -> None:
        self._client, self._settings, self._vendors = client, settings, vendors
        self._places = Places(client.namespace)

    def submit(self, one: Submission, nodes: Sequence[Node]) -> dict[str, Any] | Rejected:
        """The Job as the API has it now. Raises ``EngineUnavailable``; then ask again.

        What is there first stays: neither script nor Job of an attempt are ever changed.
        """
        name = manifest.job_name(one.key)
        if name is None:
            return Rejected(one.key[:64], True, "engine_key_unusable", "no name of an object")
        card = self._card(one.spec, nodes)
        if (refused := self._refuse(one, nodes, card)) is not None:
            return refused
        if self._settings.shared is not None:
            shared.prepare(self._settings.shared, self._settings.run_as_user, name, one)
        try:
            for path, body in self._objects(name, one, card):
                self._apply(path, name, body)
            return self._apply(
                self._places.jobs, name, manifest.job(name, one, self._settings, card)
            )
        except ApiRefused as refusal:
            return self._rejected(one.key, name, refusal)

    def remove(self, name: str) -> None:
        """Delete all of a job. Raises ``EngineUnavailable`` or ``ApiRefused``; then ask again."""
        places, gangs = self._places, self._settings.volcano is not None
        self._client.delete(f"{places.jobs}/{name}")
        self._client.delete(f"{places.secrets}/{name}")
        for path in (places.services, places.pod_groups) if gangs else ():
            self._client.delete(f"{path}/{name}")

    def _objects(
        self, name: str, one: Submission, card: Card | None
    ) -> list[tuple[str, dict[str, Any]]]:
        """What must be there before the Job."""
        places, settings = self._places, self._settings
        found = [(places.secrets, manifest.secret(name, one, settings))]
        if settings.volcano is not None:
            found.append((places.pod_groups, manifest.pod_group(name, one, settings.volcano, card)))
        if one.spec.nodes > 1:
            found.append((places.services, manifest.service(name, one)))
        return found

    def _apply(self, path: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._client.apply(f"{path}/{name}", body)
        except ApiRefused as refusal:
            # It is there, with other content, and may not be changed: then it stays as it is.
            if not refusal.immutable:
                raise
            return {} if path == self._places.secrets else self._client.get(f"{path}/{name}")

    def _rejected(self, key: str, name: str, refusal: ApiRefused) -> Rejected:
        native = str(refusal)[:400]
        if refusal.status not in (400, 413, 422):
            code = "engine_forbidden" if refusal.status == 403 else "engine_cannot_prepare"
            return Rejected(key, False, code, native)
        self._client.delete(f"{self._places.secrets}/{name}")
        return Rejected(key, True, "engine_refused_job", native)

    def _refuse(self, one: Submission, nodes: Sequence[Node], card: Card | None) -> Rejected | None:
        """What this cluster will never run, said before anything is put there."""
        spec, settings = one.spec, self._settings

        def no(code: str, why: str) -> Rejected:
            return Rejected(one.key, True, code, why)

        if spec.nodes > 1 and settings.volcano is None:
            return no("engine_no_gangs", "several nodes at once need Volcano")
        if spec.files_out and settings.shared is None:
            return no("engine_no_files_out", "no shared volume: files cannot be brought out")
        if spec.accelerators and spec.card_milli != WHOLE_CARD:
            return no("engine_no_card_shares", "only whole cards here")
        if spec.accelerators and card is None:
            return no("engine_no_node_fits", "no node has such cards, or not so many")
        if nodes and not _fits(spec, nodes, card):
            return no("engine_no_node_fits", "no node has so much")
        if (size := manifest.size(one, settings)) > manifest.CONTENT_BYTES_MAX:
            native = f"script, environment and files in are {size} bytes together"
            return no("engine_job_too_large", f"{native}; a Secret takes 1 MiB")
        return None

    def _card(self, spec: JobSpec, nodes: Sequence[Node]) -> Card | None:
        """By which name to ask for cards. Any model: the one of which most fit."""
        if not spec.accelerators:
            return None
        if spec.accelerator_model is not None:
            known = self._vendors.cards(spec.accelerator_model)
        else:
            there = sorted({name for node in nodes for name in node.whole})
            known = [Card("", name) for name in there if name in self._vendors.resources]
            if spec.capability is not None and len(known) > 1:
                return None  # which of them can do it is not known here
        if not nodes:
            return known[0] if known else None
        rooms = [(_room(spec, nodes, card), card) for card in known]
        room, best = max(rooms, key=lambda pair: pair[0], default=(0, None))
        return best if room else None


def _room(spec: JobSpec, nodes: Sequence[Node], card: Card | None) -> int:
    """How many times a node's part of the job fits into what the nodes have."""
    cores, memory_mib, cards = spec.per_node
    room = 0
    for node in nodes:
        if card is not None and not (card.on(node.labels) or not node.labels):
            continue
        parts = [
            node.whole.get("cpu", Fraction(0)) // cores,
            node.whole.get("memory", Fraction(0)) // (memory_mib << 20),
        ]
        if card is not None and cards:
            parts.append(node.whole.get(card.resource, Fraction(0)) // cards)
        room += max(int(min(parts)), 0)
    return room


def _fits(spec: JobSpec, nodes: Sequence[Node], card: Card | None) -> bool:
    return _room(spec, nodes, card) >= spec.nodes
