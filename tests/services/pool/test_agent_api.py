"""What agents ask and say over HTTP: only what is signed, in time and new is believed."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from suanwang.agent.signing import AgentKey, verify_answer
from suanwang.core.clock import SimulatedClock
from suanwang.core.signed import NONCE_HEADER, SIGNATURE_HEADER
from suanwang.jobs import services as jobs
from suanwang.jobs.answers import platform_key
from suanwang.jobs.models import Job, JobFile
from suanwang.registry import services as registry
from suanwang.registry.models import EnergyReading, Node, SiteAgent
from suanwang.site import clock

BASE = "/api/v1/agent/"


class Line:
    """An agent's line to the platform, through the real views."""

    def __init__(self, agent_id: Any, key: AgentKey) -> None:
        self.agent_id, self.key = str(agent_id), key
        self.client = Client()

    def headers(self, method: str, target: str, body: bytes, **over: Any) -> dict[str, str]:
        timestamp = over.pop("timestamp", int(clock.now().timestamp()))
        return self.key.headers(self.agent_id, method, target, body, timestamp=timestamp) | over

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Any = None, kind: str = ""
    ) -> Any:
        target = BASE + path
        kind = kind or "application/octet-stream"
        given = self.headers(method, target, body) if headers is None else headers
        return self.client.generic(method, target, body, content_type=kind, headers=given)

    def post(self, path: str, payload: Any, **over: Any) -> Any:
        body = json.dumps(payload).encode()
        headers = self.headers("POST", BASE + path, body, **over)
        return self.send("POST", path, body, headers, "application/json")


@pytest.fixture
def line(city: Any) -> Any:
    """An agent enrolled over HTTP on the general cluster, at the city's time."""
    with clock.using(SimulatedClock(city.now)) as _:
        _, token = registry.create_enrolment(city.general, actor=city.provider, at=city.now)
        key = AgentKey.generate()
        answer = Client().post(
            BASE + "enrol",
            {"token": token, "public_key": key.public, "version": "1"},
            content_type="application/json",
        )
        assert answer.status_code == 200, answer.content
        assert answer.json()["cluster_id"] == str(city.general.pk)
        registry.revoke_agent(city.agent(city.general), actor=city.provider, at=city.now)
        city.agents[city.general.pk] = SiteAgent.objects.get(pk=answer.json()["agent_id"])
        yield Line(answer.json()["agent_id"], key)


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_an_agent_reports_its_nodes_and_learns_the_time(city: Any, line: Line) -> None:
    nodes = [{"name": "n1", "cores": 8, "memory_mib": 4096, "accelerators": []}]
    answer = line.post(
        "report", {"nodes": nodes, "engine": "memory", "version": "2", "isolation": "x"}
    )

    assert answer.status_code == 200
    assert answer.json()["server_time"].startswith("2026-03-02T01:00:00")
    up = Node.objects.filter(cluster=city.general, up=True)
    assert [(node.name, node.cores) for node in up] == [("n1", 8)]
    assert Node.objects.get(cluster=city.general, name="n2").up is False


def test_what_is_not_signed_in_time_or_new_is_not_believed(city: Any, line: Line) -> None:
    payload = {"running": [], "wait_seconds": 0}
    assert problem(line.client.post(BASE + "poll", payload, content_type="application/json")) == (
        401,
        "request_unsigned",
    )
    wrong = AgentKey.generate().sign(b"something else")
    assert problem(line.post("poll", payload, **{SIGNATURE_HEADER: wrong})) == (
        401,
        "request_signature_wrong",
    )
    now = int(clock.now().timestamp())
    assert problem(line.post("poll", payload, timestamp=now - 301)) == (403, "request_time_wrong")
    assert line.post("poll", payload, timestamp=now + 299).status_code == 200

    body = json.dumps(payload).encode()
    headers = line.headers("POST", BASE + "poll", body)
    assert line.send("POST", "poll", body, headers, "application/json").status_code == 200
    again = line.send("POST", "poll", body, headers, "application/json")
    assert problem(again) == (403, "request_replayed")
    other = line.send("POST", "poll", body + b" ", headers, "application/json")
    assert problem(other) == (401, "request_signature_wrong")
    elsewhere = line.send("POST", "states", body, headers, "application/json")
    assert problem(elsewhere) == (401, "request_signature_wrong")
    renamed = headers | {NONCE_HEADER: "0" * 32}
    assert problem(line.send("POST", "poll", body, renamed, "application/json"))[0] == 401


def test_a_wrong_clock_is_told_the_right_time(city: Any, line: Line) -> None:
    answer = line.post("poll", {"wait_seconds": 0}, timestamp=0)
    assert answer.json()["facts"]["server_time"] == city.now.isoformat()


