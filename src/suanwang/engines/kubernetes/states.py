"""From what Kubernetes says of a Job and its Pods to the port's one set of states. Pure.

The Pod knows most: who was killed for what, with which exit code, when. The Job only says that
it has ended. An end is taken from the Pod wherever there is one; a Pod that has vanished before
it was seen to end is a failed node, never a success and never the owner's fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from suanwang.engines.kubernetes.facts import JobFacts, PodFacts
from suanwang.engines.port import EngineState

_ALIVE = ("Pending", "Running")
_PREEMPTING = frozenset({"PreemptionByScheduler", "PreemptionByKubeScheduler", "Preempting"})
_DISK = ("Usage of EmptyDir volume", "ephemeral local storage usage exceeds", "ephemeral-storage")
"""How the kubelet begins to say that a pod wrote more than it may: the job's own doing."""
_OWN_ENDS = frozenset({"", "Error", "Completed", "OOMKilled", "ContainerCannotRun", "StartError"})
_OVERDUE = timedelta(minutes=2)
_NO_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
     "RegistryUnavailable", "CreateContainerConfigError", "CreateContainerError"}
)  # fmt: skip

_NEVER_IMAGE = frozenset({"InvalidImageName", "ErrImageNeverPull"})
"""Those that no waiting helps."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one Job is at, in the port's words."""

    state: EngineState
    native: str
    reason: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    by_pod: bool = True
    """A Pod said so; else the Job alone, whose Pods may not have been told of yet."""

    @property
    def signal(self) -> int | None:
        code = self.exit_code
        return code - 128 if code is not None and 128 < code < 160 else None


def judge(job: JobFacts, pods: Sequence[PodFacts], now: datetime) -> Seen:
    """The state of a Job from its Pods; of a gang the first bad end, once there is one."""
    pods = [_gone_if_overdue(pod, now) for pod in pods]
    ends = [_end(job, pod) for pod in pods]
    ended = [end for end in ends if end is not None]
    bad = [end for end in ended if end.state is not EngineState.SUCCEEDED]
    if bad:
        return _over_all(_worst(job, bad), ended)
    if ended and len(ended) >= job.nodes:
        return _over_all(ended[0], ended)
    if (closed := _closed(job, pods)) is not None:
        return closed
    running = [pod.started_at for pod in pods if pod.phase == "Running"]
    if running:
        state = EngineState.COMPLETING if _leaving(job, pods) else EngineState.RUNNING
        return Seen(state, "Running", started_at=min((at for at in running if at), default=None))
    return _waiting(job, pods)


def _gone_if_overdue(pod: PodFacts, now: datetime) -> PodFacts:
    """A Pod that should long have been deleted is on a node that does not answer any more."""
    late = pod.leaves_at is not None and now > pod.leaves_at + _OVERDUE
    return replace(pod, gone_at=pod.leaves_at) if late and pod.gone_at is None else pod


def _end(job: JobFacts, pod: PodFacts) -> Seen | None:
    """How one Pod ended; None while it has not."""
    if pod.phase == "Succeeded":
        return _seen(pod, EngineState.SUCCEEDED)
    if pod.phase == "Failed":
        return _failed(job, pod)
    if pod.gone_at is None:
        return None
    if pod.exit_code == 0:
        return _seen(pod, EngineState.SUCCEEDED)
    if job.wish is not None:
        return _wished(job, pod)
    if pod.disruption:
        return _disrupted(pod)
    if job.failed_reason == "DeadlineExceeded":
        return _seen(pod, EngineState.TIMEOUT)
    return _seen(pod, EngineState.NODE_FAILED, "pod_deleted")


def _failed(job: JobFacts, pod: PodFacts) -> Seen:
    if pod.container_reason == "OOMKilled":
        return _seen(pod, EngineState.OUT_OF_MEMORY)
    if pod.reason == "DeadlineExceeded":
        if job.wish is not None:
            return _wished(job, pod)
        never = f"never_started: {pod.waiting}" if pod.started_at is None else ""
        return _seen(pod, EngineState.TIMEOUT, never)
    if pod.reason == "Evicted" and any(words in pod.message for words in _DISK):
        return _seen(pod, EngineState.FAILED, f"disk_full: {pod.message}")
    if pod.disruption or pod.reason in _PREEMPTING:
        return _disrupted(pod)
    if job.wish is not None and (pod.leaves_at or pod.gone_at):
        return _wished(job, pod)
    if pod.reason or pod.exit_code is None or pod.container_reason not in _OWN_ENDS:
        why = pod.reason or pod.container_reason or "no_exit_code"
        return _seen(pod, EngineState.NODE_FAILED, f"{why}: {pod.message}".rstrip(": "))
    cannot = pod.container_reason in ("ContainerCannotRun", "StartError")
    return _seen(pod, EngineState.FAILED, "cannot_run" if cannot else "")


