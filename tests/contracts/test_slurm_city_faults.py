"""What breaks at a centre or on the way to it: real platform, real agent, real Slurm, the audit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from suanwang.jobs import services as jobs
from suanwang.jobs.dispatcher import Dispatcher
from suanwang.jobs.models import Attempt
from suanwang.metering import services as metering
from suanwang.metering.models import Charge, RatingProblem, Settlement, UsageRecord
from suanwang.registry.models import SiteAgent
from suanwang.site import audit, clock

from .agent_process import SMALL_DISK
from .slurm_city import Centre, SlurmCity
from .slurm_cluster import JOB_USER, SlurmCluster, wait_until
from .wire import Wire


@pytest.mark.parametrize("kill", [False, True])
def test_a_controller_that_is_away_for_a_while_loses_no_job(
    slurm_city: SlurmCity, kill: bool
) -> None:
    """Stopped it keeps what it knows. Killed it forgets the last seconds: what is lost or ended for
    that runs again and says so.
    """
    city, slurm = slurm_city, slurm_city.slurm
    city.centre("east", timeout_seconds=2, lost_after_seconds=2)
    ends = city.submit("sleep 1; echo ended", "east")
    runs = city.submit("sleep 4; echo ran", "east")
    city.until_state("running", ends, runs)
    slurm.end("slurmctld", kill=kill)
    try:
        later = [city.submit("echo later", "east") for _ in range(3)]
        city.until_state("placed", *later)
    finally:
        slurm.start_controller(killed=kill)
    city.until_state("succeeded", ends, runs, *later)
    assert [city.output(job) for job in (ends, runs, later[0])] == [
        b"ended\n", b"ran\n", b"later\n",
    ]  # fmt: skip
    again = city.run_again()
    assert Attempt.objects.count() == 5 + sum(again.values())
    assert kill or again == {}
    city.accounted_for_once("succeeded")


def test_what_ran_on_a_lost_node_runs_again_marked_so_and_is_paid_once(
    slurm_city: SlurmCity,
) -> None:
    city, slurm = slurm_city, slurm_city.slurm
    city.centre("east")
    job = city.submit('echo "$SLURMD_NODENAME"; sleep 2', "east")
    city.until_state("running", job)
    first = job.attempts.get()
    node = slurm.run("squeue", "-h", "-o", "%N", f"--user={JOB_USER}").strip()
    slurm.end(node, kill=True)
    try:
        # Slurm itself would give up the node after SlurmdTimeout, five minutes.
        slurm.scontrol("update", f"nodename={node}", "state=down", "reason=lost")
        city.until_state("succeeded", job)
    finally:
        slurm.start_node(node)
        wait_until(lambda: node in slurm.idle_nodes(), "the node is back")
    states = job.attempts.order_by("number").values_list("state", flat=True)
    assert [*states] == [Attempt.State.ABANDONED, Attempt.State.ENDED]
    assert job.events.filter(facts__code="job_requeued").count() == 1
    assert city.output(job).strip() != node.encode()
    city.accounted_for_once("succeeded")
    assert not Charge.objects.filter(usage__attempt=first).exclude(amount_fen=0).exists()


# -- the line between a centre and the platform ----------------------------------------------------


@pytest.fixture
def wire(live_server: Any) -> Iterator[Wire]:
    wire = Wire(live_server.thread.port)
    yield wire
    wire.close()


def test_a_line_cut_in_either_direction_or_half_open_loses_and_repeats_nothing(
    slurm_city: SlurmCity, wire: Wire
) -> None:
    """One cut after the other; jobs end behind each, and others wait to be told of."""
    city = slurm_city
    east = city.centre("east", line=wire.url)
    for fault in ("drop_requests", "drop_answers", "silent"):
        ends = [city.submit("sleep 1; echo ran", "east") for _ in range(2)]
        city.until_state("running", *ends)
        wait = city.submit("echo later", "east")
        said = east.log.count("does not answer")
        setattr(wire, fault, True)
        wait_until(lambda ends=ends: east.knows_the_end_of(*ends), "the agent has seen the ends")
        city.until(lambda said=said: east.log.count("does not answer") > said)
        setattr(wire, fault, False)
        city.until_state("succeeded", *ends, wait)
        assert [city.output(job) for job in ends] == [b"ran\n"] * 2
    assert Attempt.objects.count() == 9
    city.accounted_for_once("succeeded")


class DayAhead:
    """The platform's clock, a day and a bit later."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=25)


