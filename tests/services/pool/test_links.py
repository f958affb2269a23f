"""Links measured by agents: asked by who may, carried out by the two, believed by nobody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from suanwang.core.errors import NotAllowed, NotFound, Refused
from suanwang.jobs.snapshot import links
from suanwang.registry import queries, services
from suanwang.registry.models import Link, LinkMeasurement, SiteAgent
from suanwang.site import clock

from .test_real_agent import Site, until

FIGURES = services.Figures(1234, 1500, 900, 700)


@pytest.fixture
def pair(city: Any) -> Any:
    """Two centres with agents, of which one listens."""
    for cluster in (city.general, city.intelligent):
        services.seen(city.agent(cluster), at=city.now)
    SiteAgent.objects.filter(cluster=city.general).update(
        measure_address="10.0.0.5:9443", last_seen_at=city.now
    )
    SiteAgent.objects.filter(cluster=city.intelligent).update(last_seen_at=city.now)
    return city


def fresh(city: Any, cluster: Any) -> SiteAgent:
    """As a request finds it."""
    found = queries.agent_known(city.agent(cluster).pk)
    assert found is not None
    return found


def codes(city: Any) -> tuple[str, str]:
    return city.general.centre.code, city.intelligent.centre.code


def test_both_agents_hear_of_it_and_the_table_has_what_the_asking_one_says(pair: Any) -> None:
    one, other = codes(pair)
    asked = services.ask_measurement(one, other, actor=pair.operator, at=pair.now)
    assert services.ask_measurement(other, one, actor=pair.operator, at=pair.now).pk == asked.pk
    [listens] = services.parts_of(fresh(pair, pair.general), at=pair.now)
    [asks] = services.parts_of(fresh(pair, pair.intelligent), at=pair.now)
    assert (listens.role, asks.role) == ("listen", "ask")
    assert listens.secret == asks.secret and asks.address == "10.0.0.5:9443"

    with pytest.raises(NotFound, match="measurement_unknown"):  # it did not ask
        services.take_measurement(fresh(pair, pair.general), asked.pk, FIGURES, at=pair.now)
    for _ in range(2):
        done = services.take_measurement(
            fresh(pair, pair.intelligent), asked.pk, FIGURES, at=pair.now
        )
        assert done.state == "done"
    link = Link.objects.get()
    assert (link.latency_us, link.bandwidth_mbps, link.by_agents) == (1234, 700, True)
    known = links()[min(one, other), max(one, other)]
    assert (known.latency_us, known.bandwidth_mbps) == (1234, 700)
    assert services.parts_of(fresh(pair, pair.general), at=pair.now) == []


def test_figures_that_cannot_be_and_answers_that_come_too_late_are_refused(pair: Any) -> None:
    one, other = codes(pair)
    asked = services.ask_measurement(one, other, actor=pair.operator, at=pair.now)
    agent = fresh(pair, pair.intelligent)
    for wrong in (
        FIGURES._replace(latency_us=0), FIGURES._replace(latency_p95_us=3),
        FIGURES._replace(there_mbps=10**9),
    ):  # fmt: skip
        with pytest.raises(Refused, match="link_measure_wrong"):
            services.take_measurement(agent, asked.pk, wrong, at=pair.now)
    late = asked.expires_at
    with pytest.raises(NotFound, match="measurement_unknown"):
        services.take_measurement(agent, asked.pk, FIGURES, at=late)
    assert services.give_up(at=late) == 1
    asked.refresh_from_db()
    assert (asked.state, asked.reason) == ("failed", "measure_expired")
    assert not Link.objects.exists()
    again = services.ask_measurement(
        one, other, actor=pair.operator, at=late - timedelta(seconds=40)
    )
    assert again.pk != asked.pk


def test_why_it_came_to_nothing_is_kept_by_name(pair: Any) -> None:
    for said, kept in (("peer_not_reached", "peer_not_reached"), ("<b>", "measuring_failed")):
        asked = services.ask_measurement(*codes(pair), actor=pair.operator, at=pair.now)
        services.take_measurement(fresh(pair, pair.general), asked.pk, said, at=pair.now)
        asked.refresh_from_db()
        assert (asked.state, asked.reason) == ("failed", kept)


def test_only_the_operator_asks_and_only_where_somebody_listens(pair: Any) -> None:
    one, other = codes(pair)
    with pytest.raises(NotAllowed, match="permission_missing"):
        services.ask_measurement(one, other, actor=pair.provider, at=pair.now)
    with pytest.raises(Refused, match="link_to_itself"):
        services.ask_measurement(one, one, actor=pair.operator, at=pair.now)
    assert len(services.ask_all(actor=pair.operator, at=pair.now)) >= 1
    LinkMeasurement.objects.all().delete()
    SiteAgent.objects.update(measure_address="")
    with pytest.raises(Refused, match="link_not_measurable"):
        services.ask_measurement(one, other, actor=pair.operator, at=pair.now)
    assert services.ask_all(actor=pair.operator, at=pair.now) == []


@pytest.fixture
def two_sites(open_city: Any, live_server: Any, tmp_path: Path) -> Iterator[list[Site]]:
    sites = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        site = Site(open_city, live_server.url, tmp_path / name / "agent", name)
        sites.append(site)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (sites[0].home / "measure.yaml").write_text(
        yaml.safe_dump({"listen": address, "address": address})
    )
    for site in sites:
        site.start()
    yield sites
    for site in sites:  # both, before the last request is waited for
        site.stop()
    for site in sites:
        site.finish()


def test_two_real_agents_measure_the_way_between_them(two_sites: list[Site]) -> None:
    operator = two_sites[0].city.operator

    def both_there() -> bool:
        found = queries.measurable_agents(clock.now())
        return "there" in found and "here" in found and bool(found["here"].measure_address)

    until(both_there)
    asked = services.ask_measurement("here", "there", actor=operator, at=clock.now())
    assert asked.listens.cluster.centre.code == "here"

    def over() -> bool:
        asked.refresh_from_db()
        return asked.state != "asked"

    until(over)
    assert (asked.state, asked.reason) == ("done", "")
    link = Link.objects.get(one="here", other="there")
    assert link.by_agents and 0 < link.latency_us < 1_000_000 and link.bandwidth_mbps > 0
