"""What placement is to choose from, read from the database in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import NamedTuple, cast
from uuid import UUID

from suanwang.jobs.models import Attempt, Job
from suanwang.placement import (
    WHOLE_CARD,
    Ask,
    Card,
    Goal,
    Machine,
    Rates,
    Room,
    Running,
    Site,
    Snapshot,
    Where,
)
from suanwang.registry import queries as registry
from suanwang.registry.rules import counted_gflops

_ROUNDING_FEN = 2
"""Three lines rounded half up may be up to 1.5 fen under their exact sum."""
_GREY_UNKNOWN = Fraction(2)
"""For a centre without readings: as wasteful as an old one, so that silence never pays."""


def take_snapshot(at: datetime) -> Snapshot:
    """The machines that take new work and what is running on them now."""
    online = registry.online_clusters(at)
    rates = _rates(at)
    grey = {
        centre: energy.pue * (1 - energy.green_share)
        for centre, energy in registry.energy(since=at - timedelta(days=370)).items()
    }
    cards = {
        model: Card(model, gflops={"fp16": counted[0]})
        for model, figures in registry.figures().items()
        if (counted := counted_gflops(figures, "fp16"))
    }

    @cache
    def site(centre: UUID, code: str) -> Site:
        return Site(code, grey_energy=grey.get(centre, _GREY_UNKNOWN))

    @cache
    def card(model: str | None) -> Card | None:
        return None if model is None else cards.get(model, Card(model))

    # Plain values: a city has thousands of nodes and this runs at every step.
    nodes = registry.working_nodes().values_list(
        "id",
        "name",
        "cluster_id",
        "cluster__centre_id",
        "cluster__centre__code",
        "cores",
        "memory_mib",
        "accelerators",
        "accelerator_model_id",
    )
    machines = [
        Machine(
            id=node,
            name=name,
            cluster_id=cluster,
            site=site(centre, code),
            whole=Room(cores * 1000, memory_mib, accelerators),
            card=card(model),
            rates=rates(centre, model),
            online=cluster in online,
        )
        for node, name, cluster, centre, code, cores, memory_mib, accelerators, model in nodes
    ]
    return Snapshot(machines, _running(at))


def _rates(at: datetime) -> Callable[[UUID, str | None], Rates]:
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


def _running(at: datetime) -> list[Running]:
    live = Attempt.objects.filter(state__in=Attempt.LIVE).values_list(
        "job_id",
        "node_id",
        "job__cores",
        "job__memory_mib",
        "job__accelerators",
        "job__walltime_seconds",
        "started_at",
    )
    return [
        Running(
            job_id=job,
            machine_ids=(node,),
            room=Room(cores * 1000, memory, cards),
            ends_by=(started or at) + timedelta(seconds=walltime),
            started_at=started,
        )
        for job, node, cores, memory, cards, walltime, started in live
    ]


class Held(NamedTuple):
    """What live attempts hold on a node, its cards taken together."""

    core_milli: int = 0
    memory_mib: int = 0
    card_milli: int = 0

    def plus(self, room: Room) -> Held:
        return Held(
            self.core_milli + room.core_milli,
            self.memory_mib + room.memory_mib,
            self.card_milli + room.cards * room.card_milli,
        )

    def fits(self, whole: Room) -> bool:
        """Whether a machine of this size can hold so much."""
        return (
            self.core_milli <= whole.core_milli
            and self.memory_mib <= whole.memory_mib
            and self.card_milli <= whole.cards * WHOLE_CARD
        )


def used_by_node(nodes: Sequence[int]) -> dict[int, Held]:
    """What live attempts hold on some nodes, read again under their locks."""
    used: dict[int, Held] = defaultdict(Held)
    live = Attempt.objects.filter(state__in=Attempt.LIVE, node_id__in=nodes).values_list(
        "node_id", "job__cores", "job__memory_mib", "job__accelerators"
    )
    for node, cores, memory, cards in live:
        used[node] = used[node].plus(Room(cores * 1000, memory, cards))
    return used


def room_of(job: Job) -> Room:
    """What a job asks for, in the units of placement."""
    return Room(job.cores * 1000, job.memory_mib, job.accelerators)


def ask_of(job: Job) -> Ask:
    """A queued job as placement sees it."""
    centre = job.spec.get("centre")
    return Ask(
        job_id=job.pk,
        room=room_of(job),
        model=job.accelerator_model or None,
        walltime_seconds=job.walltime_seconds,
        submitted_at=job.submitted_at,
        goal=cast(Goal, job.spec.get("goal", "balanced")),
        where=Where(centres=frozenset({centre} if centre else ())),
        cost_max_fen=job.estimate_fen + _ROUNDING_FEN,
    )
