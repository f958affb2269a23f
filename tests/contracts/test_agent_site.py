"""What is the centre's own business: its engine, its policy, its draining, its check-up."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from suanwang.agent.engine_file import commented, read_choice
from suanwang.agent.yaml_file import FileWrong

from .agent_process import AgentProcess, job, until
from .image_store import IMAGE, MARK, ImageStore
from .platform_double import TOKEN, PlatformDouble


def checked(agent: AgentProcess) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code of ``check`` and what it found, by subject."""
    done = agent.command("check", "--json")
    return done.returncode, {one["subject"]: one for one in json.loads(done.stdout)}


# -- the engine ---------------------------------------------------------------------------------


def test_enrolling_writes_an_explained_engine_file_that_is_used(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    again = agent.command("enrol", "--url", platform.url, "--token", TOKEN, "--engine", "local")
    assert again.returncode == 0, again.stderr
    written = agent.home / "engine.yaml"
    assert read_choice(written).kind == "local"
    written.write_text(written.read_text().replace("#cores: null", "cores: 1"))
    assert read_choice(written).options == {"cores": 1}
    agent.start()
    platform.until(lambda: bool(platform.nodes))
    assert [node["cores"] for node in platform.nodes.values()] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "engine: abacus",
        "engine: local\ncore: 1",
        "engine: local\ncores: 0",
        "cores: 1",
        "engine: [",
    ],
)
def test_an_engine_file_that_makes_no_sense_is_said_plainly(agent: AgentProcess, text: str) -> None:
    (agent.home / "engine.yaml").write_text(text)
    done = agent.command("run")
    assert done.returncode == 1
    assert "engine.yaml" in done.stderr and "Traceback" not in done.stderr


def test_an_engine_nobody_knows_gets_no_file() -> None:
    with pytest.raises(FileWrong):
        commented("abacus")
    with pytest.raises(FileWrong):
        commented("../local")


# -- the policy ---------------------------------------------------------------------------------


