"""The agent as a real process against a platform on loopback: what it does for a job."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from pathlib import Path

import pytest

from suanwang.core.jobspec import FileIn

from .agent_process import AgentProcess, job, processes_of, until
from .platform_double import PlatformDouble


def test_a_job_is_run_and_all_of_it_comes_back(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    data = os.urandom(100_000)
    sent = FileIn(name="in/参数.bin", sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    attempt = platform.lease(
        job(
            "sha256sum in/*; env >&2; mkdir out; cp in/* 'out/a b.bin'; ln -s /etc/passwd out/p",
            files_in=[sent],
            files_out=["out/*"],
            environment={"MINE": "two\nlines '\""},
        ),
        files_in={sent.name: data},
    )
    agent.start()
    platform.until_ended(attempt)
    told = platform.told[attempt]
    assert told.states[0] == "accepted"
    assert told.states[-2:] == ["running", "succeeded"]
    assert told.events[-1]["exit_code"] == 0
    assert told.logs["stdout"].decode() == f"{sent.sha256}  in/参数.bin\n"
    assert b"MINE=two\nlines '\"\n" in told.logs["stderr"]
    assert b"do-not-tell" not in told.logs["stderr"]
    assert told.files == {"out/a b.bin": data}
    platform.until(lambda: len(platform.used(attempt)) == 2)
    assert platform.used(attempt) == {"core_seconds": 1, "memory_mib_seconds": 256}
    until(lambda: not list((agent.home / "engine" / "jobs").iterdir()))
    assert "0 states, 0 usage records" in agent.command("status").stdout
    report = platform.reports[0]
    assert report["nodes"][0]["cores"] == len(os.sched_getaffinity(0))
    assert re.fullmatch(r"(bubblewrap|session)\+(cgroup[12]|rlimits)", report["isolation"])
    assert agent.end(signal.SIGTERM) == 0


def test_a_cancel_stops_a_running_job_and_one_never_received(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    runs = platform.lease(job("trap 'echo asked; exit 0' TERM; while :; do sleep 0.05; done"))
    agent.start()
    platform.until(lambda: "running" in platform.told[runs].states)
    platform.cancel(runs)
    platform.until_ended(runs)
    assert platform.told[runs].states[-1] == "cancelled"
    never = platform.lease(job("true"), cancel=True)
    platform.until_ended(never)
    assert platform.told[never].states == ["cancelled"]
    assert platform.told[never].logs["stdout"] == b""


@pytest.mark.parametrize("given", [None, b"other content"])
def test_a_file_in_that_is_not_the_one_promised_is_refused(
    agent: AgentProcess, platform: PlatformDouble, given: bytes | None
) -> None:
    promised = FileIn(name="a", sha256="0" * 64, size=13)
    files = {} if given is None else {"a": given}
    attempt = platform.lease(job("cat a", files_in=[promised]), files_in=files)
    agent.start()
    platform.until_ended(attempt)
    assert platform.told[attempt].states[-1] == "refused"
    assert platform.told[attempt].events[-1]["reason"].startswith("file_in_")


def test_more_than_the_machine_has_is_refused_not_queued(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    attempt = platform.lease(job("true", cores=4096))
    agent.start()
    platform.until_ended(attempt)
    assert platform.told[attempt].states[-1] == "refused"
    assert "engine_no_node_fits" in platform.told[attempt].events[-1]["reason"]


def test_stopped_with_its_jobs_it_leaves_no_process(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    attempt = platform.lease(job("setsid sleep 600 & sleep 600"))
    agent.start("--stop-jobs")
    platform.until(lambda: "running" in platform.told[attempt].states)
    assert agent.end(signal.SIGTERM) == 0
    assert processes_of(attempt) == []
    assert platform.told[attempt].states[-1] == "lost"


def test_two_agents_do_not_share_a_home(agent: AgentProcess, platform: PlatformDouble) -> None:
    agent.start()
    platform.until(lambda: bool(platform.reports))
    second = agent.command("run")
    assert second.returncode == 1
    assert "already runs" in second.stderr


def test_a_wrong_token_is_said_plainly(tmp_path: Path, platform: PlatformDouble) -> None:
    agent = AgentProcess(tmp_path / "home", platform)
    done = agent.command("enrol", "--url", platform.url, "--token", "wrong")
    assert done.returncode == 1
    assert "no such token" in done.stderr
    assert agent.command("run").returncode == 1


def test_it_stays_small(agent: AgentProcess, platform: PlatformDouble) -> None:
    attempt = platform.lease(job("true"))
    agent.start()
    platform.until_ended(attempt)
    assert agent.process is not None
    rollup = Path(f"/proc/{agent.process.pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    assert found is not None
    assert int(found[1]) < 80 * 1024
