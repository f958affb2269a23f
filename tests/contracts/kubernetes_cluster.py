"""The Kubernetes engine on a real cluster, where one is named.

``SUANWANG_TEST_KUBECONFIG`` names the engine's own credentials. A control plane without any
kubelet, as one builds it from Debian's source, is given two nodes played by ``Kubelet`` if
``SUANWANG_TEST_KUBELET_KUBECONFIG`` names an administrator's. ``SUANWANG_TEST_IMAGE`` is what jobs
run in.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from suanwang.engines.kubernetes.connection import connection
from suanwang.engines.kubernetes.engine import KubernetesEngine
from suanwang.engines.kubernetes.settings import KubernetesSettings
from suanwang.engines.port import EngineUnavailable

from .engine_benches import ended
from .kubernetes_bench import IMAGE, USER, node
from .kubernetes_kubelet import STRATEGIC, Kubelet

NAMED = os.environ.get("SUANWANG_TEST_KUBECONFIG", "")
_ADMINISTRATOR = os.environ.get("SUANWANG_TEST_KUBELET_KUBECONFIG", "")


@pytest.fixture(scope="session")
def played_nodes() -> Iterator[None]:
    """Two nodes for a control plane that has none."""
    if not _ADMINISTRATOR:
        yield
        return
    found = connection(KubernetesSettings(image=IMAGE, kubeconfig=Path(_ADMINISTRATOR)))
    client: dict[str, Any] = {
        "headers": {"Authorization": f"Bearer {found.fixed_token}"}, "verify": found.tls,
    }  # fmt: skip
    place = Path(tempfile.mkdtemp(prefix="sw-kubernetes-"))
    place.chmod(0o711)
    kubelets = [Kubelet(found.server, name, place / name, **client) for name in ("n1", "n2")]
    with httpx.Client(base_url=found.server, trust_env=False, **client) as http:
        for kubelet in kubelets:
            _register(http, kubelet)
    yield
    for kubelet in kubelets:
        kubelet.stop()
    shutil.rmtree(place, ignore_errors=True)


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

    def __init__(self, root: Path) -> None:
        self.root = root
        self.image = os.environ.get("SUANWANG_TEST_IMAGE", "debian:12-slim")
        self.settings = KubernetesSettings(
            image=self.image, kubeconfig=Path(NAMED), run_as_user=USER, grace_seconds=5
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
        found = connection(self.settings)
        with httpx.Client(
            base_url=found.server, verify=found.tls or False, trust_env=False
        ) as http:
            path = f"{where}/namespaces/{found.namespace}/{what}"
            return http.get(path, headers={"Authorization": f"Bearer {found.token()}"})
