"""What a provider may say of the cluster its agent works with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_QUALIFIED = (
    r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"

Name = Annotated[str, Field(pattern=_NAME)]
"""A DNS label, as most objects and all namespaces are called."""
Qualified = Annotated[str, Field(pattern=_QUALIFIED)]
"""``prefix/name``, as labels and resources are called."""
Labels = Annotated[dict[Qualified, Annotated[str, Field(pattern=_VALUE)]], Field(max_length=16)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AcceleratorName(_Strict):
    """How this cluster names a model of card, where it differs from ``vendors.yaml``."""

    resource: Qualified
    node_labels: Labels = Field(default_factory=dict)
    """Which nodes hold this model, if the resource's name alone does not say it."""


class Toleration(_Strict):
    """A taint jobs may stand on, in Kubernetes' own words."""

    key: Qualified
    operator: Literal["Exists", "Equal"] = "Exists"
    value: Annotated[str, Field(pattern=_VALUE)] = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class SharedFolder(_Strict):
    """A volume that both the jobs and this agent can reach; only with it files can come out."""

    claim: Name
    """The PersistentVolumeClaim in the namespace, one that many nodes may write to."""
    path: Path
    """Where the same volume is mounted on the agent's machine."""


class Volcano(_Strict):
    """Let Volcano schedule, which starts the pods of a job all at once or not at all."""

    queue: Name = "default"


class KubernetesSettings(_Strict):
    """Strict: a word it does not know is refused."""

    image: Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9._/:@]{0,511}$")]
    """The image of jobs that name none. It needs ``/bin/bash``, ``/bin/sh`` and ``cp``."""
    image_pull: Literal["IfNotPresent", "Always", "Never"] | None = None
    """When nodes fetch images; None: as Kubernetes does by itself (``latest`` always, others once).
    Never: only what is on the node already.
    """
    kubeconfig: Path | None = None
    """None: the service account of the pod the agent runs in."""
    context: Annotated[str, Field(max_length=253)] | None = None
    """None: the file's current context."""
    namespace: Name | None = None
    """None: the context's, or the pod's own."""
    image_pull_secrets: Annotated[list[Name], Field(max_length=8)] = Field(default_factory=list)
    queue: Name | None = None
    """A LocalQueue of Kueue that every job is put into."""
    volcano: Volcano | None = None
    accelerators: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=80)], AcceleratorName],
        Field(max_length=64),
    ] = Field(default_factory=dict)
    """By the registry's code of the model."""
    node_selector: Labels = Field(default_factory=dict)
    """Only nodes with these labels are offered and used."""
    tolerations: Annotated[list[Toleration], Field(max_length=16)] = Field(default_factory=list)
    run_as_user: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1000
    """The user and group of every job. Never root."""
    shared: SharedFolder | None = None
    grace_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    """Between SIGTERM and SIGKILL, for every job: Kubernetes wants it said beforehand."""
    disk_mib: Annotated[int, Field(ge=16, le=10**8)] = 10 * 1024
    """What a job may write into its folder, and as much again into /tmp."""
    log_bytes_max: Annotated[int, Field(ge=1024, le=1 << 30)] = 16 << 20
    image_seconds_max: Annotated[int, Field(ge=10, le=86_400)] = 900
    """How long a placed job may wait for its image before it is given back."""
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 15.0
    """For one request to the API."""
