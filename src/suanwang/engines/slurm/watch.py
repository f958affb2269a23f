"""What became of jobs: one look at all of them for many questions, accounting for the rest.

The controller forgets a job some minutes after its end; accounting may be minutes behind, or down.
So a job that one of them does not know is only lost when both have answered without it for a good
while, and what cannot be asked leaves every state as it was.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from suanwang.engines.port import EngineState, EngineUnavailable, Observation
from suanwang.engines.slurm.place import Places
from suanwang.engines.slurm.rows import JobRow
from suanwang.engines.slurm.script import BEGUN_BEFORE, NO_PLACE
from suanwang.engines.slurm.settings import SlurmSettings
from suanwang.engines.slurm.spool import SpoolRow
from suanwang.engines.slurm.transport import Transport

_ACCOUNTING_EVERY = 10
"""Accounting is asked about the same job at most once in so many polls."""
_PAUSE_OF_TOOK = 3
"""A controller that takes long to answer is left alone three times as long."""
_ANY_CLOCK_SECONDS = 600
"""How far this host's clock and Slurm's may be apart."""


@dataclass(frozen=True)
class Seen:
    """One job as observed, and how long Slurm says it ran."""

    observation: Observation
    elapsed_seconds: int | None = None


class Watch:
    """Looks at jobs of ours."""

    def __init__(self, transport: Transport, settings: SlurmSettings, places: Places) -> None:
        self._transport = transport
        self._settings = settings
        self._places = places
        self._live: dict[int, JobRow] = {}
        self._looked_at = self._failed_at = float("-inf")
        self._failure = ""
        self._took_seconds = 0.0
        self._submitted_at: dict[str, float] = {}
        self._asked_at: dict[str, float] = {}
        self._missing_since: dict[str, float] = {}
        self.isolation = "slurm"

    # -- the controller -------------------------------------------------------------------

    def live(self, *, after: float = float("-inf")) -> Mapping[int, JobRow]:
        """All of our jobs the controller holds; asked anew where the last answer is older than
        ``poll_seconds`` and than three times what it took, or than ``after`` on the monotonic
        clock.
        """
        now = time.monotonic()
        if now - self._failed_at < self._settings.poll_seconds:
            raise EngineUnavailable(self._failure)
        old = max(self._settings.poll_seconds, _PAUSE_OF_TOOK * self._took_seconds)
        if now - self._looked_at >= old or self._looked_at <= after:
            try:
                rows = self._transport.live()
            except EngineUnavailable as error:
                self._failed_at, self._failure = time.monotonic(), str(error)
                raise
            self._took_seconds = time.monotonic() - now
            # What came before the answer was asked for is in it.
            self._live, self._looked_at = {row.job_id: row for row in rows}, now
        return self._live

    def stale(self) -> None:
        """Take no answer from before now."""
        self._looked_at = float("-inf")

    def named(self, key: str, *, after: float = float("-inf")) -> list[JobRow]:
        """Our jobs of this name, oldest first."""
        live = self.live(after=after)
        return sorted((row for row in live.values() if row.name == key), key=lambda r: r.job_id)

    def submitted(self, key: str) -> None:
        """A look from before now says nothing of this job."""
        self._submitted_at[key] = time.monotonic()

    def forget(self, key: str) -> None:
        for memory in (self._submitted_at, self._asked_at, self._missing_since):
            memory.pop(key, None)

    # -- both ------------------------------------------------------------------------------

    def look(self, rows: Sequence[SpoolRow]) -> dict[str, Seen]:
        """What is known of jobs that have a job id and no end yet.

        Raises ``EngineUnavailable`` when nothing could be learnt of any of them.
        """
        submitted = (self._submitted_at.get(row.key, float("-inf")) for row in rows)
        live = self.live(after=max(submitted, default=float("-inf")))
        found, missing = {}, []
        for row in rows:
            job = self._the_begun(row, live)
            if job is not None and job.name == row.key:
                self._missing_since.pop(row.key, None)
                found[row.key] = self._seen(row, job)
            else:
                missing.append(row)
        if missing:
            found |= self._in_accounting(missing, alone=not found)
        return found

    def _the_begun(self, row: SpoolRow, live: Mapping[int, JobRow]) -> JobRow | None:
        """The Slurm job of a row; where another one of the same attempt came first, that one."""
        job = live.get(row.job_id) if row.job_id is not None else None
        if job is not None and job.exit_code == BEGUN_BEFORE and job.name == row.key:
            first = self._places.begun_by(row.key)
            other = live.get(first) if first is not None else None
            return other if other is not None and other.name == row.key else job
        return job

    def _in_accounting(self, missing: Sequence[SpoolRow], *, alone: bool) -> dict[str, Seen]:
        now = time.monotonic()
        pause = self._settings.poll_seconds * _ACCOUNTING_EVERY
        due = [row for row in missing if now - self._asked_at.get(row.key, -pause) >= pause]
        found = {row.key: _unseen(row, "missing") for row in missing}
        if not due:
            return found
        try:
            past = self.past(due)
        except EngineUnavailable as error:
            if alone:
                raise
            return {row.key: _unseen(row, f"accounting does not answer: {error}") for row in due}
        for row in due:
            self._asked_at[row.key] = now
            job = past.get(row.key)
            if job is not None and job.state is not None and job.state.final:
                found[row.key] = self._seen(row, job)
            elif self._given_up(row.key, now):
                found[row.key] = _lost(row, job)
        return found

    def past(self, rows: Sequence[SpoolRow]) -> dict[str, JobRow]:
        """What accounting has of these, by key; nothing where there is no accounting."""
        if not rows or not self._settings.accounting:
            return {}
        since = int(min(row.written_at for row in rows)) - _ANY_CLOCK_SECONDS
        ids = {row.job_id: row.key for row in rows if row.job_id is not None}
        told = self._transport.accounting(ids=[*ids], since=since)
        return {job.name: job for job in told if ids.get(job.job_id) == job.name}

    def _given_up(self, key: str, now: float) -> bool:
        since = self._missing_since.setdefault(key, now)
        return now - since >= self._settings.lost_after_seconds

    # -- from Slurm's words to ours ---------------------------------------------------------

    def _seen(self, row: SpoolRow, job: JobRow) -> Seen:
        state, reason = job.state, job.reason
        if state is None:  # a word of a newer Slurm: shown, and no reason to call it ended
            state = row.last if not row.last.final else EngineState.RUNNING
            reason = reason or "unknown_state"
        waits = state in (EngineState.QUEUED, EngineState.STARTING)
        one = Observation(
            row.key,
            state,
            job.native,
            datetime.now(UTC),
            reason=reason,
            isolation=self.isolation,
            started_at=_moment(job.started_at) if job.nodes and not waits else None,
            expected_start_at=_moment(job.started_at) if waits else None,
            source=job.source,
        )
        if state.final:
            one = self._ended(row, job, one)
        return Seen(one, job.elapsed_seconds)

    def _ended(self, row: SpoolRow, job: JobRow, one: Observation) -> Observation:
        code, signal = job.exit_code, job.signal
        left = self._places.exit_code(row.key)
        if code is None and one.started_at is not None and left is not None:
            code, signal = left, left - 128 if 128 < left < 160 else None
        state, reason = self._why(row, job, one.state, left)
        return replace(
            one,
            state=state,
            reason=reason,
            exit_code=code if one.started_at is not None else None,
            signal=signal if one.started_at is not None else None,
            ended_at=_moment(job.ended_at) or one.observed_at,
        )

    def _why(
        self, row: SpoolRow, job: JobRow, state: EngineState, left: int | None
    ) -> tuple[EngineState, str]:
        """The end as we call it: Slurm's own, but for what only the batch script can tell."""
        by_itself = state in (EngineState.SUCCEEDED, EngineState.FAILED)
        if by_itself and row.wish is not None:
            state = EngineState.CANCELLED  # asked by us, it went by itself
        elif by_itself and (self._places.met_walltime(row.key) or _ran_out(row, job)):
            return EngineState.TIMEOUT, "walltime"
        match state:
            case EngineState.CANCELLED if row.wish:
                return EngineState.NODE_FAILED, row.wish
            case EngineState.CANCELLED:
                return state, "" if row.wish is not None else "cancelled_at_the_centre"
            case EngineState.FAILED if self._never_began(row, job, left):
                return EngineState.NODE_FAILED, f"never_began: {job.reason or job.exit_code}"
            case EngineState.TIMEOUT:
                return state, "walltime"
            case EngineState.OUT_OF_MEMORY:
                return state, "memory_limit"
            case EngineState.SUCCEEDED:
                return state, ""
        return state, job.reason

    def _never_began(self, row: SpoolRow, job: JobRow, left: int | None) -> bool:
        """The node could not start it, or Slurm started it again though it must not."""
        begun = self._places.begun_by(row.key)
        if job.exit_code == BEGUN_BEFORE:
            return left is None or begun != job.job_id
        launched = job.reason != "JobLaunchFailure" and job.exit_code is not None
        return begun is None and left is None and (job.exit_code == NO_PLACE or not launched)