def test_what_the_site_policy_forbids_never_starts_and_what_runs_is_left_alone(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    site = agent.home / "site.yaml"
    runs = platform.lease(job("while [ ! -e end ]; do sleep 0.05; done", walltime_seconds=60))
    agent.start()
    platform.until(lambda: "running" in platform.told[runs].states)

    site.write_text("resources: {memory_mib_max: 128}")
    large = platform.lease(job("touch /tmp/never"))
    platform.until_ended(large)
    assert platform.told[large].states == ["accepted", "refused"]
    refusal = platform.told[large].events[-1]["refusal"]
    assert refusal["code"] == "site_memory_exceeded"
    assert refusal["facts"] == {"asked": 256, "limit": 128}
    platform.until(lambda: platform.doors[-1]["site_policy"] == refusal["policy"] != "")

    small = platform.lease(job("true", memory_mib=128))
    platform.until_ended(small)
    assert platform.told[small].states[-1] == "succeeded"

    site.write_text("resources: {memory_mib_max: ")
    kept_out = platform.lease(job("true", memory_mib=128))
    platform.until_ended(kept_out)
    assert platform.told[kept_out].events[-1]["refusal"]["code"] == "site_policy_broken"
    platform.until(lambda: platform.doors[-1]["closed"] == "site_policy_broken")
    assert "site.yaml" in agent.command("status").stdout
    assert not platform.told[runs].ended
    platform.cancel(runs)
    platform.until_ended(runs)
    assert [one["attempt_id"] for one in platform.usage if one["attempt_id"] == large] == []


def test_an_organisation_is_refused_by_its_id_or_its_name(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    (agent.home / "site.yaml").write_text("organisations: {deny: ['*0002'], allow: [虚构公司]}")
    welcome = platform.lease(job("true"))
    denied = platform.lease(job("true"), organisation="00000000-0000-0000-0000-000000000002")
    agent.start()
    platform.until_ended(welcome, denied)
    assert platform.told[welcome].states[-1] == "succeeded"
    assert platform.told[denied].events[-1]["refusal"]["code"] == "site_organisation_refused"


def test_an_image_the_site_denies_never_starts_however_it_is_written(
    agent: AgentProcess, platform: PlatformDouble, images: ImageStore
) -> None:
    agent.environment["CONTAINERS_STORAGE_CONF"] = str(images.config)
    (agent.home / "engine.yaml").write_text("engine: local\nimages: podman\n")
    (agent.home / "site.yaml").write_text("images: {deny: ['docker.io/library/python:*']}")
    allowed = platform.lease(job("cat /mark", image=IMAGE))
    denied = platform.lease(job("true", image="Docker.io/python"))
    unknown = platform.lease(job("true", image="registry.invalid/lab/tool:1"))
    agent.start()
    platform.until_ended(allowed, denied, unknown)
    assert platform.reports[0]["abilities"] == ["images"]
    assert platform.told[allowed].states[-1] == "succeeded", platform.told[allowed].events
    assert platform.told[allowed].logs["stdout"].decode() == MARK
    assert platform.told[denied].states == ["accepted", "refused"]
    refusal = platform.told[denied].events[-1]["refusal"]
    assert refusal["code"] == "site_image_refused"
    assert refusal["facts"] == {"image": "Docker.io/python"}
    last = platform.told[unknown].events[-1]
    assert (last["state"], last["reason"].split(":")[0]) == ("refused", "image_unavailable")
    platform.until(lambda: bool(platform.usage))
    assert {one["attempt_id"] for one in platform.usage} == {allowed}


# -- draining -----------------------------------------------------------------------------------


def test_a_drained_agent_finishes_what_runs_takes_nothing_and_works_again_when_undone(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    runs = platform.lease(job("sleep 1; echo done"))
    agent.start("--wait-seconds", "1")
    platform.until(lambda: "running" in platform.told[runs].states)
    assert agent.command("drain").returncode == 0
    platform.until(lambda: platform.doors[-1]["closed"] == "site_draining")
    refused = platform.lease(job("true"))
    platform.until_ended(runs, refused)
    assert platform.told[runs].states[-1] == "succeeded"
    assert platform.told[refused].events[-1]["refusal"]["code"] == "site_draining"

    agent.end(signal.SIGKILL)  # it holds over a restart
    agent.start("--wait-seconds", "1")
    seen = len(platform.doors)
    platform.until(lambda: len(platform.doors) > seen)
    assert platform.doors[-1]["closed"] == "site_draining"
    assert json.loads(agent.command("status", "--json").stdout)["draining"] is True

    assert agent.command("drain", "--undo").returncode == 0
    platform.until(lambda: platform.doors[-1]["closed"] == "")
    taken = platform.lease(job("true"))
    platform.until_ended(taken)
    assert platform.told[taken].states[-1] == "succeeded"


def test_the_platform_may_order_it_to_drain_and_take_that_back(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    agent.start("--wait-seconds", "1")
    platform.until(lambda: bool(platform.doors))
    platform.drain = True
    platform.until(lambda: platform.doors[-1]["closed"] == "site_draining")
    assert json.loads(agent.command("status", "--json").stdout)["drain_ordered"] is True
    platform.drain = False
    platform.until(lambda: platform.doors[-1]["closed"] == "")


# -- reports ------------------------------------------------------------------------------------


def test_only_what_changed_is_reported_and_all_of_it_when_the_platform_has_lost_it(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    agent.start("--wait-seconds", "1")
    platform.until(lambda: bool(platform.reports))
    first = platform.reports[0]
    assert (first["after"], len(first["nodes"])) == ("", 1)

    def be_away_and_back() -> None:  # after an outage it reports at once
        before = agent.log.count("does not answer")
        platform.go_away()
        until(lambda: agent.log.count("does not answer") > before)
        platform.come_up()

    be_away_and_back()
    platform.until(lambda: len(platform.reports) > 1)
    second = platform.reports[1]
    assert second["after"] == second["revision"] == first["revision"]
    assert (second["nodes"], second["gone"]) == ([], [])

    platform.revision, platform.nodes = "another", {}
    be_away_and_back()
    platform.until(lambda: bool(platform.nodes))
    assert platform.full_wanted == 1
    assert platform.reports[-1]["after"] == ""


def test_finished_readings_of_the_meters_are_handed_in_once(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    (agent.home / "energy.yaml").write_text("readings: meters.csv\ntimezone: Asia/Shanghai\n")
    meters = agent.home / "meters.csv"
    meters.write_text(
        "start,end,it_wh,facility_wh,green_wh\n"
        "2026-01-01 00:00,2026-01-01 01:00,1000,1300,400\n"
        "2026-01-01T01:00+08:00,2026-01-01T02:00+08:00,1000,1200,500\n"
        "2026-01-01 02:00,2099-01-01 03:00,1,1,1\n"
    )
    agent.start("--wait-seconds", "1")
    platform.until(lambda: len(platform.energy) == 2)
    assert platform.energy[0] == {
        "start": "2026-01-01T00:00:00+08:00", "end": "2026-01-01T01:00:00+08:00",
        "it_wh": 1000, "facility_wh": 1300, "green_wh": 400,
    }  # fmt: skip
    agent.end(signal.SIGKILL)
    with meters.open("a") as file:
        file.write("2026-01-01 02:00,2026-01-01 03:00,900,1000,0\n")
    agent.start("--wait-seconds", "1")
    platform.until(lambda: len(platform.energy) == 3)


# -- who gives the orders -----------------------------------------------------------------------


def test_answers_the_platform_did_not_sign_are_not_obeyed(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    platform.signs = False
    attempt = platform.lease(job("touch obeyed"))
    agent.start()
    platform.until(lambda: platform.told[attempt].handed_out >= 2)
    assert platform.told[attempt].events == []
    assert platform.nodes  # it was told, but what it answered is not believed
    assert "did not sign" in agent.log
    assert checked(agent)[1]["network"]["level"] == "wrong"
    platform.signs = True
    platform.until_ended(attempt)
    assert platform.told[attempt].states[-1] == "succeeded"


def test_another_platform_at_the_same_address_is_not_obeyed(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    theirs = platform.key
    platform.key = type(theirs).generate()
    attempt = platform.lease(job("touch obeyed"))
    agent.start()
    platform.until(lambda: platform.told[attempt].handed_out >= 1)
    until(lambda: "did not sign" in agent.log)
    assert platform.told[attempt].events == []


@contextmanager
def proxy(target: PlatformDouble) -> Iterator[tuple[str, list[str]]]:
    """A forward proxy that leads everything to the platform; its address and what went through."""
    through: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_POST(self) -> None:
            through.append(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = urlsplit(self.path)
            there = HTTPConnection("127.0.0.1", target.port, timeout=30)
            there.request(
                self.command,
                asked.path + (f"?{asked.query}" if asked.query else ""),
                body,
                {n: v for n, v in self.headers.items() if n.startswith(("Suanwang", "Content"))},
            )
            answer = there.getresponse()
            said = answer.read()
            there.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.startswith("Suanwang"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_PUT = do_POST  # noqa: N815 - the names the base class looks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", through
    server.shutdown()
    server.server_close()


def test_it_works_through_a_proxy(tmp_path: Path, platform: PlatformDouble) -> None:
    agent = AgentProcess(tmp_path / "home", platform)
    with proxy(platform) as (address, through):
        agent.environment["HTTP_PROXY"] = agent.environment["http_proxy"] = address
        there = "http://platform.invalid"
        done = agent.command("enrol", "--url", there, "--token", TOKEN)
        assert done.returncode == 0, done.stderr
        attempt = platform.lease(job("echo through"))
        agent.start()
        platform.until_ended(attempt)
        assert agent.end(signal.SIGTERM) == 0
    assert platform.told[attempt].logs["stdout"] == b"through\n"
    assert {one.split("/")[6].split("?")[0] for one in through} >= {
        "enrol",
        "poll",
        "states",
        "logs",
    }


# -- check --------------------------------------------------------------------------------------


def test_check_finds_all_well_and_changes_nothing(
    agent: AgentProcess, platform: PlatformDouble
) -> None:
    code, found = checked(agent)
    assert code == 0, found
    assert {found[one]["level"] for one in ("folder", "engine", "network", "clock", "rights")} == {
        "good"
    }
    platform.unknown_models = ["abacus-9"]
    agent.start()
    platform.until(lambda: bool(platform.nodes))
    until(lambda: "running agent" in checked(agent)[1]["engine"]["said"])
    cards = checked(agent)[1]["cards"]
    assert cards["level"] == "doubtful" and "abacus-9" in cards["said"]
    assert "engine.yaml" in cards["fix"]
    assert "abacus-9" in agent.command("status").stdout


def test_check_says_what_to_fix(agent: AgentProcess, platform: PlatformDouble) -> None:
    (agent.home / "site.yaml").write_text("hours: [{from: 1:00, to: 2:00}]")
    (agent.home / "agent.key").chmod(0o644)
    code, found = checked(agent)
    assert code == 1
    assert found["site.yaml"]["level"] == found["agent.key"]["level"] == "wrong"
    assert "timezone" in found["site.yaml"]["said"]
    assert "chmod 600" in found["agent.key"]["fix"]
    (agent.home / "agent.key").chmod(0o600)
    (agent.home / "site.yaml").unlink()

    platform.ahead = timedelta(minutes=7)
    code, found = checked(agent)
    assert (code, found["clock"]["level"]) == (1, "wrong")
    assert "420" in found["clock"]["said"] and "time server" in found["clock"]["fix"]
    platform.ahead = timedelta(0)

    platform.engine = "slurm"
    assert checked(agent)[1]["rights"]["level"] == "wrong"

    platform.go_away()
    code, found = checked(agent)
    assert (code, found["network"]["level"]) == (1, "wrong")
    assert "firewall" in found["network"]["fix"]
