"""What production decided over an hour, the simulator decides again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from suanwang.cli import application
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt
from suanwang.placement import Memory as CoreMemory
from suanwang.placement import decide
from suanwang.placement.simulator.recording import Recorder, read, replay

from .test_jobs_api import calls  # noqa: F401 - a fixture

NO_CORES = {"cores": 1, "memory_mib": 64}


def test_a_recorded_hour_of_the_dispatcher_is_decided_again_alike(city: Any) -> None:
    recorder, lines = Recorder(), list[str]()
    memory = jobs.Memory(recorder=lambda *step: lines.extend(recorder.lines(*step)))
    drawn, ends, placed = np.random.default_rng(5), dict[str, int](), 0
    for minute in range(60):
        for _ in range(int(drawn.integers(0, 4))):
            wants = [
                {"cores": int(drawn.integers(1, 17)), "centre": "plain"},
                {"accelerators": 1, "card_milli": int(drawn.choice([300, 500])), **NO_CORES},
                {"accelerators": int(drawn.choice([1, 2, 4, 8])), **NO_CORES},
            ]
            city.submit(walltime_seconds=3600, **wants[int(drawn.integers(3))])
        placed += jobs.dispatch_once(city.now, memory)
        for cluster in (city.general, city.intelligent):
            jobs.lease(city.agent(cluster), [], at=city.now)
        for attempt in Attempt.objects.filter(state__in=Attempt.LIVE).order_by("pk"):
            due = ends.setdefault(str(attempt.pk), minute + int(drawn.integers(1, 30)))
            if due == minute:
                city.report(attempt, "running", 1)
                city.report(attempt, "succeeded", 2, exit_code=0)
        city.later(seconds=60)

    core = partial(decide, memory=CoreMemory())
    told = [differences for _, differences in replay(read(lines), core)]
    assert placed > 30
    assert len(told) > 20, "a step with an empty queue asks nothing"
    assert not any(told)


def test_the_live_city_can_be_asked_what_if(city: Any, calls: Any, tmp_path: Path) -> None:  # noqa: F811
    running = city.placed(cores=16, centre="plain", walltime_seconds=3600)
    city.report(running, "running", 1)
    waiting = city.submit(cores=16, centre="plain", walltime_seconds=3600)
    city.submit(cores=16, centre="plain", walltime_seconds=60)

    refused = calls(city.company).get("/jobs/pool/recording")
    taken = calls(city.operator).get("/jobs/pool/recording")
    assert (refused.status_code, taken.status_code) == (403, 200)
    assert b"script" not in taken.content, "what jobs run is nobody's business"

    live = tmp_path / "city.jsonl"
    live.write_bytes(taken.content)
    [step] = read(taken.content.decode().splitlines())
    assert {wait.job_id for wait in step.decisions.waits} == {waiting.pk}
    found = CliRunner().invoke(
        application(), ["simulate", "what-if", str(live), "--to-policy", "sjf", "--json"]
    )
    assert found.exit_code == 0, found.output