def _ran_out(row: SpoolRow, job: JobRow) -> bool:
    """Ended by a signal when its time was over: the mark of it may not be visible here yet."""
    over = (job.elapsed_seconds or 0) >= row.spec.walltime_seconds
    return over and job.exit_code in (128 + 15, 128 + 9)


def _unseen(row: SpoolRow, why: str) -> Seen:
    """Nothing was learnt: the state stays what it was."""
    return Seen(Observation(row.key, row.last, "missing", datetime.now(UTC), reason=why))


def unsettled(row: SpoolRow) -> Observation:
    """It was about to be submitted, and nobody has it yet."""
    now = datetime.now(UTC)
    return Observation(row.key, EngineState.SUBMITTING, "unsettled", now)


def _lost(row: SpoolRow, job: JobRow | None) -> Seen:
    now = datetime.now(UTC)
    native = job.native if job is not None else "missing"
    one = Observation(
        row.key,
        EngineState.LOST,
        native,
        now,
        reason="the controller does not know it, and accounting has no end of it",
        started_at=_moment(job.started_at) if job is not None and job.nodes else None,
        ended_at=now,
        source="accounting",
    )
    return Seen(one)


def _moment(unix: int | None) -> datetime | None:
    return datetime.fromtimestamp(unix, UTC) if unix else None
