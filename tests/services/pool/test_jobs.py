"""Jobs from submission to their end: what is held, what is refused, what is told."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import pytest
from django.db import connection

from suanwang.core.errors import NotFound, Refused, SuanwangError
from suanwang.core.jobspec import FileIn, JobSpec
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt, Job, JobEvent, JobFile, JobLog
from suanwang.ledger import chart
from suanwang.ledger.queries import balance, pending_state
from suanwang.registry import services as registry

HOUR = 3600


def test_an_estimate_prices_every_meter_at_the_full_walltime_wherever_the_job_fits(
    city: Any,
) -> None:
    spec = JobSpec(script="true", cores=4, memory_mib=2048, walltime_seconds=HOUR)

    found = jobs.estimate(spec, viewer=city.company, at=city.now)

    plain, cards = found.options
    assert [line.amount_fen for line in plain.lines] == [4 * 15, 2 * 1]
    assert [line.amount_fen for line in cards.lines] == [4 * 30, 2 * 2]
    assert (plain.centre.code, plain.amount_fen, cards.amount_fen) == ("plain", 62, 124)
    assert found.cheapest == plain
    assert found.hold_fen == 124


def test_a_line_is_rounded_half_up_once(city: Any) -> None:
    spec = JobSpec(script="true", cores=1, memory_mib=16, walltime_seconds=120, centre="plain")

    core, memory = jobs.estimate(spec, viewer=city.company, at=city.now).cheapest.lines

    assert core.amount_fen == 1  # 120 x 15 / 3600 is exactly half a fen
    assert memory.amount_fen == 0


def test_a_hold_covers_a_dearer_price_already_announced(city: Any) -> None:
    registry.set_price(
        city.general.centre,
        "core_seconds",
        price_fen=100,
        per_quantity=3600,
        starts=city.later(hours=2),
        actor=city.provider,
        at=city.now,
    )
    city.later(hours=-1.5)
    job = city.submit(centre="plain", cores=1, memory_mib=1024, walltime_seconds=HOUR)

    assert job.estimate_fen == 100 + 1


def test_a_job_larger_than_any_node_is_refused_with_what_would_fit(city: Any) -> None:
    with pytest.raises(Refused) as refusal:
        city.submit(cores=16, memory_mib=1024, accelerators=16, accelerator_model="h20")
    assert refusal.value.code == "job_fits_nowhere"
    assert refusal.value.facts == {"cores": 32, "memory_mib": 131072, "cards": "h20 x8"}

    with pytest.raises(Refused) as refusal:
        city.submit(cores=64, accelerators=8)
    assert refusal.value.facts["cores"] == 32
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"centre": "nowhere"}, "centre_unknown"),
        ({"accelerators": 1, "accelerator_model": "abacus"}, "accelerator_unknown"),
        ({"accelerators": 1, "accelerator_model": "t4"}, "job_fits_nowhere"),
        ({"centre": "plain", "accelerators": 1}, "job_fits_nowhere"),
    ],
)
def test_what_cannot_be_is_refused_at_the_door(city: Any, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refusal:
        city.submit(**asked)
    assert refusal.value.code == code
    assert not Job.objects.exists()


def test_without_a_price_nothing_is_queued(city: Any) -> None:
    registry.report_nodes(
        city.agent(city.general),
        [registry_node("n1", model="ascend-910b")],
        engine="memory",
        version="1",
        isolation="",
        at=city.now,
    )
    with pytest.raises(Refused) as refusal:
        city.submit(accelerators=1, accelerator_model="ascend-910b")
    assert (refusal.value.code, refusal.value.facts) == (
        "job_without_price",
        {"meters": "card_seconds"},
    )


def registry_node(name: str, model: str) -> Any:
    from suanwang.registry.inventory import NodeReport

    return NodeReport(name, 16, 65536, ((model, 4),))


def test_submitting_holds_the_dearest_amount_and_tells_it(city: Any) -> None:
    job = city.submit(cores=4, memory_mib=2048, walltime_seconds=HOUR)

    spend = balance(chart.spend(job.organisation_id).id)
    assert (job.state, job.estimate_fen, spend.debits_pending) == ("queued", 124, 124)
    assert pending_state(job.hold_id) == "pending"
    [event] = job.events.all()
    assert event.facts == {"code": "job_submitted", "facts": {"hold_fen": 124}}


def test_a_job_over_budget_is_refused_and_leaves_nothing(city: Any) -> None:
    with pytest.raises(Refused) as refusal:
        city.submit(city.rival, cores=1, walltime_seconds=HOUR)
    assert refusal.value.code == "budget_exceeded"
    assert refusal.value.facts == {"available": "¥0.00", "needed": "¥0.32"}
    assert not Job.objects.exists()
    assert not JobEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_eight_submitters_at_once_never_overdraw_the_budget(open_city: Any) -> None:
    city = open_city
    spend = chart.spend(city.company.organisation_id).id
    before = balance(spend).available
    amount = jobs.estimate(
        JobSpec(script="true", cores=16, memory_mib=65536, walltime_seconds=60 * HOUR),
        viewer=city.company,
        at=city.now,
    ).hold_fen
    affordable = before // amount
    assert 3 < affordable < 30
    outcomes: list[str] = []

    def submit_some() -> None:
        for _ in range(6):
            try:
                city.submit(cores=16, memory_mib=65536, walltime_seconds=60 * HOUR)
                outcomes.append("held")
            except Refused as refusal:
                outcomes.append(refusal.code)
        connection.close()

    run_together([submit_some] * 8)

    assert sorted(set(outcomes)) == ["budget_exceeded", "held"]
    assert outcomes.count("held") == affordable == Job.objects.count()
    assert balance(spend).available == before - affordable * amount >= 0


def run_together(works: list[Any]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_files_must_be_what_the_specification_says(city: Any) -> None:
    content = b"data"
    described = FileIn(name="a/b.txt", sha256=hashlib.sha256(content).hexdigest(), size=4)
    spec = JobSpec(script="true", files_in=[described])
    for files, code in (
        ({}, "file_missing"),
        ({"a/b.txt": b"date"}, "file_damaged"),
        ({"a/b.txt": b"data", "c": b""}, "file_unexpected"),
    ):
        with pytest.raises(Refused) as refusal:
            jobs.submit(spec, files, actor=city.company, at=city.now)
        assert refusal.value.code == code

    job = jobs.submit(spec, {"a/b.txt": content}, actor=city.company, at=city.now)

    assert bytes(JobFile.objects.get(job=job).content) == content


def test_a_job_lives_from_the_queue_to_its_end(city: Any) -> None:
    attempt = city.placed(cores=2, walltime_seconds=HOUR)
    city.report(attempt, "starting", 1)
    city.later(seconds=5)
    city.report(attempt, "running", 2)
    city.later(minutes=10)
    city.report(attempt, "succeeded", 3, exit_code=0)

    job = Job.objects.get(pk=attempt.job_id)
    attempt.refresh_from_db()
    assert (job.state, job.exit_code, job.reason["code"]) == ("succeeded", 0, "job_succeeded")
    assert (job.ended_at - job.started_at).total_seconds() == 600
    assert attempt.state == Attempt.State.ENDED
    assert [event.state for event in job.events.order_by("id")] == [
        "queued",
        "placed",
        "starting",
        "running",
        "succeeded",
    ]


def test_a_repeated_report_changes_nothing(city: Any) -> None:
    attempt = city.placed()
    city.report(attempt, "running", 2)
    city.report(attempt, "starting", 1)
    city.report(attempt, "running", 2)

    job = Job.objects.get(pk=attempt.job_id)
    assert job.state == "running"
    assert job.events.filter(state="running").count() == 1


def test_what_an_agent_may_not_report_is_refused_by_name(city: Any) -> None:
    attempt = city.placed(centre="plain")
    other = city.agent(city.intelligent)
    mine = city.agent(city.general)

    def code(agent: Any, state: str, sequence: int) -> str:
        report = jobs.StateReport(attempt.pk, sequence, state, city.now)
        [(_, refusal)] = jobs.take_states(agent, [report], at=city.now)[1]
        return refusal.code

    assert code(other, "running", 1) == "attempt_unknown"
    assert code(mine, "dancing", 1) == "attempt_state_unknown"
    city.report(attempt, "succeeded", 1)
    assert code(mine, "failed", 2) == "attempt_void"
    assert Job.objects.get(pk=attempt.job_id).state == "succeeded"


def test_cancelling_in_the_queue_gives_the_hold_back_at_once(city: Any) -> None:
    job = city.submit()
    jobs.cancel(job, actor=city.company, at=city.now)

    job.refresh_from_db()
    assert (job.state, pending_state(job.hold_id)) == ("cancelled", "voided")
    assert balance(chart.spend(job.organisation_id).id).debits_pending == 0


def test_cancelling_before_the_agent_took_the_lease_is_at_once(city: Any) -> None:
    job = city.submit()
    jobs.dispatch_once(city.now)
    jobs.cancel(job, actor=city.company, at=city.now)

    job.refresh_from_db()
    assert (job.state, pending_state(job.hold_id)) == ("cancelled", "voided")
    assert not jobs.lease(city.agent(city.general), [], at=city.now)


def test_cancelling_what_runs_goes_through_the_agent(city: Any) -> None:
    attempt = city.placed(centre="plain")
    city.report(attempt, "running", 1)
    jobs.cancel(attempt.job, actor=city.company, at=city.now)
    jobs.cancel(attempt.job, actor=city.company, at=city.now)

    assert Job.objects.get(pk=attempt.job_id).state == "cancelling"
    orders = jobs.lease(city.agent(city.general), [attempt.pk], at=city.now)
    assert (orders.leases, orders.cancel) == ([], [attempt.pk])
    city.report(attempt, "cancelled", 2, exit_code=143)
    assert Job.objects.get(pk=attempt.job_id).state == "cancelled"
    with pytest.raises(Refused, match="job_has_ended"):
        jobs.cancel(attempt.job, actor=city.company, at=city.now)


def test_another_organisations_job_cannot_be_cancelled_but_the_operator_can(city: Any) -> None:
    job = city.submit()
    with pytest.raises(NotFound, match="job_not_found"):
        jobs.cancel(job, actor=city.rival, at=city.now)
    with pytest.raises(SuanwangError, match="permission_missing"):
        jobs.cancel(job, actor=city.provider, at=city.now)
    assert jobs.cancel(job, actor=city.operator, at=city.now).state == "cancelled"


def test_output_is_kept_once_whatever_is_repeated(city: Any) -> None:
    attempt, agent = city.placed(centre="plain"), city.agent(city.general)

    def take(offset: int, content: bytes) -> int:
        return jobs.take_log(agent, attempt.pk, "stdout", offset, content, at=city.now)

    assert take(0, b"hello ") == 6
    assert take(0, b"hello ") == 6
    assert take(3, b"lo world") == 11
    with pytest.raises(Refused, match="log_gap") as refusal:
        take(12, b"x")
    assert refusal.value.facts == {"expected": 11, "offset": 12}
    pieces = JobLog.objects.filter(attempt=attempt).order_by("offset")
    assert b"".join(bytes(piece.content) for piece in pieces) == b"hello world"


def test_a_talkative_job_is_cut_at_the_limit_and_goes_on(
    city: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suanwang.jobs.services import output

    monkeypatch.setattr(output, "LOG_BYTES_MAX", 10)
    attempt, agent = city.placed(centre="plain"), city.agent(city.general)

    assert jobs.take_log(agent, attempt.pk, "stdout", 0, b"123456789012345", at=city.now) == 15
    assert jobs.take_log(agent, attempt.pk, "stdout", 15, b"more", at=city.now) == 19
    assert output.log_end(attempt, "stdout") == 10


def test_a_file_that_is_left_replaces_the_one_before_and_stays_in_its_folder(city: Any) -> None:
    attempt, agent = city.placed(centre="plain"), city.agent(city.general)
    jobs.put_file(agent, attempt.pk, "out/a", b"1", at=city.now)
    jobs.put_file(agent, attempt.pk, "out/a", b"22", at=city.now)
    assert [f.size for f in JobFile.objects.filter(job=attempt.job_id)] == [2]
    with pytest.raises(Refused, match="job_file_name"):
        jobs.put_file(agent, attempt.pk, "../etc/passwd", b"", at=city.now)