def _disrupted(pod: PodFacts) -> Seen:
    if pod.disruption in _PREEMPTING or pod.reason in _PREEMPTING:
        return _seen(pod, EngineState.PREEMPTED, pod.disruption or pod.reason)
    why = pod.disruption or pod.reason
    return _seen(pod, EngineState.NODE_FAILED, f"{why}: {pod.message}".rstrip(": "))


def _wished(job: JobFacts, pod: PodFacts) -> Seen:
    return _seen(pod, _wished_state(job), job.wish or "")


def _wished_state(job: JobFacts) -> EngineState:
    return EngineState.NODE_FAILED if job.wish else EngineState.CANCELLED


def _seen(pod: PodFacts, state: EngineState, reason: str = "") -> Seen:
    native = f"{pod.phase or 'Unknown'}/{pod.reason or pod.container_reason}".rstrip("/")
    ended = pod.finished_at or pod.gone_at
    return Seen(state, native, reason, pod.exit_code, pod.started_at, ended)


def _closed(job: JobFacts, pods: Sequence[PodFacts]) -> Seen | None:
    """The Job is over and no Pod tells how."""
    began = min((pod.started_at for pod in pods if pod.started_at), default=None)
    if job.complete_at is not None:
        return Seen(EngineState.SUCCEEDED, "Complete", "pod_gone", 0, began, job.complete_at, False)
    if job.failed_at is None and not job.gone:
        return None
    native = f"Failed/{job.failed_reason}" if job.failed_at else "Deleted"
    if any(pod.gone_at is None and pod.phase in _ALIVE for pod in pods) and not job.gone:
        return None  # the Pod's own end is about to be told
    if job.wish is not None:
        return Seen(_wished_state(job), native, job.wish, None, began, job.failed_at, False)
    if job.gone and job.failed_at is None:
        return Seen(EngineState.LOST, native, "deleted_by_others", None, began, None, False)
    why = f"pod_gone: {job.failed_message}".rstrip(": ")
    return Seen(EngineState.NODE_FAILED, native, why, None, began, job.failed_at, False)


def _waiting(job: JobFacts, pods: Sequence[PodFacts]) -> Seen:
    if not pods:
        return Seen(EngineState.QUEUED, "Suspended" if job.suspended else "NoPod")
    pod = next((one for one in pods if not one.node), pods[0])
    if not pod.node:
        return Seen(EngineState.QUEUED, "Pending", pod.unschedulable)
    why = f"{pod.waiting}: {pod.waiting_message}".rstrip(": ")
    return Seen(EngineState.STARTING, f"{pod.phase}/{pod.waiting}".rstrip("/"), why)


def _leaving(job: JobFacts, pods: Sequence[PodFacts]) -> bool:
    return job.wish is not None or any(pod.leaves_at for pod in pods)


def _worst(job: JobFacts, bad: Sequence[Seen]) -> Seen:
    """The end that came first is the cause; the others of a gang were ended because of it."""
    far = datetime.max.replace(tzinfo=job.created_at.tzinfo if job.created_at else None)
    known = [end for end in bad if end.ended_at is not None]
    return min(known, key=lambda end: end.ended_at or far) if known else bad[0]


def _over_all(end: Seen, ended: Sequence[Seen]) -> Seen:
    began = min((one.started_at for one in ended if one.started_at), default=None)
    over = max((one.ended_at for one in ended if one.ended_at), default=None)
    return Seen(end.state, end.native, end.reason, end.exit_code, began, over)


def without_image(pods: Sequence[PodFacts], now: datetime, seconds_max: int) -> str:
    """Why a placed job will not begin, once that is clear or it has waited long; else nothing."""
    for pod in pods:
        since = pod.bound_at or pod.created_at
        late = since is not None and now - since > timedelta(seconds=seconds_max)
        late = late or pod.waiting in _NEVER_IMAGE
        if pod.phase == "Pending" and pod.waiting in _NO_IMAGE and late:
            return f"image_unavailable: {pod.waiting_message}"
    return ""
