"""The real platform with centres on a real Slurm, and the whole audit at the end of it.

The platform is the one of this test run: its web server on loopback, its PostgreSQL, its services.
What the dispatcher and the worker of a city do by themselves is done here while a test waits.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from django.db import connection
from django.db.models import Sum
from tests.services.pool.conftest import City, centre, credit, price

from suanwang.core.jobspec import JobSpec
from suanwang.jobs import bells
from suanwang.jobs import services as jobs
from suanwang.jobs.dispatcher import Dispatcher
from suanwang.jobs.models import Attempt, Job, JobEvent, JobLog
from suanwang.ledger.queries import pending_state
from suanwang.metering import services as metering
from suanwang.metering.models import Charge, Settlement, UsageRecord
from suanwang.registry import services as registry
from suanwang.registry.models import Cluster, Node, SiteAgent
from suanwang.site import audit, clock

from .agent_process import AgentProcess
from .slurm_cluster import JOB_USER, SlurmCluster

IMPATIENT = """
from datetime import timedelta
from suanwang.agent import client, keeper, process
from suanwang.cli import main
client.READ_SECONDS = 1.0
process.Backoff.__init__.__defaults__ = (0.2, 0.5)
process._RECONCILE_SECONDS = 0.5
keeper._ASKED_FIRST_AFTER = timedelta(seconds=0.5)
keeper._ASKED_AFTER = dict.fromkeys(keeper._ASKED_AFTER, timedelta(seconds=0.5))
main()
"""
"""The real agent, which waits less long for what does not come: half a minute is the usual."""


class Centre(AgentProcess):
    """One centre of the city: a cluster on the real Slurm, and an agent as an operator has it."""

    program = ("-c", IMPATIENT)

    def __init__(self, city: SlurmCity, code: str, line: str, **options: Any) -> None:
        self.url = line
        super().__init__(city.folder / code, self)
        self.code, self.slurm = code, city.slurm
        self.prefix = f"c{secrets.token_hex(3)}-"
        self.jobs = city.slurm.folder / "jobs" / self.prefix
        self.options: dict[str, Any] = {
            "engine": "slurm", "folder": str(self.jobs), "user": JOB_USER, "prefix": self.prefix,
            "conf": str(city.slurm.conf), "poll_seconds": 0.2, "settle_seconds": 2,
            "accelerators": {"a100-sxm4-80g": "gpu:a100", "h20": "gpu:h20"},
        }  # fmt: skip
        provider, at = city.people.provider, clock.now()
        place = centre(provider, code, "general")
        price(place, provider, "core_seconds", 10, 1)
        price(place, provider, "memory_mib_seconds", 1, 3600)
        self.cluster: Cluster = registry.register_cluster(
            place, name="main", engine="slurm", actor=provider, at=at
        )
        _, token = registry.create_enrolment(self.cluster, actor=provider, at=at)
        self.enrol("--engine", "slurm", token=token)
        self.configure(**options)
        self.small_disk = False

    def configure(self, **options: Any) -> None:
        self.options |= options
        (self.home / "engine.yaml").write_text(yaml.safe_dump(self.options))

    def have_disk(self, **options: str) -> None:
        """Put the jobs' folders on a file system of their own, of a size; or change that size."""
        how = ",".join(f"{name}={value}" for name, value in options.items())
        self.jobs.mkdir(parents=True, exist_ok=True)
        again = ("remount,",) if self.small_disk else ("mode=0711,",)
        words = ["mount", "-t", "tmpfs", "-o", f"{again[0]}{how}", "tmpfs", str(self.jobs)]
        subprocess.run(words, check=True)
        self.small_disk = True

    def start(self, *options: str) -> None:
        super().start("--wait-seconds", "1", *options)

    def kill(self) -> None:
        self.end(signal.SIGKILL)
        self.start()

    def knows_the_end_of(self, *wanted: Job) -> bool:
        """Whether the agent has seen it, and written down."""
        ids = [str(job.attempts.get().pk) for job in wanted]
        with sqlite3.connect(f"file:{self.home}/spool.sqlite?mode=ro", uri=True) as spool:
            words = f"attempt_id IN ({','.join('?' * len(ids))}) AND phase = 'ended'"
            asked = f"SELECT count(*) FROM attempts WHERE {words}"  # noqa: S608
            return bool(spool.execute(asked, ids).fetchone()[0] == len(ids))

    def slurm_jobs(self, *fields: str, **where: str) -> list[list[str]]:
        """What accounting has of all jobs of this centre, a row each: name and fields."""
        words = ["sacct", "-n", "-P", "-X", "-D", "-S", "now-1days", "-u", JOB_USER]
        said = self.slurm.run(*words, "-o", ",".join(["JobName", *fields]))
        rows = [line.split("|") for line in said.splitlines()]
        return [
            [row[0].removeprefix(self.prefix), *row[1:]]
            for row in rows
            if row[0].startswith(self.prefix)
        ]

    def began(self) -> list[str]:
        """The attempts whose script really began, by what their batch scripts left in accounting:
        a job that never got a node has no start.
        """
        rows = self.slurm_jobs("Start", "NodeList", "ExitCode")
        return [
            name
            for name, start, nodes, code in rows
            if start != "Unknown" and nodes != "None assigned" and code != "75:0"
        ]

    def twice(self) -> list[list[str]]:
        """All that accounting has of attempts that began more than once."""
        often = {name for name, count in Counter(self.began()).items() if count > 1}
        rows = self.slurm_jobs("JobID", "State", "Submit", "Start", "End", "NodeList", "ExitCode")
        return [row for row in rows if row[0] in often]

    def clear(self) -> None:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            if self.process is not None:
                self.end(signal.SIGTERM)
        with suppress(subprocess.CalledProcessError):
            self.slurm.run("scancel", "--quiet", f"--user={JOB_USER}")
        if self.small_disk:
            subprocess.run(["umount", "--lazy", str(self.jobs)], check=True)
        shutil.rmtree(self.jobs, ignore_errors=True)


