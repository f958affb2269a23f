"""Brings leases to the engine and the engine's news into the spool. No network but files in.

Every step is safe to repeat: the engine knows an attempt by its id, and each change of the spool
is one transaction. So the process may die anywhere and a new one goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from suanwang.agent.gate import Gate
from suanwang.agent.messages import Lease
from suanwang.agent.signing import AgentKey
from suanwang.agent.site_policy import SiteRefusal, Work
from suanwang.agent.spool import AttemptRow, Spool, Watched
from suanwang.agent.waits import WAITING, Waits
from suanwang.core.jobspec import JobSpec
from suanwang.engines.port import (
    Accepted,
    Engine,
    EngineState,
    EngineUnavailable,
    Observation,
    Rejected,
    Submission,
    Usage,
)

log = logging.getLogger("suanwang.agent")

CANCEL_GRACE_SECONDS = 5
_SUBMITTED_AT_ONCE = 64
_WATCHED_AT_ONCE = 1000
_ASKED_FOR = {"late": timedelta(days=7), "final": timedelta(hours=1)}
"""How long after its end accounting is asked what a job used, or whether that still holds."""
_ASKED_AFTER = {"late": timedelta(minutes=5), "final": timedelta(minutes=20)}
"""The longest pause between two such questions; they begin with the shortest and grow."""
_ASKED_FIRST_AFTER = timedelta(seconds=15)
_LIVE_PHASES = ("leased", "submitted")


class FileInWrong(Exception):
    """A file in is not there, or not the one the job was submitted with."""


class FileInLater(Exception):
    """A file in cannot be fetched just now."""


FetchFile = Callable[[str, str, Path, int], str]
"""Fetch a file in of an attempt by name into a path, of so many bytes; its SHA-256."""


class Keeper:
    """The hands of the agent. ``now`` is the platform's time as far as it is known."""

    def __init__(
        self,
        engine: Engine,
        spool: Spool,
        key: AgentKey,
        inbound: Path,
        fetch: FetchFile,
        now: Callable[[], datetime],
        gate: Gate,
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._key = key
        self._gate = gate
        self._inbound = inbound
        self._fetch = fetch
        self._now = now
        self._waits = Waits()
        self._put_offs: dict[str, str] = {}
        """By attempt, the code of why it could not be started yet."""

    # -- orders -------------------------------------------------------------------

    def take_leases(self, leases: Sequence[Mapping[str, Any]]) -> None:
        """Remember new work. What cannot be read is refused by name where it has a name."""
        for raw in leases:
            try:
                lease = Lease.model_validate(raw)
            except ValidationError as error:
                self._spool.refused(self._now(), "lease_unreadable", str(error))
                log.warning("a lease that cannot be read was passed over")
                continue
            attempt = str(lease.attempt_id)
            with self._spool.transaction():
                spec = _readable(lease.spec)
                text = spec.model_dump_json() if spec is not None else ""
                whose = (lease.organisation, lease.organisation_name)
                if not self._spool.take(attempt, str(lease.job_id), text, lease.expires_at, whose):
                    continue
                if spec is None:
                    self._refuse(attempt, "spec_unreadable")
                else:
                    self._spool.say(attempt, "accepted", self._now())

    def take_cancels(self, attempts: Sequence[str]) -> None:
        """Remember what to stop; of what was never received, say at once that it is stopped."""
        for attempt in attempts:
            with self._spool.transaction():
                known = self._spool.attempt(attempt)
                if known is None:
                    self._spool.take(attempt, "", "", self._now())
                    self._end_unstarted(attempt, "cancelled", "never_received")
                elif known.phase in _LIVE_PHASES and not known.cancel:
                    self._spool.change(attempt, cancel=CANCEL_GRACE_SECONDS)

    def take_give_ways(self, attempts: Mapping[str, int]) -> None:
        """Remember what must make room for another job, and how many seconds it has to save its
        work. It is asked to stop at once (SIGTERM) and stopped when they are over.
        """
        for attempt, seconds in attempts.items():
            with self._spool.transaction():
                known = self._spool.attempt(attempt)
                if known is not None and known.phase in _LIVE_PHASES and not known.cancel:
                    self._spool.change(attempt, cancel=seconds)

    # -- one round ----------------------------------------------------------------

    def round(self) -> None:
        """Start what waits, stop what should stop, and write down what has changed."""
        try:
            self._start(self._spool.in_phase("leased"))
            self.look()
        except EngineUnavailable as error:
            log.warning("the engine does not answer: %s", error)

    def look(self) -> None:
        """Write down what has changed with what runs. Raises ``EngineUnavailable``."""
        silent: EngineUnavailable | None = None
        for rows in self._spool.watched(_WATCHED_AT_ONCE):
            try:
                self._stop([row for row in rows if row.cancel and not row.cancel_sent])
                self._observe(rows)
            except EngineUnavailable as error:  # of the others something may be known
                silent = error
        if silent is not None:
            raise silent

    def _start(self, rows: Sequence[AttemptRow]) -> None:
        """Submit what may start; many at once, as engines take that better than one by one."""
        ready: list[Submission] = []
        for row in rows:
            try:
                one = self._ready(row)
            except OSError as error:  # a full disk keeps one job from starting, not the others
                log.error("%s cannot be started yet: %s", row.attempt_id, error)
                continue
            if one is not None:
                ready.append(one)
        for first in range(0, len(ready), _SUBMITTED_AT_ONCE):
            chunk = ready[first : first + _SUBMITTED_AT_ONCE]
            try:
                self._submit(chunk)
            except OSError:
                for one in chunk:
                    self._submit_alone(one)

    def _submit_alone(self, one: Submission) -> None:
        try:
            self._submit([one])
        except OSError as error:
            log.error("%s cannot be started yet: %s", one.key, error)

    def _submit(self, submissions: Sequence[Submission]) -> None:
        answers = self._engine.submit(submissions)
        with self._spool.transaction():
            for answer in answers:
                if isinstance(answer, Accepted):
                    self._spool.change(answer.key, phase="submitted", ref=answer.ref)
                elif answer.permanent:
                    self._rejected(answer)
                else:
                    self._put_off(answer)
        for answer in answers:
            if isinstance(answer, Accepted):
                self._put_offs.pop(answer.key, None)
                shutil.rmtree(self._inbound / answer.key, ignore_errors=True)

    def _ready(self, row: AttemptRow) -> Submission | None:
        """What to submit for a lease; None if it was ended here, or must wait."""
        attempt = row.attempt_id
        if row.cancel:
            # Perhaps the engine had it already when we died: then it is stopped, not denied.
            found = self._engine.find([attempt])
            if attempt not in found:
                self._close_unstarted(attempt, "cancelled", "")
                return None
            self._spool.change(attempt, phase="submitted", ref=found[attempt])
            return None
        if self._now() >= row.expires_at and attempt not in self._engine.find([attempt]):
            self._close_unstarted(attempt, "refused", "lease_expired")
            return None
        spec = self._spec(row)
        barred = self._gate.refuse(_work(row, spec), self._now())
        # What the engine already has, from before we died, was let in then.
        if barred is not None and attempt not in self._engine.find([attempt]):
            self._bar(attempt, barred)
            return None
        try:
            return Submission(attempt, spec, self._files_in(attempt, spec))
        except FileInLater:
            return None
        except FileInWrong as wrong:
            self._close_unstarted(attempt, "refused", str(wrong))
            return None

    def _bar(self, attempt: str, barred: SiteRefusal) -> None:
        """The centre has the last word: the platform is told why, and decides the job again."""
        told: dict[str, Any] = {"code": barred.code, "facts": dict(barred.facts)}
        told["policy"] = self._gate.site.version
        if barred.until is not None:
            told["until"] = barred.until.isoformat()
        with self._spool.transaction():
            self._spool.refused(self._now(), barred.code, attempt)
            self._end_unstarted(attempt, "refused", barred.code, refusal=json.dumps(told))

    def _put_off(self, answer: Rejected) -> None:
        """It is submitted again in every round; why it waits is told once."""
        if self._put_offs.get(answer.key) != answer.code:
            self._put_offs[answer.key] = answer.code
            self._spool.refused(self._now(), answer.code, f"{answer.key}: {answer.native}")
            log.warning("%s cannot be started yet: %s", answer.key, answer.native)

    def _rejected(self, answer: Rejected) -> None:
        self._spool.refused(self._now(), answer.code, f"{answer.key}: {answer.native}")
        self._end_unstarted(answer.key, "refused", f"{answer.code}: {answer.native}")

    def _files_in(self, attempt: str, spec: JobSpec) -> dict[str, Path]:
        folder = self._inbound / attempt
        inputs: dict[str, Path] = {}
        for number, file in enumerate(spec.files_in):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / str(number)
            got = _digest(path) if path.exists() else None
            if got != file.sha256:
                got = self._fetch(attempt, file.name, path, file.size)
            if got != file.sha256:
                raise FileInWrong(f"file_in_differs: {file.name}")
            inputs[file.name] = path
        return inputs

    def _stop(self, rows: Sequence[Watched]) -> None:
        for row in rows:
            self._engine.cancel([row.ref], row.cancel)
            self._spool.change(row.attempt_id, cancel_sent=1)

    def _observe(self, rows: Sequence[Watched]) -> None:
        seen = self._engine.observe([row.ref for row in rows])
        ended = [ref for ref, one in seen.items() if one.state.final]
        usage = self._engine.usage(ended) if ended else {}
        for row in rows:
            one = seen.get(row.ref)
            if one is None:  # the engine answered, and does not know it any more
                now = datetime.now(UTC)
                one = Observation(row.ref, EngineState.LOST, "unknown", now, "engine_forgot")
            self._write_down(row, one, usage.get(row.ref))

    def _write_down(self, row: Watched, one: Observation, usage: Usage | None) -> None:
        """Put one observation into the spool: state, and at the end usage, in one commit."""
        word = one.state.lifecycle
        if one.state in WAITING and row.state != "running":
            self._say_it_waits(row, one)
            return
        self._waits.over(row.attempt_id)
        if not one.state.final:
            if word != row.state and not (word == "starting" and row.state == "running"):
                with self._spool.transaction():
                    self._spool.say(row.attempt_id, word, self._shifted(one.started_at))
            return
        with self._spool.transaction():
            if one.started_at is not None and row.state != "running":
                self._spool.say(row.attempt_id, "running", self._shifted(one.started_at))
            due = ""
            if usage is not None and word != "lost":
                self._meter(row, usage)
                due = "" if usage.settled else "final"
            elif word != "lost" and (one.started_at is not None or row.state == "running"):
                due = "late"
            self._spool.say(
                row.attempt_id,
                word,
                self._shifted(one.ended_at),
                exit_code=one.exit_code,
                reason=one.reason,
                final=True,
            )
            self._spool.change(
                row.attempt_id, phase="ended", usage_due=due, ended_at=self._now().isoformat()
            )

    def _say_it_waits(self, row: Watched, one: Observation) -> None:
        """Say that it starts, and hand on what it still waits for at the centre if that is news."""
        if not self._waits.news(row.attempt_id, one, self._now()) and row.state == "starting":
            return
        queue: dict[str, str] = {}
        if one.reason or one.expected_start_at is not None:
            queue["reason"] = (one.reason or one.native_state)[:200]
        if one.expected_start_at is not None:
            until = self._shifted(one.expected_start_at)
            queue["expected_start_at"] = until.isoformat(timespec="minutes")
        with self._spool.transaction():
            said = json.dumps(queue) if queue else ""
            self._spool.say(row.attempt_id, "starting", self._now(), queue=said)
        self._waits.told(row.attempt_id, one, self._now())

    def _meter(self, row: AttemptRow | Watched, usage: Usage) -> None:
        spec = self._spec(row)
        began = self._shifted(usage.started_at)
        elapsed = max(usage.elapsed_seconds, 1)
        # The period is never shorter than what is billed in it, whatever the wall clock did.
        shortest = timedelta(seconds=elapsed - 1, microseconds=1)
        ended = max(self._shifted(usage.ended_at), began + shortest)
        self._spool.meter(self._key, row.attempt_id, spec.quantities(elapsed), began, ended)
        self._spool.change(row.attempt_id, metered_seconds=elapsed)

    def reconcile(self) -> None:
        """Ask accounting again about what has ended: what was not there yet is metered now, what
        came to another figure since is corrected. Raises ``EngineUnavailable``.
        """
        rows = self._spool.usage_due(self._now())
        found = self._engine.usage([row.ref for row in rows]) if rows else {}
        for row in rows:
            usage = found.get(row.ref)
            with self._spool.transaction():
                due = row.usage_due
                if usage is not None and max(usage.elapsed_seconds, 1) != row.metered_seconds:
                    self._meter(row, usage)
                    due = "final"
                age = self._now() - (row.ended_at or self._now())
                if age < _ASKED_FOR[due]:
                    pause = max(min(age, _ASKED_AFTER[due]), _ASKED_FIRST_AFTER)
                    ask_at = (self._now() + pause).isoformat()
                    self._spool.change(row.attempt_id, usage_due=due, usage_ask_at=ask_at)
                    continue
                if due == "late":
                    self._spool.refused(self._now(), "usage_never_came", row.attempt_id)
                self._spool.change(row.attempt_id, usage_due="")

    # -- small things ---------------------------------------------------------------

    def _spec(self, row: AttemptRow | Watched) -> JobSpec:
        return JobSpec.model_validate_json(self._spool.spec(row.attempt_id))

    def stop_all(self, reason: str) -> list[str]:
        """Ask the engine to end everything because we go; the refs that were asked."""
        refs = [row.ref for row in self._spool.in_phase("submitted")]
        if refs:
            self._engine.cancel(refs, 2, reason=reason)
        return refs

    def disown(self, attempt: str) -> None:
        """The platform has given this attempt up: stop it, and owe nothing more about it."""
        row = self._spool.attempt(attempt)
        if row is None or row.phase == "closed":
            return
        self._waits.over(attempt)
        if row.phase == "submitted":
            self._engine.cancel([row.ref], 0)
        with self._spool.transaction():
            self._spool.change(
                attempt, phase="ended" if row.ref else "closed", output_done=1, usage_due="",
                closed_at=self._now().isoformat(),
            )  # fmt: skip

    def _shifted(self, moment: datetime | None) -> datetime:
        """A moment of this machine's clock, by the platform's."""
        ours = datetime.now(UTC)
        return self._now() - (ours - moment) if moment is not None else self._now()

    def _refuse(self, attempt: str, reason: str) -> None:
        self._spool.refused(self._now(), reason, attempt)
        self._end_unstarted(attempt, "refused", reason)

    def _close_unstarted(self, attempt: str, state: str, reason: str) -> None:
        with self._spool.transaction():
            self._end_unstarted(attempt, state, reason)

    def _end_unstarted(self, attempt: str, state: str, reason: str, *, refusal: str = "") -> None:
        self._put_offs.pop(attempt, None)
        self._spool.say(attempt, state, self._now(), reason=reason, refusal=refusal, final=True)
        self._spool.change(attempt, phase="ended", output_done=1)


def _work(row: AttemptRow, spec: JobSpec) -> Work:
    return Work(
        organisation=row.organisation,
        organisation_name=row.organisation_name,
        image=spec.image or "",
        cores=spec.cores,
        memory_mib=spec.memory_mib,
        accelerators=spec.accelerators,
        nodes=spec.nodes,
        walltime_seconds=spec.walltime_seconds,
    )


def _readable(raw: Mapping[str, Any]) -> JobSpec | None:
    try:
        return JobSpec.model_validate(raw)
    except ValidationError as error:
        log.warning("a specification that cannot be read: %.200s", error)
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