def test_after_a_day_without_the_platform_what_ended_and_what_runs_is_paid_once(
    slurm_city: SlurmCity, wire: Wire
) -> None:
    city = slurm_city
    east = city.centre("east", line=wire.url)
    ends, runs = city.submit("sleep 1", "east"), city.submit("sleep 600", "east")
    city.until_state("running", ends, runs)
    wire.drop_requests = True
    wait_until(lambda: east.knows_the_end_of(ends), "the agent has seen the end")
    with clock.using(DayAhead()):
        wire.drop_requests = False
        city.dispatcher = Dispatcher()
        city.until_state("succeeded", ends)
        ends.refresh_from_db()
        assert ends.started_at is not None and ends.ended_at is not None
        assert ends.ended_at < clock.now() - timedelta(hours=24)
        assert ends.ended_at - ends.started_at < timedelta(minutes=1)
        city.until(lambda: runs.attempts.get().expires_at > clock.now())  # renewed, not given up
        jobs.cancel(runs, actor=city.people.company, at=clock.now())
        city.until_state("cancelled", runs)
        city.accounted_for_once("succeeded", "cancelled")
    assert Attempt.objects.count() == 2


def test_a_lease_that_ran_out_behind_a_cut_runs_elsewhere_and_the_first_is_fenced(
    slurm_city: SlurmCity, wire: Wire
) -> None:
    city = slurm_city
    east = city.centre("east", line=wire.url, partition="p0")
    job = city.submit("sleep 600", None)
    city.until_state("running", job)
    first = job.attempts.get()
    wire.drop_requests = True
    city.until(lambda: "does not answer" in east.log)
    west = city.centre("west", partition="p1")
    Attempt.objects.filter(pk=first.pk).update(expires_at=clock.now())  # minutes pass
    SiteAgent.objects.filter(cluster=east.cluster).update(last_seen_at=None)
    assert jobs.abandon_expired(clock.now()) == 1
    again = job.attempts.filter(number=2, state="running", cluster=west.cluster)
    city.until(again.exists)
    wire.drop_requests = False
    city.slurm.wait_for_accounting(east.prefix + str(first.pk))  # its centre ends what is void
    jobs.cancel(job, actor=city.people.company, at=clock.now())
    city.until_state("cancelled", job)
    city.accounted_for_once("cancelled")
    assert not Charge.objects.filter(usage__attempt=first).exclude(amount_fen=0).exists()


# -- accounting ------------------------------------------------------------------------------------


def correct(slurm: SlurmCluster, name: str, seconds: int) -> None:
    """Let accounting have another end of a job, as when an administrator puts it right."""
    slurm.sql(
        f"UPDATE slurm.city_job_table SET time_end = time_start + {seconds}"  # noqa: S608
        f" WHERE job_name = '{name}'"
    )


