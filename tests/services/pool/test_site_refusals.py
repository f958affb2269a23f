"""What a centre's own policy refuses is decided again elsewhere: never lost, never run twice,
never offered to the same centre over and over.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from suanwang.core.errors import NotAllowed
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt, Job, JobEvent
from suanwang.jobs.wording import words
from suanwang.registry import services as registry
from suanwang.registry.models import SiteAgent


def refuse(
    city: Any,
    attempt: Attempt,
    code: str,
    facts: dict[str, Any] | None = None,
    *,
    until: datetime | None = None,
    policy: str = "p1",
) -> None:
    refusal = jobs.SiteRefusal(code, facts or {}, until, policy)
    city.report(attempt, "refused", 1, reason=code, refusal=refusal)


def tell(city: Any, cluster: Any, *, closed: str = "", policy: str = "p1") -> bool:
    agent = SiteAgent.objects.select_related("cluster").get(pk=city.agent(cluster).pk)
    return registry.told(agent, registry.Door(closed, policy))


def live(job: Job) -> Attempt | None:
    return Attempt.objects.filter(job=job, state__in=Attempt.LIVE).first()


def test_a_refused_job_goes_to_another_centre_and_its_owner_reads_why(city: Any) -> None:
    tell(city, city.general)
    attempt = city.placed()
    assert attempt.cluster_id == city.general.pk

    refuse(city, attempt, "site_cores_exceeded", {"asked": 8, "limit": 4})
    jobs.dispatch_once(city.later(seconds=1))

    again = live(attempt.job)
    assert again is not None and again.cluster_id == city.intelligent.pk
    attempt.refresh_from_db()
    assert (attempt.state, attempt.site_refusal) == ("abandoned", "site_cores_exceeded")
    told = JobEvent.objects.get(job=attempt.job, facts__code="site_cores_exceeded")
    for language in ("zh", "en"):
        sentence = words(told.facts, language)
        assert "plain" in sentence and "4" in sentence and "8" in sentence and "{" not in sentence


@pytest.mark.parametrize("repeats", [5])
def test_a_centre_is_not_asked_again_and_refusals_use_up_no_attempt(
    city: Any, repeats: int
) -> None:
    tell(city, city.general)
    attempt = city.placed(centre="plain")
    refuse(city, attempt, "site_organisation_refused")
    for _ in range(repeats):
        jobs.dispatch_once(city.later(seconds=1))
    job = Job.objects.get(pk=attempt.job_id)
    assert (job.state, job.attempts.count()) == ("queued", 1)
    assert job.reason["code"] == "wait_site_refused"

    # Each time the policy is another, it is asked once more, however often that is.
    for number in range(repeats):
        assert tell(city, city.general, policy=f"q{number}")
        jobs.dispatch_once(city.later(seconds=1))
        again = live(job)
        assert again is not None
        jobs.lease(city.agent(city.general), [], at=city.now)
        refuse(city, again, "site_organisation_refused", policy=f"q{number}")
    job.refresh_from_db()
    assert (job.state, job.attempts.count()) == ("queued", 1 + repeats)
    assert not job.attempts.filter(charged=True).exists()


def test_outside_its_hours_a_centre_is_asked_again_when_it_opens(city: Any) -> None:
    tell(city, city.general)
    attempt = city.placed(centre="plain")
    opens = city.now + timedelta(hours=3)
    refuse(city, attempt, "site_hours_closed", until=opens)
    city.later(hours=2, minutes=59)
    assert jobs.dispatch_once(city.now) == 0
    city.later(minutes=1)
    assert jobs.dispatch_once(city.now) == 1
    told = JobEvent.objects.get(job=attempt.job, facts__code="site_hours_closed")
    assert words(told.facts, "en").count("2026-03-02 12:00") == 1  # in the city's own time


@pytest.mark.parametrize("code", ["site_draining", "site_policy_broken"])
def test_a_centre_that_takes_nothing_gets_nothing_until_it_says_so(city: Any, code: str) -> None:
    tell(city, city.general)
    attempt = city.placed(centre="plain")
    refuse(city, attempt, code)
    assert SiteAgent.objects.get(pk=city.agent(city.general).pk).closed == code
    assert jobs.dispatch_once(city.later(seconds=1)) == 0
    job = Job.objects.get(pk=attempt.job_id)
    assert job.reason["code"] in ("wait_centre_takes_nothing", "wait_no_machine")
    elsewhere = city.submit()
    assert jobs.dispatch_once(city.later(seconds=1)) == 1
    assert (placed := live(elsewhere)) is not None
    assert placed.cluster_id == city.intelligent.pk

    assert tell(city, city.general, closed="")
    assert jobs.dispatch_once(city.later(seconds=1)) == 1
    assert live(job) is not None


def test_a_refusal_reported_twice_counts_once_and_news_after_it_is_void(city: Any) -> None:
    tell(city, city.general)
    attempt = city.placed()
    refuse(city, attempt, "site_organisation_refused")
    jobs.dispatch_once(city.later(seconds=1))
    agent = city.agent(city.general)
    reports = [
        jobs.StateReport(attempt.pk, 1, "refused", city.now),
        jobs.StateReport(attempt.pk, 2, "running", city.now),
    ]
    accepted, refused = jobs.take_states(agent, reports, at=city.now)
    assert [error.code for _, error in refused] == ["attempt_void", "attempt_void"]
    assert accepted == []
    assert Attempt.objects.filter(job=attempt.job, state__in=Attempt.LIVE).count() == 1


def test_an_unknown_reason_of_a_newer_agent_is_kept_as_a_refusal(city: Any) -> None:
    tell(city, city.general)
    attempt = city.placed()
    refuse(city, attempt, "site_moon_phase", {"phase": "full"})
    attempt.refresh_from_db()
    assert attempt.site_refusal == "site_refused"
    attempt.job.refresh_from_db()
    assert "{" not in words(attempt.job.reason, "en")


def test_the_provider_orders_an_agent_to_drain_and_nobody_else_does(city: Any) -> None:
    agent = city.agent(city.general)
    with pytest.raises(NotAllowed):
        registry.order_drain(agent, drain=True, actor=city.other_provider, at=city.now)
    registry.order_drain(agent, drain=True, actor=city.provider, at=city.now)
    job = city.submit(centre="plain")
    assert jobs.dispatch_once(city.later(seconds=1)) == 0
    registry.order_drain(agent, drain=False, actor=city.operator, at=city.now)
    assert jobs.dispatch_once(city.later(seconds=1)) == 1
    assert isinstance(job.pk, UUID)


def test_a_lease_says_whose_job_it_is(city: Any) -> None:
    city.submit()
    jobs.dispatch_once(city.now)
    [lease] = jobs.lease(city.agent(city.general), [], at=city.now).leases
    assert lease.organisation == str(city.company.organisation_id)
    assert lease.organisation_name == "company"
