"""What is known of the Jobs and Pods in the namespace, kept up by the two watches."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from suanwang.engines.kubernetes.facts import JobFacts, PodFacts, job_facts, pod_facts


class Table:
    """Facts by name of the Job. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, JobFacts] = {}
        self._pods: dict[str, dict[str, PodFacts]] = {}
        """By the uid of their Job, then by name."""
        self._put: dict[str, int] = {}
        """Jobs we learned of by our own requests, with the moment, counted."""
        self._pod_at: dict[tuple[str, str], int] = {}
        """When a Pod was last told of, counted: an older list does not make it gone."""
        self._clock = 0
        self._forgotten: dict[str, str] = {}
        """Names with the uid that must not come back through a late event."""

    def seen(self, name: str) -> tuple[JobFacts, tuple[PodFacts, ...]] | None:
        with self._lock:
            job = self._jobs.get(name)
            if job is None:
                return None
            mine = self._pods.get(job.uid, {}).values()
            pods = sorted(mine, key=lambda pod: (pod.index, pod.name))
            return job, tuple(pods)

    def names(self) -> list[str]:
        with self._lock:
            return list(self._jobs)

    def moment(self) -> int:
        """To tell whether something was put before or after."""
        with self._lock:
            self._clock += 1
            return self._clock

    def put(self, found: Any) -> None:
        """A Job as the API answered to our own request."""
        with self._lock:
            self._clock += 1
            if (job := job_facts(found)) is not None:
                self._put[job.name] = self._clock
                self._take_job(job)

    def wish(self, name: str, reason: str) -> None:
        """Remember that an end is wished; no late event takes that back."""
        with self._lock:
            if (job := self._jobs.get(name)) is not None and job.wish is None:
                self._jobs[name] = replace(job, wish=reason)

    def forget(self, name: str) -> None:
        with self._lock:
            job = self._jobs.pop(name, None)
            self._put.pop(name, None)
            if job is not None:
                self._drop_pods(job.uid)
                if not job.gone:
                    self._forgotten[name] = job.uid

    # -- what the watch of Jobs brings ----------------------------------------------

    def jobs_listed(self, found: Sequence[JobFacts], since: int) -> None:
        """All there are. What was put after ``since`` may be missing from an older list."""
        with self._lock:
            there = {job.name for job in found}
            for name in [name for name in self._forgotten if name not in there]:
                del self._forgotten[name]
            for name, job in self._jobs.items():
                if name not in there and self._put.get(name, 0) <= since:
                    self._jobs[name] = replace(job, gone=True)
            for job in found:
                self._take_job(job)

    def job_changed(self, kind: str, found: Any) -> None:
        job = job_facts(found)
        if job is None:
            return
        with self._lock:
            if kind != "DELETED":
                self._take_job(job)
            elif self._forgotten.get(job.name) == job.uid:
                del self._forgotten[job.name]
            elif (known := self._jobs.get(job.name)) is not None and known.uid == job.uid:
                self._take_job(replace(job, gone=True))

    def _take_job(self, job: JobFacts) -> None:
        if self._forgotten.get(job.name) == job.uid:
            return
        known = self._jobs.get(job.name)
        if known is not None and known.uid == job.uid and job.wish is None:
            job = replace(job, wish=known.wish)
        self._jobs[job.name] = job

    # -- what the watch of Pods brings ----------------------------------------------

    def pods_listed(self, found: Sequence[PodFacts], since: int, only: str = "") -> None:
        """All there are, or all of one Job by its uid. What was told of after ``since`` may be
        missing from an older list.
        """
        with self._lock:
            there = {(pod.owner, pod.name) for pod in found}
            now = datetime.now(UTC)
            ours = {job.uid for job in self._jobs.values()} | {pod.owner for pod in found}
            for owner in [only] if only else list(self._pods):
                for name, pod in self._pods.get(owner, {}).items():
                    older = self._pod_at.get((owner, name), 0) <= since
                    if (owner, name) not in there and older and pod.gone_at is None:
                        self._pods[owner][name] = replace(pod, gone_at=now)
                if owner not in ours:
                    self._drop_pods(owner)
            for pod in found:
                self._take_pod(pod)

    def pod_changed(self, kind: str, found: Any) -> None:
        pod = pod_facts(found)
        if pod is None:
            return
        with self._lock:
            if kind != "DELETED":
                self._take_pod(pod)
            elif any(job.uid == pod.owner for job in self._jobs.values()):
                self._take_pod(replace(pod, gone_at=datetime.now(UTC)))
            elif (pods := self._pods.get(pod.owner)) is not None:
                pods.pop(pod.name, None)
                self._pod_at.pop((pod.owner, pod.name), None)
                if not pods:
                    del self._pods[pod.owner]

    def _take_pod(self, pod: PodFacts) -> None:
        if pod.owner in self._forgotten.values():
            return
        pods = self._pods.setdefault(pod.owner, {})
        known = pods.get(pod.name)
        if known is not None and known.uid == pod.uid and known.gone_at is not None:
            return
        pods[pod.name] = pod
        self._clock += 1
        self._pod_at[pod.owner, pod.name] = self._clock

    def _drop_pods(self, owner: str) -> None:
        for name in self._pods.pop(owner, {}):
            self._pod_at.pop((owner, name), None)
