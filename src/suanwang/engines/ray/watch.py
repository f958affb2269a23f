"""Follows submissions to their end: what Ray says, and what the runner left on the node."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final, TypeVar

from suanwang.engines.port import EngineState, Observation
from suanwang.engines.ray.cluster import Roster
from suanwang.engines.ray.dashboard import Dashboard, FileMissing, NodeUnreachable, RayJob
from suanwang.engines.ray.endings import STATES, Left, Told, conclude, read_left, read_told
from suanwang.engines.ray.package import ISOLATION
from suanwang.engines.ray.records import Ending, Record, Records
from suanwang.engines.ray.runner import END, PLACE
from suanwang.engines.ray.settings import RaySettings

T = TypeVar("T")
R = TypeVar("R")

_SMALL_FILE_BYTES: Final = 2 << 20
_ONE_BY_ONE: Final = 4
"""So few are asked for by name; more are taken from the list of all."""
_GIVE_UP_SECONDS: Final = 120
"""After an end: how long a node that is alive but cannot be asked is waited for."""
_LAST_WORD_SECONDS: Final = 3
"""After an end in which Ray's own process was killed: for the runner to notice and say so."""
_STOP_AGAIN_SECONDS: Final = 5


class Watch:
    """Looks, and writes down what will not change any more."""

    def __init__(
        self, dashboard: Dashboard, records: Records, roster: Roster, settings: RaySettings
    ) -> None:
        self._dashboard = dashboard
        self._records = records
        self._roster = roster
        self._settings = settings
        self._listed: dict[str, RayJob] = {}
        self._listed_at = float("-inf")
        self._asked_to_stop: dict[str, float] = {}
        self._silent_since: dict[str, float] = {}

    def observe(self, refs: Sequence[str]) -> dict[str, Observation]:
        records = {ref: one for ref, one in self._records.get(refs).items() if not one.forgotten}
        live = [one for one in records.values() if one.ending is None]
        jobs = self._look(live)
        answers: dict[str, Observation | None] = {}
        for one in records.values():
            seen = _ended(one) if one.ending is not None else _glance(one, jobs.get(one.ref))
            answers[one.ref] = seen
        rest = [one for one in live if answers[one.ref] is None]
        seen_closer = self.each(lambda one: self._see(one, jobs.get(one.ref)), rest)
        answers |= dict(zip((one.ref for one in rest), seen_closer, strict=True))
        return {ref: one for ref, one in answers.items() if one is not None}

    def stop(self, record: Record) -> None:
        """Have Ray end a job whose wish is written down. To be asked again until it ends."""
        now = time.monotonic()
        if now - self._asked_to_stop.get(record.ref, float("-inf")) < _STOP_AGAIN_SECONDS:
            return
        if self._dashboard.stop(record.ref) and not record.stopped:
            record.stopped = True
            self._records.save(record)
        self._asked_to_stop[record.ref] = now
        self._listed_at = float("-inf")  # what was seen before the stop says nothing of it

    def each(self, do: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Over a few connections at once, in order; the first failure is raised."""
        if len(items) < 2:
            return [do(one) for one in items]
        with ThreadPoolExecutor(self._settings.connections) as pool:
            return list(pool.map(do, items))

    # -- asking Ray ---------------------------------------------------------------

    def _look(self, live: Sequence[Record]) -> Mapping[str, RayJob]:
        """What Ray says of each; one is left out only when Ray, asked by its name, knows none."""
        found: dict[str, RayJob] = {}
        if len(live) > _ONE_BY_ONE:
            if time.monotonic() - self._listed_at >= self._settings.poll_seconds:
                began, jobs = time.monotonic(), self._dashboard.jobs()
                # All of them: the next who asks may mean others than these.
                self._listed, self._listed_at = jobs, began
            found = {one.ref: self._listed[one.ref] for one in live if one.ref in self._listed}
        missing = [one.ref for one in live if one.ref not in found]
        for ref, job in zip(missing, self.each(self._dashboard.job, missing), strict=True):
            if job is not None:
                found[ref] = job
        return found

    def _see(self, record: Record, job: RayJob | None) -> Observation | None:
        if job is None:
            return self._unknown(record)
        if not record.accepted:
            record.accepted = True
            self._records.save(record)
        match STATES.get(job.status):
            case EngineState.QUEUED:
                return self._waits(record, job)
            case EngineState.RUNNING:
                return self._runs(record, job)
            case None:  # a word of a later Ray: shown as it is, and nothing is concluded from it
                state = EngineState.QUEUED if record.started_at is None else EngineState.RUNNING
                return _going(record, state, job.status)
            case _:
                return self._ends(record, job)

    def _unknown(self, record: Record) -> Observation | None:
        """Ray was asked and has no such job."""
        if not record.accepted:
            return None
        restarted = self._dashboard.version().session_name != record.session
        reason = "head_restarted" if restarted else "engine_forgot"
        ending = Ending("lost", "unknown", reason, started_at=record.started_at)
        return self._write_ending(record, ending)

    def _waits(self, record: Record, job: RayJob) -> Observation:
        """Ray passes a stop on to a waiting job and goes on calling it PENDING until there is
        room for it: only then would it start, and be stopped before anything of it has run.
        """
        if record.wish is None:
            return _going(record, EngineState.QUEUED, job.status)
        if not record.stopped:
            self.stop(record)
            return _going(record, EngineState.QUEUED, job.status)
        state = "node_failed" if record.wish else "cancelled"
        return self._write_ending(
            record, Ending(state, job.status, record.wish or "cancelled_before_start")
        )

    def _runs(self, record: Record, job: RayJob) -> Observation:
        if record.wish is not None:
            self.stop(record)
        if job.driver_node_id is not None and record.started_at is None:
            record.node = job.driver_node_id
            told = self._told(record)
            if told is not None and told.started_at is not None:
                record.started_at = told.started_at
                self._records.save(record)
        state = EngineState.STARTING if record.started_at is None else EngineState.RUNNING
        return _going(record, state, job.status)

    def _told(self, record: Record) -> Told | None:
        try:
            return read_told(self._file(record, "status.json"))
        except (FileMissing, NodeUnreachable):
            return None

    def _file(self, record: Record, name: str) -> bytes:
        if record.node is None:
            raise FileMissing(name)
        place = f"{PLACE}/{record.folder}/{name}"
        return self._dashboard.read_log_file(record.node, place, _SMALL_FILE_BYTES)

    # -- the end --------------------------------------------------------------------

    def _ends(self, record: Record, job: RayJob) -> Observation:
        record.node = job.driver_node_id or record.node
        left: Left | None = None
        told: Told | None = None
        reached = True
        try:
            left = read_left(self._file(record, END))
        except FileMissing:
            told = self._told(record)
            if told is not None and self._worth_waiting(record, _LAST_WORD_SECONDS):
                return _going(record, EngineState.COMPLETING, job.status)
        except NodeUnreachable:
            if self._worth_waiting(record, _GIVE_UP_SECONDS):
                return _going(record, EngineState.COMPLETING, job.status)
            reached = False
        ending = conclude(job, record, left, told, reached=reached)
        return self._write_ending(record, ending)

    def _worth_waiting(self, record: Record, seconds: float) -> bool:
        """The node is alive, and has owed its last word for less than that long."""
        if record.node not in {node.node_id for node in self._roster.alive()}:
            return False
        now = time.monotonic()
        return now - self._silent_since.setdefault(record.ref, now) < seconds

    def _write_ending(self, record: Record, ending: Ending) -> Observation:
        record.ending = ending
        self._records.save(record)
        self._asked_to_stop.pop(record.ref, None)
        self._silent_since.pop(record.ref, None)
        return _ended(record)


def _glance(record: Record, job: RayJob | None) -> Observation | None:
    """Of most jobs there is nothing new and nothing to ask: none of them costs more than this."""
    if job is None or not record.accepted or record.wish is not None:
        return None
    state = STATES.get(job.status)
    new = state is EngineState.RUNNING and record.started_at is None
    return None if state is None or state.final or new else _going(record, state, job.status)


def _going(record: Record, state: EngineState, native: str) -> Observation:
    started = moment(record.started_at)
    return Observation(
        record.ref,
        state,
        native,
        datetime.now(UTC),
        isolation=ISOLATION if started is not None else "",
        started_at=started,
    )


def _ended(record: Record) -> Observation:
    ending = record.ending
    if ending is None:
        raise ValueError(f"{record.ref} has not ended")
    return Observation(
        record.ref,
        EngineState(ending.state),
        ending.native_state,
        datetime.now(UTC),
        reason=ending.reason,
        exit_code=ending.exit_code,
        signal=ending.signal,
        isolation=ISOLATION if ending.started_at is not None else "",
        started_at=moment(ending.started_at),
        ended_at=moment(ending.ended_at),
        source="accounting",
    )


def moment(unix: float | None) -> datetime | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC)
