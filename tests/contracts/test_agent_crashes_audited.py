"""The agent killed at single steps of its work for the real platform, and the audit after it.

``SUANWANG_CRASH_POINTS=1000`` tries every step there is; the steps are those of
``test_agent_crashes.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.services.pool.conftest import City, centre, credit, price
from tests.services.pool.test_agent_faults_audited import closed_and_audited

from suanwang.core.jobspec import JobSpec
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt, Job, JobLog
from suanwang.metering.models import RatingProblem, RefusedUsage, UsageRecord
from suanwang.registry import services as registry
from suanwang.registry.inventory import NodeReport
from suanwang.site import clock

from .test_agent_crashes import CRASH_POINTS, Counting, Crash, Machine, Steps


def machine_of(city: City, url: str, home: Path) -> Machine:
    """A new centre with an engine that takes no time, and the disk of its agent."""
    provider, at = city.provider, clock.now()
    place = centre(provider, "here", "general")
    for meter in ("core_seconds", "memory_mib_seconds"):
        price(place, provider, meter, 10, 1)
    cluster = registry.register_cluster(place, name="main", engine="memory", actor=provider, at=at)
    _, token = registry.create_enrolment(cluster, actor=provider, at=at)
    engine = Counting(clock.SystemClock(), seconds=0)
    machine = Machine(home, url, token, engine=engine)
    nodes = [NodeReport(node.name, node.cores, node.memory_mib)
             for node in engine.inventory()]  # fmt: skip
    agent = cluster.agents.get()
    registry.report_nodes(agent, nodes, engine="memory", version="", isolation="", at=at)
    return machine


def test_killed_before_or_after_any_step_no_job_is_lost_repeated_or_paid_twice(
    open_city: City, live_server: Any, tmp_path: Path
) -> None:
    machine = machine_of(open_city, live_server.url, tmp_path / "home")
    credit(open_city.company, 10**9)

    def scenario(crash_at: int | None) -> int:
        wanted = [
            jobs.submit(
                JobSpec(script="true", centre="here", memory_mib=64),
                actor=open_city.company, at=clock.now(),
            ).pk
            for _ in range(2)
        ]  # fmt: skip
        assert jobs.dispatch_once(clock.now()) == 2

        def done() -> bool:
            used = UsageRecord.objects.filter(attempt__job__in=wanted)
            ended = Job.objects.filter(pk__in=wanted, state="succeeded")
            return (ended.count(), used.count()) == (2, 4)

        steps = Steps(crash_at)
        crashed = False
        try:
            machine.live(steps, done)
        except Crash:
            crashed = True
            machine.live(Steps(None), done)
        assert crashed == (crash_at is not None)
        assert done()
        return steps.count

    whole, points = scenario(None), 1
    for crash_at in range(1, whole - 10, max(whole * 2 // CRASH_POINTS, 1)):
        scenario(crash_at)
        points += 1

    attempts = [str(pk) for pk in Attempt.objects.values_list("pk", flat=True)]
    assert sorted(machine.engine.starts) == sorted(attempts)
    assert len(attempts) == 2 * points
    assert JobLog.objects.filter(stream="stdout").count() == 2 * points
    assert not RefusedUsage.objects.exists() and not RatingProblem.objects.exists()
    open_city.now = clock.now()
    closed_and_audited(open_city, "succeeded")
