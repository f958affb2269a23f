"""The double's scheduler and Job controller: one thread that sets right what is not."""

from __future__ import annotations

import copy
import secrets
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from suanwang.engines.kubernetes.quantity import amount

from .kubernetes_kubelet import now_text

if TYPE_CHECKING:
    from .kubernetes_double import KubernetesDouble

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_INDEX = "batch.kubernetes.io/job-completion-index"


class Controllers(threading.Thread):
    """Runs for as long as the cluster does."""

    def __init__(self, cluster: KubernetesDouble) -> None:
        super().__init__(daemon=True)
        self._cluster = cluster
        self._began: dict[str, float] = {}
        self._made: dict[str, int] = {}
        """Pods made for a Job, by its uid: one that vanishes counts as failed."""
        self.paused = False
        """The controllers are down; what runs goes on."""

    def run(self) -> None:
        cluster, seen = self._cluster, -1
        while not cluster.stopping:
            with cluster.changed:
                if cluster.version == seen:
                    cluster.changed.wait(0.05)
                seen = cluster.version
                if not self.paused:
                    for job in list(cluster.all("jobs")):
                        self._reconcile(job)
                    for pod in list(cluster.all("pods")):
                        self._tend_pod(pod)

    def delete_pod(self, pod: dict[str, Any], grace: int | None = None) -> None:
        """As the API does: marked while it is on a node, gone at once otherwise."""
        meta, cluster = pod["metadata"], self._cluster
        key = ("pods", meta["namespace"], meta["name"])
        over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if grace == 0 or over or not pod["spec"].get("nodeName"):
            cluster.remove(key)
        elif "deletionTimestamp" not in meta:
            new = copy.deepcopy(pod)
            wait = pod["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
            at = datetime.now(UTC) + timedelta(seconds=wait)
            new["metadata"]["deletionTimestamp"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
            new["metadata"]["deletionGracePeriodSeconds"] = wait
            cluster.put("pods", new)

    # -- Jobs --------------------------------------------------------------------------

    def _reconcile(self, job: dict[str, Any]) -> None:
        status = job.get("status", {})
        if any(one["status"] == "True" and one["type"] in ("Complete", "Failed")
               for one in status.get("conditions", ())):  # fmt: skip
            return
        if job["spec"].get("suspend"):
            for pod in self._pods(job):
                self.delete_pod(pod)
            if not status.get("conditions"):
                self._condition(job, "Suspended", "JobSuspended", "Job suspended")
            return
        if "startTime" not in status:
            self._began[job["metadata"]["uid"]] = time.monotonic()
            self._status(job, {"startTime": now_text()})
            return
        pods = self._pods(job)
        spec, name = job["spec"], job["metadata"]["name"]
        bound, began = spec.get("activeDeadlineSeconds"), self._began[job["metadata"]["uid"]]
        if bound is not None and time.monotonic() - began >= bound:
            self._fail(job, "DeadlineExceeded", "Job was active longer than specified deadline")
            return
        made = self._made.get(job["metadata"]["uid"], 0)
        failed = [pod for pod in pods if _phase(pod) == "Failed" or _leaving(pod)]
        done = [pod for pod in pods if _phase(pod) == "Succeeded"]
        vanished = made - len(pods)
        if failed or vanished > 0:
            self._fail(job, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif len(done) >= spec.get("completions", 1):
            self._condition(job, "Complete", "", "", completionTime=now_text())
        else:
            for index in range(made, spec.get("parallelism", 1)):
                self._make_pod(job, name, index)

    def _make_pod(self, job: dict[str, Any], name: str, index: int) -> None:
        template = copy.deepcopy(job["spec"]["template"])
        meta = template["metadata"]
        indexed = job["spec"].get("completionMode") == "Indexed"
        suffix = "".join(secrets.choice(_ALPHABET) for _ in range(5))
        meta["name"] = f"{name}-{index}-{suffix}" if indexed else f"{name}-{suffix}"
        meta["namespace"] = job["metadata"]["namespace"]
        meta["ownerReferences"] = [
            {"apiVersion": "batch/v1", "kind": "Job", "name": name, "controller": True,
             "blockOwnerDeletion": True, "uid": job["metadata"]["uid"]}
        ]  # fmt: skip
        spec = template["spec"]
        if indexed:
            meta.setdefault("annotations", {})[_INDEX] = str(index)
            meta["labels"][_INDEX] = str(index)
            field = {"fieldRef": {"fieldPath": f"metadata.annotations['{_INDEX}']"}}
            own = spec["containers"][0]
            own.setdefault("env", []).append({"name": "JOB_COMPLETION_INDEX", "valueFrom": field})
        spec.setdefault("schedulerName", "default-scheduler")
        self._made[job["metadata"]["uid"]] = index + 1
        self._cluster.put("pods", {"metadata": meta, "spec": spec, "status": {"phase": "Pending"}})

    def _fail(self, job: dict[str, Any], reason: str, message: str) -> None:
        for pod in self._pods(job):
            if _phase(pod) in ("Pending", "Running"):
                self.delete_pod(pod)
        self._condition(job, "Failed", reason, message)

    def _condition(
        self, job: dict[str, Any], kind: str, reason: str, message: str, **more: Any
    ) -> None:
        condition = {"type": kind, "status": "True", "lastProbeTime": now_text(),
                     "lastTransitionTime": now_text()}  # fmt: skip
        if reason:
            condition |= {"reason": reason, "message": message}
        others = job.get("status", {}).get("conditions", [])
        self._status(job, {"conditions": [*others, condition], **more})

    def _status(self, job: dict[str, Any], change: dict[str, Any]) -> None:
        new = copy.deepcopy(job)
        new["status"] = {**new.get("status", {}), **change}
        self._cluster.put("jobs", new)

    def _pods(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        uid = job["metadata"]["uid"]
        return [pod for pod in self._cluster.all("pods") if _owner(pod) == uid]

    # -- Pods --------------------------------------------------------------------------

    def _tend_pod(self, pod: dict[str, Any]) -> None:
        uids = {job["metadata"]["uid"] for job in self._cluster.all("jobs")}
        owner = _owner(pod)
        if owner and owner not in uids:  # its Job was deleted; one without an owner is somebody's
            self.delete_pod(pod)
        elif not pod["spec"].get("nodeName") and _phase(pod) == "Pending":
            self._schedule(pod)

    def _schedule(self, pod: dict[str, Any]) -> None:
        nodes = self._cluster.all("nodes")
        wants = _wants(pod)
        short: Counter[str] = Counter()
        for node in nodes:
            why = self._unfit(node, pod, wants)
            if why is None:
                new = copy.deepcopy(pod)
                new["spec"]["nodeName"] = node["metadata"]["name"]
                bound = {"type": "PodScheduled", "status": "True", "lastTransitionTime": now_text()}
                new["status"]["conditions"] = [bound]
                self._cluster.put("pods", new)
                return
            short[why] += 1
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(short.items()))
        message = f"0/{len(nodes)} nodes are available: {reasons}."
        known = pod["status"].get("conditions") or [{}]
        if known[0].get("message") != message:
            new = copy.deepcopy(pod)
            new["status"]["conditions"] = [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                 "message": message, "lastTransitionTime": now_text()}
            ]  # fmt: skip
            self._cluster.put("pods", new)

    def _unfit(
        self, node: dict[str, Any], pod: dict[str, Any], wants: dict[str, Fraction]
    ) -> str | None:
        labels = node["metadata"].get("labels", {})
        spec = pod["spec"]
        wanted = [(name, [value]) for name, value in spec.get("nodeSelector", {}).items()]
        affinity = spec.get("affinity", {}).get("nodeAffinity", {})
        required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {})
        for term in required.get("nodeSelectorTerms", ()):
            wanted += [(one["key"], one["values"]) for one in term["matchExpressions"]]
        if any(labels.get(name) not in values for name, values in wanted):
            return "node(s) didn't match Pod's node affinity"
        used: Counter[str] = Counter()
        for other in self._cluster.all("pods"):
            here = other["spec"].get("nodeName") == node["metadata"]["name"]
            if here and _phase(other) in ("Pending", "Running"):
                used.update(_wants(other))  # type: ignore[arg-type]
        for name, much in wants.items():
            if used[name] + much > amount(node["status"]["allocatable"].get(name, "0")):
                return f"Insufficient {name}"
        return None


def _wants(pod: dict[str, Any]) -> dict[str, Fraction]:
    requests = pod["spec"]["containers"][0]["resources"]["requests"]
    return {name: amount(text) for name, text in requests.items()}


def _phase(pod: dict[str, Any]) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def _leaving(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" in pod["metadata"] and _phase(pod) != "Succeeded"


def _owner(pod: dict[str, Any]) -> str:
    return str(pod["metadata"].get("ownerReferences", [{}])[0].get("uid", ""))
