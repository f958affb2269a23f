"""Jobs over HTTP: the same rules through the door, with words, pages and nobody else's business."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from suanwang.core.clock import SimulatedClock
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Job
from suanwang.site import clock

from ..people_setting import Caller

SPEC = {"name": "hello", "script": "echo hello", "cores": 2, "memory_mib": 1024}


@pytest.fixture
def calls(city: Any) -> Any:
    """The city at its own time, and callers for its people."""
    moving = SimulatedClock(city.now)
    with clock.using(moving):
        yield lambda viewer=None, **more: Caller(viewer, **more)


def test_an_estimate_names_every_line_the_period_and_what_would_come_back(
    city: Any, calls: Any
) -> None:
    answer = calls(city.company).post("/jobs/estimate", SPEC | {"walltime_seconds": 3600})

    assert answer.status_code == 200, answer.content
    found = answer.json()
    first = found["options"][0]
    assert (found["cheapest"], first["centre"], first["amount_fen"]) == ("plain", "plain", 31)
    assert [line["meter"] for line in first["lines"]] == ["core_seconds", "memory_mib_seconds"]
    assert first["price_until"] is None
    assert {"amount_fen", "eligible", "decision"} <= first["reimbursement"].keys()
    assert found["hold_fen"] == 62


def test_a_job_is_submitted_followed_and_cancelled(city: Any, calls: Any) -> None:
    caller = calls(city.company)
    files = {"in.txt": base64.b64encode(b"in").decode()}
    import hashlib

    described = [{"name": "in.txt", "size": 2, "sha256": hashlib.sha256(b"in").hexdigest()}]
    answer = caller.post("/jobs", {"spec": SPEC | {"files_in": described}, "files": files})
    assert answer.status_code == 201, answer.content
    job = answer.json()
    assert (job["state"], job["place_in_queue"], job["files"][0]["name"]) == ("queued", 0, "in.txt")
    assert caller.get(f"/jobs/{job['id']}/files/in.txt?direction=in").content == b"in"

    jobs.dispatch_once(city.now)
    shown = caller.get(f"/jobs/{job['id']}").json()
    assert shown["reason"]["code"] == "placed_balanced"
    assert "plain" in shown["reason"]["message"]
    assert [event["state"] for event in shown["events"]] == ["queued", "placed"]

    ended = caller.post(f"/jobs/{job['id']}/cancel")
    assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")
    again = caller.post(f"/jobs/{job['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "job_has_ended")


def test_a_form_with_files_is_taken_too(city: Any, calls: Any) -> None:
    import hashlib

    caller = calls(city.company)
    described = [{"name": "a.bin", "size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}]
    answer = caller.client.post(
        "/api/v1/jobs/upload",
        {
            "spec": json.dumps(SPEC | {"files_in": described}),
            "files": [SimpleUploadedFile("a.bin", b"abc")],
        },
        headers=caller.headers | {"Idempotency-Key": "form-1"},
    )
    assert answer.status_code == 201, answer.content


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"cores": 0}, 422, "payload_not_valid"),
        ({"nodes": 0}, 422, "payload_not_valid"),
        ({"nodes": 2, "cores": 3}, 422, "payload_not_valid"),
        ({"nodes": 2, "cores": 2, "memory_mib": 2048}, 409, "job_needs_gangs"),
        ({"where": {"kinds": ["super"]}}, 409, "job_excluded_everywhere"),
        ({"priority": "high"}, 409, "job_priority_not_granted"),
        ({"where": {"divisions": ["x"]}}, 409, "job_excluded_everywhere"),
        ({"script": ""}, 422, "payload_not_valid"),
        ({"cores": 500}, 409, "job_fits_nowhere"),
        ({"centre": "x"}, 409, "centre_unknown"),
        ({}, 409, "budget_exceeded"),
    ],
)
def test_bad_input_is_refused_in_both_languages_and_changes_nothing(
    city: Any, calls: Any, change: dict[str, Any], status: int, code: str
) -> None:
    details = set()
    payer = city.rival if code == "budget_exceeded" else city.company
    for language in ("zh-CN", "en"):
        answer = calls(payer, language=language).post("/jobs", {"spec": SPEC | change})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        details.add(answer.json()["detail"])
    assert len(details) == 2
    assert not any("{" in detail for detail in details)
    assert not Job.objects.exists()


def test_output_is_read_by_offset_until_it_is_complete(city: Any, calls: Any) -> None:
    attempt = city.placed(centre="plain")
    agent = city.agent(city.general)
    city.report(attempt, "running", 1)
    jobs.take_log(agent, attempt.pk, "stdout", 0, b"one\n", at=city.now)
    jobs.take_log(agent, attempt.pk, "stdout", 4, b"two\n", at=city.now)
    caller = calls(city.company)
    path = f"/jobs/{attempt.job_id}/logs/stdout"

    first = caller.get(f"{path}?offset=2")
    assert first.content == b"e\ntwo\n"
    assert (first["Suanwang-Next-Offset"], first["Suanwang-Complete"]) == ("8", "false")
    assert caller.get(f"{path}?offset=8").content == b""
    city.report(attempt, "succeeded", 2, exit_code=0)
    rest = caller.get(f"{path}?offset=8&wait_seconds=5")
    assert (rest.content, rest["Suanwang-Complete"]) == (b"", "true")


def test_what_ran_stays_its_owners_business(city: Any, calls: Any) -> None:
    attempt = city.placed(centre="plain", script="echo secret")
    jobs.take_log(city.agent(city.general), attempt.pk, "stdout", 0, b"secret", at=city.now)
    jobs.put_file(city.agent(city.general), attempt.pk, "out", b"secret", at=city.now)
    path = f"/jobs/{attempt.job_id}"

    for viewer in (city.provider, city.operator):
        caller = calls(viewer)
        seen = caller.get(path)
        assert (seen.status_code, seen.json()["spec"], seen.json()["files"]) == (200, None, [])
        assert b"secret" not in seen.content
        people = seen.json()["submitted_by"], seen.json()["events"][0]["person"]
        assert people == ((None, None) if viewer is city.provider else ("company-owner",) * 2)
        assert caller.get(f"{path}/logs/stdout").content == b""
        assert caller.get(f"{path}/files/out").status_code == 404
    for viewer in (city.rival, city.other_provider):
        assert calls(viewer).get(path).status_code == 404
        assert calls(viewer).get("/jobs").json()["items"] == []
    assert calls().get(path).status_code == 401
    assert calls().get("/jobs").status_code == 401


def test_lists_come_in_pages_and_by_filters(city: Any, calls: Any) -> None:
    made = [city.submit(name=f"job {number}") for number in range(5)]
    jobs.cancel(made[0], actor=city.company, at=city.now)
    caller = calls(city.company)

    first = caller.get("/jobs?limit=3").json()
    rest = caller.get(f"/jobs?limit=3&cursor={first['next_cursor']}").json()
    names = [job["name"] for job in first["items"] + rest["items"]]
    assert names == ["job 4", "job 3", "job 2", "job 1", "job 0"]
    assert rest["next_cursor"] is None
    assert [j["name"] for j in caller.get("/jobs?state=cancelled").json()["items"]] == ["job 0"]
    assert len(caller.get("/jobs?live=true").json()["items"]) == 4
    assert len(caller.get("/jobs?search=job+3").json()["items"]) == 1
    queued = caller.get("/jobs/queue").json()["items"]
    assert [job["name"] for job in queued] == ["job 1", "job 2", "job 3", "job 4"]


def test_the_pool_shows_sums_to_everybody(city: Any, calls: Any) -> None:
    city.placed(centre="plain", cores=4, memory_mib=2048)
    city.submit(centre="cards")

    rows = {row["centre"]: row for row in calls().get("/jobs/pool").json()}

    plain, cards = rows["plain"], rows["cards"]
    assert (plain["cores"], plain["cores_allocated"], plain["jobs"]) == (32, 4, 1)
    assert (cards["accelerators"], cards["waiting"]) == ({"h20": 8}, 1)


def test_an_existing_script_is_read_and_told_what_means_nothing_here(city: Any, calls: Any) -> None:
    script = "#!/bin/bash\n#SBATCH --cpus-per-task=4 --time=01:00:00\n#SBATCH -p gpu\nsrun x\n"
    answer = calls(city.company).post("/jobs/read-script", {"script": script})

    read = answer.json()
    assert (read["spec"]["cores"], read["spec"]["walltime_seconds"]) == (4, 3600)
    assert [ignored["code"] for ignored in read["ignored"]] == ["sbatch_no_partitions"]
    assert read["ignored"][0]["message"]


def test_the_registry_is_public_and_its_writes_are_the_providers_own(city: Any, calls: Any) -> None:
    stranger = calls()
    centres = stranger.get("/centres").json()["items"]
    assert [centre["code"] for centre in centres] == ["cards", "plain"]
    plain = stranger.get("/centres/plain").json()
    assert (plain["cores"], plain["online"], plain["energy"]) == (32, True, None)
    assert len(plain["prices"]) == 3
    assert stranger.get("/centres/none").status_code == 404
    assert len(stranger.get("/accelerators").json()) > 30
    assert stranger.get("/divisions").json()[0]["code"] == "990001"

    price = {
        "meter": "core_seconds",
        "price_fen": 20,
        "per_quantity": 3600,
        "starts": "2026-04-01T00:00:00+08:00",
    }
    assert stranger.post("/centres/plain/prices", price).status_code == 401
    other = calls(city.other_provider).post("/centres/plain/prices", price)
    assert (other.status_code, other.json()["code"]) == (403, "centre_of_another")
    mine = calls(city.provider)
    assert mine.post("/centres/plain/prices", price).status_code == 201
    assert mine.post("/centres/plain/prices", price).json()["code"] == "price_overlaps"
    assert len(stranger.get("/centres/plain/prices").json()["items"]) == 4


def test_a_provider_builds_a_centre_over_http(city: Any, calls: Any) -> None:
    mine = calls(city.provider)
    facts = {
        "code": "new-one",
        "name": "新中心",
        "tier": "edge",
        "kind": "general",
        "division": "990001",
        "racks": 10,
    }
    assert mine.post("/centres", facts).status_code == 201
    assert mine.post("/centres", facts).json()["code"] == "centre_code_taken"
    cluster = mine.post("/centres/new-one/clusters", {"name": "a", "engine": "slurm"}).json()
    nodes = [{"name": "n", "cores": 4, "memory_mib": 8192, "accelerators": []}]
    put = mine.send("PUT", f"/clusters/{cluster['id']}/nodes", {"nodes": nodes})
    assert [node["cores"] for node in put.json()] == [4]
    energy = {
        "start": "2026-02-01T00:00:00Z",
        "end": "2026-03-01T00:00:00Z",
        "it_wh": 3,
        "facility_wh": 4,
        "green_wh": 1,
    }
    read = mine.post("/centres/new-one/energy", energy).json()
    assert read["pue"] == {"numerator": 4, "denominator": 3, "decimal": "1.3333"}
    token = mine.post(f"/clusters/{cluster['id']}/agents").json()
    assert token["token"].startswith("swe_")
    agent = token["agent"]["id"]
    assert calls(city.other_provider).post(f"/agents/{agent}/revocation").status_code == 404
    assert mine.post(f"/agents/{agent}/revocation").json()["revoked_at"]
    verify = {"is_local_platform": True, "is_public_platform": False}
    assert mine.post("/centres/new-one/verification", verify).status_code == 403
    done = calls(city.operator).post("/centres/new-one/verification", verify).json()
    assert (done["status"], done["is_local_platform"]) == ("verified", True)
    assert (
        mine.post(f"/clusters/{cluster['id']}/opening", {"accept": False}).json()["open"] is False
    )
    assert mine.post("/centres/new-one/closure").json()["status"] == "closed"
