"""Thousands of short jobs over three centres on a real Slurm, whose agents are killed in turn.

Every job must be accounted for once: Slurm began it once, it was metered once and paid once. The
full run is ``SUANWANG_SOAK_SLURM_JOBS=5000 SUANWANG_SOAK_KILL_SECONDS=20`` (docs/benchmarks.md).
"""

from __future__ import annotations

import json
import os
import time

import pytest
from django.db.models import Count

from suanwang.core.jobspec import JobSpec
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt, Job
from suanwang.metering.models import RatingProblem, RefusedUsage
from suanwang.site import clock

from .slurm_city import SlurmCity

JOBS = int(os.environ.get("SUANWANG_SOAK_SLURM_JOBS", "60"))
KILL_SECONDS = float(os.environ.get("SUANWANG_SOAK_KILL_SECONDS", "0"))
"""Between two kills; 0: as the work goes on, six times in all."""
BATCH = 100
WAITING_MOST = 400
"""More are not submitted before some have ended."""


class Killer:
    """Kills one agent after the other, and once in the middle stops and starts slurmctld."""

    def __init__(self, city: SlurmCity) -> None:
        self.city, self.kills, self.restarts = city, 0, 0
        self.killed_at = time.monotonic()

    def turn(self, ended: int) -> None:
        if self.restarts == 0 and ended >= JOBS // 2:
            self.restarts = 1
            self.city.slurm.end("slurmctld")
            self.city.slurm.start_controller()
        due = time.monotonic() - self.killed_at >= KILL_SECONDS
        if due if KILL_SECONDS else ended >= (self.kills + 1) * JOBS // 7:
            self.city.centres[self.kills % 3].kill()
            self.kills, self.killed_at = self.kills + 1, time.monotonic()


@pytest.fixture
def city(slurm_city: SlurmCity) -> SlurmCity:
    """Three centres with a node each; one speaks to Slurm by its commands, two over REST."""
    slurm = slurm_city.slurm
    rest = {"url": slurm.url, "token_file": str(slurm.token_file)}
    for number in range(3):
        spoken = rest if number else {}
        slurm_city.centre(
            f"soak-{number}", patient=True, partition=f"p{number}", poll_seconds=1.0, **spoken
        )
    return slurm_city


@pytest.mark.timeout(3 * 3600)
def test_on_a_real_slurm_with_agents_killed_every_job_is_accounted_for_once(
    city: SlurmCity,
) -> None:
    began, submitted, killer = time.monotonic(), 0, Killer(city)
    while (ended := Job.objects.filter(state__in=Job.ENDED).count()) < JOBS:
        assert time.monotonic() - began < 120 + JOBS, city.told()
        most = min(JOBS, submitted + BATCH, ended + WAITING_MOST)
        for number in range(submitted, most):
            spec = JobSpec(
                name=f"soak-{number}", script=("true", "sleep 0.5", "sleep 1")[number % 3],
                centre=f"soak-{number % 3}", memory_mib=64, walltime_seconds=60,
            )  # fmt: skip
            jobs.submit(spec, actor=city.people.company, at=clock.now())
        submitted = most
        city.turn()
        killer.turn(ended)
        time.sleep(0.2)  # a dispatcher's pause; what is waited for is in the loop's condition
    took = time.monotonic() - began

    city.accounted_for_once("succeeded", seconds=300)
    assert killer.kills >= 3 and killer.restarts == 1
    assert city.run_again() == {}
    states = Attempt.objects.values_list("state").annotate(Count("pk")).order_by()
    assert dict(states) == {"ended": JOBS}
    began_by_slurm = [name for one in city.centres for name in one.began()]
    attempts = Attempt.objects.values_list("pk", flat=True)
    assert sorted(began_by_slurm) == sorted(str(pk) for pk in attempts)
    assert not RefusedUsage.objects.exists() and not RatingProblem.objects.exists()
    told = {"jobs": JOBS, "seconds": round(took), "kills": killer.kills}
    print(json.dumps(told | {"begun": len(began_by_slurm)}))
