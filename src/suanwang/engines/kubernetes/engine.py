"""Runs jobs on a Kubernetes cluster, each as a batch/v1 Job in one namespace.

The name of the Job is made from the attempt's id, so the cluster itself is the memory: however
often a job is submitted, there is one Job of that name. Two threads follow Jobs and Pods; what
they know answers ``observe`` of thousands in one look. Ends are kept in the engine's own folder.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from suanwang.engines.kubernetes import manifest, shared
from suanwang.engines.kubernetes.cancel import Canceller
from suanwang.engines.kubernetes.client import ApiRefused, Client
from suanwang.engines.kubernetes.connection import KubeconfigRefused, connection
from suanwang.engines.kubernetes.ends import Ends
from suanwang.engines.kubernetes.facts import CONTAINER, JobFacts, PodFacts, job_facts, pod_facts
from suanwang.engines.kubernetes.logs import LogFile
from suanwang.engines.kubernetes.nodes import Survey, facts, survey
from suanwang.engines.kubernetes.settings import KubernetesSettings
from suanwang.engines.kubernetes.states import Seen, judge
from suanwang.engines.kubernetes.submit import Places, Submitter
from suanwang.engines.kubernetes.table import Table
from suanwang.engines.kubernetes.vendors import Vendors
from suanwang.engines.kubernetes.watch import Watcher
from suanwang.engines.port import (
    Ability,
    Accepted,
    Capabilities,
    EngineUnavailable,
    LogChunk,
    NodeFacts,
    Observation,
    OutputFile,
    Rejected,
    Stream,
    Submission,
    Usage,
)

_ISOLATION = "container+limits"
_SURVEY_SECONDS = 20
_LOG_SECONDS = 2
"""Between two looks for new output of a job that runs."""


class KubernetesEngine:
    """The Kubernetes engine. Opening it asks nothing of the cluster yet."""

    def __init__(self, settings: KubernetesSettings, folder: Path) -> None:
        try:
            self._client = Client(connection(settings), settings.timeout_seconds)
        except KubeconfigRefused as refusal:
            raise EngineUnavailable(str(refusal)) from None
        self._settings = settings
        self._jobs = folder / "jobs"
        self._jobs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._ends = Ends(folder / "ends")
        self._places = Places(self._client.namespace)
        self._vendors = Vendors(settings.accelerators)
        self._table = Table()
        self._submitter = Submitter(self._client, settings, self._vendors)
        self._canceller = Canceller(self._client, settings, self._places, self._table)
        self._watchers: tuple[Watcher[Any], ...] = ()
        self._starting = threading.Lock()
        self._survey: tuple[float, Survey] | None = None
        self._version = ""
        self._read_logs_at: dict[str, float] = {}

    def close(self) -> None:
        """Let go of the cluster. What runs there goes on."""
        with self._starting:
            for watcher in self._watchers:
                watcher.stop()
        for watcher in self._watchers:
            watcher.join(timeout=self._settings.timeout_seconds)
        if not any(watcher.is_alive() for watcher in self._watchers):
            self._client.close()  # never under a thread that reads: its socket would be another's

    # -- what there is ------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        if not self._version:
            try:
                self._version = str(self._client.get("/version").get("gitVersion", ""))[:40]
            except ApiRefused as refusal:
                raise EngineUnavailable(str(refusal)) from None
        found = self._look_around()
        notes = list(found.notes)
        notes.append("standard output and error come as one, on stdout: Kubernetes mixes them")
        if self._settings.shared is None:
            notes.append("no shared volume: jobs that ask for files out are not taken")
        if _older(self._version, (1, 26)):
            notes.append("older than 1.26: a pod deleted by others may be started again")
        abilities = {Ability.IMAGES}
        if self._settings.volcano is not None:
            abilities.add(Ability.GANGS)
        if found.others_known:
            abilities.add(Ability.FREE_STATE)
        return Capabilities(
            "kubernetes", self._version, _ISOLATION, tuple(notes), frozenset(abilities)
        )

    def inventory(self) -> Sequence[NodeFacts]:
        return facts(self._look_around(), self._vendors)

    def _look_around(self) -> Survey:
        now = time.monotonic()
        if self._survey is None or now - self._survey[0] > _SURVEY_SECONDS:
            self._survey = (now, survey(self._client, self._settings))
        return self._survey[1]

    # -- taking work ------------------------------------------------------------

    def submit(self, submissions: Sequence[Submission]) -> list[Accepted | Rejected]:
        self._follow()
        return [self._submit(one) for one in submissions]

    def _submit(self, one: Submission) -> Accepted | Rejected:
        name = manifest.job_name(one.key)
        if name is not None and self._knows(name):
            return Accepted(one.key, name)
        try:
            answer = self._submitter.submit(one, self._look_around().nodes)
        except OSError as error:
            return Rejected(one.key, False, "engine_cannot_prepare", str(error)[:200])
        if isinstance(answer, Rejected):
            return answer
        found = job_facts(answer)
        if found is None or found.name != name or found.attempt != one.key:
            raise EngineUnavailable("the API server answers with another object than was asked for")
        if found.deleting:
            return Rejected(one.key, False, "engine_busy", "a job of this name is being deleted")
        self._table.put(answer)
        return Accepted(one.key, name)

    # -- watching ------------------------------------------------------------

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        self._follow()
        named = {key: manifest.job_name(key) for key in keys}
        return {key: name for key, name in named.items() if name and self._knows(name)}

    def observe(self, refs: Sequence[str]) -> dict[str, Observation]:
        self._follow()
        now = datetime.now(UTC)
        seen = {ref: self._look(ref, now) for ref in refs}
        return {
            ref: Observation(
                ref, one.state, one.native, now, one.reason, one.exit_code, one.signal,
                _ISOLATION, one.started_at, one.ended_at,
            )
            for ref, one in seen.items()
            if one is not None
        }  # fmt: skip

    def _look(self, name: str, now: datetime) -> Seen | None:
        if (end := self._ends.get(name)) is not None:
            return end[0]
        known = self._table.seen(name)
        if known is None:
            return None
        job, pods = known
        seen = judge(job, pods, now)
        if seen.state.final and not seen.by_pod:
            pods = self._ask_for_pods(job)
            seen = judge(job, pods, now)
        if seen.state.final:
            self._ends.put(name, seen, job.walltime_seconds)
        else:
            self._canceller.tend(job, pods, now)
        return seen

    def _ask_for_pods(self, job: JobFacts) -> tuple[PodFacts, ...]:
        """What the watch may not have told yet."""
        since = self._table.moment()
        try:
            pages = self._client.pages(self._places.pods, labelSelector=f"job-name={job.name}")
            told = [pod_facts(one) for page in pages for one in page["items"]]
        except ApiRefused as refusal:
            raise EngineUnavailable(str(refusal)) from None
        mine = [pod for pod in told if pod is not None and pod.owner == job.uid]
        self._table.pods_listed(mine, since, only=job.uid)
        known = self._table.seen(job.name)
        return known[1] if known is not None else ()

    def cancel(self, refs: Sequence[str], grace_seconds: int, *, reason: str = "") -> None:
        self._follow()
        now = datetime.now(UTC)
        for ref in refs:
            seen, known = self._look(ref, now), self._table.seen(ref)
            if seen is None or seen.state.final or known is None:
                continue
            self._ask_for_pods(known[0])
            self._canceller.cancel(ref, reason)

    def _follow(self) -> None:
        """Make sure that what we know is what the cluster says. Raises ``EngineUnavailable``."""
        with self._starting:
            if not self._watchers:
                self._watchers = self._start()
        deadline = time.monotonic() + self._settings.timeout_seconds
        for watcher in self._watchers:
            while not watcher.synced.wait(0.02) and watcher.trouble is None:
                if time.monotonic() > deadline:
                    raise EngineUnavailable("the first list has not come yet")
            if (trouble := watcher.trouble) is not None:
                raise EngineUnavailable(str(trouble))

    def _start(self) -> tuple[Watcher[Any], ...]:
        table, places = self._table, self._places
        watchers: tuple[Watcher[Any], ...] = (
            Watcher(
                self._client, places.jobs, job_facts, table.moment,
                table.jobs_listed, table.job_changed,
            ),
            Watcher(
                self._client, places.pods, pod_facts, table.moment,
                table.pods_listed, table.pod_changed,
            ),
        )  # fmt: skip
        for watcher in watchers:
            watcher.start()
        return watchers

    def _knows(self, name: str) -> bool:
        return self._ends.get(name) is not None or self._table.seen(name) is not None

    # -- what came of it ------------------------------------------------------------

    def logs(self, ref: str, stream: Stream, offset: int, limit: int = 1 << 18) -> LogChunk:
        self._follow()
        seen = self._look(ref, datetime.now(UTC))
        if seen is None:
            raise KeyError(ref)
        if stream == "stderr":
            return LogChunk(b"", offset, seen.state.final)
        file = LogFile(self._jobs / ref, self._settings.log_bytes_max)
        self._pull(ref, file, ended=seen.state.final)
        data, reaches = file.piece(offset, limit)
        complete = seen.state.final and file.complete and reaches
        return LogChunk(data, offset + len(data), complete, file.truncated)

    def _pull(self, name: str, file: LogFile, *, ended: bool) -> None:
        now = time.monotonic()
        if file.complete or (not ended and now - self._read_logs_at.get(name, -1e9) < _LOG_SECONDS):
            return
        self._read_logs_at[name] = now
        known = self._table.seen(name)
        pods = [pod for pod in known[1] if pod.index == 0] if known is not None else []
        if not pods or (pods[0].started_at is None and not ended):
            if ended:
                file.close(cut_off=False)
            return

        def read(since: str | None, bytes_max: int) -> bytes:
            asked = {"container": CONTAINER, "timestamps": "true", "limitBytes": str(bytes_max)}
            if since is not None:
                asked["sinceTime"] = since
            return self._client.text(f"{self._places.pods}/{pods[0].name}/log", **asked)

        try:
            file.pull(read, ended=ended)
        except ApiRefused as refusal:
            if refusal.status == 404 and ended:  # the Pod has gone, and the rest with it
                file.close(cut_off=True)
            elif ended:  # 400: it never came to run
                file.close(cut_off=False)

    def usage(self, refs: Sequence[str]) -> dict[str, Usage]:
        used = {}
        for ref in refs:
            end = self._ends.get(ref)
            if end is None or end[0].started_at is None or end[0].ended_at is None:
                continue
            began, ended = end[0].started_at, max(end[0].ended_at, end[0].started_at)
            # The API tells whole seconds: what began and ended in the same one was used, too.
            elapsed = max(-(-(ended - began) // timedelta(seconds=1)), 1)
            used[ref] = Usage(ref, min(elapsed, end[1]), began, ended)
        return used

    def outputs(self, ref: str) -> list[OutputFile]:
        if not self._knows(ref):
            raise KeyError(ref)
        return shared.outputs(self._settings, ref) if self._ends.get(ref) is not None else []

    def open_output(self, ref: str, name: str) -> IO[bytes]:
        if not self._knows(ref):
            raise KeyError(ref)
        return shared.open_output(self._settings, ref, name)

    def forget(self, refs: Sequence[str]) -> None:
        self._follow()
        now = datetime.now(UTC)
        for ref in refs:
            seen = self._look(ref, now)
            if seen is None or not seen.state.final:
                continue
            try:
                self._submitter.remove(ref)
            except ApiRefused as refusal:
                raise EngineUnavailable(str(refusal)) from None
            self._table.forget(ref)
            self._canceller.forget(ref)
            self._read_logs_at.pop(ref, None)
            shared.remove(self._settings, ref)
            shutil.rmtree(self._jobs / ref, ignore_errors=True)
            self._ends.drop(ref)


def _older(version: str, than: tuple[int, int]) -> bool:
    numbers = version.removeprefix("v").split(".")
    try:
        return (int(numbers[0]), int(numbers[1])) < than
    except (ValueError, IndexError):
        return False
