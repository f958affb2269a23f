"""What a job would cost at most, centre by centre, before anybody commits to anything."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

from suanwang.core.errors import Refused
from suanwang.core.jobspec import WALLTIME_SECONDS_MAX, JobSpec
from suanwang.core.money import Fen
from suanwang.jobs.snapshot import cards, links, sites
from suanwang.jobs.wishes import excluded_by
from suanwang.people.scope import Viewer
from suanwang.people.services import require
from suanwang.placement import Card, Link, Site
from suanwang.registry import queries as registry
from suanwang.registry.models import Cluster, DataCentre, Price
from suanwang.registry.queries import Shape
from suanwang.registry.rules import cost_fen

QUEUE_HORIZON = timedelta(days=7)
"""A hold also covers prices already announced for so long after submission."""


@dataclass(frozen=True)
class Line:
    """One meter at the full walltime, at the price valid now."""

    meter: str
    quantity: int
    price_id: UUID
    price_fen: Fen
    per_quantity: int
    amount_fen: Fen
    until: datetime | None
    """When this price ends; None: no end was announced."""


@dataclass(frozen=True)
class CentreOption:
    """One place the job could go to, and what it would cost there at most."""

    centre: DataCentre
    cluster: Cluster
    model: str | None
    """Of the cards there; None for a job without cards."""
    fits: bool
    excluded: str | None
    """The wish that keeps the job from there, by its field; None: it will do."""
    online: bool
    lines: tuple[Line, ...]
    missing_prices: tuple[str, ...]
    amount_fen: Fen
    hold_fen: Fen
    """As ``amount_fen``, but at the dearest price announced for the days to come."""

    @property
    def acceptable(self) -> bool:
        """Whether the job may be sent there: it fits, as wished, and every meter has a price."""
        return self.fits and self.excluded is None and not self.missing_prices

    @property
    def price_until(self) -> datetime | None:
        """Until when all of these prices hold."""
        return min((line.until for line in self.lines if line.until), default=None)


@dataclass(frozen=True)
class Estimate:
    """All the places, the cheapest first, and what would be held."""

    options: tuple[CentreOption, ...]

    @property
    def acceptable(self) -> tuple[CentreOption, ...]:
        return tuple(option for option in self.options if option.acceptable)

    @property
    def cheapest(self) -> CentreOption:
        return self.acceptable[0]

    @property
    def hold_fen(self) -> Fen:
        """The dearest acceptable place: whichever is chosen, the budget is there."""
        return max(option.hold_fen for option in self.acceptable)


def estimate(spec: JobSpec, *, viewer: Viewer, at: datetime) -> Estimate:
    """Price a job at its full walltime wherever it fits.

    Each line is rounded half up from an exact fraction. The job is billed by what it really
    uses, at most its walltime.

    Refuses ``permission_missing``, ``centre_unknown``, ``accelerator_unknown``,
    ``job_fits_nowhere`` (with what would fit), ``job_needs_gangs``, ``job_needs_images``,
    ``job_excluded_everywhere`` (with the wish) and ``job_without_price``.
    """
    require(viewer, "prices.read")
    return price(spec, at=at)


class Books:
    """What estimates rest on at one moment, read once for as many jobs as are priced from it."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self._shapes: dict[str | None, list[Shape]] = {}

    def shapes(self, spec: JobSpec) -> list[Shape]:
        """The shapes of node that come into question by what was asked for by name."""
        wanted = spec.accelerator_model
        if spec.centre not in self._shapes:
            centre = spec.centre
            if centre is not None and not DataCentre.objects.filter(code=centre).exists():
                raise Refused("centre_unknown", centre=centre)
            self._shapes[centre] = registry.shapes(centre)
        if wanted is not None and wanted not in self.cards:
            raise Refused("accelerator_unknown", model=wanted)
        return self._shapes[spec.centre]

    @cached_property
    def prices(self) -> dict[tuple[UUID, str, str | None], list[Price]]:
        """All announced for as long as any job may take."""
        longest = self.at + timedelta(seconds=WALLTIME_SECONDS_MAX) + QUEUE_HORIZON
        found: dict[tuple[UUID, str, str | None], list[Price]] = defaultdict(list)
        for row in registry.prices_between(self.at, longest):
            found[row.centre_id, row.meter, row.accelerator_model_id].append(row)
        return found

    @cached_property
    def clusters(self) -> dict[UUID, Cluster]:
        named = {shape.cluster_id for shapes in self._shapes.values() for shape in shapes}
        return registry.clusters_named(named)

    def cluster(self, cluster_id: UUID) -> Cluster:
        if cluster_id not in self.clusters:
            self.clusters.update(registry.clusters_named({cluster_id}))
        return self.clusters[cluster_id]

    @cached_property
    def online(self) -> set[UUID]:
        return registry.online_clusters(self.at)

    @cached_property
    def sites(self) -> dict[UUID, Site]:
        return sites(self.at)

    @cached_property
    def cards(self) -> dict[str, Card]:
        return cards()

    @cached_property
    def links(self) -> dict[tuple[str, str], Link]:
        return links()


