"""What a centre's own users run is left alone: from an agent's report to the dispatcher."""

from __future__ import annotations

from typing import Any

import pytest

from suanwang.jobs import queries
from suanwang.jobs import services as jobs
from suanwang.jobs.floor import Floor
from suanwang.jobs.models import Job
from suanwang.jobs.wording import words
from suanwang.placement import Room
from suanwang.registry import services as registry
from suanwang.registry.inventory import NodeReport
from suanwang.registry.models import Node

HOUR = 3600


@pytest.fixture
def report(city: Any) -> Any:
    """Tell what others use of each of the two nodes of the general cluster, as its agent does."""
    nodes = list(Node.objects.filter(cluster=city.general, up=True))
    said: list[str] = [""]

    def tell(*others: int) -> registry.Reported:
        said.append(f"r{len(said)}")
        told = [
            NodeReport(one.name, one.cores, one.memory_mib, others=others or None) for one in nodes
        ]
        return registry.report_nodes(
            city.agent(city.general), told, engine="memory", version="1", isolation="x",
            after=said[-2], revision=said[-1], at=city.now,
        )  # fmt: skip

    tell.node = nodes[0]  # type: ignore[attr-defined]
    return tell


def test_others_keep_a_job_waiting_with_a_reason_and_their_end_starts_it(
    city: Any, report: Any
) -> None:
    cores = report.node.cores
    assert report(cores - 1, 64, 0).changed
    job = city.submit(cores=4, centre="plain", walltime_seconds=HOUR)
    small = city.submit(cores=1, centre="plain", walltime_seconds=HOUR)

    assert jobs.dispatch_once(city.now) == 1

    job.refresh_from_db()
    small.refresh_from_db()
    assert (job.state, job.reason["code"]) == ("queued", "wait_others_use")
    assert "starts_at" not in job.reason, "nobody can say"
    assert small.state == "placed"
    for language, said in (("zh", "其他用户"), ("en", "used by others")):
        assert said in words(job.reason, language)

    assert report(0, 0, 0).changed
    assert jobs.dispatch_once(city.now) == 1
    job.refresh_from_db()
    assert job.state == "placed"


def test_an_engine_that_does_not_tell_keeps_nobody_waiting(city: Any, report: Any) -> None:
    report(report.node.cores, 0, 0)
    report()
    city.submit(cores=4, centre="plain")
    assert jobs.dispatch_once(city.now) == 1


def test_an_admission_counts_others_too(city: Any, report: Any) -> None:
    """A decision made before the report is not carried out after it."""
    cores = report.node.cores
    report(cores - 3, 0, 0)
    floor = Floor([report.node.pk])
    assert floor.take([report.node.pk], Room(4000, 64), ()) is None
    assert floor.take([report.node.pk], Room(3000, 64), ()) == []


def test_the_pool_shows_what_others_use_beside_ours(city: Any, report: Any) -> None:
    report(5, 100, 0)
    city.submit(cores=4, centre="plain")
    jobs.dispatch_once(city.now)
    row = next(one for one in queries.pool(city.now) if one.centre.code == "plain")
    assert (row.holding.others_cores, row.holding.others_memory_mib) == (10, 200)
    assert row.allocated.cores == 4
    assert Job.objects.get().state == "placed"
