"""What a job wishes reaches placement, whole: gangs, shares of cards, classes, giving way."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from suanwang.core import sbatch
from suanwang.core.clock import SimulatedClock
from suanwang.core.errors import Refused
from suanwang.core.jobspec import JobSpec
from suanwang.jobs import services as jobs
from suanwang.jobs.asks import ask_of
from suanwang.jobs.models import Attempt, Job, OrganisationShare
from suanwang.jobs.rules import ATTEMPTS_MAX
from suanwang.ledger.models import Transfer
from suanwang.ledger.queries import pending_state
from suanwang.placement import Room
from suanwang.registry import services as registry
from suanwang.registry.inventory import NodeReport
from suanwang.site import clock

HOUR = 3600


def report(city: Any, cluster: Any, nodes: list[NodeReport], **facts: Any) -> None:
    agent = city.agent(cluster)
    agent.refresh_from_db()
    registry.report_nodes(
        agent, nodes, engine="memory", version="1", isolation="none", at=city.now, **facts
    )


def gangs(city: Any) -> None:
    """The plain centre starts jobs of several nodes."""
    plain = [NodeReport("n1", 16, 65536, (), "r1"), NodeReport("n2", 16, 65536, (), "r1")]
    report(city, city.general, plain, gangs=True)


def test_a_job_of_several_nodes_is_leased_whole_or_not_at_all_on_one_hold(city: Any) -> None:
    gangs(city)
    small = city.submit(cores=1, centre="plain", walltime_seconds=60)
    assert jobs.dispatch_once(city.now) == 1
    gang = city.submit(cores=32, nodes=2, memory_mib=2048, centre="plain")

    assert jobs.dispatch_once(city.now) == 0
    gang.refresh_from_db()
    assert (gang.state, gang.attempts.count()) == ("queued", 0)
    jobs.cancel(small, actor=city.company, at=city.now)
    assert jobs.dispatch_once(city.now) == 1

    attempt = gang.attempts.get()
    [lease] = jobs.lease(city.agent(city.general), [], at=city.now).leases
    assert sorted(lease.nodes) == ["n1", "n2"]
    assert len(attempt.nodes_more) == 1
    assert Transfer.objects.filter(id=gang.hold_id).count() == 1
    city.submit(cores=1, centre="plain")
    assert jobs.dispatch_once(city.now) == 0, "both nodes are full"


def test_jobs_that_share_a_card_never_hold_more_than_all_of_it(city: Any) -> None:
    made = [
        city.submit(accelerators=1, card_milli=400, memory_mib=64, walltime_seconds=60)
        for _ in range(20)
    ]
    assert jobs.dispatch_once(city.now) == 16

    held: dict[int, int] = {}
    for attempt in Attempt.objects.filter(job__in=made, state__in=Attempt.LIVE):
        [[card]] = attempt.cards
        held[card] = held.get(card, 0) + attempt.job.card_milli
    assert held == dict.fromkeys(range(8), 800)


def test_wishes_of_a_specification_and_of_sbatch_lines_reach_the_ask(city: Any) -> None:
    gangs(city)
    OrganisationShare.objects.create(
        organisation_id=city.company.organisation_id, high_priority=True, set_at=city.now
    )
    before = city.submit(centre="plain")
    tomorrow = city.now + timedelta(days=1)
    read = sbatch.read("#!/bin/sh\n#SBATCH -N 2\n#SBATCH --ntasks=4\n#SBATCH --requeue\ntrue\n")
    job = city.submit(
        **read.fields,
        where={"kinds": ["general"], "trust_min": 0, "domestic": "preferred"},
        priority="high",
        preemptible=True,
        spread="rack",
        after=[before.pk],
        deadline=tomorrow.isoformat(),
    )

    ask = ask_of(Job.objects.get(pk=job.pk), gang_centres={"plain"})

    assert (ask.nodes, ask.room.core_milli, ask.spread) == (2, 2000, "rack")
    assert (ask.priority, ask.preemptible, ask.after) == (1, True, (before.pk,))
    assert ask.where.kinds == {"general"}
    assert (ask.where.centres, ask.where.domestic) == ({"plain"}, "preferred")
    assert ask.deadline == tomorrow
    assert ask.room == Room(2000, ask.room.memory_mib)


def test_a_job_waits_for_the_one_it_comes_after_and_not_for_one_that_failed(city: Any) -> None:
    first = city.placed(centre="plain")
    second = city.submit(centre="plain", after=[first.job_id])
    assert jobs.dispatch_once(city.now) == 0
    second.refresh_from_db()
    assert second.reason["code"] == "wait_after"

    city.report(first, "running", 1)
    city.report(first, "succeeded", 2, exit_code=0)
    assert jobs.dispatch_once(city.now) == 1
    with pytest.raises(Refused, match="job_to_follow_unknown"):
        city.submit(after=[uuid4()])


def _full_of_preemptible(city: Any) -> list[Attempt]:
    return [
        city.placed(cores=16, centre="plain", preemptible=True, priority="low") for _ in range(2)
    ]


def test_who_gives_way_is_told_once_keeps_its_grace_and_queues_again_uncharged(city: Any) -> None:
    running = _full_of_preemptible(city)
    for attempt in running:
        city.report(attempt, "running", 1)
    agent, names = city.agent(city.general), [attempt.pk for attempt in running]
    assert not jobs.lease(agent, names, at=city.now)
    urgent = city.submit(cores=16, centre="plain", walltime_seconds=60)

    assert jobs.dispatch_once(city.now) == 0
    assert jobs.dispatch_once(city.now) == 0, "and nobody else is asked for the same"

    told = jobs.lease(agent, names, at=city.now)
    assert told and len(told.give_way) == 1 and told.give_way[0].grace_seconds == 300
    again = jobs.lease(agent, names, at=city.now)
    assert again.give_way == told.give_way and not again, "repeated, but no reason to wake"
    victim = Attempt.objects.get(pk=told.give_way[0].attempt_id)
    assert (victim.job.state, victim.job.reason["code"]) == ("running", "job_giving_way")

    city.later(seconds=200)
    city.report(victim, "cancelled", 2)
    victim.job.refresh_from_db()
    assert (victim.job.state, victim.job.reason["code"]) == ("queued", "job_gave_way")
    assert pending_state(victim.job.hold_id) == "pending"
    assert jobs.dispatch_once(city.now) == 1
    urgent.refresh_from_db()
    assert urgent.state == "placed"
    victim.refresh_from_db()
    assert (victim.state, victim.charged) == ("abandoned", False)


def test_a_lease_nobody_was_handed_gives_way_at_once(city: Any) -> None:
    for _ in range(2):
        city.submit(cores=16, centre="plain", preemptible=True, priority="low")
    assert jobs.dispatch_once(city.now) == 2
    city.submit(cores=16, centre="plain", walltime_seconds=60)

    jobs.dispatch_once(city.now)

    assert Job.objects.filter(state="queued", reason__code="job_gave_way").count() == 1
    assert jobs.dispatch_once(city.now) == 1


def test_a_cluster_known_by_summary_may_refuse_and_the_job_is_decided_again(city: Any) -> None:
    """However often an old summary is wrong the job is neither lost nor sent there again."""
    whole = [NodeReport("all", 32, 131072)]
    report(city, city.general, whole, summary=True)
    job = city.submit(centre="plain", walltime_seconds=60)
    for number in range(1, ATTEMPTS_MAX + 3):
        assert jobs.dispatch_once(city.now) == 1
        attempt = job.attempts.get(number=number)
        jobs.lease(city.agent(city.general), [], at=city.now)
        city.report(attempt, "refused", 1, reason="engine_full")
        assert jobs.dispatch_once(city.now) == 0
        job.refresh_from_db()
        assert (job.state, job.reason["code"]) == ("queued", "wait_newer_summary")
        city.later(seconds=60)
        report(city, city.general, whole, summary=True)

    assert jobs.dispatch_once(city.now) == 1
    assert job.attempts.filter(state__in=Attempt.LIVE).count() == 1
    assert not job.attempts.filter(charged=True).exclude(state="leased").exists()


def test_what_organisations_used_and_how_long_their_jobs_ran_is_learned(city: Any) -> None:
    memory = jobs.Memory()
    for _ in range(5):
        attempt = city.placed(cores=8, centre="plain", walltime_seconds=10 * HOUR)
        city.report(attempt, "running", 1)
        city.later(seconds=600)
        city.report(attempt, "succeeded", 2, exit_code=0)
    memory.learn(city.now)

    company = city.company.organisation_id
    expected = memory.expected.seconds(company, city.company.person.pk, 10 * HOUR)
    assert 500 <= expected < 2 * HOUR
    harmonic = memory.expected.harmonic_seconds(company, city.company.person.pk, 10 * HOUR)
    assert 500 <= harmonic < expected
    assert memory.usage[str(company)] == pytest.approx(5 * 600 * 8 / 64, rel=0.02)
    memory.learn(city.later(days=2))
    assert memory.usage[str(company)] == pytest.approx(5 * 600 * 8 / 64 / 2, rel=0.02)


def test_pages_say_why_a_job_waits_what_helps_and_when_it_starts(city: Any) -> None:
    running = city.placed(accelerators=4, walltime_seconds=4 * HOUR)
    city.report(running, "running", 1)
    job = city.submit(name="large", accelerators=8, walltime_seconds=HOUR)
    jobs.dispatch_once(city.now)
    job.refresh_from_db()
    assert job.reason["helps"]
    operator, owner = Client(), Client()
    operator.force_login(city.operator.person)
    owner.force_login(city.company.person)
    with clock.using(SimulatedClock(city.now)):
        for language, start, helps in (
            ("zh-hans", "预计开始", "可行的调整"),
            ("en", "expected start", "What would help"),
        ):
            for client in (operator, owner):
                client.cookies["django_language"] = language
            pages = [operator.get("/pool"), owner.get(f"/jobs/{job.pk}")]
            for page in pages:
                assert page.status_code == 200
                text = page.content.decode()
                assert start in text and helps in text
                assert job.reason["code"] not in text
            assert text.count("2026-03-02 13:00") >= 1, "in the city's time"
            pool = pages[0].content.decode()
            assert "H20" in pool and pool.count("large</a>") == 2


def test_a_form_of_a_job_says_which_wishes_do_not_fit_together() -> None:
    with pytest.raises(ValueError, match="divide evenly"):
        JobSpec.model_validate({"script": "true", "nodes": 2, "cores": 3})


TYPED = {
    "tiers": ["center", "park", "edge"],
    "kinds": ["general", "intelligent"],
    "price_max": "1200.50",
    "priority": "low",
    "not_before": "2031-02-03T04:05",
    "deadline": "2031-02-04T04:05",
    "preemptible": "on",
}


def test_wishes_typed_into_the_form_are_reviewed_kept_and_offered_again(city: Any) -> None:
    client = Client()
    client.cookies["django_language"] = "en"
    client.force_login(city.company.person)
    asked = {"name": "picky", "script": "true", "goal": "greenest"} | TYPED
    with clock.using(SimulatedClock(city.now)):
        review = client.post("/jobs/new", asked).content.decode()
        for said in ("City data centre, Edge", "¥1,200.50", "2031-02-03 04:05"):
            assert said in review
        assert client.post("/jobs", asked).status_code == 302
        job = Job.objects.get(name="picky")
        assert job.spec["price_max_fen"] == 120_050
        assert job.spec["not_before"] == "2031-02-03T04:05:00+08:00"
        assert "2031-02-04 04:05" in client.get(f"/jobs/{job.pk}").content.decode()

        form = client.get(f"/jobs/new?again={job.pk}").context["form"]
        again = {name: _as_posted(form[name].value()) for name in TYPED}
        assert client.post("/jobs", asked | again | {"name": "again"}).status_code == 302
        assert Job.objects.get(name="again").spec | {"name": "picky"} == job.spec

        job.spec["where"] |= {"divisions": ["130606"]}
        job.save()
        page = client.get(f"/jobs/new?again={job.pk}").content.decode()
        assert "where.divisions" in page, "what the form has no field for is named"


def _as_posted(value: Any) -> Any:
    """What a browser sends back of a field as it was filled in."""
    return value.strftime("%Y-%m-%dT%H:%M") if isinstance(value, datetime) else value
