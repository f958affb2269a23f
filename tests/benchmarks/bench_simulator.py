"""How many events a second the simulator goes through, with the core and with plain policies.

    PYTHONPATH=src python -m tests.benchmarks.bench_simulator [--days 2] [--json]

The example city that is shipped, seed 42, and its traffic thinned and thickened; CPU time of this
process, everything inside: events, decisions, admission, the auditor's checks. An event is an
arrival, a start, an end, a failure, a summary: whatever made the simulation stop and look.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources

from suanwang.placement import Ask, Decisions, Policy, Snapshot
from suanwang.placement.simulator.build import scenario_of
from suanwang.placement.simulator.city import City
from suanwang.placement.simulator.events import Core, Simulation
from suanwang.placement.simulator.policies import named
from suanwang.placement.simulator.problems import Problems
from suanwang.placement.simulator.reading import read_city
from suanwang.placement.simulator.scenario import Scenario

SEED = 42


@dataclass(frozen=True)
class Measured:
    """One life of the city."""

    policy: str
    traffic: float
    jobs: int
    events: int
    decisions: int
    cpu_seconds: float
    in_core_seconds: float

    @property
    def events_per_second(self) -> float:
        return self.events / self.cpu_seconds

    @property
    def own_microseconds(self) -> float:
        """Of an event, without the core."""
        return (self.cpu_seconds - self.in_core_seconds) / self.events * 1e6


def example(traffic: float) -> Scenario:
    """The shipped city with so many times its jobs."""
    source = resources.files("suanwang.placement.simulator") / "cities" / "example.yaml"
    city, _ = read_city(source.read_text(encoding="utf-8"))
    streams = [
        one.model_copy(update={"per_day": one.per_day * traffic}) for one in city.workload.streams
    ]
    workload = city.workload.model_copy(update={"streams": streams})
    thicker: City = city.model_copy(update={"workload": workload})
    return scenario_of(thicker, Problems("refuse"), seed=SEED)


def measure(name: str, traffic: float) -> Measured:
    scenario = example(traffic)
    chosen = named(name, scenario, seed=SEED)
    in_core = 0.0

    def timed(snapshot: Snapshot, queue: Sequence[Ask], now: object, policy: Policy) -> Decisions:
        nonlocal in_core
        begun = time.process_time()
        decisions = chosen.core(snapshot, queue, now, policy)  # type: ignore[arg-type]
        in_core += time.process_time() - begun
        return decisions

    core: Core = timed
    simulation = Simulation(scenario, core, chosen.policy, seed=SEED)
    begun, events = time.process_time(), 0
    for _ in simulation.run():
        events += 1
    spent = time.process_time() - begun
    decided = simulation.journal.decided
    return Measured(name, traffic, len(scenario.works), events, decided, spent, in_core)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--policies", default="ours,easy,sjf")
    given = parser.parse_args()
    measured = [
        measure(name, traffic) for name in given.policies.split(",") for traffic in (0.5, 1)
    ]
    if given.json:
        print(json.dumps([asdict(one) for one in measured], indent=2))
        return 0
    print(f"{platform.platform()}, Python {platform.python_version()}, seed {SEED}")
    for one in measured:
        print(
            f"{one.policy:<6} x{one.traffic:<4} {one.jobs:>6,} jobs {one.events:>7,} moments "
            f"{one.events_per_second:>8,.0f}/s  own {one.own_microseconds:>6,.0f} us, core "
            f"{one.in_core_seconds / max(1, one.decisions) * 1e6:>8,.0f} us a decision"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
