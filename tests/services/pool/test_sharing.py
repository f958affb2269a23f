"""The operator and providers say how the pool is shared; placement follows."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from django.test import Client

from suanwang.core.clock import SimulatedClock
from suanwang.core.errors import NotAllowed, Refused
from suanwang.jobs import services as jobs
from suanwang.jobs.models import NodeReservation
from suanwang.jobs.shares import policy
from suanwang.people.models import AuditEvent
from suanwang.registry import services as registry
from suanwang.registry.models import Link
from suanwang.site import clock

HOUR = 3600


def test_a_share_is_what_placement_goes_by(city: Any) -> None:
    organisation = city.company.person.memberships.get().organisation
    share = jobs.Share(2500, cores=8, cards=0, cohort="labs", lend=False, high_priority=True)
    jobs.set_share(organisation, share, actor=city.operator, at=city.now)
    found = policy()
    assert found.weights == {str(organisation.pk): Fraction(5, 2)}
    [quota] = found.quotas
    assert (quota.core_milli, quota.cohort, quota.borrow, quota.lend) == (8000, "labs", True, False)
    city.submit(cores=1, priority="high")
    jobs.set_share(organisation, jobs.Share(), actor=city.operator, at=city.now)
    assert policy().quotas == ()
    with pytest.raises(Refused, match="job_priority_not_granted"):
        city.submit(cores=1, priority="high")
    assert AuditEvent.objects.filter(verb="shares.set").count() == 2


@pytest.mark.parametrize(
    ("share", "code"),
    [
        (jobs.Share(weight_milli=0), "share_weight_wrong"),
        (jobs.Share(cores=1), "share_quota_half"),
        (jobs.Share(cores=-1, cards=0), "share_quota_wrong"),
        (jobs.Share(cohort="a\x00b"), "share_cohort_wrong"),
    ],
)
def test_an_impossible_share_is_refused(city: Any, share: jobs.Share, code: str) -> None:
    organisation = city.company.person.memberships.get().organisation
    with pytest.raises(Refused, match=code):
        jobs.set_share(organisation, share, actor=city.operator, at=city.now)


def test_kept_nodes_take_no_work_of_others_until_they_are_let_go(city: Any) -> None:
    kept = jobs.reserve_nodes(
        city.general,
        starts_at=city.now,
        ends_at=city.now + timedelta(hours=5),
        reason="new switches",
        actor=city.operator,
        at=city.now,
    )
    job = city.submit(cores=1, centre="plain", walltime_seconds=HOUR)
    assert jobs.dispatch_once(city.now) == 0
    job.refresh_from_db()
    assert job.reason["code"] == "wait_reserved"
    jobs.cancel_reservation(kept, actor=city.operator, at=city.now)
    jobs.cancel_reservation(kept, actor=city.operator, at=city.now)
    assert jobs.dispatch_once(city.now) == 1


def test_nodes_are_kept_by_their_own_provider_or_the_operator_and_by_names_that_exist(
    city: Any,
) -> None:
    period = {"starts_at": city.now, "ends_at": city.now + timedelta(hours=1), "reason": "r"}
    with pytest.raises(NotAllowed, match="permission_missing"):
        jobs.reserve_nodes(city.general, **period, actor=city.company, at=city.now)
    with pytest.raises(Refused, match="reservation_node_unknown"):
        jobs.reserve_nodes(city.general, nodes=["nope"], **period, actor=city.operator, at=city.now)
    with pytest.raises(Refused, match="reservation_period_wrong"):
        backwards = period | {"ends_at": city.now - timedelta(hours=1)}
        jobs.reserve_nodes(city.general, **backwards, actor=city.operator, at=city.now)


def test_green_hours_data_and_links_are_what_jobs_can_wish_for(city: Any) -> None:
    centre = city.general.centre
    with pytest.raises(Refused, match="job_excluded_everywhere"):
        city.submit(cores=1, where={"datasets": ["corpus"]})
    registry.describe_centre(
        centre, green_hours=[1, 1, 0], datasets=[" corpus "], actor=city.provider, at=city.now
    )
    centre.refresh_from_db()
    assert (centre.green_hours, centre.datasets) == ([0, 1], ["corpus"])
    city.submit(cores=1, where={"datasets": ["corpus"]})
    for latency in (900, 700):
        registry.measure_link(
            centre.code, centre.division_id, latency_us=latency, actor=city.operator, at=city.now
        )
    assert Link.objects.get().latency_us == 700
    with pytest.raises(Refused, match="link_place_unknown"):
        registry.measure_link("x", centre.code, latency_us=1, actor=city.operator, at=city.now)
    with pytest.raises(Refused, match="green_hour_wrong"):
        registry.describe_centre(
            centre, green_hours=[24], datasets=[], actor=city.provider, at=city.now
        )


def test_the_pages_set_shares_and_keep_nodes_in_both_languages(city: Any) -> None:
    client = Client()
    client.force_login(city.operator.person)
    organisation = city.company.person.memberships.get().organisation
    asked = {"organisation": str(organisation.pk), "weight": "2", "cores": "4", "cards": "0"}
    with clock.using(SimulatedClock(city.now)):
        for language, words in (("zh-hans", "核数和卡数"), ("en", "cores and cards")):
            client.cookies["django_language"] = language
            page = client.post("/shares", asked | {"cards": ""})
            assert page.status_code == 409
            assert words in page.content.decode()
        assert client.post("/shares", asked).status_code == 302
        again = client.get(f"/shares?organisation={organisation.pk}")
        assert again.context["form"]["cores"].value() == 4
        assert again.context["form"]["borrow"].value() is False
        kept = {
            "cluster": str(city.general.pk),
            "nodes": "n1",
            "starts": city.now.strftime("%Y-%m-%dT%H:%M"),
            "ends": (city.now + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M"),
            "reason": "fans",
        }
        assert client.post("/kept-nodes", kept | {"nodes": "no such"}).status_code == 409
        assert client.post("/kept-nodes", kept).status_code == 302
        assert "fans" in client.get("/kept-nodes").content.decode()
        row = NodeReservation.objects.get()
        assert client.post(f"/kept-nodes/{row.pk}/cancel").status_code == 302
    row.refresh_from_db()
    assert row.cancelled_at is not None
