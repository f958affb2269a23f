"""What the scheduler gets to see of the simulated city, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from suanwang.placement.simulator.floor import Floor
from suanwang.placement.simulator.scenario import Scenario
from suanwang.placement.terms import Machine, Rates, Room, Running, Snapshot

HALF_LIFE = timedelta(days=2)
"""After so long past use of an organisation weighs half, where the policy does not say."""


class View:
    """Nodes where they are known, one machine for each cluster known by summary.

    Nodes that are down are not shown; a summary keeps what it said until the next one.
    """

    def __init__(self, scenario: Scenario, floor: Floor, half_life: timedelta = HALF_LIFE) -> None:
        self._floor, self._links = floor, scenario.links
        self._machines = {machine.id: machine for machine in scenario.machines}
        self._clusters: dict[UUID, list[int]] = {}
        for machine in scenario.machines:
            if machine.site.code in scenario.summaries:
                self._clusters.setdefault(machine.cluster_id, []).append(machine.id)
        first = 1 + max(self._machines, default=0)
        self._summary_of: dict[int, int] = {}
        self._summaries: dict[int, Machine] = {}
        self._numbers: dict[UUID, int] = {}
        for number, (cluster, members) in enumerate(self._clusters.items(), first):
            self._numbers[cluster] = number
            self._summary_of.update(dict.fromkeys(members, number))
        self._shown: Sequence[Machine] | None = None
        self.running: dict[UUID, Running] = {}
        self._use = _Use(scenario, half_life)
        for cluster in self._clusters:
            self.summarise([cluster], scenario.starts_at)

    def cluster_of(self, shown_id: int) -> UUID | None:
        """The cluster behind a summary; None: it is a node."""
        summary = self._summaries.get(shown_id)
        return summary.cluster_id if summary else None

    def shown(self, machine_id: int) -> int:
        """The number under which the scheduler knows a node."""
        return self._summary_of.get(machine_id, machine_id)

    def clusters(self, centre: str) -> list[UUID]:
        """Those of a centre that are known by summary."""
        return [
            c for c, ids in self._clusters.items() if self._machines[ids[0]].site.code == centre
        ]

    def summarise(self, clusters: Iterable[UUID], now: datetime) -> None:
        """A new summary: what the nodes that are up come to."""
        for cluster in clusters:
            members = [self._machines[one] for one in self._clusters[cluster]]
            up = [machine.whole for machine in members if self._floor.up(machine.id)]
            number = self._numbers[cluster]
            whole = Room(
                sum(room.core_milli for room in up),
                sum(room.memory_mib for room in up),
                sum(room.cards for room in up),
            )
            site = members[0].site.code
            self._summaries[number] = replace(
                members[0], id=number, name=site, whole=whole, rack="", summary_at=now
            )
        self._shown = None

    def changed(self) -> None:
        """A node went down or came back."""
        self._shown = None

    def set_online(self, machine_ids: Iterable[int], online: bool) -> None:
        """The agents of these nodes are heard, or not."""
        self._alter(machine_ids, online=online)

    def set_rates(self, rates: Mapping[int, Rates]) -> dict[int, Rates]:
        """Other prices from now on; what they were."""
        before = {one: self._machines[one].rates for one in rates}
        for machine_id, rate in rates.items():
            self._alter([machine_id], rates=rate)
        return before

    def _alter(self, machine_ids: Iterable[int], **changes: object) -> None:
        for machine_id in machine_ids:
            machine = replace(self._machines[machine_id], **changes)  # type: ignore[arg-type]
            self._machines[machine_id] = machine
            if (number := self._summary_of.get(machine_id)) is not None:
                summary = replace(self._summaries[number], **changes)  # type: ignore[arg-type]
                self._summaries[number] = summary
        self._shown = None

    def rates(self, machine_id: int) -> Rates:
        """What a node costs now."""
        return self._machines[machine_id].rates

    def starts(self, running: Running) -> None:
        """A job runs, on machines as shown."""
        self.running[running.job_id] = running
        self._use.starts(running)

    def stops(self, job: UUID) -> None:
        """A job runs no more."""
        self._use.stops(self.running.pop(job))

    def at(self, now: datetime) -> None:
        """Time goes on; use is counted."""
        self._use.advance(now)

    def snapshot(self, ended: Mapping[UUID, bool]) -> Snapshot:
        """As the dispatcher would read it from the database now."""
        if self._shown is None:
            nodes = [
                machine
                for machine in self._machines.values()
                if machine.id not in self._summary_of and self._floor.up(machine.id)
            ]
            self._shown = [*nodes, *self._summaries.values()]
        return Snapshot(
            self._shown,
            list(self.running.values()),
            links=self._links,
            usage=dict(self._use.past),
            ended=ended,
        )


class _Use:
    """Past use of the organisations, fading: seconds of the whole pool's dominant resource."""

    def __init__(self, scenario: Scenario, half_life: timedelta) -> None:
        wholes = [machine.whole for machine in scenario.machines]
        self._pool = (
            max(1, sum(room.core_milli for room in wholes)),
            max(1, sum(room.memory_mib for room in wholes)),
            max(1, sum(room.cards * 1000 for room in wholes)),
        )
        self._half_life = half_life.total_seconds()
        self._held: dict[str, list[int]] = {}
        self.past: dict[str, float] = dict(scenario.usage)
        self._now = scenario.starts_at

    def starts(self, running: Running, sign: int = 1) -> None:
        room, nodes = running.room, sign * len(running.machine_ids)
        held = self._held.setdefault(running.organisation, [0, 0, 0])
        held[0] += room.core_milli * nodes
        held[1] += room.memory_mib * nodes
        held[2] += room.cards * room.card_milli * nodes

    def stops(self, running: Running) -> None:
        self.starts(running, -1)

    def advance(self, now: datetime) -> None:
        passed = (now - self._now).total_seconds()
        if passed <= 0:
            return
        faded = 0.5 ** (passed / self._half_life)
        for organisation in self.past:
            self.past[organisation] *= faded
        for organisation, held in self._held.items():
            share = max(amount / whole for amount, whole in zip(held, self._pool, strict=True))
            self.past[organisation] = self.past.get(organisation, 0.0) + share * passed
        self._now = now