class SlurmCity:
    """The platform's side of the same city."""

    def __init__(self, people: City, url: str, slurm: SlurmCluster, folder: Path) -> None:
        self.people, self.url, self.slurm, self.folder = people, url, slurm, folder
        self.centres: list[Centre] = []
        self.dispatcher = Dispatcher()
        self.pays = True
        """Whether what has ended is rated and settled while a test waits."""
        credit(people.company, 10**9)

    def centre(self, code: str, *, line: str = "", patient: bool = False, **options: Any) -> Centre:
        """A new one, whose nodes the platform knows. A patient one waits as long as others do."""
        one = Centre(self, code, line or self.url, **options)
        if patient:
            one.program = AgentProcess.program
            one.configure(settle_seconds=30)
        self.centres.append(one)
        one.start()
        self.until(lambda: Node.objects.filter(cluster=one.cluster, up=True).exists())
        return one

    def close(self) -> None:
        for one in self.centres:
            one.clear()
        bells.switchboard.close()
        self.until(lambda: _others_connected() == 0)

    # -- what a company and the city do ---------------------------------------------------------

    def submit(self, script: str, centre: str | None, **asked: Any) -> Job:
        fields = {"memory_mib": 64, "walltime_seconds": 600} | asked
        spec = JobSpec(script=script, centre=centre, **fields)
        return jobs.submit(spec, actor=self.people.company, at=clock.now())

    def turn(self) -> None:
        """What goes on in a city without anybody's doing."""
        self.dispatcher.step(clock.now())
        if self.pays:
            metering.rate_pending(at=clock.now())
            metering.settle_ended(at=clock.now())

    def until(self, what: Callable[[], Any], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.told()
            self.turn()
            time.sleep(0.05)

    def told(self) -> list[Any]:
        rows = JobEvent.objects.order_by("job", "at").values_list("job", "state", "facts")
        logs = [one.log[-2000:] for one in self.centres if one.log_file.exists()]
        nodes = self.slurm.run("sinfo", "-h", "-N", "-o", "%N %T %E")
        return [nodes, self.slurm.run("squeue", "-h", "-o", "%i %T %j %R"), *logs, *rows]

    def until_state(self, state: str, *wanted: Job) -> None:
        ids = [job.pk for job in wanted]
        rows = Job.objects.filter(pk__in=ids, state=state)
        self.until(lambda: rows.count() == len(ids))

    def output(self, job: Job) -> bytes:
        """What the attempt that counts wrote."""
        attempt = job.attempts.get(state=Attempt.State.ENDED)
        pieces = JobLog.objects.filter(attempt=attempt, stream="stdout").order_by("offset")
        return b"".join(bytes(piece.content) for piece in pieces)

    def run_again(self) -> dict[str, int]:
        """Why attempts were given up and their jobs run again, and how many by each reason."""
        events = JobEvent.objects.filter(state="queued", facts__code="job_requeued")
        return Counter(events.values_list("facts__facts__detail", flat=True))

    # -- what must hold in the end ---------------------------------------------------------------

    def accounted_for_once(self, *states: str, seconds: float = 60) -> None:
        """Every job is in one of these states and was metered, rated and settled once; Slurm ran no
        attempt twice; nothing is owed any more; and every check of the audit is kept.
        """
        ran = Attempt.objects.filter(state=Attempt.State.ENDED, started_at__isnull=False)
        self.until(lambda: _metered_once(ran) and self._owes_nothing(), seconds)
        while metering.rate_pending(at=clock.now()).charged:
            pass
        metering.settle_ended(at=clock.now())
        assert set(Job.objects.values_list("state", flat=True)) == set(states)
        for job in Job.objects.filter(attempts__in=ran):
            assert Settlement.objects.filter(job=job).count() == 1
            assert pending_state(job.hold_id) != "pending"
        paid = Charge.objects.exclude(amount_fen=0)
        assert set(paid.values_list("usage__attempt", flat=True)) == {one.pk for one in ran}
        charged, settled = (
            model.objects.aggregate(fen=Sum("amount_fen"))["fen"] for model in (Charge, Settlement)
        )
        assert charged == settled
        assert [row for one in self.centres for row in one.twice()] == []
        assert [finding for finding in audit.run() if not finding.kept] == []

    def _owes_nothing(self) -> bool:
        agents = SiteAgent.objects.filter(cluster__in=[one.cluster for one in self.centres])
        return all((one.states_owed, one.usage_owed) == (0, 0) for one in agents)


def _metered_once(attempts: Any) -> bool:
    current = UsageRecord.objects.filter(attempt__in=attempts, corrected_by__isnull=True)
    return bool(current.count() == 2 * attempts.count())


def _others_connected() -> int:
    """Requests that the server still answers to an agent that is gone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])
