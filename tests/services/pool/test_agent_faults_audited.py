"""What agents and networks do to the platform, and the whole audit after it."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.services.pool.test_agent_api import BASE, Line

from suanwang.agent.signing import AgentKey
from suanwang.agent.spool import Spool
from suanwang.core.clock import SimulatedClock
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt, Job
from suanwang.ledger.queries import pending_state
from suanwang.metering import services as metering
from suanwang.metering.models import Charge, RefusedUsage, Settlement, UsageRecord
from suanwang.registry.models import SiteAgent
from suanwang.site import audit, clock


@pytest.fixture
def key(city: Any) -> AgentKey:
    """The general cluster's agent with a key that signs chains."""
    key = AgentKey.generate()
    agent = city.agent(city.general)
    SiteAgent.objects.filter(pk=agent.pk).update(public_key=key.public)
    agent.public_key = key.public
    return key


def metered(
    spool: Spool, key: AgentKey, attempt: Attempt, began: datetime, ended: datetime
) -> list[dict[str, Any]]:
    """What the attempt's agent owes about its use, as the real one spools it."""
    seconds = max(1, int((ended - began).total_seconds()))
    used = {
        "core_seconds": attempt.job.cores * seconds,
        "memory_mib_seconds": attempt.job.memory_mib * seconds,
    }
    with spool.transaction():
        spool.meter(key, str(attempt.pk), used, began, ended)
    return spool.owed_usage()


def closed_and_audited(city: Any, *states: str) -> None:
    """All is rated and settled, every job is in one of the states, and every promise is kept."""
    while metering.rate_pending(at=city.now).charged:
        pass
    metering.settle_ended(at=city.now)
    assert set(Job.objects.values_list("state", flat=True)) <= set(states)
    for job in Job.objects.filter(state__in=Job.ENDED):
        assert Settlement.objects.filter(job=job).count() == 1
        assert pending_state(job.hold_id) != "pending"
    assert [finding for finding in audit.run() if not finding.kept] == []


@pytest.fixture
def spool(tmp_path: Any) -> Any:
    spool = Spool(tmp_path / "spool.sqlite")
    yield spool
    spool.close()


def test_after_a_day_without_the_platform_everything_is_told_and_paid_once(
    city: Any, key: AgentKey, spool: Spool
) -> None:
    agent = city.agent(city.general)
    ends, runs = city.placed(walltime_seconds=7200), city.placed(walltime_seconds=2 * 86400)
    for attempt in (ends, runs):
        city.report(attempt, "accepted", 1)
        city.report(attempt, "running", 2)
    began = city.now
    city.now += timedelta(days=1)  # nobody was there: nothing renewed, nothing given up

    ended = began + timedelta(hours=1)
    jobs.lease(agent, [ends.pk, runs.pk], at=city.now)  # the first poll after it names what runs
    assert jobs.abandon_expired(city.now) == 0
    owed = metered(spool, key, ends, began, ended)
    report = jobs.StateReport(ends.pk, 3, "succeeded", ended, exit_code=0)
    for _ in range(2):  # its first answer was lost
        assert jobs.take_states(agent, [report], at=city.now)[1] == []
        assert metering.take_usage(agent, owed, at=city.now)[1] == []
    ends.job.refresh_from_db()
    assert ends.job.ended_at == ended
    assert sorted(Attempt.objects.values_list("state", flat=True)) == ["ended", "running"]
    closed_and_audited(city, "succeeded", "running")
    assert Charge.objects.filter(job=ends.job).count() == 2


MESSAGES = ("accepted", "running", "succeeded", "usage")


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3])
def test_doubled_and_reordered_messages_come_to_the_same(
    city: Any, key: AgentKey, spool: Spool, order: tuple[int, ...]
) -> None:
    agent, attempt = city.agent(city.general), city.placed()
    began = city.now
    city.later(seconds=90)
    owed = metered(spool, key, attempt, began, city.now)

    def send(number: int) -> None:
        if number == 3:
            metering.take_usage(agent, owed, at=city.now)
            return
        at = began if number < 2 else city.now
        report = jobs.StateReport(attempt.pk, number + 1, MESSAGES[number], at, exit_code=0)
        jobs.take_states(agent, [report], at=city.now)

    for number in (*order, *reversed(order), *order):
        send(number)
        metering.rate_pending(at=city.now)
        metering.settle_ended(at=city.now)  # never before its use is in
    attempt.job.refresh_from_db()
    assert attempt.job.state == "succeeded"
    assert UsageRecord.objects.count() == 2 and not RefusedUsage.objects.exists()
    closed_and_audited(city, "succeeded")
    assert Charge.objects.count() == 2
    assert sum(Charge.objects.values_list("billed_quantity", flat=True)) == 90 * (
        attempt.job.cores + attempt.job.memory_mib
    )


