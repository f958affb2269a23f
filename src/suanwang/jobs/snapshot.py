"""What placement is to choose from, read from the database in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache
from uuid import UUID

from suanwang.core.clock import CITY_ZONE
from suanwang.core.jobspec import PRIORITIES
from suanwang.jobs.asks import room
from suanwang.jobs.models import Attempt, Job, NodeReservation
from suanwang.placement import (
    NOTHING,
    Card,
    Link,
    Machine,
    Rates,
    Reservation,
    Room,
    Running,
    Site,
    Snapshot,
)
from suanwang.registry import queries as registry
from suanwang.registry.models import AcceleratorModel, DataCentre
from suanwang.registry.models import Link as MeasuredLink
from suanwang.registry.rules import counted_gflops

_GREY_UNKNOWN = Fraction(2)
"""For a centre without readings: as wasteful as an old one, so that silence never pays."""
_RESERVED_AHEAD = timedelta(days=90)
Expect = Callable[[UUID, UUID, int], int]
"""Seconds a job will run, of an organisation and a person who asked for a walltime."""
_PRECISIONS = ("fp64", "fp32", "bf16", "fp16")


def take_snapshot(
    at: datetime,
    *,
    after: Iterable[UUID] = (),
    usage: dict[str, float] | None = None,
    expect: Expect | None = None,
) -> Snapshot:
    """The machines that take new work and what runs on them now; which of the jobs others come
    ``after`` have ended; what organisations used lately, if it was worked out (``shares.usage``);
    how long jobs are expected to run, if somebody knows (``expected.Expected``).
    """
    machines = _machines(at)
    return Snapshot(
        machines,
        _running(at, expect),
        links=links(),
        reservations=_reservations(at, machines),
        usage=usage or {},
        ended=ended(after),
    )


def ended(jobs: Iterable[UUID]) -> dict[UUID, bool]:
    """Which of some jobs have ended, and whether well."""
    wanted = set(jobs)
    if not wanted:
        return {}
    rows = Job.objects.filter(pk__in=wanted, state__in=Job.ENDED).values_list("pk", "state")
    return {job: state == Job.State.SUCCEEDED for job, state in rows}


def links() -> dict[tuple[str, str], Link]:
    """The link table as placement knows it."""
    rows = MeasuredLink.objects.values_list("one", "other", "latency_us", "bandwidth_mbps")
    return {(one, other): Link(latency, width) for one, other, latency, width in rows}


def sites(at: datetime) -> dict[UUID, Site]:
    """Every centre, as far as placement cares."""
    grey = {
        centre: energy.pue * (1 - energy.green_share)
        for centre, energy in registry.energy(since=at - timedelta(days=370)).items()
    }
    return {
        centre.pk: Site(
            centre.code,
            tier=centre.tier,
            kind=centre.kind,
            division=centre.division_id,
            trust=int(centre.status == DataCentre.Status.VERIFIED),
            voucher_eligible=centre.is_local_platform or centre.is_public_platform,
            datasets=frozenset(centre.datasets),
            grey_energy=grey.get(centre.pk, _GREY_UNKNOWN),
            green_hours=frozenset(centre.green_hours),
        )
        for centre in DataCentre.objects.exclude(status=DataCentre.Status.CLOSED)
    }


def cards() -> dict[str, Card]:
    """Every model of card with its figures by the best evidence."""
    figures = registry.figures()
    found = {}
    for model in AcceleratorModel.objects.all():
        known = figures.get(model.code, ())
        gflops = {
            precision: counted[0]
            for precision in _PRECISIONS
            if (counted := counted_gflops(known, precision))
        }
        found[model.code] = Card(model.code, model.vendor, model.memory_mib, model.domestic, gflops)
    return found


def _machines(at: datetime) -> list[Machine]:
    online, shut = registry.online_clusters(at), registry.shut_clusters(at)
    rate, site, card = rates(at), sites(at), cards()
    # Plain values: a city has thousands of nodes and this runs at every step.
    nodes = registry.working_nodes().values_list(
        "id",
        "name",
        "cluster_id",
        "cluster__centre_id",
        "rack",
        "cores",
        "memory_mib",
        "accelerators",
        "accelerator_model_id",
        "cluster__images",
        "cluster__summary",
        "reported_at",
        "others_cores",
        "others_memory_mib",
        "others_accelerators",
    )
    return [
        Machine(
            id=node,
            name=name,
            cluster_id=cluster,
            site=site[centre],
            whole=Room(cores * 1000, memory_mib, accelerators),
            card=card[model] if model else None,
            rates=rate(centre, model),
            online=cluster in online,
            rack=rack,
            images=images,
            summary_at=reported_at if summary else None,
            others=_others(*others),
        )
        for (
            node,
            name,
            cluster,
            centre,
            rack,
            cores,
            memory_mib,
            accelerators,
            model,
            images,
            summary,
            reported_at,
            *others,
        ) in nodes
        if centre in site and cluster not in shut
    ]


def _others(cores: int | None, memory_mib: int | None, cards: int | None) -> Room:
    """What others use of a node; nothing where its engine does not tell."""
    if not (cores or memory_mib or cards):
        return NOTHING
    return Room((cores or 0) * 1000, memory_mib or 0, cards or 0)


def rates(at: datetime) -> Callable[[UUID, str | None], Rates]:
    """The rates of a centre for a model of card; machines of one kind share one object."""
    prices: dict[tuple[UUID, str, str | None], Fraction] = {
        (centre, meter, model): Fraction(price_fen, per_quantity)
        for centre, meter, model, price_fen, per_quantity in registry.prices_valid(at).values_list(
            "centre_id", "meter", "accelerator_model_id", "price_fen", "per_quantity"
        )
    }

    @cache
    def of(centre: UUID, model: str | None) -> Rates:
        return Rates(
            prices.get((centre, "core_seconds", None)),
            prices.get((centre, "memory_mib_seconds", None)),
            prices.get((centre, "card_seconds", model)),
        )

    return of


def _running(at: datetime, expect: Expect | None) -> list[Running]:
    live = Attempt.objects.filter(state__in=Attempt.LIVE).values_list(
        "job_id",
        "node_id",
        "nodes_more",
        "cards",
        "job__cores",
        "job__memory_mib",
        "job__accelerators",
        "job__nodes",
        "job__card_milli",
        "job__walltime_seconds",
        "job__organisation_id",
        "job__spec__priority",
        "started_at",
        "give_way_by",
        "job__spec__preemptible",
        "job__submitted_by_id",
    )
    return [
        Running(
            job_id=job,
            machine_ids=(node, *more),
            room=room(cores, memory_mib, accelerators, nodes, milli),
            ends_by=give_way_by or (started or at) + timedelta(seconds=walltime),
            expected_end=None
            if give_way_by or expect is None
            else (started or at) + timedelta(seconds=expect(organisation, person, walltime)),
            preemptible=bool(preemptible) and give_way_by is None,
            organisation=str(organisation),
            priority=PRIORITIES[priority or "normal"],
            started_at=started,
            cards=tuple(tuple(of_node) for of_node in held),
        )
        for (
            job,
            node,
            more,
            held,
            cores,
            memory_mib,
            accelerators,
            nodes,
            milli,
            walltime,
            organisation,
            priority,
            started,
            give_way_by,
            preemptible,
            person,
        ) in live
    ]


def _reservations(at: datetime, machines: Iterable[Machine]) -> list[Reservation]:
    """Those that run or begin within the next months, by the machines they keep."""
    rows = list(
        NodeReservation.objects.filter(
            cancelled_at=None, ends_at__gt=at, starts_at__lt=at + _RESERVED_AHEAD
        )
        .prefetch_related("organisations")
        .order_by("starts_at", "id")
    )
    if not rows:
        return []
    by_cluster: dict[UUID, dict[str, int]] = {}
    for machine in machines:
        by_cluster.setdefault(machine.cluster_id, {})[machine.name] = machine.id
    return [
        Reservation(
            frozenset(_named(by_cluster.get(row.cluster_id, {}), row.nodes)),
            row.starts_at,
            row.ends_at,
            frozenset(str(one.pk) for one in row.organisations.all()),
        )
        for row in rows
    ]


def _named(known: dict[str, int], names: list[str]) -> Iterable[int]:
    return known.values() if not names else (known[name] for name in names if name in known)


def local(at: datetime) -> datetime:
    """A moment in the city's zone, in which green hours are given."""
    return at.astimezone(CITY_ZONE)
