"""The few facts of Jobs and Pods that matter, read from what the API says.

Whole objects are never kept: of 5,000 jobs they would be 50 MB. What is missing or of another kind
than expected reads as not there: an odd object must not hide the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

ATTEMPT = "suanwang/attempt"
MANAGED = {"app.kubernetes.io/managed-by": "suanwang"}
SELECTOR = "app.kubernetes.io/managed-by=suanwang"
CANCEL = "suanwang/cancel"
"""The annotation that says that an end is wished: the reason, or nothing for the owner's wish."""
CONTAINER = "job"
_TEXT_MAX = 400


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A batch/v1 Job of ours."""

    name: str
    uid: str
    attempt: str
    walltime_seconds: int
    created_at: datetime | None = None
    nodes: int = 1
    suspended: bool = False
    deleting: bool = False
    wish: str | None = None
    """Why its end was asked for; empty: because its owner wished it."""
    complete_at: datetime | None = None
    failed_at: datetime | None = None
    failed_reason: str = ""
    failed_message: str = ""
    gone: bool = False
    """The API answered without it, and not because it was forgotten."""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A Pod of one of our Jobs."""

    name: str
    uid: str
    owner: str
    """The uid of its Job: an earlier Job of the same name may still have Pods."""
    index: int = 0
    phase: str = ""
    reason: str = ""
    message: str = ""
    node: str = ""
    unschedulable: str = ""
    disruption: str = ""
    """The reason of the condition DisruptionTarget, if it is true."""
    waiting: str = ""
    waiting_message: str = ""
    container_reason: str = ""
    exit_code: int | None = None
    created_at: datetime | None = None
    bound_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    leaves_at: datetime | None = None
    """When it is to be gone at the latest: it is being deleted."""
    gone_at: datetime | None = None
    """When we learned that it is no more."""


def job_facts(found: Any) -> JobFacts | None:
    """None for what is no Job of ours."""
    meta, spec, status = (
        mapping(found, "metadata"),
        mapping(found, "spec"),
        mapping(found, "status"),
    )
    attempt = _text(mapping(meta, "labels"), ATTEMPT)
    name = _text(meta, "name")
    if not name or not attempt:
        return None
    pod = mapping(mapping(spec, "template"), "spec")
    complete, failed = condition(status, "Complete"), condition(status, "Failed")
    annotations = mapping(meta, "annotations")
    return JobFacts(
        name=name,
        uid=_text(meta, "uid"),
        attempt=attempt,
        walltime_seconds=_whole(pod, "activeDeadlineSeconds") or 1,
        created_at=_moment(meta, "creationTimestamp"),
        nodes=max(_whole(spec, "completions") or 1, 1),
        suspended=spec.get("suspend") is True,
        deleting=bool(meta.get("deletionTimestamp")),
        wish=_text(annotations, CANCEL) if CANCEL in annotations else None,
        complete_at=(_moment(status, "completionTime") or _moment(complete, "lastTransitionTime"))
        if complete
        else None,
        failed_at=_moment(failed, "lastTransitionTime"),
        failed_reason=_text(failed, "reason"),
        failed_message=_text(failed, "message"),
    )


def pod_facts(found: Any) -> PodFacts | None:
    """None for what is no Pod of a Job of ours."""
    meta, spec, status = (
        mapping(found, "metadata"),
        mapping(found, "spec"),
        mapping(found, "status"),
    )
    labels = mapping(meta, "labels")
    name, owner = _text(meta, "name"), _owner(meta)
    if not name or not owner or not _text(labels, ATTEMPT):
        return None
    container = _container(status)
    state = mapping(container, "state")
    waiting, ended = mapping(state, "waiting"), mapping(state, "terminated")
    scheduled, disruption = (
        condition(status, "PodScheduled", "False"),
        condition(status, "DisruptionTarget"),
    )
    index = _text(mapping(meta, "annotations"), "batch.kubernetes.io/job-completion-index")
    return PodFacts(
        name=name,
        uid=_text(meta, "uid"),
        owner=owner,
        index=int(index) if index.isdecimal() else 0,
        phase=_text(status, "phase"),
        reason=_text(status, "reason"),
        message=_text(status, "message"),
        node=_text(spec, "nodeName"),
        unschedulable=_text(scheduled, "message"),
        disruption=_text(disruption, "reason"),
        waiting=_text(waiting, "reason"),
        waiting_message=_text(waiting, "message"),
        container_reason=_text(ended, "reason"),
        exit_code=_whole(ended, "exitCode"),
        created_at=_moment(meta, "creationTimestamp"),
        bound_at=_moment(status, "startTime"),
        started_at=_moment(mapping(state, "running"), "startedAt") or _moment(ended, "startedAt"),
        finished_at=_moment(ended, "finishedAt"),
        leaves_at=_moment(meta, "deletionTimestamp"),
    )


def _owner(meta: dict[str, Any]) -> str:
    found = meta.get("ownerReferences")
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict) and one.get("controller") is True:
            return _text(one, "uid")
    return ""


def _container(status: dict[str, Any]) -> dict[str, Any]:
    found = status.get("containerStatuses")
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict) and one.get("name") == CONTAINER:
            return one
    return {}


def condition(status: dict[str, Any], kind: str, value: str = "True") -> dict[str, Any]:
    found = status.get("conditions")
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict) and one.get("type") == kind and one.get("status") == value:
            return one
    return {}


def mapping(found: Any, name: str) -> dict[str, Any]:
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, dict) else {}


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    return value[:_TEXT_MAX] if isinstance(value, str) else ""


def _whole(found: dict[str, Any], name: str) -> int | None:
    value = found.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _moment(found: dict[str, Any], name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(found, name))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None and moment.year > 1970 else None
