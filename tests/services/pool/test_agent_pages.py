"""What a provider sees of its agents and of what its centres would not take."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from tests.services.pool.test_site_refusals import refuse, tell

from suanwang.core.clock import SimulatedClock
from suanwang.jobs import services as jobs
from suanwang.people.scope import Viewer
from suanwang.registry import services as registry
from suanwang.registry.inventory import NodeReport
from suanwang.registry.models import Cluster, SiteAgent
from suanwang.site import clock


def browser(viewer: Viewer) -> Client:
    client = Client()
    assert viewer.person is not None
    client.force_login(viewer.person)
    return client


@pytest.mark.parametrize(
    ("language", "chip", "why"),
    [
        ("zh-hans", "不接受新作业", "最多 4 核"),
        ("en", "Takes no new work", "at most 4 cores"),
    ],
)
def test_the_page_of_an_agent_shows_its_state_backlog_and_what_was_refused(
    city: Any, language: str, chip: str, why: str
) -> None:
    tell(city, city.general)
    attempt = city.placed()
    refuse(city, attempt, "site_cores_exceeded", {"asked": 8, "limit": 4})
    agent = SiteAgent.objects.get(pk=city.agent(city.general).pk)
    registry.told(agent, registry.Door("", "p1", 1200, 34))
    Cluster.objects.filter(pk=city.general.pk).update(engine="slurm")  # no demo
    with clock.using(SimulatedClock(city.now)):
        client = browser(city.provider)
        client.cookies["django_language"] = language
        page = client.get(f"/agents/{agent.pk}").content.decode()
        assert why in page and "company" in page
        assert "1,200" in page and "34" in page

        drained = client.post(f"/agents/{agent.pk}/drain", follow=True).content.decode()
        assert chip in drained
        assert chip in client.get("/agents").content.decode()
        assert SiteAgent.objects.get(pk=agent.pk).drain_ordered
        client.post(f"/agents/{agent.pk}/drain", {"undo": "1"})
        assert not SiteAgent.objects.get(pk=agent.pk).drain_ordered

        listed = client.get("/site-refusals?export=csv").content.decode()
        assert why in listed
        jobs.dispatch_once(city.now)


@pytest.mark.parametrize(
    ("language", "why"), [("zh-hans", "部分加速卡未对外提供"), ("en", "Some cards are not offered")]
)
def test_the_page_names_the_cards_that_nobody_knows(city: Any, language: str, why: str) -> None:
    agent = city.agent(city.general)
    with clock.using(SimulatedClock(city.now)):
        client = browser(city.provider)
        client.cookies["django_language"] = language
        assert why not in client.get(f"/agents/{agent.pk}").content.decode()
        registry.report_nodes(
            agent, [NodeReport("n1", 8, 4096, (("abacus-9", 8),))],
            engine="memory", version="", isolation="", at=city.now,
        )  # fmt: skip
        page = client.get(f"/agents/{agent.pk}").content.decode()
        assert why in page and "abacus-9" in page


def test_another_provider_sees_nothing_of_it(city: Any) -> None:
    tell(city, city.general)
    refuse(city, city.placed(), "site_organisation_refused")
    agent = city.agent(city.general)
    with clock.using(SimulatedClock(city.now)):
        client = browser(city.other_provider)
        assert client.get(f"/agents/{agent.pk}").status_code == 404
        assert client.post(f"/agents/{agent.pk}/drain").status_code == 404
        assert "company" not in client.get("/site-refusals").content.decode()
