"""The dispatcher's process: woken by bells, deaf for no longer than it must be, patient after."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from suanwang.core.clock import SimulatedClock
from suanwang.jobs import bells, dispatcher
from suanwang.jobs.dispatcher import Dispatcher
from suanwang.jobs.models import Attempt, Job
from suanwang.jobs.rules import LEASE_RENEWED
from suanwang.site import clock


def until(what: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end_listening_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'suanwang-bells' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_running_dispatcher_places_what_is_submitted_and_survives_a_cut_connection(
    open_city: Any,
) -> None:
    city = open_city
    stop = threading.Event()
    with clock.using(SimulatedClock(city.now + timedelta(seconds=5))):
        running = threading.Thread(target=dispatcher.main, args=(stop,))
        running.start()
        try:
            first = city.submit(centre="plain")
            until(lambda: Attempt.objects.filter(job=first).exists())
            until(lambda: end_listening_connections() > 0)
            second = city.submit(centre="plain")
            until(lambda: Attempt.objects.filter(job=second).exists())
        finally:
            stop.set()
            running.join(20)
    assert not running.is_alive()
    assert Attempt.objects.count() == 2


def test_a_dispatcher_gives_no_lease_up_before_agents_could_renew(city: Any) -> None:
    attempt = city.placed(centre="plain")
    late = city.later(seconds=LEASE_RENEWED.total_seconds() * 3)

    fresh = Dispatcher()
    fresh.step(late)
    attempt.refresh_from_db()
    assert attempt.state in Attempt.LIVE

    fresh.step(late + LEASE_RENEWED + timedelta(seconds=1))
    attempt.refresh_from_db()
    assert attempt.state == Attempt.State.ABANDONED
    assert Job.objects.get(pk=attempt.job_id).reason["code"] != ""


@pytest.mark.django_db(transaction=True)
def test_after_an_outage_of_the_database_leases_get_their_time_again(open_city: Any) -> None:
    city = open_city
    attempt = city.placed(centre="plain")
    old = Dispatcher()
    old.step(city.now)
    late = city.later(seconds=LEASE_RENEWED.total_seconds() * 3)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ours = cursor.fetchone()[0]
    with bells.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [ours])

    assert old.step(late) == 0
    old.step(late + timedelta(seconds=1))

    attempt.refresh_from_db()
    assert attempt.state in Attempt.LIVE


@pytest.mark.django_db(transaction=True)
def test_a_bell_is_heard_when_the_transaction_commits_and_again_after_a_cut(
    transactional_db: None,
) -> None:
    stop = threading.Event()
    heard: list[Any] = []

    def listen() -> None:
        heard.extend(bells.listen((bells.JOB,), stop, tick_seconds=0.2))

    ears = threading.Thread(target=listen)
    ears.start()
    try:
        for mine in ("before", "after"):

            def rung(mine: str = mine) -> bool:
                bells.ring(bells.JOB, mine)
                return (bells.JOB, mine) in heard

            until(rung)
            until(lambda: end_listening_connections() > 0)
    finally:
        stop.set()
        ears.join(20)
    assert not ears.is_alive()
