"""What a policy did to a city: waits, use, fairness, money, energy. Definitions stand here alone.

Money is exact: each job's stretches at the prices of their starts, rounded half up to a fen once a
job; what a broken node cut short is not charged. Energy is worked out in floating point from the
power model of ``scenario.watts_of``: IT watts held and idle, times PUE; green are the hours named
green, and the green share of the others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from suanwang.core.money import round_fen
from suanwang.placement.simulator.journal import Attempt, Journal
from suanwang.placement.simulator.scenario import Energy, Scenario
from suanwang.placement.terms import Machine

SHORTEST_SECONDS = 10
"""Of the bounded slowdown: runs shorter than this count as this long (Feitelson's bound)."""
_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution in five figures."""

    mean: float
    p50: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Nearest-rank percentiles; all 0 of nothing."""
        ordered = sorted(values)
        if not ordered:
            return cls(0.0, 0.0, 0.0, 0.0, 0.0)

        def at(percent: int) -> float:
            return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]

        return cls(sum(ordered) / len(ordered), at(50), at(95), at(99), ordered[-1])


@dataclass(slots=True)
class CentreUse:
    """Of one centre."""

    code: str
    core_share: float = 0.0
    """Of its core-time that was held."""
    card_share: float = 0.0
    core_hours: float = 0.0
    card_hours: float = 0.0
    attempts: int = 0
    cost_fen: int = 0
    """Rounded for this row alone; the exact total is ``Measures.cost_fen``."""
    kwh: float = 0.0
    green_kwh: float = 0.0


@dataclass(frozen=True, slots=True)
class Tenant:
    """What an organisation got."""

    code: str
    jobs: int
    wait_mean_seconds: float
    slowdown_mean: float
    service: float
    """Of the time its work spent in the system, the part it ran: work run / (work run + waited),
    each job weighted by its dominant share of the pool. 1: never waited."""
    cost_fen: int


@dataclass(frozen=True, slots=True)
class Measures:
    """All of it for one policy. Seconds, fen, kWh; shares between 0 and 1."""

    policy: str
    jobs: int
    fates: Mapping[str, int]
    wait_seconds: Spread
    """From submission to the first start, of those that started."""
    slowdown: Spread
    """Bounded: time in the system over run time of at least 10 s; of those done or timed out."""
    makespan_seconds: float
    core_share: float
    card_share: float
    unallocated_share: float
    """Of cards (cores, where there are none) not held while somebody waited."""
    jain: float
    """Fairness over the organisations' service (Jain, Chiu and Hawe 1984)."""
    worst_tenant: str
    worst_service: float
    cost_fen: int
    kwh: float
    green_share: float
    starts: int
    preemptions: int
    refused_starts: int
    not_admitted: int
    node_failures: int
    decided: int
    audited: int
    waited_on_average: float
    """Jobs in the queue, mean over time."""
    centres: Sequence[CentreUse]
    tenants: Sequence[Tenant]

    def as_json(self) -> dict[str, Any]:
        """Plain data, figures rounded to what can be told apart."""
        told: dict[str, Any] = _rounded(asdict(self))
        return told


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def measure(journal: Journal) -> Measures:
    """Take all measures of a simulation that has ended."""
    scenario, ends_at = journal.scenario, journal.ends_at or journal.scenario.starts_at
    begun = {one.work.ask.job_id for one in scenario.begun}
    came = [job for job in journal.works if job not in begun]
    waits = {
        job: (journal.first_start[job] - journal.works[job].ask.submitted_at).total_seconds()
        for job in came
        if job in journal.first_start
    }
    slowdowns = {job: _slowdown(journal, job) for job in came if _ran_out(journal, job)}
    costs = _costs(journal.attempts)
    centres = _centres(journal, costs, ends_at)
    tenants = _tenants(journal, waits, slowdowns, costs, ends_at)
    services = [tenant.service for tenant in tenants]
    worst = min(tenants, key=lambda tenant: (tenant.service, tenant.code), default=None)
    kwh = sum(centre.kwh for centre in centres)
    green = sum(centre.green_kwh for centre in centres)
    over_time = _over_time(journal, ends_at)
    return Measures(
        policy=journal.policy,
        jobs=len(journal.works),
        fates=dict(sorted(Counter(journal.fates.values()).items())),
        wait_seconds=Spread.of(waits.values()),
        slowdown=Spread.of(slowdowns.values()),
        makespan_seconds=(ends_at - scenario.starts_at).total_seconds(),
        core_share=over_time["cores"],
        card_share=over_time["cards"],
        unallocated_share=over_time["unallocated"],
        jain=_jain(services),
        worst_tenant=worst.code if worst else "",
        worst_service=worst.service if worst else 1.0,
        cost_fen=sum(_fen(costs).values()),
        kwh=kwh,
        green_share=green / kwh if kwh else 0.0,
        starts=journal.starts,
        preemptions=journal.preemptions,
        refused_starts=journal.refused_starts,
        not_admitted=journal.not_admitted,
        node_failures=journal.failures,
        decided=journal.decided,
        audited=journal.audited,
        waited_on_average=over_time["waiting"],
        centres=centres,
        tenants=tenants,
    )