def test_a_revoked_agent_and_a_stranger_are_not_known(city: Any, line: Line) -> None:
    registry.revoke_agent(SiteAgent.objects.get(pk=line.agent_id), actor=city.provider, at=city.now)
    assert problem(line.post("poll", {})) == (401, "agent_unknown")
    assert problem(Line(uuid.uuid4(), line.key).post("poll", {})) == (401, "agent_unknown")
    assert problem(Line("nobody", line.key).post("poll", {})) == (401, "request_unsigned")


def test_a_job_goes_all_the_way_over_http(city: Any, line: Line) -> None:
    import hashlib

    from suanwang.core.jobspec import FileIn, JobSpec

    described = FileIn(name="数据/in.txt", sha256=hashlib.sha256(b"in").hexdigest(), size=2)
    spec = JobSpec(script="true", files_in=[described], centre="plain")
    job = jobs.submit(spec, {"数据/in.txt": b"in"}, actor=city.company, at=city.now)
    assert jobs.dispatch_once(city.now) == 1

    orders = line.post("poll", {"free": {}, "running": [], "wait_seconds": 0}).json()
    [lease] = orders["leases"]
    assert (lease["job_id"], lease["spec"]["script"]) == (str(job.pk), "true")
    attempt = lease["attempt_id"]
    name = "%E6%95%B0%E6%8D%AE/in.txt"
    assert line.send("GET", f"files/{attempt}/{name}").content == b"in"
    assert problem(line.send("GET", f"files/{attempt}/none"))[1] == "file_not_found"

    at = clock.now().isoformat()
    events = [
        {"attempt_id": attempt, "sequence": 1, "state": "running", "at": at},
        {"attempt_id": str(uuid.uuid4()), "sequence": 1, "state": "running", "at": at},
    ]
    answer = line.post("states", {"events": events}).json()
    assert answer["accepted"] == [{"attempt_id": attempt, "sequence": 1}]
    assert [refused["code"] for refused in answer["refused"]] == ["attempt_unknown"]

    log = line.send("POST", f"logs/{attempt}/stdout?offset=0", b"hello\n")
    assert log.json() == {"next_offset": 6}
    assert problem(line.send("POST", f"logs/{attempt}/stdout?offset=9", b"x"))[1] == "log_gap"
    assert line.send("POST", f"logs/{attempt}/nowhere?offset=0", b"x").status_code == 422
    out = line.send("PUT", f"files/{attempt}/out%20(1).txt", b"result")
    assert out.status_code == 200
    assert JobFile.objects.get(job=job, direction="out").name == "out (1).txt"

    done = {"attempt_id": attempt, "sequence": 2, "state": "succeeded", "at": at, "exit_code": 0}
    assert line.post("states", {"events": [done]}).json()["refused"] == []
    assert line.post("poll", {"running": [attempt]}).json()["cancel"] == []
    job.refresh_from_db()
    assert (job.state, job.exit_code) == ("succeeded", 0)


def test_an_enrolment_token_works_once_within_its_day(city: Any) -> None:
    agent, token = registry.create_enrolment(city.general, actor=city.provider, at=city.now)
    key = AgentKey.generate().public

    def enrol(token: str, key: str, after_hours: float) -> Any:
        from datetime import timedelta

        with clock.using(SimulatedClock(city.now + timedelta(hours=after_hours))):
            return Client().post(
                BASE + "enrol",
                {"token": token, "public_key": key, "version": "1"},
                content_type="application/json",
            )

    assert problem(enrol("swe_wrong", key, 0)) == (403, "enrolment_token_wrong")
    assert problem(enrol(token, "short", 0)) == (409, "public_key_unusable")
    assert problem(enrol(token, key, 24)) == (403, "enrolment_token_expired")
    assert enrol(token, key, 23.9).json()["agent_id"] == str(agent.pk)
    assert enrol(token, key, 23.9).json()["agent_id"] == str(agent.pk)  # a lost answer
    other = AgentKey.generate().public
    assert problem(enrol(token, other, 23.9)) == (403, "enrolment_token_wrong")
    assert SiteAgent.objects.get(pk=agent.pk).public_key == key


@pytest.mark.django_db(transaction=True)
def test_a_waiting_agent_is_woken_by_the_dispatcher(open_city: Any) -> None:
    import threading

    from django.db import connection

    from suanwang.jobs import bells

    city = open_city
    city.submit(centre="plain")
    agent = city.agent(city.general)
    answered: dict[str, Any] = {}

    def wait() -> None:
        started = time.monotonic()
        found = bells.wait_for(
            lambda: jobs.lease(agent, [], at=city.now) or None,
            bells.CLUSTER,
            city.general.pk,
            seconds=8,
        )
        answered["seconds"] = time.monotonic() - started
        answered["leases"] = len(found.leases) if found else 0
        connection.close()

    waiting = threading.Thread(target=wait)
    waiting.start()
    try:
        while bells.switchboard.listening.wait(5) is False:
            raise AssertionError("nobody listens")
        jobs.dispatch_once(city.now)
    finally:
        waiting.join(10)
        bells.switchboard.close()
    assert answered["leases"] == 1
    assert answered["seconds"] < 4
    assert Job.objects.get().state == "placed"


