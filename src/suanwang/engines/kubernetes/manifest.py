"""The objects a job is: a Secret with what the user wrote, a Job, for gangs what they need besides.

Nothing a user wrote becomes part of a command, a name or a field that Kubernetes expands
(``$(NAME)`` in an environment value, say): script, files and every value of the environment are
keys of the Secret, named by us, and reach the container as files and variables.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

from suanwang.core.image import full_name
from suanwang.core.jobspec import JobSpec
from suanwang.engines.kubernetes.facts import ATTEMPT, CONTAINER, MANAGED
from suanwang.engines.kubernetes.settings import KubernetesSettings, Volcano
from suanwang.engines.kubernetes.vendors import Card
from suanwang.engines.port import Submission

CONTENT_BYTES_MAX: Final = 1 << 20
"""Of all values of a Secret together (the API's own bound)."""
KUEUE_QUEUE = "kueue.x-k8s.io/queue-name"
_KEY = re.compile(r"[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?")
_HOME, _OWN = "/work", "/suanwang"
_COPY = 'cp -R "$0"/. . && exec "$@"'
"""Puts the files in into the job's folder, then becomes the job. Constant: knows no user's text."""


def job_name(key: str) -> str | None:
    """The name all objects of an attempt have; None for keys no object could be called by."""
    return f"sw-{key}" if _KEY.fullmatch(key) else None


def content(one: Submission, settings: KubernetesSettings) -> dict[str, bytes]:
    """What goes into the Secret, by key."""
    spec = one.spec
    found = {"script": spec.script.encode()}
    if settings.shared is None:
        for number, path in enumerate(one.inputs.values()):
            found[f"file.{number}"] = path.read_bytes()
    for name, value in _environment(one).items():
        found[f"env.{name}"] = value.encode()
    return found


def size(one: Submission, settings: KubernetesSettings) -> int:
    """In bytes, without reading the files."""
    files = one.inputs.values() if settings.shared is None else ()
    values = sum(len(value.encode()) for value in _environment(one).values())
    return len(one.spec.script.encode()) + values + sum(path.stat().st_size for path in files)


def secret(name: str, one: Submission, settings: KubernetesSettings) -> dict[str, Any]:
    data = {key: base64.b64encode(value).decode() for key, value in content(one, settings).items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(name, one.key),
        "type": "Opaque",
        "immutable": True,
        "data": data,
    }


def job(
    name: str, one: Submission, settings: KubernetesSettings, card: Card | None
) -> dict[str, Any]:
    spec = one.spec
    metadata = _metadata(name, one.key)
    if settings.queue is not None:
        metadata["labels"] = metadata["labels"] | {KUEUE_QUEUE: settings.queue}
    body: dict[str, Any] = {
        "backoffLimit": 0,
        "completions": spec.nodes,
        "parallelism": spec.nodes,
        "template": {
            "metadata": _template(name, one, settings),
            "spec": _pod(name, one, settings, card),
        },
    }
    if spec.nodes > 1:
        body["completionMode"] = "Indexed"
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": body}


def pod_group(name: str, one: Submission, volcano: Volcano, card: Card | None) -> dict[str, Any]:
    """Volcano's: so many Pods at once or none."""
    whole = {
        resource: _times(text, one.spec.nodes)
        for resource, text in _resources(one.spec, card).items()
    }
    return {
        "apiVersion": "scheduling.volcano.sh/v1beta1",
        "kind": "PodGroup",
        "metadata": _metadata(name, one.key),
        "spec": {
            "minMember": one.spec.nodes,
            "queue": volcano.queue,
            "minResources": whole,
        },
    }


def service(name: str, one: Submission) -> dict[str, Any]:
    """A name for each Pod of a gang: ``<job>-<index>.<job>``."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name, one.key),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"job-name": name},
        },
    }


def _metadata(name: str, key: str) -> dict[str, Any]:
    return {"name": name, "labels": MANAGED | {ATTEMPT: key}}


def _template(name: str, one: Submission, settings: KubernetesSettings) -> dict[str, Any]:
    metadata: dict[str, Any] = {"labels": MANAGED | {ATTEMPT: one.key}}
    if settings.volcano is not None:
        metadata["annotations"] = {"scheduling.k8s.io/group-name": name}
    return metadata


def _pod(
    name: str, one: Submission, settings: KubernetesSettings, card: Card | None
) -> dict[str, Any]:
    user = settings.run_as_user
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        # Counted from when the node takes the Pod: time in a queue is nobody's walltime. The
        # Pod's own bound, not the Job's: the Job's would delete the Pod and its output with it.
        "activeDeadlineSeconds": one.spec.walltime_seconds,
        "terminationGracePeriodSeconds": settings.grace_seconds,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The script is then not process 1, which SIGTERM would not reach.
        "shareProcessNamespace": True,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(one, settings, name, card)],
        "volumes": _volumes(name, one, settings),
    }
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret} for secret in settings.image_pull_secrets]
    if settings.tolerations:
        pod["tolerations"] = [
            {field: value for field, value in one.model_dump().items() if value}
            for one in settings.tolerations
        ]
    if settings.node_selector:
        pod["nodeSelector"] = dict(settings.node_selector)
    if card is not None and card.labels:
        wanted = [
            {"key": label, "operator": "In", "values": list(values)}
            for label, values in card.labels.items()
        ]
        terms = {"nodeSelectorTerms": [{"matchExpressions": wanted}]}
        pod["affinity"] = {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}
        }
    if settings.volcano is not None:
        pod["schedulerName"] = "volcano"
    if one.spec.nodes > 1:
        pod["subdomain"] = name
    return pod


def _container(
    one: Submission, settings: KubernetesSettings, name: str, card: Card | None
) -> dict[str, Any]:
    script = f"{_OWN}/job/script"
    command = [script] if one.spec.script.startswith("#!") else ["/bin/bash", script]
    mounts: list[dict[str, Any]] = [
        {"name": "own", "mountPath": f"{_OWN}/job", "subPath": "job", "readOnly": True},
        {"name": "work", "mountPath": _HOME},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
    ]
    if settings.shared is not None:
        mounts[1] = mounts[1] | {"subPath": name}
    elif one.inputs:
        command = ["/bin/sh", "-c", _COPY, f"{_OWN}/files", *command]
        mounts.append(
            {"name": "own", "mountPath": f"{_OWN}/files", "subPath": "files", "readOnly": True}
        )
    resources = _resources(one.spec, card)
    # With its host and tag: what a short name means is each node's own business otherwise.
    image = full_name(one.spec.image) if one.spec.image is not None else settings.image
    pull = {} if settings.image_pull is None else {"imagePullPolicy": settings.image_pull}
    return {
        "name": CONTAINER,
        "image": image,
        **pull,
        "command": command,
        "workingDir": _HOME,
        "env": [
            {
                "name": variable,
                "valueFrom": {"secretKeyRef": {"name": name, "key": f"env.{variable}"}},
            }
            for variable in _environment(one)
        ],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _volumes(name: str, one: Submission, settings: KubernetesSettings) -> list[dict[str, Any]]:
    bound = f"{settings.disk_mib}Mi"
    items: list[dict[str, Any]] = [{"key": "script", "path": "job/script", "mode": 0o555}]
    work: dict[str, Any] = {"emptyDir": {"sizeLimit": bound}}
    if settings.shared is not None:
        work = {"persistentVolumeClaim": {"claimName": settings.shared.claim}}
    else:
        items += [
            {"key": f"file.{number}", "path": f"files/{file}", "mode": 0o644}
            for number, file in enumerate(one.inputs)
        ]
    return [
        {"name": "own", "secret": {"secretName": name, "items": items}},
        {"name": "work", **work},
        {"name": "tmp", "emptyDir": {"sizeLimit": bound}},
    ]


def _resources(spec: JobSpec, card: Card | None) -> dict[str, str]:
    """For each node; what is asked for is what is given, no more and no less."""
    cores, memory_mib, cards = spec.per_node
    asked = {"cpu": str(cores), "memory": f"{memory_mib}Mi"}
    if card is not None and cards:
        asked[card.resource] = str(cards)
    return asked


def _times(text: str, many: int) -> str:
    number = text.removesuffix("Mi")
    return f"{int(number) * many}{text[len(number) :]}"


def _environment(one: Submission) -> Mapping[str, str]:
    """The job may override the first part, not the last. The image brings its own PATH."""
    spec = one.spec
    cores, memory_mib, _ = spec.per_node
    usual = {"HOME": _HOME, "USER": "job", "LOGNAME": "job", "OMP_NUM_THREADS": str(cores)}
    ours = {
        "SUANWANG_ATTEMPT": one.key,
        "SUANWANG_JOB_NAME": spec.name,
        "SUANWANG_CORES": str(cores),
        "SUANWANG_MEMORY_MIB": str(memory_mib),
    }
    if spec.nodes > 1:
        name = f"sw-{one.key}"
        ours |= {"SUANWANG_NODES": str(spec.nodes), "SUANWANG_HEAD": f"{name}-0.{name}"}
    return usual | spec.environment | ours