def test_a_lease_that_ran_out_while_its_job_ran_is_run_again_and_paid_once(
    city: Any, key: AgentKey, spool: Spool
) -> None:
    agent, first = city.agent(city.general), city.placed(centre="plain")
    city.report(first, "running", 1)
    began = city.now
    city.now += timedelta(minutes=6)  # its centre is cut off, the dispatcher is not
    assert jobs.abandon_expired(city.now) == 1
    city.later(seconds=1)
    jobs.dispatch_once(city.now)
    second = Attempt.objects.get(job=first.job, state__in=Attempt.LIVE)

    # The centre is back: its job still runs, and is fenced by its attempt's id.
    orders = jobs.lease(agent, [first.pk], at=city.now)
    assert orders.cancel == [first.pk]
    assert [lease.attempt_id for lease in orders.leases] == [second.pk]
    late = jobs.StateReport(first.pk, 2, "succeeded", city.now, exit_code=0)
    assert [error.code for _, error in jobs.take_states(agent, [late], at=city.now)[1]] == [
        "attempt_void"
    ]
    owed = metered(spool, key, first, began, city.now)
    metering.take_usage(agent, owed, at=city.now)

    city.report(second, "running", 1)
    starts = city.now
    city.later(seconds=30)
    spool.usage_settled(2)
    owed = metered(spool, key, second, starts, city.now)
    city.report(second, "succeeded", 2, exit_code=0)
    assert metering.take_usage(agent, owed, at=city.now)[1] == []
    closed_and_audited(city, "succeeded")
    paid = Charge.objects.exclude(basis="abandoned").values_list("usage__attempt", flat=True)
    assert set(paid) == {second.pk}


@pytest.mark.parametrize("minutes", [-7, -4, 4, 7])
def test_a_centre_whose_clock_is_minutes_off_is_heard_or_told_the_time_and_never_bills_ahead(
    city: Any, key: AgentKey, spool: Spool, minutes: int
) -> None:
    agent, attempt = city.agent(city.general), city.placed()
    line = Line(agent.pk, key)
    with clock.using(SimulatedClock(city.now)):
        skewed = int((city.now + timedelta(minutes=minutes)).timestamp())
        said = json.dumps({}).encode()
        headers = line.headers("POST", BASE + "poll", said, timestamp=skewed)
        answer = line.send("POST", "poll", said, headers, "application/json")
        told = answer.json().get("facts", answer.json())["server_time"]
        assert abs(datetime.fromisoformat(told) - city.now) < timedelta(milliseconds=1)
        assert answer.status_code == (200 if abs(minutes) < 5 else 403)

    wrong = timedelta(minutes=minutes)
    city.report(attempt, "running", 1)
    began = city.now
    city.later(minutes=10)
    report = jobs.StateReport(attempt.pk, 2, "succeeded", city.now + wrong, exit_code=0)
    assert jobs.take_states(agent, [report], at=city.now)[1] == []
    attempt.refresh_from_db()
    assert began <= attempt.started_at <= attempt.ended_at <= city.now
    owed = metered(spool, key, attempt, began + wrong, city.now + wrong)
    refused = metering.take_usage(agent, owed, at=city.now)[1]
    expected = {4: "usage_in_the_future", 7: "usage_in_the_future"}.get(
        minutes, "usage_before_lease"
    )
    assert {one["code"] for one in refused} == {expected}
    assert not UsageRecord.objects.exists()  # an agent that heeds the time sends it right
    assert [finding for finding in audit.run() if not finding.kept] == []


def test_what_is_forged_replayed_or_unsigned_changes_nothing(
    city: Any, key: AgentKey, spool: Spool
) -> None:
    agent, attempt = city.agent(city.general), city.placed()
    line, stranger = Line(agent.pk, key), Line(agent.pk, AgentKey.generate())
    event = {"attempt_id": str(attempt.pk), "sequence": 1, "state": "succeeded",
             "at": city.now.isoformat(), "exit_code": 0}  # fmt: skip
    body = json.dumps({"events": [event]}).encode()
    with clock.using(SimulatedClock(city.now)):
        forged = stranger.send("POST", "states", body, kind="application/json")
        unsigned = line.send("POST", "states", body, {}, "application/json")
        headers = line.headers("POST", BASE + "states", b'{"events": []}')
        altered = line.send("POST", "states", body, headers, "application/json")
        assert {forged.status_code, unsigned.status_code, altered.status_code} == {401}
        attempt.refresh_from_db()
        assert attempt.state == "leased"
        owed = metered(spool, key, attempt, city.now, city.now)
        lie = owed[0] | {"quantity": 10**6}
        assert metering.take_usage(agent, [lie], at=city.now)[1][0]["code"] == "usage_chain_broken"
        good = line.headers("POST", BASE + "poll", b"{}")
        assert line.send("POST", "poll", b"{}", good, "application/json").status_code == 200
        again = line.send("POST", "poll", b"{}", good, "application/json")
        assert (again.status_code, again.json()["code"]) == (403, "request_replayed")
    assert not UsageRecord.objects.exists()
    assert [finding for finding in audit.run() if not finding.kept] == []
