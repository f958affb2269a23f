"""A demo centre: an agent with a key of its own around the in-memory engine.

It says to the platform what a real agent says, through the same services; only HTTP is left out.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime

from suanwang.agent.signing import AgentKey
from suanwang.core.clock import Clock
from suanwang.core.jobspec import JobSpec
from suanwang.core.signed import FIRST_PREVIOUS_HASH, record_hash
from suanwang.engines.memory import InMemoryEngine, Outcome
from suanwang.engines.port import Accelerators, NodeFacts, Observation, Submission
from suanwang.jobs.services.leases import Lease, lease
from suanwang.jobs.services.reports import StateReport, take_states
from suanwang.metering.services import take_usage
from suanwang.people.scope import Viewer
from suanwang.registry import services as registry
from suanwang.registry.inventory import NodeReport
from suanwang.registry.models import Cluster, SiteAgent

_ADAPTER = "demo"


class DemoCentre:
    """One cluster of the demo, from enrolment to the last usage record."""

    def __init__(
        self,
        cluster: Cluster,
        nodes: list[NodeReport],
        plan: Callable[[str, JobSpec], Outcome],
        clock: Clock,
    ) -> None:
        self.cluster = cluster
        self._nodes = nodes
        self._clock = clock
        self._key = AgentKey.generate()
        self._engine = InMemoryEngine(clock, [_facts(node) for node in nodes], plan)
        self._leases: dict[str, Lease] = {}
        self._sequences: dict[str, int] = {}
        self._link = FIRST_PREVIOUS_HASH
        self._records = 0
        self._agent: SiteAgent

    def enrol(self, provider: Viewer) -> None:
        """Come to the city with a one-time token, and say what is here."""
        at = self._clock.now()
        _, token = registry.create_enrolment(self.cluster, actor=provider, at=at)
        self._agent = registry.enrol(token, self._key.public, _ADAPTER, at=at)
        self.report()

    def report(self) -> None:
        """Say what is here."""
        registry.report_nodes(
            self._agent,
            self._nodes,
            engine=Cluster.Engine.MEMORY,
            version=_ADAPTER,
            isolation="simulated",
            at=self._clock.now(),
        )

    @property
    def agent(self) -> SiteAgent:
        """Who speaks for this centre."""
        return self._agent

    def next_end(self) -> datetime | None:
        """When the next of its jobs ends."""
        return self._engine.next_end()

    def pull(self) -> None:
        """Take what waits and start it."""
        at = self._clock.now()
        running = [uuid.UUID(key) for key in self._leases]
        for one in lease(self._agent, running, at=at).leases:
            key = str(one.attempt_id)
            if key in self._leases:
                continue
            self._leases[key] = one
            self._engine.submit([Submission(key, JobSpec.model_validate(one.spec))])
            self._say(key, "running", at)

    def finish(self) -> int:
        """Report every job that has ended by now, with its usage; how many did."""
        ended = self._engine.take_ended()
        for ref, observation in self._engine.observe(ended).items():
            self._report_end(ref, observation)
        self._engine.forget(ended)
        return len(ended)

    def _report_end(self, ref: str, seen: Observation) -> None:
        usage = self._engine.usage([ref])[ref]
        spec = JobSpec.model_validate(self._leases.pop(ref).spec)
        self._say(ref, seen.state.lifecycle, usage.ended_at, exit_code=seen.exit_code)
        records = [
            self._record(ref, meter, quantity, usage.started_at, usage.ended_at)
            for meter, quantity in spec.quantities(usage.elapsed_seconds).items()
        ]
        _, refused = take_usage(self._agent, records, at=self._clock.now())
        if refused:
            raise RuntimeError(f"the demo's own usage was refused: {refused}")

    def _say(self, key: str, state: str, at: datetime, *, exit_code: int | None = None) -> None:
        sequence = self._sequences[key] = self._sequences.get(key, 0) + 1
        report = StateReport(uuid.UUID(key), sequence, state, at, exit_code)
        _, refused = take_states(self._agent, [report], at=self._clock.now())
        if refused:
            raise RuntimeError(f"the demo's own report was refused: {refused}")

    def _record(
        self, key: str, meter: str, quantity: int, started_at: datetime, ended_at: datetime
    ) -> dict[str, object]:
        self._records += 1
        record: dict[str, object] = {
            "record_id": str(uuid.uuid5(uuid.UUID(key), meter)),
            "attempt_id": key,
            "meter": meter,
            "quantity": quantity,
            "started_at": started_at.isoformat(),
            "ended_at": ended_at.isoformat(),
            "sequence": self._records,
        }
        link = record_hash(self._link, record)
        sealed = {"previous_hash": self._link, "hash": link}
        self._link = link
        return {**record, **sealed, "signature": self._key.sign(link.encode("ascii"))}


def _facts(node: NodeReport) -> NodeFacts:
    cards = tuple(Accelerators(model, count) for model, count in node.accelerators)
    return NodeFacts(node.name, node.cores, node.memory_mib, cards)
