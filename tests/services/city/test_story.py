"""The main job holds on a real city, and goes on holding while its processes are killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from running import City, wait_until

from suanwang.site.postgres import embedded_dsn
from suanwang.site.processes import alive

VICTIMS = ("web", "worker", "dispatcher", "agent", "postgres", "supervisor")
KILLS = 20
STORY_SECONDS = 900


@pytest.fixture(scope="module")
def demo_city() -> Iterator[City]:
    """A small demo city that runs."""
    folder = Path(tempfile.mkdtemp(prefix="sw-story-"))
    folder.chmod(0o711)
    city = City(folder / "home", demo_days=2)
    try:
        city.up()
        yield city
        city.down()
    finally:
        city.kill_everything()
        shutil.rmtree(folder)


def test_the_story_holds_and_says_its_amounts_and_articles(demo_city: City) -> None:
    done = demo_city.run("story", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0, told["failure"]
    assert told["held"]
    by_number = {step["number"]: step for step in told["steps"]}
    assert sorted(by_number) == list(range(1, 14))
    fee = by_number[10]["amounts"]["paid fee"]
    assert by_number[10]["amounts"]["claimed 50%"] == fee // 2 > 0
    assert sum(by_number[12]["amounts"].values()) == fee // 2
    assert "5" in by_number[10]["article"]["en"]
    assert all(step["title"]["zh"] and step["title"]["en"] for step in told["steps"])
    assert all(finding["kept"] for finding in told["audit"]["findings"])


def test_twenty_kills_in_the_middle_of_the_story_lose_nothing_acknowledged(
    demo_city: City,
) -> None:
    draw = random.Random(20240125)
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(KILLS)]
    draw.shuffle(victims)
    told: list[dict[str, Any]] = []
    while victims:
        with _playing(demo_city) as story:
            while victims and story.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    story.wait(draw.uniform(0.3, 3.0))  # a random moment
                    continue
                _kill(demo_city, victims.pop())
            told.append(_told(story))
    assert [one["failure"] for one in told] == [None] * len(told)
    assert all(one["held"] for one in told), [one["audit"] for one in told]
    _must_stand(demo_city, told)
    audit = demo_city.run("audit", "--json")
    assert audit.returncode == 0, audit.stdout[-3000:]


@contextmanager
def _playing(city: City) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        city.command("story", "--json", "--patience", "240"),
        env=city.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as story:
        try:
            yield story
        finally:
            story.kill()


def _told(story: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = story.communicate(timeout=STORY_SECONDS)
    assert out, err
    told: dict[str, Any] = json.loads(out)
    return told


def _kill(city: City, name: str) -> None:
    """Kill one process for good; only a killed supervisor needs somebody to start it again."""
    found: dict[str, int] = {}

    def killed() -> bool:
        found.update(city.pids())
        try:
            os.kill(found[name], signal.SIGKILL)
        except (KeyError, ProcessLookupError):
            return False  # it is just being restarted after an earlier kill
        return True

    wait_until(killed, f"{name} was there to be killed")
    if name == "supervisor":
        wait_until(
            lambda: not any(alive(pid) for pid in found.values()),
            "the city is gone with its supervisor",
        )
        city.up()


def _must_stand(city: City, told: list[dict[str, Any]]) -> None:
    """Everything a story was told had happened is in the database, with its transfers."""
    facts: dict[str, str] = {}
    with psycopg.connect(embedded_dsn(city.home)) as connection:
        for one in told:
            for step in one["steps"]:
                facts |= step["facts"]
            row = connection.execute(
                """
                SELECT count(*) FROM metering_payment p
                  JOIN ledger_transfer paid ON paid.id = p.transfer_id
                  JOIN metering_invoice i ON i.id = p.invoice_id
                 WHERE p.reference = %s AND i.number = %s AND i.status = 'paid'
                """,
                (facts["reference"], facts["invoice"]),
            ).fetchone()
            assert row == (1,), facts
            row = connection.execute(
                """
                SELECT count(*) FROM programmes_paymentorder o
                  JOIN vouchers_claim c ON c.id = o.claim_id
                  JOIN programmes_paymentshare s ON s.order_id = o.id
                  JOIN ledger_transfer t ON t.pending_id = s.transfer_id AND t.kind = 'post'
                 WHERE o.number = %s AND c.number = %s AND o.state = 'paid'
                """,
                (facts["order"], facts["claim"]),
            ).fetchone()
            assert row == (2,), facts
