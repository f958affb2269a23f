"""Gives a job to Ray at most once, whatever dies in between.

First the submission is written down, then its package goes up, then Ray is asked. Ray keeps a
submission id for one job only; so asking again can never start a second one while the head
remembers, and a head that has forgotten is recognised by its session.
"""

from __future__ import annotations

import math
import re
import secrets
import tempfile
import time
from pathlib import Path
from typing import Final

from suanwang.engines.port import Accepted, Rejected, Submission, image_refused
from suanwang.engines.ray.cluster import HOLDS, Demand, Roster, demand
from suanwang.engines.ray.dashboard import Dashboard, RayJob, Reply
from suanwang.engines.ray.package import PackageTooLarge, task, write_package
from suanwang.engines.ray.records import Record, Records
from suanwang.engines.ray.settings import RaySettings

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FOLDER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ATTEMPT, _PLACE, _WALLTIME = "suanwang_attempt", "suanwang_folder", "suanwang_walltime_seconds"
_SESSION_SECONDS: Final = 2
_AFTER_GRACE_SECONDS: Final = 30
"""For the runner to put away what came of a job before Ray kills it too."""


class Intake:
    """The way in."""

    def __init__(
        self,
        dashboard: Dashboard,
        records: Records,
        roster: Roster,
        settings: RaySettings,
        folder: Path,
    ) -> None:
        self._dashboard = dashboard
        self._records = records
        self._roster = roster
        self._settings = settings
        self._folder = folder
        self._session_name, self._session_at = "", -math.inf

    def ref(self, key: str) -> str | None:
        """The submission id of a key; None for what cannot be one."""
        return self._settings.prefix + key if _KEY.fullmatch(key) else None

    def submit(self, one: Submission) -> Accepted | Rejected:
        """Raises ``EngineUnavailable``; the same submission may then be made again."""
        ref = self.ref(one.key)
        if ref is None:
            return Rejected(one.key[:64], True, "engine_key_unusable", "not a plain name")
        record = self._records.get([ref]).get(ref)
        if record is not None and record.accepted:
            return Accepted(one.key, ref)
        session = self._session()
        if record is not None and (settled := self._settle(one.key, record, session)):
            return settled
        wanted = image_refused(one) or self._wanted(one)
        if isinstance(wanted, Rejected):
            return wanted
        if record is None:
            folder = f"{ref}-{secrets.token_hex(4)}"
            record = Record(ref, folder, session, one.spec.walltime_seconds)
            self._records.add(record)
        return self._hand_over(one, record, wanted)

    def _session(self) -> str:
        """The life of the head, asked for within the last moments: no head restarts so fast. Were
        it taken for the one before, its job would be called lost too early, never run twice.
        """
        now = time.monotonic()
        if now - self._session_at > _SESSION_SECONDS:
            self._session_name, self._session_at = self._dashboard.version().session_name, now
        return self._session_name

    def find(self, key: str) -> str | None:
        """The ref of a key Ray has, though this agent may have lost its memory of it."""
        ref = self.ref(key)
        if ref is None:
            return None
        record = self._records.get([ref]).get(ref)
        if record is not None and (record.accepted or record.forgotten):
            return None if record.forgotten else ref
        job = self._dashboard.job(ref)
        return ref if job is not None and self._adopt(key, ref, job, record) else None

    def _settle(self, key: str, record: Record, session: str) -> Accepted | Rejected | None:
        """What became of a submission whose answer was never heard; None if it never arrived."""
        job = self._dashboard.job(record.ref)
        if job is not None:
            return self._taken_before(key, record, job)
        if record.session == session:
            return None
        # Another head: the job may have run under the one before. It is taken, and lost.
        record.accepted = True
        self._records.save(record)
        return Accepted(key, record.ref)

    def _wanted(self, one: Submission) -> Demand | Rejected:
        wanted, why = demand(one.spec, self._settings, self._roster.alive())
        if wanted is None:
            wanted, why = demand(one.spec, self._settings, self._roster.alive(within_seconds=1))
        if wanted is not None:
            return wanted
        gone, _ = demand(one.spec, self._settings, self._roster.lately())
        if gone is not None:
            return Rejected(one.key, False, "engine_busy", "the node that has so much is away")
        return Rejected(one.key, True, "engine_no_node_fits", why)

    def _hand_over(self, one: Submission, record: Record, wanted: Demand) -> Accepted | Rejected:
        try:
            reply = self._send(one, record, wanted)
        except PackageTooLarge as error:
            answer = Rejected(one.key, True, "engine_files_too_large", str(error))
            return self._refused(record, answer)
        except OSError as error:
            answer = Rejected(one.key, False, "engine_cannot_prepare", str(error)[:200])
            return self._refused(record, answer)
        if reply is not None:
            return self._not_taken(one.key, record, reply)
        record.accepted = True
        self._records.save(record)
        return Accepted(one.key, record.ref)

    def _send(self, one: Submission, record: Record, wanted: Demand) -> Reply | None:
        """None when Ray took it; otherwise what it said."""
        name = f"_ray_pkg_{secrets.token_hex(16)}.zip"
        what = task(one, record.folder, self._settings)
        inputs, mib_max = one.inputs.values(), self._settings.package_mib_max
        with tempfile.TemporaryFile(dir=self._folder) as package:
            write_package(package, what, one.spec.script, inputs, mib_max=mib_max)
            reply = self._dashboard.upload(name, package)
        if reply is not None:
            return reply
        return self._dashboard.submit(self._body(one, record, wanted, name))

    def _body(
        self, one: Submission, record: Record, wanted: Demand, package: str
    ) -> dict[str, object]:
        wait = self._settings.grace_seconds + _AFTER_GRACE_SECONDS
        return {
            # A shell reads this line: nothing of the user's is in it.
            "entrypoint": f"exec {self._settings.python} -I -S run.py",
            "submission_id": record.ref,
            "runtime_env": {
                "working_dir": f"gcs://{package}",
                "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(wait)},
            },
            "metadata": {
                _ATTEMPT: one.key,
                _PLACE: record.folder,
                _WALLTIME: str(one.spec.walltime_seconds),
                HOLDS: wanted.told,
            },
            **wanted.entrypoint,
        }

    def _not_taken(self, key: str, record: Record, reply: Reply) -> Accepted | Rejected:
        """Ray says no in the same way to a duplicate and to trouble of its own."""
        job = self._dashboard.job(record.ref)
        if job is not None:
            return self._taken_before(key, record, job)
        permanent = reply.status in (400, 413)
        code = "engine_refused" if permanent else "engine_cannot_prepare"
        native = f"{reply.status}: {reply.text.strip()[-200:]}"
        return self._refused(record, Rejected(key, permanent, code, native))

    def _taken_before(self, key: str, record: Record, job: RayJob) -> Accepted | Rejected:
        if self._adopt(key, record.ref, job, record):
            return Accepted(key, record.ref)
        native = f"{record.ref} is another's submission"
        return self._refused(record, Rejected(key, True, "engine_key_unusable", native))

    def _refused(self, record: Record, answer: Rejected) -> Rejected:
        self._records.drop(record.ref)
        return answer

    def _adopt(self, key: str, ref: str, job: RayJob, record: Record | None) -> bool:
        """Take up a job that Ray has, if it is one of ours."""
        said = job.metadata or {}
        folder, walltime = said.get(_PLACE, ""), said.get(_WALLTIME, "")
        ours = said.get(_ATTEMPT) == key and _FOLDER.fullmatch(folder) and walltime.isdecimal()
        if not ours:
            return False
        if record is not None:
            self._records.drop(ref)
        session = self._dashboard.version().session_name
        self._records.add(Record(ref, folder, session, int(walltime[:9]), accepted=True))
        return True
