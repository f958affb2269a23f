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
            pods = sorted(self._pods.get(name, {}).values(), key=lambda pod: (pod.index, pod.name))
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
            if (job := self._jobs.pop(name, None)) is not None and not job.gone:
                self._forgotten[name] = job.uid
            for pod in self._pods.pop(name, {}):
                self._pod_at.pop((name, pod), None)
            self._put.pop(name, None)

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
        """All there are, or all of one Job."""
        with self._lock:
            there = {(pod.job, pod.name) for pod in found}
            now = datetime.now(UTC)
            jobs = {only: self._pods.get(only, {})} if only else self._pods
            for job, pods in jobs.items():
                for name, pod in pods.items():
                    older = self._pod_at.get((job, name), 0) <= since
                    if (job, name) not in there and pod.gone_at is None and older:
                        pods[name] = replace(pod, gone_at=now)
            for pod in found:
                self._take_pod(pod)

    def pod_changed(self, kind: str, found: Any) -> None:
        pod = pod_facts(found)
        if pod is None:
            return
        with self._lock:
            if kind == "DELETED":
                if pod.name not in self._pods.get(pod.job, {}):
                    return
                pod = replace(pod, gone_at=datetime.now(UTC))
            self._take_pod(pod)

    def _take_pod(self, pod: PodFacts) -> None:
        if pod.job in self._forgotten:
            return
        pods = self._pods.setdefault(pod.job, {})
        known = pods.get(pod.name)
        if known is not None and known.uid == pod.uid and known.gone_at is not None:
            return
        pods[pod.name] = pod
        self._clock += 1
        self._pod_at[pod.job, pod.name] = self._clock