def _ran_out(journal: Journal, job: UUID) -> bool:
    return journal.fates[job] in ("done", "timed_out")


def _slowdown(journal: Journal, job: UUID) -> float:
    work = journal.works[job]
    run = min(work.seconds, work.ask.walltime_seconds)
    inside = (journal.ended_at[job] - work.ask.submitted_at).total_seconds()
    return max(1.0, inside / max(run, SHORTEST_SECONDS))


def _jain(values: Sequence[float]) -> float:
    """(sum x)^2 / (n sum x^2): 1 if all are equal, 1/n if one has everything."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


def _costs(attempts: Iterable[Attempt]) -> dict[UUID, Fraction]:
    """Exact fen of each job; a meter without a price costs nothing here."""
    costs: dict[UUID, Fraction] = defaultdict(Fraction)
    for attempt in attempts:
        if attempt.why != "node_failed":
            costs[attempt.job_id] += _cost(attempt)
    return costs


def _cost(attempt: Attempt) -> Fraction:
    seconds = _seconds(attempt)
    charged = (rates.cost_fen(attempt.room, seconds) for rates in attempt.rates)
    return sum((cost for cost in charged if cost is not None), Fraction(0))


def _fen(costs: Mapping[UUID, Fraction]) -> dict[UUID, int]:
    return {job: round_fen(cost, "half_up") for job, cost in costs.items()}


def _seconds(attempt: Attempt) -> int:
    return int((attempt.stopped_at - attempt.started_at).total_seconds())


def _centres(
    journal: Journal, costs: Mapping[UUID, Fraction], ends_at: datetime
) -> list[CentreUse]:
    scenario = journal.scenario
    machines = {machine.id: machine for machine in scenario.machines}
    found = {m.site.code: CentreUse(m.site.code) for m in scenario.machines}
    exact: dict[str, Fraction] = defaultdict(Fraction)
    for attempt in journal.attempts:
        for position, machine_id in enumerate(attempt.machine_ids):
            machine = machines[machine_id]
            use = found[machine.site.code]
            _count(use, attempt, machine, scenario)
            use.attempts += position == 0
            if attempt.why != "node_failed":
                rates = attempt.rates[position]
                exact[use.code] += rates.cost_fen(attempt.room, _seconds(attempt)) or 0
    passed = (ends_at - scenario.starts_at).total_seconds()
    for machine in scenario.machines:
        _count_idle(found[machine.site.code], machine, scenario, ends_at)
    for code, use in found.items():
        use.cost_fen = round_fen(exact[code], "half_up")
        wholes = [m.whole for m in scenario.machines if m.site.code == code]
        cores = sum(whole.core_milli for whole in wholes) / 1000 * passed / _HOUR
        cards = sum(whole.cards for whole in wholes) * passed / _HOUR
        use.core_share = use.core_hours / cores if cores else 0.0
        use.card_share = use.card_hours / cards if cards else 0.0
    return list(found.values())


def _count(use: CentreUse, attempt: Attempt, machine: Machine, scenario: Scenario) -> None:
    """Hours count from the beginning of the simulation, also of what ran before."""
    room = attempt.room
    started = max(attempt.started_at, scenario.starts_at)
    hours = max(0.0, (attempt.stopped_at - started).total_seconds()) / _HOUR
    use.core_hours += hours * room.core_milli / 1000
    use.card_hours += hours * room.cards * room.card_milli / 1000
    if (watts := scenario.watts.get(machine.id)) is not None:
        _burn(use, float(watts.of(room)), started, attempt.stopped_at, scenario.energy)


def _count_idle(use: CentreUse, machine: Machine, scenario: Scenario, ends_at: datetime) -> None:
    if (watts := scenario.watts.get(machine.id)) is not None:
        _burn(use, float(watts.idle), scenario.starts_at, ends_at, scenario.energy)


def _burn(
    use: CentreUse, watts: float, begins: datetime, ends: datetime, energy: Mapping[str, Energy]
) -> None:
    of = energy.get(use.code)
    if of is None or ends <= begins:
        return
    seconds = (ends - begins).total_seconds()
    green_seconds = _in_hours(begins, ends, of.green_hours)
    kwh = watts * float(of.pue) / 1000 / _HOUR
    use.kwh += kwh * seconds
    use.green_kwh += kwh * (green_seconds + (seconds - green_seconds) * float(of.green_share))


def _in_hours(begins: datetime, ends: datetime, hours: frozenset[int]) -> float:
    """Seconds of a period that lie in some hours of the day."""
    if not hours:
        return 0.0
    days = (ends - begins) // timedelta(days=1)
    inside = days * len(hours) * float(_HOUR)
    at = begins + days * timedelta(days=1)
    while at < ends:
        following = min(ends, at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))
        if at.hour in hours:
            inside += (following - at).total_seconds()
        at = following
    return inside


def _tenants(
    journal: Journal,
    waits: Mapping[UUID, float],
    slowdowns: Mapping[UUID, float],
    costs: Mapping[UUID, Fraction],
    ends_at: datetime,
) -> list[Tenant]:
    pool = _pool(journal.scenario)
    ran: dict[UUID, float] = defaultdict(float)
    for attempt in journal.attempts:
        ran[attempt.job_id] += _seconds(attempt)
    of: dict[str, list[UUID]] = defaultdict(list)
    for job, work in journal.works.items():
        of[work.ask.organisation].append(job)
    fen, tenants = _fen(costs), []
    for code, jobs in sorted(of.items()):
        run = inside = 0.0
        for job in jobs:
            ask = journal.works[job].ask
            room = (ask.room.core_milli, ask.room.memory_mib, ask.room.cards * ask.room.card_milli)
            share = ask.nodes * max(a / b for a, b in zip(room, pool, strict=True))
            ended = journal.ended_at.get(job, ends_at)
            run += share * ran[job]
            inside += share * max(ran[job], (ended - ask.submitted_at).total_seconds())
        tenants.append(
            Tenant(
                code,
                len(jobs),
                _mean([waits[job] for job in jobs if job in waits]),
                _mean([slowdowns[job] for job in jobs if job in slowdowns]),
                run / inside if inside else 1.0,
                sum(fen.get(job, 0) for job in jobs),
            )
        )
    return tenants


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _pool(scenario: Scenario) -> tuple[int, int, int]:
    wholes = [machine.whole for machine in scenario.machines]
    return (
        max(1, sum(whole.core_milli for whole in wholes)),
        max(1, sum(whole.memory_mib for whole in wholes)),
        max(1, sum(whole.cards * 1000 for whole in wholes)),
    )


def _over_time(journal: Journal, ends_at: datetime) -> dict[str, float]:
    """Means over time of what was held and who waited."""
    cores, _, cards = _pool(journal.scenario)
    has_cards = any(machine.whole.cards for machine in journal.scenario.machines)
    sums: dict[str, float] = defaultdict(float)
    ends = [sample.at for sample in journal.samples[1:]] + [ends_at]
    for sample, until in zip(journal.samples, ends, strict=True):
        seconds = (until - sample.at).total_seconds()
        held = sample.card_milli / cards if has_cards else sample.core_milli / cores
        sums["cores"] += seconds * sample.core_milli / cores
        sums["cards"] += seconds * sample.card_milli / cards
        sums["waiting"] += seconds * sample.waiting
        if sample.waiting:
            sums["unallocated"] += seconds * (1 - held)
            sums["waited"] += seconds
    passed = max(1e-9, (ends_at - journal.scenario.starts_at).total_seconds())
    means = {name: sums[name] / passed for name in ("cores", "cards", "waiting")}
    unallocated = sums["unallocated"] / sums["waited"] if sums["waited"] else 0.0
    return means | {"unallocated": unallocated}