def price(spec: JobSpec, *, at: datetime, books: Books | None = None) -> Estimate:
    """The same without asking who wants to know."""
    books = books or Books(at)
    shapes = books.shapes(spec)
    options = _options(spec, shapes, books)
    if not any(option.fits for option in options):
        raise _fits_nowhere(spec, shapes)
    able = [option for option in options if option.fits and option.excluded is None]
    if not able:
        raise _unwished(spec, options)
    if not any(option.acceptable for option in options):
        missing = {meter for o in able for meter in o.missing_prices}
        raise Refused("job_without_price", meters=", ".join(sorted(missing)))
    options.sort(key=lambda o: (not o.acceptable, o.amount_fen, o.centre.code, o.model or ""))
    return Estimate(tuple(options))


def fits(spec: JobSpec, shape: Shape) -> bool:
    """Whether an empty node of this shape could run the job, or one of its nodes."""
    cores, memory_mib, _ = spec.per_node
    enough = cores <= shape.cores and memory_mib <= shape.memory_mib
    return enough and _has_cards(spec, shape)


def _has_cards(spec: JobSpec, shape: Shape) -> bool:
    if spec.accelerators == 0:
        return True
    right = spec.accelerator_model in (None, shape.model)
    return right and spec.per_node[2] <= shape.accelerators


def _enough(spec: JobSpec, shapes: Sequence[Shape]) -> bool:
    """Whether there are as many such nodes as the job asks for."""
    return sum(shape.nodes for shape in shapes if fits(spec, shape)) >= spec.nodes


def _options(spec: JobSpec, shapes: Sequence[Shape], books: Books) -> list[CentreOption]:
    groups: dict[tuple[UUID, str | None], list[Shape]] = defaultdict(list)
    for shape in shapes:
        groups[shape.cluster_id, shape.model if spec.accelerators else None].append(shape)
    found = []
    for (cluster_id, model), members in groups.items():
        cluster = books.cluster(cluster_id)
        card = books.cards.get(model) if model else None
        excluded = excluded_by(spec, books.sites[cluster.centre_id], card, books.links)
        if spec.nodes > 1 and not cluster.gangs:
            excluded = "nodes"
        if spec.image is not None and not cluster.images:
            excluded = "image"
        lines, missing, hold = _lines(spec, cluster.centre_id, model, books)
        amount = sum(line.amount_fen for line in lines)
        if excluded is None and spec.price_max_fen is not None and amount > spec.price_max_fen:
            excluded = "price_max_fen"
        found.append(
            CentreOption(
                centre=cluster.centre,
                cluster=cluster,
                model=model,
                fits=_enough(spec, members),
                excluded=excluded,
                online=cluster_id in books.online,
                lines=tuple(lines),
                missing_prices=tuple(missing),
                amount_fen=amount,
                hold_fen=hold,
            )
        )
    return found


def _lines(
    spec: JobSpec,
    centre_id: UUID,
    model: str | None,
    books: Books,
) -> tuple[list[Line], list[str], Fen]:
    """The lines at today's prices, the meters without one, and the amount to hold."""
    lines, missing, hold = [], [], 0
    horizon = books.at + timedelta(seconds=spec.walltime_seconds) + QUEUE_HORIZON
    for meter, quantity in spec.quantities(spec.walltime_seconds).items():
        known = books.prices.get((centre_id, meter, model if meter == "card_seconds" else None), ())
        announced = [p for p in known if p.validity.lower < horizon]
        now = next((p for p in announced if _valid(p, books.at)), None)
        if now is None:
            missing.append(meter)
            continue
        hold += max(cost_fen(quantity, p.price_fen, p.per_quantity) for p in announced)
        amount = cost_fen(quantity, now.price_fen, now.per_quantity)
        lines.append(
            Line(
                meter,
                quantity,
                now.pk,
                now.price_fen,
                now.per_quantity,
                amount,
                now.validity.upper,
            )
        )
    return lines, missing, hold


def _valid(price: Price, at: datetime) -> bool:
    upper = price.validity.upper
    return bool(price.validity.lower <= at and (upper is None or at < upper))


def _unwished(spec: JobSpec, options: Sequence[CentreOption]) -> Refused:
    """Which wish keeps the job from the last places it would fit: the one most of them miss."""
    wishes = Counter(option.excluded for option in options if option.fits and option.excluded)
    [(wish, _)] = wishes.most_common(1)
    if wish == "nodes":
        return Refused("job_needs_gangs", nodes=spec.nodes)
    if wish == "image":
        return Refused("job_needs_images", image=spec.image)
    return Refused("job_excluded_everywhere", wish=wish)


def _fits_nowhere(spec: JobSpec, shapes: Sequence[Shape]) -> Refused:
    """Say what would fit: if some node has the cards, its cores and memory; else the cards."""
    pool = [shape for shape in shapes if _has_cards(spec, shape)] or shapes
    by_model: dict[str, int] = defaultdict(int)
    for shape in pool:
        if shape.model is not None:
            by_model[shape.model] = max(by_model[shape.model], shape.accelerators)
    return Refused(
        "job_fits_nowhere",
        cores=max((shape.cores for shape in pool), default=0),
        memory_mib=max((shape.memory_mib for shape in pool), default=0),
        cards=", ".join(f"{model} x{count}" for model, count in sorted(by_model.items())) or "0",
    )
