"""Ends jobs so that their end can still be seen.

Deleting a Pod deletes what it knows: exit code, times, output. So the Job is first told, in an
annotation, that its end is wished; then the Pod's own deadline is set to one second. The kubelet
ends it (SIGTERM, the grace, SIGKILL) and the Pod stays, with its logs, as Failed. Only where there
is no kubelet to do it, because the Pod is on no node yet or its node does not answer, is the
Job's deadline used: its controller then deletes the Pods and the Job stays.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from suanwang.engines.kubernetes.client import ApiRefused, Client
from suanwang.engines.kubernetes.facts import CANCEL, JobFacts, PodFacts
from suanwang.engines.kubernetes.settings import KubernetesSettings
from suanwang.engines.kubernetes.states import without_image
from suanwang.engines.kubernetes.submit import Places
from suanwang.engines.kubernetes.table import Table
from suanwang.engines.port import EngineUnavailable

_AT_ONCE: Mapping[str, Any] = {"spec": {"activeDeadlineSeconds": 1}}
_PATIENCE_SECONDS = 30
"""Beyond the grace, before a node that does nothing is taken for dead."""


class Canceller:
    """Ends jobs, and looks after ends that do not come."""

    def __init__(
        self, client: Client, settings: KubernetesSettings, places: Places, table: Table
    ) -> None:
        self._client, self._settings = client, settings
        self._places, self._table = places, table
        self._asked_at: dict[str, float] = {}

    def cancel(self, name: str, reason: str) -> None:
        """Ask for the end of a job whose Pods have just been looked at."""
        known = self._table.seen(name)
        if known is None:
            return
        job, pods = known
        if job.wish is None:
            note = {"metadata": {"annotations": {CANCEL: reason}}}
            if not self._merge(f"{self._places.jobs}/{name}", note):
                return
            self._table.wish(name, reason)
        live = [pod for pod in pods if pod.phase in ("Pending", "Running") and not pod.gone_at]
        for pod in live:
            if pod.node:
                self._merge(f"{self._places.pods}/{pod.name}", _AT_ONCE)
        if not live or not all(pod.node for pod in live):
            self._end_job(job)
        self._asked_at.setdefault(name, time.monotonic())

    def tend(self, job: JobFacts, pods: Sequence[PodFacts], now: datetime) -> None:
        """A wished end must come, and a job whose image cannot be had must not hold its node."""
        if job.wish is None:
            if why := without_image(pods, now, self._settings.image_seconds_max):
                self.cancel(job.name, why)
            return
        asked = self._asked_at.setdefault(job.name, time.monotonic())
        if time.monotonic() - asked > self._settings.grace_seconds + _PATIENCE_SECONDS:
            self._asked_at[job.name] = time.monotonic()
            self._end_job(job)

    def forget(self, name: str) -> None:
        self._asked_at.pop(name, None)

    def _end_job(self, job: JobFacts) -> None:
        path = f"{self._places.jobs}/{job.name}"
        if not job.suspended:
            self._merge(path, _AT_ONCE)
            return
        # A suspended Job (one that waits in a queue of Kueue) has no clock; it has never run.
        with suppress(ApiRefused):
            self._client.delete(path)

    def _merge(self, path: str, change: Mapping[str, Any]) -> bool:
        """False if it is not there any more, or has ended so far that it cannot be changed."""
        try:
            self._client.merge(path, change)
        except ApiRefused as refusal:
            if refusal.status == 403:
                raise EngineUnavailable(str(refusal)) from None
            return False
        return True
