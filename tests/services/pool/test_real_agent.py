"""The real agent, the real engine and the real platform, each a process or thread of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from suanwang.core.jobspec import FileIn, JobSpec
from suanwang.jobs import bells
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt, Job, JobFile, JobLog
from suanwang.metering.models import RefusedUsage, UsageRecord
from suanwang.registry import services as registry
from suanwang.registry.models import Node
from suanwang.site import clock

from .conftest import City, centre, price

SOURCE = Path(__file__).resolve().parents[3] / "src"
MEMORY_MIB = 64


class Site:
    """A centre of this machine, with an agent that an operator starts and stops."""

    def __init__(self, city: City, url: str, home: Path, code: str = "here") -> None:
        self.city = city
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None
        at = clock.now()
        place = centre(city.provider, code, "general")
        for meter in ("core_seconds", "memory_mib_seconds"):
            price(place, city.provider, meter, 360, 3600)
        cluster = registry.register_cluster(
            place, name=code, engine="local", actor=city.provider, at=at
        )
        self.cluster = cluster
        _, token = registry.create_enrolment(cluster, actor=city.provider, at=at)
        enrolled = self.run("enrol", "--url", url, "--token", token)
        assert enrolled.wait(30) == 0

    def run(self, *words: str) -> subprocess.Popen[bytes]:
        log = (self.home.parent / "agent.log").open("ab")
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "suanwang.cli", "agent", *words, "--home", str(self.home)],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)},
                stdout=log,
                stderr=log,
            )
        finally:
            log.close()

    def start(self) -> None:
        self.process = self.run("run", "--stop-jobs", "--wait-seconds", "1")

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)
        self.process = None

    def finish(self) -> None:
        """Leave nothing of it running, and no request of it unanswered."""
        if self.process is not None:
            self.stop()
        if (places := self.home / "engine" / "places").is_symlink():
            shutil.rmtree(places.readlink(), ignore_errors=True)
        bells.switchboard.close()
        until(lambda: others_connected() == 0)

    def submit(self, script: str, files: dict[str, bytes] | None = None, **asked: Any) -> Job:
        """A job for this centre, placed."""
        described = [
            FileIn(name=name, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
            for name, data in (files or {}).items()
        ]
        spec = JobSpec(
            script=script, centre="here", memory_mib=MEMORY_MIB, files_in=described, **asked
        )
        job = jobs.submit(spec, files=files or {}, actor=self.city.company, at=clock.now())
        jobs.dispatch_once(clock.now())
        return job


def until(what: Callable[[], Any], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def state_of(job: Job) -> str:
    job.refresh_from_db()
    return job.state


@pytest.fixture
def site(open_city: City, live_server: Any, tmp_path: Path) -> Iterator[Site]:
    site = Site(open_city, live_server.url, tmp_path / "agent")
    site.start()
    until(lambda: Node.objects.filter(cluster=site.cluster).exists())
    yield site
    site.finish()


def others_connected() -> int:
    """Requests that the server still answers to an agent that is gone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def test_this_machine_reports_itself_and_runs_what_was_placed_on_it(site: Site) -> None:
    node = Node.objects.get(cluster=site.cluster)
    assert node.cores == len(os.sched_getaffinity(0))

    job = site.submit(
        "cat in.txt; echo oops >&2; tr a-z A-Z < in.txt > out.txt",
        files={"in.txt": b"words\n"},
        files_out=["*.txt"],
        walltime_seconds=60,
    )
    until(lambda: state_of(job) in Job.ENDED)

    assert (job.state, job.exit_code) == ("succeeded", 0)
    logs = {log.stream: bytes(log.content) for log in JobLog.objects.filter(attempt__job=job)}
    assert logs == {"stdout": b"words\n", "stderr": b"oops\n"}
    out = JobFile.objects.get(job=job, direction=JobFile.Direction.OUT, name="out.txt")
    assert bytes(out.content) == b"WORDS\n"
    attempt = Attempt.objects.get(job=job)
    assert "+" in attempt.isolation
    until(lambda: UsageRecord.objects.filter(attempt=attempt).count() == 2)
    used = dict(UsageRecord.objects.filter(attempt=attempt).values_list("meter", "quantity"))
    assert used["core_seconds"] >= 1
    assert used["memory_mib_seconds"] == MEMORY_MIB * used["core_seconds"]
    assert not RefusedUsage.objects.exists()


def test_an_owner_cancels_and_the_job_really_ends(site: Site) -> None:
    job = site.submit("sleep 600", walltime_seconds=900)
    until(lambda: state_of(job) == "running")

    jobs.cancel(job, actor=site.city.company, at=clock.now())
    until(lambda: state_of(job) in Job.ENDED)

    assert job.state == "cancelled"
    until(UsageRecord.objects.filter(attempt__job=job, meter="core_seconds").exists)


def test_a_walltime_is_kept_and_billed_no_further(site: Site) -> None:
    job = site.submit("sleep 600", walltime_seconds=1)
    until(lambda: state_of(job) in Job.ENDED)
    until(lambda: UsageRecord.objects.filter(attempt__job=job).count() == 2)

    assert job.state == "timeout"
    used = UsageRecord.objects.get(attempt__job=job, meter="core_seconds")
    assert used.quantity == 1


def test_an_agent_killed_in_the_middle_loses_and_repeats_nothing(site: Site) -> None:
    job = site.submit("echo once; sleep 3; echo end", walltime_seconds=60)
    until(lambda: state_of(job) == "running")
    site.stop(signal.SIGKILL)
    site.start()
    until(lambda: state_of(job) in Job.ENDED)

    assert job.state == "succeeded"
    assert Attempt.objects.filter(job=job).count() == 1
    pieces = JobLog.objects.filter(attempt__job=job, stream="stdout").order_by("offset")
    assert b"".join(bytes(piece.content) for piece in pieces) == b"once\nend\n"
    until(lambda: UsageRecord.objects.filter(attempt__job=job).count() == 2)


def test_a_stopped_centre_gives_its_job_back_to_the_queue(site: Site) -> None:
    job = site.submit("sleep 600", walltime_seconds=900)
    until(lambda: state_of(job) == "running")
    site.stop()

    until(lambda: state_of(job) == "queued")
    assert not UsageRecord.objects.filter(attempt__job=job).exists()
