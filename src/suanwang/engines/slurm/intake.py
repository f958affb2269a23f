"""Takes work: at most once for each key, whatever a crash or a silent Slurm cuts off."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from suanwang.engines.port import (
    Accepted,
    EngineUnavailable,
    Rejected,
    Submission,
    image_refused,
)
from suanwang.engines.slurm.account import CLEAN_PATH
from suanwang.engines.slurm.demand import Offer
from suanwang.engines.slurm.place import Places
from suanwang.engines.slurm.rows import JobRow
from suanwang.engines.slurm.script import batch_script
from suanwang.engines.slurm.settings import SlurmSettings
from suanwang.engines.slurm.spool import Spool, SpoolRow
from suanwang.engines.slurm.transport import Batch, NotTaken, Transport
from suanwang.engines.slurm.watch import Watch

KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOOK_BACK_SECONDS: Final = 35 * 86_400
"""Longer than any job may run."""
_SEARCH_POLLS: Final = 10
"""A job without an answer is looked for once in so many polls."""


@dataclass(frozen=True)
class _Going:
    """One job that is about to be submitted, for the first time or because nobody has it."""

    one: Submission
    batch: Batch
    again: bool


class Intake:
    """A job is written down, submitted, and written down with its job id. So after a crash there
    is either nothing, or a row without a job id, whose job is then looked for by its name.
    """

    def __init__(
        self,
        settings: SlurmSettings,
        transport: Transport,
        places: Places,
        spool: Spool,
        watch: Watch,
        offer: Offer,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._places = places
        self._spool = spool
        self._watch = watch
        self._offer = offer
        self._searched_at: dict[str, float] = {}

    def submit(self, submissions: Sequence[Submission]) -> list[Accepted | Rejected]:
        """Raises ``EngineUnavailable`` when one of them may or may not have been taken: to submit
        all of them again tells, and takes none twice.
        """
        answers: dict[str, Accepted | Rejected] = {}
        rows = self._spool.rows([one.key for one in submissions if KEY.fullmatch(one.key)])
        self._settle([row for row in rows.values() if row.job_id is None], answers)
        going: dict[str, _Going] = {}
        for one in submissions:
            if one.key not in answers and one.key not in going:
                prepared = self._prepare(one, rows.get(one.key))
                if isinstance(prepared, _Going):
                    going[one.key] = prepared
                else:
                    answers[one.key] = prepared
        now = time.time()
        with self._spool.transaction():
            for key, job in going.items():
                if job.again:
                    self._spool.again(key, now)
                else:
                    self._spool.write(key, job.one.spec, now)
        unanswered = self._hand_over(going, answers)
        if unanswered is not None:
            raise unanswered
        return [answers[one.key] for one in submissions]

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Those that Slurm took, also where a crash kept us from writing that down."""
        rows = self._spool.rows([key for key in keys if KEY.fullmatch(key)])
        found = {key for key, row in rows.items() if row.job_id is not None}
        if unsettled := [row for row in rows.values() if row.job_id is None]:
            found |= self._find_again(unsettled)
        return {key: key for key in keys if key in found}

    # -- before Slurm is asked ------------------------------------------------------------

    def _prepare(self, one: Submission, row: SpoolRow | None) -> _Going | Accepted | Rejected:
        if not KEY.fullmatch(one.key):
            return Rejected(one.key[:64], True, "engine_key_unusable", "not a plain name")
        if row is not None and row.job_id is not None:
            return Accepted(one.key, one.key)
        if row is None and (known := self._left_by_another(one.key)) is not None:
            with self._spool.transaction():
                self._spool.write(one.key, one.spec, known.submitted_at or time.time())
                self._spool.taken(one.key, known.job_id)
            return Accepted(one.key, one.key)
        if (refusal := image_refused(one)) is not None:
            return refusal
        try:
            batch = self._batch(one, self._offer.gres_for(one.spec))
        except NotTaken as refused:
            return Rejected(one.key, refused.permanent, refused.code, refused.native)
        if row is None:
            try:
                self._places.build(one.key, one.spec, one.inputs)
            except OSError as error:
                return Rejected(one.key, False, "engine_cannot_prepare", str(error)[:200])
        return _Going(one, batch, again=row is not None)

    def _left_by_another(self, key: str) -> JobRow | None:
        """A job of this name that is not in the spool: an earlier agent's, whose home is gone."""
        if not self._places.exists(key):
            return next(iter(self._watch.named(key)), None)
        found = self._search([key], since=int(time.time()) - _LOOK_BACK_SECONDS)
        if key not in found:
            self._places.remove(key)  # it was built and never submitted
        return found.get(key)

    def _batch(self, one: Submission, gres: str | None) -> Batch:
        settings, spec = self._settings, one.spec
        place = str(self._places.path(one.key))
        cores, memory_mib, _ = spec.per_node
        return Batch(
            name=one.key,
            script=batch_script(place, spec, requeue=settings.requeue),
            folder=place,
            log=f"{place}/slurm.log",
            environment={"PATH": CLEAN_PATH, "LANG": "C.UTF-8"},
            nodes=spec.nodes,
            cores_per_node=cores,
            memory_mib_per_node=memory_mib,
            gres=gres,
            minutes=-(-spec.walltime_seconds // 60),
            requeue=settings.requeue,
            partition=settings.partition,
            account=settings.account,
            qos=settings.qos,
        )

    # -- asking Slurm ---------------------------------------------------------------------

    def _hand_over(
        self, going: Mapping[str, _Going], answers: dict[str, Accepted | Rejected]
    ) -> EngineUnavailable | None:
        """Submit several at a time; what was left without an answer, if something was."""
        if not going:
            return None
        taken: dict[str, int] = {}
        refused: dict[str, NotTaken] = {}
        unanswered: EngineUnavailable | None = None
        with ThreadPoolExecutor(min(self._settings.parallel, len(going))) as pool:
            asked = [
                (key, pool.submit(self._transport.submit, job.batch)) for key, job in going.items()
            ]
            for key, answer in asked:
                try:
                    taken[key] = answer.result()
                except NotTaken as error:
                    refused[key] = error
                except EngineUnavailable as error:
                    unanswered = error
        with self._spool.transaction():
            for key, job_id in taken.items():
                self._spool.taken(key, job_id)
                answers[key] = Accepted(key, key)
            for key, told in refused.items():
                self._spool.drop(key)
                answers[key] = Rejected(key, told.permanent, told.code, told.native)
        for key in taken:
            self._watch.submitted(key)
        for key in refused:
            self._places.remove(key)
        return unanswered

    # -- finding again what was cut off ------------------------------------------------------

    def _settle(self, rows: Sequence[SpoolRow], answers: dict[str, Accepted | Rejected]) -> None:
        """Of what was about to be submitted: find it, or say that it may still show."""
        now, pause = time.monotonic(), self._settings.poll_seconds * _SEARCH_POLLS
        due = [row for row in rows if now - self._searched_at.get(row.key, -pause) >= pause]
        found = self._find_again(due)
        self._searched_at = {row.key: self._searched_at.get(row.key, now) for row in rows} | {
            row.key: now for row in due
        }
        for row in rows:
            if row.key in found:
                answers[row.key] = Accepted(row.key, row.key)
            elif row not in due or time.time() - row.written_at < self._settings.settle_seconds:
                told = "submitted, and Slurm did not answer: it may still show"
                answers[row.key] = Rejected(row.key, False, "engine_unsettled", told)

    def _find_again(self, rows: Sequence[SpoolRow]) -> set[str]:
        if not rows:
            return set()
        since = int(min(row.written_at for row in rows))
        found = self._search([row.key for row in rows], since=since)
        with self._spool.transaction():
            for key, job in found.items():
                self._spool.taken(key, job.job_id)
        return set(found)

    def _search(self, keys: Sequence[str], *, since: int) -> dict[str, JobRow]:
        """The Slurm jobs of these names, with the controller or else in accounting. Of two with
        one name (an answer was lost, and the question repeated) at most one can ever begin; the
        other is cancelled.
        """
        now = time.monotonic()
        named = {key: self._watch.named(key, after=now) for key in keys}
        absent = [key for key in keys if not named[key]]
        if absent and self._settings.accounting:
            for job in self._transport.accounting(names=absent, since=since - 600):
                if job.name in named:
                    named[job.name].append(job)
        found = {}
        for key, jobs in named.items():
            if jobs:
                begun = self._places.begun_by(key)
                found[key] = next((job for job in jobs if job.job_id == begun), jobs[0])
        others = [
            job.job_id
            for key, one in found.items()
            for job in named[key]
            if job is not one and job.source == "live"
        ]
        if others:
            self._transport.cancel(others)
        return found
