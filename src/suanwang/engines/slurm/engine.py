"""Runs jobs on a Slurm cluster, over slurmrestd or its commands."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from suanwang.engines.port import (
    Ability,
    Accepted,
    Capabilities,
    EngineState,
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
from suanwang.engines.slurm.account import Account
from suanwang.engines.slurm.commands import Commands
from suanwang.engines.slurm.demand import Offer
from suanwang.engines.slurm.intake import KEY, Intake
from suanwang.engines.slurm.measure import usage_by_accounting, usage_by_controller
from suanwang.engines.slurm.place import Places
from suanwang.engines.slurm.rest import Rest
from suanwang.engines.slurm.rows import JobRow
from suanwang.engines.slurm.settings import SlurmSettings
from suanwang.engines.slurm.spool import Spool, SpoolRow
from suanwang.engines.slurm.transport import Transport
from suanwang.engines.slurm.watch import Seen, Watch, unsettled

_FINAL = frozenset(state for state in EngineState if state.final)
_OVERDUE_SECONDS = 30
_ABILITIES = frozenset({Ability.GANGS, Ability.FREE_STATE, Ability.ESTIMATES})


class SlurmEngine:
    """The Slurm engine. A job's ref is its key, which is its name in Slurm too."""

    def __init__(
        self, settings: SlurmSettings, folder: Path, transport: Transport | None = None
    ) -> None:
        self._settings = settings
        self._account = Account.of(settings)
        self._places = Places(settings.folder, self._account, settings.stream_bytes_max)
        self._places.sweep()
        self._spool = Spool(folder / "slurm.db")
        if transport is None and settings.url is None:
            transport = Commands(settings, self._account)
        self._transport = transport or Rest(settings, self._account)
        self._watch = Watch(self._transport, settings, self._places)
        self._offer = Offer(self._transport, settings, self._watch, self._spool)
        self._intake = Intake(
            settings, self._transport, self._places, self._spool, self._watch, self._offer
        )
        self._facts: Capabilities | None = None

    def close(self) -> None:
        self._transport.close()
        self._spool.close()

    # -- what there is ------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """Known from the first answer on; before it, that there is none yet."""
        if self._facts is None:
            try:
                self._watch.isolation = self._transport.isolation()
                version = self._transport.version()
            except EngineUnavailable as error:
                silent = (f"Slurm does not answer: {error}",)
                return Capabilities("slurm", "unknown", "slurm", silent, _ABILITIES)
            notes = _notes(self._watch.isolation, self._account.other)
            isolation = self._watch.isolation
            self._facts = Capabilities("slurm", version, isolation, notes, _ABILITIES)
        return self._facts

    def inventory(self) -> Sequence[NodeFacts]:
        return self._offer.facts()

    def submit(self, submissions: Sequence[Submission]) -> list[Accepted | Rejected]:
        return self._intake.submit(submissions)

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        return self._intake.find(keys)

    # -- watching -----------------------------------------------------------------

    def observe(self, refs: Sequence[str]) -> dict[str, Observation]:
        rows = self._spool.rows([ref for ref in refs if KEY.fullmatch(ref)])
        looked = [row for row in rows.values() if row.final is None and row.job_id is not None]
        seen = self._watch.look(looked) if looked else {}
        self._remember(rows, seen)
        self._cancel_overdue(
            row for row in looked if row.key in seen and not seen[row.key].observation.state.final
        )
        answers = {}
        for ref, row in rows.items():
            if row.final is not None:
                answers[ref] = row.final
            elif ref in seen:
                answers[ref] = seen[ref].observation
            else:
                answers[ref] = unsettled(row)
        return answers

    def _remember(self, rows: dict[str, SpoolRow], seen: dict[str, Seen]) -> None:
        changed = {
            ref: one for ref, one in seen.items() if one.observation.state is not rows[ref].last
        }
        if not changed:
            return
        with self._spool.transaction():
            for ref, one in changed.items():
                if one.observation.state.final:
                    self._spool.end(one.observation, one.elapsed_seconds)
                    self._watch.forget(ref)
                else:
                    self._spool.say(ref, one.observation.state)

    def cancel(self, refs: Sequence[str], grace_seconds: int, *, reason: str = "") -> None:
        """A running job is asked to end by its batch script, which makes it end after the grace:
        Slurm's own cancel knows no other grace than the cluster's KillWait.
        """
        rows = self._open(self._intake.find(refs))
        running = [row for row in rows if row.last is EngineState.RUNNING and grace_seconds > 0]
        due_at = time.time() + grace_seconds
        with self._spool.transaction():
            for row in rows:
                self._spool.wish(row.key, reason, due_at)
        for row in rows:
            self._places.say_grace(row.key, grace_seconds)
        if ids := [row.job_id for row in running if row.job_id is not None]:
            self._transport.signal(ids)
        asked = set(ids)
        if ids := [row.job_id for row in rows if row.job_id and row.job_id not in asked]:
            self._transport.cancel(ids)

    def _open(self, keys: Iterable[str]) -> list[SpoolRow]:
        """Those that have not ended, by a look of this moment."""
        self._watch.stale()
        self.observe([*keys])
        return [row for row in self._spool.rows([*keys]).values() if row.final is None]

    def _cancel_overdue(self, rows: Iterable[SpoolRow]) -> None:
        """What would not end when asked is Slurm's to end: its batch script may be stopped."""
        late = [row for row in rows if row.due_at and time.time() > row.due_at + _OVERDUE_SECONDS]
        if late:
            self._transport.cancel([row.job_id for row in late if row.job_id is not None])
            with self._spool.transaction():
                for row in late:
                    self._spool.wish(row.key, "", time.time())

    # -- what came of it ------------------------------------------------------------

    def logs(self, ref: str, stream: Stream, offset: int, limit: int = 1 << 18) -> LogChunk:
        ended = self._known(ref).final is not None
        return self._places.log(ref, stream, offset, limit, ended=ended)

    def usage(self, refs: Sequence[str]) -> dict[str, Usage]:
        """By accounting, asked anew each time, for it may be corrected; while it has no end of a
        job, by the controller's times of it, which accounting will have too.
        """
        rows = self._spool.rows([ref for ref in refs if KEY.fullmatch(ref)], forgotten=True)
        started = [
            row
            for row in rows.values()
            if row.final is not None and row.final.started_at is not None
        ]
        past: dict[str, JobRow] = {}
        with contextlib.suppress(EngineUnavailable):
            past = self._watch.past(started)
        answers = {}
        with self._spool.transaction():
            for row in started:
                used, job = row.usage, past.get(row.key)
                if job is not None and job.state in _FINAL:
                    told = usage_by_accounting(row, job)
                    if told is not None and told != used:
                        self._spool.measured(told)
                    used = told or used
                used = used or usage_by_controller(row)
                if used is not None:
                    settled = not self._settings.accounting
                    answers[row.key] = replace(used, settled=settled)
        return answers

    def outputs(self, ref: str) -> list[OutputFile]:
        row = self._known(ref)
        return [] if row.final is None else self._places.outputs(ref, row.spec.files_out)

    def open_output(self, ref: str, name: str) -> IO[bytes]:
        self._known(ref)
        return self._places.open_output(ref, name)

    def forget(self, refs: Sequence[str]) -> None:
        with contextlib.suppress(EngineUnavailable):
            self.observe(refs)
        rows = self._spool.rows([ref for ref in refs if KEY.fullmatch(ref)])
        over = [key for key, row in rows.items() if row.final is not None]
        for key in over:
            self._places.remove(key)
        with self._spool.transaction():
            self._spool.forget(over, time.time())

    def _known(self, ref: str) -> SpoolRow:
        row = self._spool.row(ref) if KEY.fullmatch(ref) else None
        if row is None:
            raise KeyError(ref)
        return row


def _notes(isolation: str, other: bool) -> tuple[str, ...]:
    notes: list[str] = []
    if isolation == "slurm+linuxproc":
        notes.append("Slurm here follows processes by their parents: one that forks away may stay")
    if not other:
        notes.append("jobs run as the agent's own user: keep its home where no node can read it")
    return tuple(notes)
