"""Dispatch: nothing is leased twice, no node is overfilled, nothing is lost with an agent."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum

from suanwang.core.clock import CITY_ZONE
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt, Job
from suanwang.jobs.rules import ATTEMPTS_MAX, LEASE_RENEWED, LEASE_UNTAKEN
from suanwang.jobs.wording import words
from suanwang.ledger.queries import pending_state
from suanwang.registry import services as registry

HOUR = 3600


def test_a_placed_job_says_why_there_and_a_waiting_one_until_when(city: Any) -> None:
    first = city.submit(cores=16, centre="plain", goal="cheapest", walltime_seconds=HOUR)
    city.submit(cores=16, centre="plain", walltime_seconds=2 * HOUR)
    waiting = city.submit(cores=16, centre="plain", walltime_seconds=3 * HOUR)

    assert jobs.dispatch_once(city.now) == 2

    first.refresh_from_db()
    waiting.refresh_from_db()
    assert (first.state, first.reason["code"]) == ("placed", "placed_cheapest")
    assert first.reason["facts"]["centre"] == "plain"
    assert waiting.reason["code"] == "wait_no_room"
    assert waiting.reason["facts"]["starts_at"] == "2026-03-02T02:00+00:00"
    assert waiting.reason["starts_at"] == "2026-03-02T02:00+00:00"
    assert waiting.reason["starts_by"] >= waiting.reason["starts_at"]


def test_a_cluster_whose_agent_is_silent_gets_no_work(city: Any) -> None:
    job = city.submit(centre="plain")
    city.now = city.now.replace(hour=5)

    assert jobs.dispatch_once(city.now) == 0
    job.refresh_from_db()
    assert job.reason["code"] == "wait_centre_offline"

    registry.seen(city.agent(city.general), at=city.now)
    assert jobs.dispatch_once(city.now) == 1


def test_a_lease_is_handed_out_until_it_is_taken_and_to_one_agent_only(city: Any) -> None:
    city.submit(centre="plain")
    jobs.dispatch_once(city.now)
    agent = city.agent(city.general)
    spare, token = registry.create_enrolment(city.general, actor=city.provider, at=city.now)
    spare = registry.enrol(token, city.keys[city.intelligent.pk].public, "test", at=city.now)

    [lease] = jobs.lease(agent, [], at=city.now).leases
    [again] = jobs.lease(agent, [], at=city.now).leases

    assert lease.attempt_id == again.attempt_id
    assert jobs.lease(spare, [], at=city.now).leases == []
    assert jobs.lease(agent, [lease.attempt_id], at=city.now).leases == []


def test_naming_an_attempt_renews_its_lease(city: Any) -> None:
    attempt = city.placed(centre="plain")
    city.later(seconds=100)
    jobs.lease(city.agent(city.general), [attempt.pk], at=city.now)

    attempt.refresh_from_db()
    assert attempt.expires_at == city.now + LEASE_RENEWED
    assert jobs.abandon_expired(city.now + LEASE_RENEWED) == 0


def test_an_untaken_lease_expires_and_the_job_queues_again(city: Any) -> None:
    attempt = city.placed(centre="plain")
    city.later(seconds=LEASE_UNTAKEN.total_seconds() + 1)

    assert jobs.abandon_expired(city.now) == 1
    assert jobs.abandon_expired(city.now) == 0

    job = Job.objects.get(pk=attempt.job_id)
    assert (job.state, job.reason["code"], job.cluster) == ("queued", "job_requeued", None)
    assert jobs.dispatch_once(city.now) == 1
    assert [a.number for a in job.attempts.order_by("number")] == [1, 2]


def test_after_the_last_attempt_the_job_is_lost_and_its_hold_given_back(city: Any) -> None:
    job = city.submit(centre="plain")
    for number in range(1, ATTEMPTS_MAX + 1):
        assert jobs.dispatch_once(city.now) == 1
        attempt = job.attempts.get(number=number)
        city.report(attempt, "running", 1)
        city.later(seconds=LEASE_RENEWED.total_seconds() + 1)
        assert jobs.abandon_expired(city.now) == 1

    job.refresh_from_db()
    assert (job.state, job.reason["code"]) == ("lost", "job_lost")
    assert pending_state(job.hold_id) == "voided"


def test_news_of_an_abandoned_attempt_is_void_and_the_agent_is_told_to_stop(city: Any) -> None:
    attempt = city.placed(centre="plain")
    city.report(attempt, "running", 1)
    city.later(seconds=LEASE_RENEWED.total_seconds() + 1)
    jobs.abandon_expired(city.now)
    agent = city.agent(city.general)

    report = jobs.StateReport(attempt.pk, 2, "succeeded", city.now, exit_code=0)
    [(_, refusal)] = jobs.take_states(agent, [report], at=city.now)[1]

    assert refusal.code == "attempt_void"
    assert Job.objects.get(pk=attempt.job_id).state == "queued"
    assert jobs.lease(agent, [attempt.pk], at=city.now).cancel == [attempt.pk]


def test_a_refused_start_is_decided_again(city: Any) -> None:
    attempt = city.placed(centre="plain")
    city.report(attempt, "refused", 1, reason="no space")

    assert Job.objects.get(pk=attempt.job_id).state == "queued"
    assert jobs.dispatch_once(city.now) == 1


def test_a_job_its_site_stopped_without_being_asked_runs_again(city: Any) -> None:
    attempt = city.placed(centre="plain")
    city.report(attempt, "running", 1)
    city.report(attempt, "cancelled", 2, reason="agent_stopped")

    job = Job.objects.get(pk=attempt.job_id)
    assert (job.state, job.reason["facts"]["detail"]) == ("queued", "agent_stopped")
    attempt.refresh_from_db()
    assert attempt.state == Attempt.State.ABANDONED


def test_a_cancelled_job_whose_agent_is_gone_ends_cancelled(city: Any) -> None:
    attempt = city.placed(centre="plain")
    city.report(attempt, "running", 1)
    jobs.cancel(attempt.job, actor=city.company, at=city.now)
    city.later(seconds=LEASE_RENEWED.total_seconds() + 1)

    assert jobs.abandon_expired(city.now) == 1
    assert Job.objects.get(pk=attempt.job_id).state == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_dispatchers_side_by_side_lease_nothing_twice_and_overfill_no_node(open_city: Any) -> None:
    city = open_city
    for _ in range(60):
        city.submit(cores=2, memory_mib=1024, walltime_seconds=HOUR)
    start = threading.Barrier(3)

    def dispatch() -> None:
        start.wait()
        for _ in range(8):
            jobs.dispatch_once(city.now)
        connection.close()

    threads = [threading.Thread(target=dispatch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()

    live = Attempt.objects.filter(state__in=Attempt.LIVE)
    by_node = live.values("node__name").annotate(cores=Sum("job__cores")).order_by("node__name")
    assert {row["node__name"]: row["cores"] for row in by_node} == {"n1": 16, "n2": 16, "g1": 32}
    assert live.values("job").distinct().count() == live.count() == 32
    assert Job.objects.filter(state="placed").count() == 32
    assert Job.objects.filter(state="queued").count() == 28


def test_what_a_job_waits_for_at_its_centre_is_read_by_its_owner(city: Any) -> None:
    attempt = city.placed()
    queue = jobs.CentreQueue("Resources", city.now + timedelta(minutes=7))
    local = (city.now + timedelta(minutes=7)).astimezone(CITY_ZONE)
    city.report(attempt, "starting", 1, queue=queue)
    job = Job.objects.get(pk=attempt.job_id)
    assert job.state == "starting"
    for language in ("zh", "en"):
        sentence = words(job.reason, language)
        assert attempt.cluster.centre.code in sentence and "Resources" in sentence
        assert local.strftime("%Y-%m-%d %H:%M") in sentence and "{" not in sentence

    city.report(attempt, "starting", 2, queue=jobs.CentreQueue("Priority"))
    job.refresh_from_db()
    assert "Priority" in words(job.reason, "en") and "expects" not in words(job.reason, "en")
    assert job.events.filter(state="starting").count() == 1, "no step of its story"

    city.report(attempt, "running", 3)
    city.report(attempt, "starting", 4, queue=queue)
    job.refresh_from_db()
    assert (job.state, job.reason["code"]) == ("running", "job_running")
