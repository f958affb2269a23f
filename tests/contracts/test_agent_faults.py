"""The agent when things break: nothing lost, nothing run twice, nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from .agent_process import SMALL_DISK, AgentProcess, job, processes_of, until
from .engine_benches import no_skip_in_ci
from .platform_double import PlatformDouble


def test_killed_at_any_moment_it_goes_on_and_runs_nothing_twice(
    agent: AgentProcess, platform: PlatformDouble, tmp_path: Path
) -> None:
    script = "echo began; for i in 1 2 3 4; do sleep 0.3; echo $i; done"
    attempts = []
    for number in range(4):
        attempts.append(platform.lease(job(script)))
        agent.start()
        until((agent.home / "spool.sqlite").exists)
        time.sleep(0.35 * number + 0.2)  # the moment is what this test varies
        agent.end(signal.SIGKILL)
    agent.start()
    platform.until_ended(*attempts)
    for attempt in attempts:
        assert platform.told[attempt].states[-1] == "succeeded"
        assert platform.told[attempt].logs["stdout"] == b"began\n1\n2\n3\n4\n"
    platform.until(lambda: len(platform.usage) == 8)
    assert [one["sequence"] for one in platform.usage] == list(range(1, 9))


def test_a_platform_that_is_away_stops_neither_the_job_nor_its_walltime(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    works = platform.lease(job("sleep 1; echo done"))
    hangs = platform.lease(job("sleep 600", walltime_seconds=2))
    agent.start()
    platform.until(lambda: all("running" in platform.told[one].states for one in (works, hangs)))
    platform.go_away()
    until(lambda: not processes_of(works) and not processes_of(hangs))
    platform.come_up()
    platform.until_ended(works, hangs, seconds=60)
    assert platform.told[works].states[-1] == "succeeded"
    assert platform.told[works].logs["stdout"] == b"done\n"
    assert platform.told[hangs].states[-1] == "timeout"
    platform.until(lambda: platform.used(hangs).get("core_seconds") == 2)


def test_lost_answers_count_nothing_twice(agent: AgentProcess, platform: PlatformDouble) -> None:
    platform.lose_answers_to = {"poll", "states", "usage", "logs"}
    attempt = platform.lease(job("echo once"))
    agent.start()
    platform.until_ended(attempt)
    platform.until(lambda: len(platform.used(attempt)) == 2)
    assert platform.told[attempt].handed_out >= 2
    assert platform.told[attempt].logs["stdout"] == b"once\n"
    assert platform.lose_answers_to == set()


NONSENSE = [
    (200, b"<html>a proxy's greeting</html>"),
    (200, b"[]"),
    (200, b'{"leases": 7, "cancel": [], "server_time": "now"}'),
    (200, b"x" * (9 << 20)),
    (500, b"\xff\xfe"),
    (302, b""),
    (401, b"not you"),
    (422, b"{}"),
]


@pytest.mark.parametrize("first", range(0, len(NONSENSE), 2))
def test_nonsense_from_the_platform_is_contained(
    agent: AgentProcess, platform: PlatformDouble, first: int
) -> None:
    nonsense = NONSENSE[first : first + 2]
    said = {"poll": [*nonsense], "states": [*nonsense]}

    def fault(path: str) -> tuple[int, bytes] | None:
        return said[path].pop() if said.get(path) else None

    platform.fault = fault
    broken = platform.lease({"script": "true", "cores": "many"})
    good = platform.lease(job("echo good"))
    agent.start()
    platform.until_ended(broken, good, seconds=60)
    assert said == {"poll": [], "states": []}
    assert platform.told[broken].states == ["refused"]
    assert platform.told[broken].events[0]["reason"] == "spec_unreadable"
    assert platform.told[good].states[-1] == "succeeded"


def test_one_unreadable_lease_hides_no_other(agent: AgentProcess, platform: PlatformDouble) -> None:
    attempt = platform.lease(job("true"))
    with platform.lock:
        platform.told["../../../tmp/x"] = platform.told[attempt]
    agent.start()
    platform.until_ended(attempt)
    assert platform.told[attempt].states[-1] == "succeeded"


def test_an_attempt_the_platform_gave_up_is_stopped_and_its_end_does_not_count(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    attempt = platform.lease(job("sleep 600"))
    agent.start()
    platform.until(lambda: "running" in platform.told[attempt].states)
    agent.end(signal.SIGKILL)
    with platform.lock:
        platform.told[attempt].void = True
    agent.start()
    until(lambda: not processes_of(attempt))
    until(lambda: "attempts      0 open" in agent.command("status").stdout)
    # Usage may come in when the end is seen before the refusal: its place in the signed chain is
    # taken then. That it costs nothing is the promise of rating.
    assert platform.told[attempt].states[-1] == "running"


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_wrong_clock_is_put_right_by_the_platforms(
    agent: AgentProcess, platform: PlatformDouble, hours: int
) -> None:
    platform.ahead = timedelta(hours=hours)
    attempt = platform.lease(job("true"))
    agent.start()
    platform.until_ended(attempt)
    assert platform.told_the_time >= 1
    assert platform.told[attempt].states[-1] == "succeeded"
    platform.until(lambda: len(platform.used(attempt)) == 2)
    for moment in (platform.usage[0]["ended_at"], platform.told[attempt].events[-1]["at"]):
        assert abs(datetime.fromisoformat(moment) - platform.now()) < timedelta(minutes=1)


def test_a_full_disk_is_waited_out_and_nothing_acknowledged_is_lost(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    agent.before = ("unshare", "--mount", "sh", "-c", SMALL_DISK, str(agent.home))
    if subprocess.run([*agent.before[:2], "true"], capture_output=True, check=False).returncode:
        pytest.skip(no_skip_in_ci("only root may give the agent a small disk"))
    agent.start()
    runs = platform.lease(job("sleep 2; echo said"))
    platform.until(lambda: "running" in platform.told[runs].states)
    assert agent.process is not None
    filler = Path(f"/proc/{agent.process.pid}/root{agent.home}/filler")
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    waits = platform.lease(job("echo later"))
    until(lambda: "disk is full" in agent.log or "No space left" in agent.log)
    assert agent.process.poll() is None
    filler.unlink()
    platform.until_ended(runs, waits, seconds=60)
    assert platform.told[runs].states[-1] == "succeeded"
    assert platform.told[waits].logs["stdout"] == b"later\n"
    platform.until(lambda: len(platform.usage) == 4)
    aside = Path(f"/proc/{agent.process.pid}/root{agent.home}/engine/places")
    until(lambda: not aside.is_symlink())


def test_usage_that_a_restored_platform_no_longer_has_is_sent_again(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    agent.start()
    for number in range(3):
        attempt = platform.lease(job("true"))
        platform.until(lambda count=2 * number + 2: len(platform.usage) == count)
    with platform.lock:
        sent = [*platform.usage]
        del platform.usage[1:]
    attempt = platform.lease(job("true"))
    platform.until(lambda: len(platform.usage) == 8)
    assert platform.usage[:6] == sent
    assert len(platform.used(attempt)) == 2


def test_a_lease_that_ran_out_is_not_started(agent: AgentProcess, platform: PlatformDouble) -> None:
    attempt = platform.lease(job("echo late"), expires_in=timedelta(seconds=-1))
    agent.start()
    platform.until_ended(attempt)
    assert platform.told[attempt].states[-1] == "refused"
    assert platform.told[attempt].events[-1]["reason"] == "lease_expired"
    assert platform.told[attempt].logs["stdout"] == b""


def test_nothing_outlives_the_supervisor_it_is_tied_to(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    supervisor = subprocess.Popen(["sleep", "600"])
    attempt = platform.lease(job("setsid sleep 600 & sleep 600"))
    agent.start("--tied-to", str(supervisor.pid))
    platform.until(lambda: "running" in platform.told[attempt].states)
    supervisor.kill()
    supervisor.wait()
    assert agent.process is not None
    agent.process.wait(20)
    until(lambda: not processes_of(attempt))


def test_with_the_agent_killed_too_the_jobs_still_end_with_the_supervisor(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    supervisor = subprocess.Popen(["sleep", "600"])
    attempt = platform.lease(job("setsid sleep 600 & sleep 600"))
    agent.start("--tied-to", str(supervisor.pid))
    platform.until(lambda: "running" in platform.told[attempt].states)
    agent.end(signal.SIGKILL)
    assert processes_of(attempt) != []
    supervisor.kill()
    supervisor.wait()
    until(lambda: not processes_of(attempt))
