"""Many jobs at once: each by itself, in order, held for, and never more than the budget."""

from __future__ import annotations

from typing import Any

from suanwang.jobs.models import Job, JobEvent
from suanwang.ledger.queries import pending_state

from .test_jobs_api import SPEC, calls  # noqa: F401 - a fixture


def test_each_job_of_a_batch_is_queued_or_refused_by_itself(city: Any, calls: Any) -> None:  # noqa: F811
    described = [{"name": "in.txt", "size": 2, "sha256": "0" * 64}]
    sent = [
        SPEC | {"name": "first"},
        SPEC | {"cores": 0},
        SPEC | {"cores": 500},
        SPEC | {"files_in": described},
        SPEC | {"name": "last", "nodes": 1},
        {},
    ]
    answer = calls(city.company, language="en").post("/jobs/batch", {"jobs": sent})

    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert [one["index"] for one in told["queued"]] == [0, 4]
    assert {one["index"]: one["code"] for one in told["refused"]} == {
        1: "job_unreadable",
        2: "job_fits_nowhere",
        3: "batch_takes_no_files",
        5: "job_unreadable",
    }
    [wrong] = told["refused"][0]["problems"]
    assert wrong["field"] == "cores" and "{" not in wrong["message"]
    jobs = list(Job.objects.order_by("submitted_at"))
    assert [job.name for job in jobs] == ["first", "last"]
    assert [pending_state(job.hold_id) for job in jobs] == ["pending", "pending"]
    assert JobEvent.objects.filter(job__in=jobs).count() == 2


def test_a_batch_gets_no_more_than_the_budget_and_the_first_go_first(city: Any, calls: Any) -> None:  # noqa: F811
    dear = SPEC | {"cores": 32, "walltime_seconds": 30 * 86_400, "centre": "cards"}
    caller = calls(city.company, language="en")
    told = caller.post("/jobs/batch", {"jobs": [dear] * 3}).json()

    assert [one["index"] for one in told["queued"]] == [0]
    assert [one["code"] for one in told["refused"]] == ["budget_exceeded"] * 2
    assert Job.objects.count() == 1


def test_a_batch_too_long_or_empty_is_refused_whole(city: Any, calls: Any) -> None:  # noqa: F811
    caller = calls(city.company)
    assert caller.post("/jobs/batch", {"jobs": [SPEC] * 1001}).status_code == 422
    assert caller.post("/jobs/batch", {"jobs": []}).status_code == 422
    assert not Job.objects.exists()
