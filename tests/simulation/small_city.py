"""Small cities for the simulator's tests, made of documents as a user would write them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from suanwang.placement import Ask, Decisions, Policy, Preemption, Reason, Snapshot
from suanwang.placement.simulator import baseline
from suanwang.placement.simulator.build import scenario_of
from suanwang.placement.simulator.city import City
from suanwang.placement.simulator.events import Core, Simulation
from suanwang.placement.simulator.journal import Journal
from suanwang.placement.simulator.problems import Problems
from suanwang.placement.simulator.scenario import Scenario

FREE = {"core_hour_fen": "0", "gib_hour_fen": "0", "card_hour_fen": {"card-a": "0"}}
EASY = Policy(order="fcfs", backfill="easy", packing="bestfit")


def centre(count: int = 2, **more: Any) -> dict[str, Any]:
    """Nodes of 8 cores, 64 GiB and 4 cards."""
    nodes = {"count": count, "cores": 8, "memory": "64GiB", "card": "card-a", "cards": 4}
    return {"nodes": [nodes], "prices": FREE, **more}


def city(
    jobs: Sequence[dict[str, Any]] = (),
    *,
    centres: dict[str, Any] | None = None,
    events: Sequence[dict[str, Any]] = (),
    seed: int = 1,
    **workload: Any,
) -> Scenario:
    """A scenario that starts at midnight in the city's zone."""
    document = City.model_validate(
        {
            "suanwang_city": 1,
            "starts_at": "2026-11-25T00:00:00+08:00",
            "cards": {"card-a": {"memory": "64GiB", "watts": 300}},
            "centres": centres or {"one": centre()},
            "workload": {"jobs": list(jobs), **workload},
            "events": list(events),
        }
    )
    problems = Problems("refuse")
    return scenario_of(document, problems, seed=seed)


def job(name: str, **wish: Any) -> dict[str, Any]:
    """A small job of an hour, unless told otherwise."""
    return {"id": name, "cores": 1, "memory": "1GiB", "walltime": "1h", **wish}


def lived(
    scenario: Scenario, core: Core = baseline.decide, policy: Policy = EASY, **more: Any
) -> Journal:
    """Go through a simulation to its end."""
    simulation = Simulation(scenario, core, policy, name="test", **more)
    for _ in simulation.run():
        pass
    return simulation.journal


def fates(journal: Journal) -> dict[str, str]:
    """What became of each job, by its name in the document."""
    return {journal.works[one].label: fate for one, fate in journal.fates.items()}


def hours(journal: Journal, name: str) -> tuple[float, float]:
    """When a job first started and when it ended, in hours from the start."""
    one = next(key for key, work in journal.works.items() if work.label == name)
    start, end = journal.first_start[one], journal.ended_at[one]
    zero = journal.scenario.starts_at
    return (start - zero) / timedelta(hours=1), (end - zero) / timedelta(hours=1)


def making_room(
    snapshot: Snapshot, queue: Sequence[Ask], now: datetime, policy: Policy
) -> Decisions:
    """The baseline, and for a waiting job of a higher class one preemptible job gives way."""
    decisions = baseline.decide(snapshot, queue, now, policy)
    waiting = {wait.job_id for wait in decisions.waits}
    wanted = [ask for ask in queue if ask.job_id in waiting and ask.priority > 0]
    giving = [one for one in snapshot.running if one.preemptible and one.priority <= 0]
    for ask, running in zip(wanted, giving, strict=False):
        decisions.preemptions.append(
            Preemption(running.job_id, ask.job_id, policy.preempt_grace, Reason("placed_in_line"))
        )
    return decisions
