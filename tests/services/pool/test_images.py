"""A job that names a container image goes where such a job can run, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.services.pool.test_agent_pages import browser

from suanwang.core.clock import SimulatedClock
from suanwang.core.errors import Refused
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt, Job, JobEvent
from suanwang.jobs.wording import words
from suanwang.registry import services as registry
from suanwang.registry.inventory import NodeReport
from suanwang.registry.models import Cluster
from suanwang.site import clock

IMAGE = "registry.example/lab/tool:1"
NODES = {
    "plain": [NodeReport("n1", 16, 65536), NodeReport("n2", 16, 65536)],
    "cards": [NodeReport("g1", 32, 131072, (("h20", 8),))],
}


def tell(city: Any, cluster: Cluster, *abilities: str, **facts: Any) -> bool:
    """A report of the agent; whether it says placement anything new."""
    agent = city.agent(cluster)
    agent.refresh_from_db()
    nodes = NODES[cluster.centre.code]
    return registry.report_nodes(
        agent, nodes, engine="memory", version="1", isolation="none", abilities=abilities,
        at=city.now, **facts,
    ).changed  # fmt: skip


def cluster_of(job: Job) -> Any:
    job.refresh_from_db()
    return job.cluster_id


def test_it_goes_past_the_cheaper_centre_that_runs_no_images(city: Any) -> None:
    tell(city, city.intelligent, "images")
    with_image, without = city.submit(image=IMAGE), city.submit()
    assert jobs.dispatch_once(city.now) == 2
    assert cluster_of(with_image) == city.intelligent.pk
    assert cluster_of(without) == city.general.pk

    [lease] = jobs.lease(city.agent(city.intelligent), [], at=city.now).leases
    assert lease.spec["image"] == IMAGE


def test_where_nobody_runs_images_it_is_refused_at_the_door(city: Any) -> None:
    with pytest.raises(Refused) as caught:
        city.submit(image=IMAGE)
    assert (caught.value.code, caught.value.facts["image"]) == ("job_needs_images", IMAGE)
    assert Job.objects.count() == 0

    tell(city, city.intelligent, "images")
    with pytest.raises(Refused, match="job_needs_images"):
        city.submit(image=IMAGE, centre="plain")


def test_a_centre_that_stops_running_images_gets_no_more_and_the_owner_reads_why(city: Any) -> None:
    tell(city, city.general, "gangs", "images")
    job = city.submit(image=IMAGE)
    tell(city, city.general, "gangs")
    assert jobs.dispatch_once(city.later(seconds=1)) == 0
    job.refresh_from_db()
    assert job.reason["code"] == "wait_no_images"
    assert "3" in words(job.reason, "en") and "3" in words(job.reason, "zh")

    tell(city, city.general, "images")
    assert jobs.dispatch_once(city.later(seconds=1)) == 1
    assert cluster_of(job) == city.general.pk


def test_news_of_the_ability_alone_is_news_to_placement(city: Any) -> None:
    """Also in a report in which no node has changed: the queue is then looked at again."""
    tell(city, city.general, revision="r1")
    agent = city.agent(city.general)
    agent.refresh_from_db()

    def again(*abilities: str) -> bool:
        return registry.report_nodes(
            agent, [], engine="memory", version="1", isolation="none", abilities=abilities,
            after="r1", revision="r1", at=city.now,
        ).changed  # fmt: skip

    assert again("images")
    assert not again("images")
    assert again()


def test_an_image_one_centre_does_not_let_in_runs_at_the_other(city: Any) -> None:
    for cluster in (city.general, city.intelligent):
        tell(city, cluster, "images")
        registry.told(city.agent(cluster), registry.Door("", "p1"))
    attempt = city.placed(image=IMAGE)
    assert attempt.cluster_id == city.general.pk

    refusal = jobs.SiteRefusal("site_image_refused", {"image": IMAGE}, None, "p1")
    city.report(attempt, "refused", 1, reason=refusal.code, refusal=refusal)
    assert jobs.dispatch_once(city.later(seconds=1)) == 1

    again = Attempt.objects.get(job=attempt.job, state__in=Attempt.LIVE)
    assert again.cluster_id == city.intelligent.pk
    told = JobEvent.objects.get(job=attempt.job, facts__code="site_image_refused")
    for language in ("zh", "en"):
        assert IMAGE in words(told.facts, language)


@pytest.mark.parametrize(
    ("language", "label", "unfit", "nobody"),
    [
        ("zh-hans", "容器镜像", "不能运行容器镜像", "都不能运行作业指定的容器镜像"),
        ("en", "Container image", "runs no container images", "runs jobs in a container image"),
    ],
)
def test_the_form_the_review_and_the_job_s_page_speak_of_the_image(
    city: Any, language: str, label: str, unfit: str, nobody: str
) -> None:
    asked = {"name": "with image", "script": "true", "image": IMAGE, "goal": "cheapest"}
    with clock.using(SimulatedClock(city.now)):
        client = browser(city.company)
        client.cookies["django_language"] = language
        assert label in client.get("/jobs/new").content.decode()
        refused = client.post("/jobs/new", asked)
        assert refused.status_code == 409
        assert nobody in refused.content.decode() and 'href="#id_image"' in refused.content.decode()

        tell(city, city.intelligent, "images")
        review = client.post("/jobs/new", asked).content.decode()
        assert IMAGE in review and unfit in review
        client.post("/jobs", asked)
        job = Job.objects.get()
        page = client.get(f"/jobs/{job.pk}").content.decode()
        assert label in page and IMAGE in page
        assert IMAGE in client.get(f"/jobs/new?again={job.pk}").content.decode()
        assert IMAGE not in browser(city.other_provider).get(f"/jobs/{job.pk}").content.decode()


def test_the_page_of_a_provider_tells_which_image_its_policy_kept_out(city: Any) -> None:
    tell(city, city.general, "images")
    registry.told(city.agent(city.general), registry.Door("", "p1"))
    attempt = city.placed(image=IMAGE)
    refusal = jobs.SiteRefusal("site_image_refused", {"image": IMAGE}, None, "p1")
    city.report(attempt, "refused", 1, reason=refusal.code, refusal=refusal)
    Cluster.objects.filter(pk=city.general.pk).update(engine="slurm")  # no demo
    with clock.using(SimulatedClock(city.now)):
        page = browser(city.provider).get(f"/agents/{city.agent(city.general).pk}")
        assert IMAGE in page.content.decode()
