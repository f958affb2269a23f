"""The Kubernetes engine on a cluster of its own, the double; or on a real one that is named."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from suanwang.engines.kubernetes.engine import KubernetesEngine
from suanwang.engines.kubernetes.settings import KubernetesSettings

from .kubernetes_double import KubernetesDouble
from .kubernetes_kubelet import Kubelet

NAMESPACE = "suanwang"
IMAGE = "registry.example/job:1"
PAGE = Path(__file__).parents[2] / "docs" / "operating" / "engine-kubernetes.md"
USER = os.geteuid() or 1000


def documented(kind: str) -> list[dict[str, Any]]:
    """The rules of the Role or ClusterRole that the documentation tells providers to create."""
    blocks = PAGE.read_text(encoding="utf-8").split("```yaml\n")[1:]
    texts = [block.split("```")[0] for block in blocks]
    objects = [one for text in texts for one in yaml.safe_load_all(text) if isinstance(one, dict)]
    return [dict(rule) for one in objects if one.get("kind") == kind for rule in one["rules"]]


def role(*, cluster: bool = True) -> list[dict[str, Any]]:
    rules = documented("Role")
    assert rules
    if cluster:
        rules += [rule | {"cluster": True} for rule in documented("ClusterRole")]
    return rules


def node(name: str, **more: Any) -> dict[str, Any]:
    """A node that is ready, with 8 cores and 16 GiB."""
    has = {"cpu": "8", "memory": "16Gi", "pods": "110"} | more.pop("has", {})
    labels = {"kubernetes.io/hostname": name} | more.pop("labels", {})
    status = {"capacity": has, "allocatable": has,
              "conditions": [{"type": "Ready", "status": "True"}]}  # fmt: skip
    return {"metadata": {"name": name, "labels": labels}, "spec": more, "status": status}


def kubeconfig(path: Path, server: str, token: str, namespace: str = NAMESPACE) -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "here",
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [
                    {"name": "here",
                     "context": {"cluster": "c", "user": "u", "namespace": namespace}}
                ],
            }
        )
    )  # fmt: skip
    return path


class KubernetesBench:
    """The engine, the double it speaks to, and two nodes that run what they are given."""

    streams_apart = False
    """Kubernetes keeps one log for both."""
    image = "lab/tool:2"

    def __init__(self, root: Path, *, cluster_role: bool = True, **settings: Any) -> None:
        self.root = root
        # Jobs are another user, who must pass through to what is theirs.
        self.place = Path(tempfile.mkdtemp(prefix="sw-kubernetes-"))
        self.place.chmod(0o711)
        self.cluster = KubernetesDouble()
        volume = self.place / "volume"
        volume.mkdir(mode=0o711)
        for name in ("n1", "n2"):
            self.cluster.put("nodes", node(name))
            self.cluster.kubelets[name] = Kubelet(
                self.cluster.url, name, self.place / name, volumes={"jobs": volume},
                headers={"Authorization": f"Bearer {self.cluster.admin}"},
            )  # fmt: skip
        token = self.cluster.token(role(cluster=cluster_role))
        file = kubeconfig(root / "kubeconfig", self.cluster.url, token)
        usual = {"kubeconfig": file, "image": IMAGE, "run_as_user": USER,
                 "shared": {"claim": "jobs", "path": volume}}  # fmt: skip
        self.settings = KubernetesSettings.model_validate(usual | settings)
        self.engine = KubernetesEngine(self.settings, root / "engine")

    def let_pass(self) -> None:
        time.sleep(0.02)

    def again(self) -> None:
        self.engine.close()
        self.engine = KubernetesEngine(self.settings, self.root / "engine")

    def pod_of(self, ref: str) -> dict[str, Any]:
        return next(
            pod
            for pod in self.cluster.all("pods", NAMESPACE)
            if pod["metadata"]["labels"]["job-name"] == ref
        )

    def image_of(self, ref: str) -> str:
        return str(self.pod_of(ref)["spec"]["containers"][0]["image"])

    def kubelet_of(self, ref: str) -> Kubelet:
        return self.cluster.kubelets[self.pod_of(ref)["spec"]["nodeName"]]

    def close(self) -> None:
        """Nothing that was sent may have been against the published schema."""
        self.engine.close()
        self.cluster.stop()
        shutil.rmtree(self.place, ignore_errors=True)
        assert self.cluster.wrong == []
