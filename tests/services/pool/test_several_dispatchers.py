"""Two dispatchers, one of them killed in the middle: every job is admitted once, none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection
from django.db.models import Count, Sum

from suanwang.core.jobspec import JobSpec
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt, Job, JobEvent
from suanwang.ledger import audit
from suanwang.ledger.models import Transfer
from suanwang.registry import services as registry
from suanwang.registry.inventory import NodeReport
from suanwang.site.settings import settings

from .conftest import credit
from .test_dispatcher import until

PROGRAM = Path(__file__).with_name("dispatcher_process.py")
SOURCE = Path(__file__).resolve().parents[3] / "src"
BATCHES, EACH = 6, 60


@contextmanager
def dispatcher(at: datetime) -> Iterator[subprocess.Popen[bytes]]:
    # The same server, by another name of the database: the one pytest made.
    given = urlsplit(settings().dsn())
    dsn = urlunsplit(given._replace(path=f"/{connection.settings_dict['NAME']}"))
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), at.isoformat()],
        env=os.environ | {"SUANWANG_DATABASE_URL": dsn, "PYTHONPATH": str(SOURCE)},
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def listening() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'suanwang-bells'"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_jobs_are_admitted_once_by_two_dispatchers_one_of_which_is_killed(open_city: Any) -> None:
    city = open_city
    nodes = {
        city.general: [NodeReport(f"n{number}", 16, 65536) for number in range(1, 31)],
        city.intelligent: [NodeReport("g1", 256, 262144, (("h20", 8),))],
    }
    for cluster, seen in nodes.items():
        registry.report_nodes(
            city.agent(cluster),
            seen,
            engine="memory",
            version="1",
            isolation="none",
            gangs=True,
            at=city.now,
        )
    credit(city.company, 10_000_000_00)
    at = city.now + timedelta(seconds=5)
    wishes: list[dict[str, Any]] = [
        {"script": "true", "centre": "plain", "memory_mib": 256},
        {"script": "true", "centre": "plain", "nodes": 2, "cores": 2},
        {"script": "true", "centre": "cards", "accelerators": 1, "card_milli": 50},
    ]
    with dispatcher(at) as one, dispatcher(at):
        until(lambda: listening() == 2)
        for batch in range(BATCHES):
            specs = {
                number: JobSpec.model_validate(wishes[number % len(wishes)])
                for number in range(EACH)
            }
            answers = jobs.submit_batch(
                specs, actor=city.company, at=at + timedelta(milliseconds=batch)
            )
            assert all(isinstance(answer, Job) for answer in answers.values())
            if batch == BATCHES // 2:
                one.send_signal(signal.SIGKILL)  # in the middle of whatever it does
        until(lambda: not Job.objects.filter(state="queued").exists(), 60)
        assert one.wait(10) == -signal.SIGKILL

    made = Job.objects.all()
    assert made.count() == BATCHES * EACH
    assert set(made.values_list("state", flat=True)) == {"placed"}
    attempts = Attempt.objects.values("job").annotate(Count("id"))
    assert {row["id__count"] for row in attempts} == {1}
    placed = JobEvent.objects.filter(state="placed").values("job").annotate(Count("id"))
    assert len(placed) == BATCHES * EACH and {row["id__count"] for row in placed} == {1}
    for attempt in Attempt.objects.filter(job__nodes=2):
        assert len({attempt.node_id, *attempt.nodes_more}) == 2
    holds = Transfer.objects.filter(id__in=made.values("hold_id"), kind="pending")
    held = holds.aggregate(count=Count("id"), amount=Sum("amount_fen"))
    asked = made.aggregate(amount=Sum("estimate_fen"))
    assert (held["count"], held["amount"]) == (BATCHES * EACH, asked["amount"])
    assert [finding for one in audit.checks() if not (finding := one()).kept] == []