def test_accounting_that_is_down_late_and_corrected_bills_every_second_once(
    slurm_city: SlurmCity,
) -> None:
    city, slurm = slurm_city, slurm_city.slurm
    city.pays = False
    east = city.centre("east", timeout_seconds=3)
    job = city.submit("sleep 1", "east")
    city.until_state("running", job)
    slurm.end("slurmdbd")
    try:
        city.until_state("succeeded", job)  # the controller tells the end, and how long it took
        city.until(lambda: UsageRecord.objects.count() == 2)
    finally:
        slurm.start_accounting()
        wait_until(lambda: "queue size: 0" in slurm.run("sdiag"), "accounting was told all")
    name = east.prefix + str(job.attempts.get().pk)
    slurm.wait_for_accounting(name)
    first = UsageRecord.objects.get(meter="core_seconds")
    correct(slurm, name, 7)
    city.until(lambda: UsageRecord.objects.filter(corrects__isnull=False).count() == 2)
    corrected = UsageRecord.objects.get(meter="core_seconds", corrects=first)
    assert (first.quantity, corrected.quantity) == (1, 7)
    city.accounted_for_once("succeeded")
    assert Settlement.objects.get(job=job).amount_fen == 7 * 10 + round(7 * 64 / 3600)

    correct(slurm, name, 3)  # after the settlement: a person decides, nothing moves by itself
    city.until(lambda: UsageRecord.objects.count() == 6)
    metering.rate_pending(at=clock.now())
    problems = RatingProblem.objects.filter(code="usage_corrected_late")
    assert [(one.facts["was"], one.facts["now"]) for one in problems] == [(7, 3)]
    assert Settlement.objects.get(job=job).amount_fen == 70
    assert [finding for finding in audit.run() if not finding.kept] == []


# -- full disks ------------------------------------------------------------------------------------


def test_a_full_disk_of_the_jobs_ends_what_fills_it_and_lets_the_next_wait(
    slurm_city: SlurmCity,
) -> None:
    city = slurm_city
    east = city.centre("east")
    east.have_disk(size="256k")
    fills = city.submit("head -c 1M /dev/zero || { sleep 3; exit 9; }", "east")
    city.until_state("running", fills)
    wait_until(lambda: _full(east), "the disk is full")
    waits = city.submit("echo later", "east")
    city.until(lambda: "cannot be started yet" in east.log)
    city.until_state("succeeded", waits)
    fills.refresh_from_db()
    assert (fills.state, fills.exit_code) == ("failed", 9)
    assert 0 < len(city.output(fills)) < 256 << 10
    assert city.output(waits) == b"later\n"
    assert Attempt.objects.count() == 2
    city.accounted_for_once("failed", "succeeded")


def _full(centre: Centre) -> bool:
    return os.statvfs(centre.jobs).f_bfree == 0


def test_a_job_that_cannot_even_begin_for_want_of_disk_is_lost_there_and_runs_again(
    slurm_city: SlurmCity,
) -> None:
    city = slurm_city
    east = city.centre("east")
    east.have_disk(size="4m", nr_inodes="6")
    job = city.submit("echo ran", "east")
    city.until(lambda: job.attempts.filter(state=Attempt.State.ABANDONED).exists())
    east.have_disk(size="4m", nr_inodes="1000")
    city.until_state("succeeded", job)
    assert city.output(job) == b"ran\n"
    told = job.events.filter(facts__code="job_requeued").values_list("facts__facts__detail")
    assert all("never_began" in detail for (detail,) in told)
    city.accounted_for_once("succeeded")


def test_a_full_disk_of_the_agent_is_waited_out(slurm_city: SlurmCity) -> None:
    city = slurm_city
    east = city.centre("east")
    east.end(signal.SIGTERM)
    east.before = ("unshare", "--mount", "sh", "-c", SMALL_DISK, str(east.home))
    east.start()
    assert east.process is not None
    runs = city.submit("sleep 2; echo said", "east")
    city.until_state("running", runs)
    filler = Path(f"/proc/{east.process.pid}/root{east.home}/filler")
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    waits = city.submit("echo later", "east")
    city.until(lambda: "disk is full" in east.log or "No space left" in east.log)
    city.slurm.wait_for_accounting(east.prefix + str(runs.attempts.get().pk))
    filler.unlink()
    city.until_state("succeeded", runs, waits)
    assert [city.output(job) for job in (runs, waits)] == [b"said\n", b"later\n"]
    assert Attempt.objects.count() == 2
    city.accounted_for_once("succeeded")
