"""Thousands of short jobs over three centres whose agents are killed again and again.

Every job must be accounted for once: it ended well, ran once, was metered once, was paid once.
The full run is ``SUANWANG_SOAK_JOBS=5000 SUANWANG_SOAK_KILL_SECONDS=20`` (docs/benchmarks.md).
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Count, Sum

from suanwang.core.jobspec import JobSpec
from suanwang.jobs import bells
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt, Job
from suanwang.metering import services as metering
from suanwang.metering.models import Charge, RatingProblem, RefusedUsage, Settlement, UsageRecord
from suanwang.registry import services as registry
from suanwang.registry.models import Node, SiteAgent
from suanwang.site import audit, clock

from .conftest import City, centre, credit, price
from .test_real_agent import SOURCE, others_connected, until

JOBS = int(os.environ.get("SUANWANG_SOAK_JOBS", "60"))
KILL_SECONDS = float(os.environ.get("SUANWANG_SOAK_KILL_SECONDS", "0"))
"""Between two kills; 0: as the work goes on, nine times in all."""
BATCH = 100


class Place:
    """A centre with a real agent, which can be killed."""

    def __init__(self, city: City, url: str, folder: Path, code: str) -> None:
        at = clock.now()
        place = centre(city.provider, code, "general")
        price(place, city.provider, "core_seconds", 10, 1)
        price(place, city.provider, "memory_mib_seconds", 1, 3600)
        cluster = registry.register_cluster(
            place, name="main", engine="memory", actor=city.provider, at=at
        )
        _, token = registry.create_enrolment(cluster, actor=city.provider, at=at)
        self.cluster, self.home = cluster, folder / code
        self.log = (folder / f"{code}.log").open("ab")
        self.kills = 0
        enrol = ["-m", "suanwang.cli", "agent", "enrol", "--url", url, "--token", token]
        assert self._run(*enrol, "--home", str(self.home)).wait(60) == 0
        self.start()

    def _run(self, *words: str) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)}
        return subprocess.Popen(
            [sys.executable, *words], env=environment, stdout=self.log, stderr=self.log
        )

    def start(self) -> None:
        script = Path(__file__).with_name("kept_agent.py")
        self.process = self._run(str(script), str(self.home))

    def kill(self) -> None:
        self.end(signal.SIGKILL)
        self.kills += 1
        self.start()

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(60)

    def started(self) -> list[str]:
        """The keys of all jobs its engine ever started."""
        with sqlite3.connect(self.home / "engine.sqlite") as db:
            return [row[0] for row in db.execute("SELECT key FROM jobs")]


@pytest.fixture
def places(open_city: City, live_server: Any, tmp_path: Path) -> Iterator[list[Place]]:
    credit(open_city.company, 10**9)
    found = [Place(open_city, live_server.url, tmp_path, f"soak-{n}") for n in range(3)]
    until(lambda: all(Node.objects.filter(cluster=one.cluster).exists() for one in found))
    yield found
    for one in found:
        one.end(signal.SIGTERM)
        one.log.close()
    bells.switchboard.close()
    until(lambda: others_connected() == 0)


@pytest.mark.timeout(4 * 3600)
def test_with_agents_killed_again_and_again_every_job_is_accounted_for_once(
    open_city: City, places: list[Place]
) -> None:
    began = killed = time.monotonic()
    submitted = turn = 0
    mine = Job.objects.filter(cluster__in=[one.cluster for one in places])
    while (ended := mine.filter(state__in=Job.ENDED).count()) < JOBS:
        assert time.monotonic() - began < 120 + JOBS * 2, "it does not come to an end"
        for number in range(submitted, min(submitted + BATCH, JOBS)):
            spec = JobSpec(
                name=f"soak-{number}", script=f"sleep {number % 5 * 0.5}",
                centre=f"soak-{number % 3}", memory_mib=64, walltime_seconds=60,
            )  # fmt: skip
            jobs.submit(spec, actor=open_city.company, at=clock.now())
        submitted = min(submitted + BATCH, JOBS)
        jobs.dispatch_once(clock.now())
        jobs.abandon_expired(clock.now())
        due = time.monotonic() - killed >= KILL_SECONDS
        if due if KILL_SECONDS else ended >= (turn + 1) * JOBS // 10:
            places[turn % 3].kill()
            turn, killed = turn + 1, time.monotonic()
        time.sleep(0.2)  # a dispatcher's pause; what is waited for is in the loop's condition
    took = time.monotonic() - began

    ran = Attempt.objects.filter(job__in=mine, state=Attempt.State.ENDED)
    until(lambda: UsageRecord.objects.filter(attempt__in=ran).count() == 2 * ran.count(), 120)
    while metering.rate_pending(at=clock.now()).charged:
        pass
    metering.settle_ended(at=clock.now())

    assert dict(mine.values_list("state").annotate(Count("pk")).order_by()) == {"succeeded": JOBS}
    assert ran.count() == ran.values("job").distinct().count() == JOBS
    started = [key for one in places for key in one.started()]
    attempts = {str(pk) for pk in Attempt.objects.filter(job__in=mine).values_list("pk", flat=True)}
    assert len(started) == len(set(started)) and set(started) <= attempts
    assert not RefusedUsage.objects.exists() and not RatingProblem.objects.exists()
    assert Settlement.objects.filter(job__in=mine).count() == JOBS
    charged = Charge.objects.filter(job__in=mine).aggregate(fen=Sum("amount_fen"))["fen"]
    settled = Settlement.objects.filter(job__in=mine).aggregate(fen=Sum("amount_fen"))["fen"]
    assert charged == settled > 0
    assert [finding for finding in audit.run() if not finding.kept] == []
    for agent in SiteAgent.objects.filter(cluster__in=[one.cluster for one in places]):
        until(lambda agent=agent: _owes_nothing(agent))
    kills = [one.kills for one in places]
    assert min(kills) >= 1, "too short to have killed each agent"
    print(json.dumps({"jobs": JOBS, "seconds": round(took), "kills": sum(kills),
                      "attempts": len(attempts)}))  # fmt: skip


def _owes_nothing(agent: SiteAgent) -> bool:
    agent.refresh_from_db()
    return (agent.states_owed, agent.usage_owed) == (0, 0)
