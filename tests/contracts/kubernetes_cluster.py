"""The Kubernetes engine on a real cluster, where one is named.

``SUANWANG_TEST_KUBECONFIG`` names credentials for one; nothing else is needed. An administrator's
will do, also of a control plane without any kubelet, as one builds it from Debian's source: where
no node is ready two are played by ``Kubelet``, where no namespace is named one is made, and a
server whose certificate is not to be checked is held to the one it showed first. To try the
engine's own narrow credentials, name those, with their namespace, and the administrator's in
``SUANWANG_TEST_KUBELET_KUBECONFIG``. ``SUANWANG_TEST_IMAGE`` is what jobs run in.
"""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from suanwang.engines.kubernetes.connection import connection
from suanwang.engines.kubernetes.engine import KubernetesEngine
from suanwang.engines.kubernetes.settings import KubernetesSettings
from suanwang.engines.port import EngineUnavailable

from .engine_benches import ended
from .kubernetes_bench import IMAGE, USER, node
from .kubernetes_kubelet import STRATEGIC, Kubelet

NAMED = os.environ.get("SUANWANG_TEST_KUBECONFIG", "")
_ADMINISTRATOR = os.environ.get("SUANWANG_TEST_KUBELET_KUBECONFIG", "") or NAMED
_NAMESPACE = "suanwang-contract"


@pytest.fixture(scope="session")
def kubernetes_cluster() -> Iterator[Path]:
    """The engine's kubeconfig for a cluster that has a namespace and nodes."""
    place = Path(tempfile.mkdtemp(prefix="sw-kubernetes-"))
    place.chmod(0o711)
    own = _usable(Path(NAMED), place / "own.kubeconfig")
    administrator = _usable(Path(_ADMINISTRATOR), place / "administrator.kubeconfig")
    with _client(administrator) as http:
        if _ADMINISTRATOR == NAMED and own.namespace == _NAMESPACE:
            http.post("/api/v1/namespaces", json={"metadata": {"name": _NAMESPACE}})
        kubelets = [] if _some_ready(http) else _played(administrator, http, place)
    yield Path(str(own.kubeconfig))
    for kubelet in kubelets:
        kubelet.stop()
    shutil.rmtree(place, ignore_errors=True)


def _usable(given: Path, into: Path) -> KubernetesSettings:
    """The same credentials as the engine takes them: with a namespace and an authority."""
    found = yaml.safe_load(given.read_text())
    for entry in found["contexts"]:
        entry["context"].setdefault("namespace", _NAMESPACE)
    for entry in found["clusters"]:
        cluster = entry["cluster"]
        if cluster.pop("insecure-skip-tls-verify", False):
            server = urlsplit(cluster["server"])
            shown = ssl.get_server_certificate((server.hostname or "", server.port or 443))
            (given_authority := into.with_suffix(".crt")).write_text(shown)
            cluster["certificate-authority"] = str(given_authority)
        elif authority := cluster.get("certificate-authority"):
            cluster["certificate-authority"] = str(given.parent / authority)
    into.touch(mode=0o600)
    into.write_text(yaml.safe_dump(found))
    wanted = found["current-context"]
    spaces = {one["name"]: one["context"]["namespace"] for one in found["contexts"]}
    return KubernetesSettings(image=IMAGE, kubeconfig=into, namespace=spaces[wanted])


@contextmanager
def _client(settings: KubernetesSettings) -> Iterator[httpx.Client]:
    found = connection(settings)
    headers = {"Authorization": f"Bearer {token}"} if (token := found.token()) else {}
    with httpx.Client(
        base_url=found.server, verify=found.tls or False, trust_env=False, headers=headers
    ) as http:
        yield http


def _some_ready(http: httpx.Client) -> bool:
    """Nodes we played once and left behind are ready for nobody."""
    found = http.get("/api/v1/nodes").raise_for_status().json()["items"]
    ready = [
        one["metadata"]["name"]
        for one in found
        for condition in one["status"].get("conditions", ())
        if condition["type"] == "Ready" and condition["status"] == "True"
    ]
    return not {"n1", "n2"} >= set(ready)


def _played(settings: KubernetesSettings, http: httpx.Client, place: Path) -> list[Kubelet]:
    """Two nodes for a control plane that has none."""
    found = connection(settings)
    client: dict[str, Any] = {"headers": dict(http.headers), "verify": found.tls}
    kubelets = [Kubelet(found.server, name, place / name, **client) for name in ("n1", "n2")]
    for kubelet in kubelets:
        _register(http, kubelet)
    return kubelets


def _register(http: httpx.Client, kubelet: Kubelet) -> None:
    body = node(kubelet.name)
    http.post("/api/v1/nodes", json={"metadata": body["metadata"]})
    status = body["status"] | {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.serve_logs()}},
    }
    at = f"/api/v1/nodes/{kubelet.name}"
    kind = {"Content-Type": STRATEGIC}
    http.patch(f"{at}/status", json={"status": status}, headers=kind).raise_for_status()
    kind = {"Content-Type": "application/merge-patch+json"}
    http.patch(at, json={"spec": {"taints": None}}, headers=kind).raise_for_status()


class ClusterBench:
    """The engine on a real cluster. Jobs are cleared away after each test."""

    streams_apart = False
    brings_files = False
    """No volume that both could reach is known here."""

    def __init__(self, root: Path, kubeconfig: Path) -> None:
        self.root = root
        self.image = os.environ.get("SUANWANG_TEST_IMAGE", "debian:12-slim")
        self.settings = KubernetesSettings(
            image=self.image, kubeconfig=kubeconfig, run_as_user=USER, grace_seconds=5
        )
        self.engine = KubernetesEngine(self.settings, root / "engine")

    def let_pass(self) -> None:
        time.sleep(0.05)

    def again(self) -> None:
        self.engine.close()
        self.engine = KubernetesEngine(self.settings, self.root / "engine")

    def close(self) -> None:
        left = self.engine.find(["a1", "a2", "a3"])
        refs = list(left.values())
        self.engine.cancel(refs, 0)
        for ref in refs:
            ended(self, ref, 60)
        self.engine.forget(refs)
        deadline = time.monotonic() + 60
        while refs and time.monotonic() < deadline:  # a Job may take a while to be gone
            refs = [ref for ref in refs if self._is_there(ref)]
            self.let_pass()
        self.engine.close()

    def image_of(self, ref: str) -> str:
        answer = self._ask(f"pods?labelSelector=job-name%3D{ref}", "/api/v1")
        return str(answer.json()["items"][0]["spec"]["containers"][0]["image"])

    def _is_there(self, ref: str) -> bool:
        answer = self._ask(f"jobs/{ref}", "/apis/batch/v1")
        if answer.status_code not in (200, 404):
            raise EngineUnavailable(answer.text)
        return answer.status_code == 200

    def _ask(self, what: str, where: str) -> httpx.Response:
        namespace = connection(self.settings).namespace
        with _client(self.settings) as http:
            return http.get(f"{where}/namespaces/{namespace}/{what}")