def test_only_what_changed_is_told_and_all_of_it_when_the_books_are_elsewhere(
    city: Any, line: Line
) -> None:
    def report(nodes: list[dict[str, Any]], **facts: Any) -> dict[str, Any]:
        answer = line.post("report", {"nodes": nodes, "engine": "memory", "version": "2"} | facts)
        assert answer.status_code == 200, answer.content
        found: dict[str, Any] = answer.json()
        return found

    def up() -> dict[str, int]:
        nodes = Node.objects.filter(cluster=city.general, up=True)
        return dict(nodes.values_list("name", "cores"))

    first = [{"name": f"n{n}", "cores": 4, "memory_mib": 8192} for n in range(3)]
    assert report(first, revision="r1")["revision"] == "r1"
    changed = {
        "name": "n1", "cores": 8, "memory_mib": 8192,
        "others": {"cores": 99, "memory_mib": 1024},
    }  # fmt: skip
    told = report([changed], gone=["n2"], after="r1", revision="r2", abilities=["free_state"])
    assert (told["revision"], told["full_wanted"]) == ("r2", False)
    assert up() == {"n0": 4, "n1": 8}
    node = Node.objects.get(cluster=city.general, name="n1")
    theirs = node.others_cores, node.others_memory_mib, node.others_accelerators
    assert theirs == (8, 1024, 0), "never more than there is"

    told = report([], after="r2", revision="r2")
    assert (told["revision"], told["full_wanted"]) == ("r2", False)
    told = report([], gone=["n0"], after="r1", revision="r3")
    assert (told["revision"], told["full_wanted"]) == ("r2", True)
    assert up() == {"n0": 4, "n1": 8}
    agent = SiteAgent.objects.get(pk=line.agent_id)
    assert (agent.abilities, agent.last_report_at) == ([], city.now)


def test_metered_energy_is_entered_once_and_what_cannot_be_is_refused(
    city: Any, line: Line
) -> None:
    hour = {
        "start": "2026-01-01T00:00:00+08:00", "end": "2026-01-01T01:00:00+08:00",
        "it_wh": 1000, "facility_wh": 1250, "green_wh": 500,
    }  # fmt: skip
    for _ in range(2):
        answer = line.post("energy", {"readings": [hour]}).json()
        assert len(answer["accepted"]) == 1
    other = hour | {"green_wh": 400}
    lies = hour | {"start": "2026-01-01T02:00:00+08:00", "end": "2026-01-01T01:00:00+08:00"}
    answer = line.post("energy", {"readings": [other, lies]}).json()
    assert [one["code"] for one in answer["refused"]] == ["energy_overlaps", "energy_period_wrong"]
    assert EnergyReading.objects.filter(centre=city.general.centre).count() == 1


def test_every_answer_to_an_agent_is_signed_refusals_too(city: Any, line: Line) -> None:
    for topic, body in (("poll", {}), ("report", {"nodes": 7}), ("nowhere", {})):
        said = json.dumps(body).encode()
        headers = line.headers("POST", BASE + topic, said)
        response = line.send("POST", topic, said, headers, "application/json")
        signature = response.headers[SIGNATURE_HEADER]
        answer = (response.status_code, response.content)
        assert verify_answer(platform_key(), signature, headers[NONCE_HEADER], *answer)
        assert not verify_answer(platform_key(), signature, "0" * 32, *answer)


def test_a_heartbeat_is_a_handful_of_statements(city: Any, line: Line) -> None:
    """Every agent of the city asks these all day."""

    def statements(by: Line, path: str, payload: dict[str, Any]) -> int:
        with CaptureQueriesContext(connection) as seen:
            assert by.post(path, payload).status_code == 200
        return sum("SAVEPOINT" not in one["sql"] for one in seen.captured_queries)

    report = {"engine": "memory", "version": "1", "isolation": "none"}
    nodes = [{"name": f"n{number}", "cores": 4, "memory_mib": 4096} for number in range(50)]
    line.post("report", report | {"nodes": nodes, "revision": "r1"})
    same = report | {"nodes": [], "after": "r1", "revision": "r1"}
    assert statements(line, "report", same) == 3  # who it is, its nonce, what it says of itself
    some = [node | {"cores": 2} for node in nodes[:5]]
    changed = report | {"nodes": some, "after": "r1", "revision": "r2"}
    assert (
        statements(line, "report", changed) == 7
    )  # and the cluster, its nodes, unknown cards, the bell

    attempt = city.placed(cores=1)
    for number, state in enumerate(("accepted", "running"), 1):
        city.report(attempt, state, number)
    SiteAgent.objects.filter(pk=attempt.agent_id).update(public_key=line.key.public)
    mine = Line(attempt.agent_id, line.key)
    poll = {"running": [str(attempt.pk)]}
    mine.post("poll", poll)
    assert statements(mine, "poll", poll) == 3  # who it is, its nonce, what is to be said
