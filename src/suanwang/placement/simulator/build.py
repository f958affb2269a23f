"""From a city document to what the simulation plays: machines counted out, streams made up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import uuid5

from suanwang.core.errors import Refused
from suanwang.core.money import FEN_MAX
from suanwang.placement import terms
from suanwang.placement.simulator import city as document
from suanwang.placement.simulator.checks import begun_soundly, sound
from suanwang.placement.simulator.problems import Problems
from suanwang.placement.simulator.scenario import (
    NAMESPACE,
    Begun,
    Breaking,
    Energy,
    Happening,
    Scenario,
    Watts,
    Work,
    job_id,
    watts_of,
)
from suanwang.placement.simulator.streams import made_up
from suanwang.placement.terms import WHOLE_CARD, Machine, Rates, Room, Site

_GREY_UNKNOWN = Fraction(2)
_HOUR = 3_600


def scenario_of(city: document.City, problems: Problems, *, seed: int = 0) -> Scenario:
    """Build the city. Jobs that cannot be are noted in ``problems`` and left out.

    Refuses ``city_centre_unknown``, ``city_node_unknown``, ``city_card_unknown``.
    """
    sites = {code: _site(code, centre) for code, centre in city.centres.items()}
    machines: list[Machine] = []
    watts: dict[int, Watts] = {}
    for code, centre in city.centres.items():
        for machine, power in _machines(len(machines), city, centre, sites[code]):
            machines.append(machine)
            watts[machine.id] = power
    named = {f"{m.site.code}/{m.name}": m for m in machines}
    jobs = list(city.workload.jobs)
    if city.workload.streams:
        jobs += made_up(city.workload, city.starts_at, seed)
    works = [work_of(job, city.starts_at) for job in jobs]
    begun = begun_soundly(
        (one for job in city.workload.running for one in _begun(job, city, named)),
        city.starts_at,
        problems,
    )
    return Scenario(
        name=city.name or city.name_en,
        name_en=city.name_en,
        starts_at=city.starts_at,
        machines=machines,
        works=sound(works, machines, problems, {one.work.ask.job_id for one in begun}),
        begun=begun,
        happenings=[_happening(event, city, named) for event in city.events],
        breaking=[
            Breaking(
                tuple(m.id for m in machines if m.site.code == code),
                centre.failures.mean_time,
                centre.failures.repair,
            )
            for code, centre in city.centres.items()
            if centre.failures
        ],
        summaries={
            code: centre.summary_every
            for code, centre in city.centres.items()
            if centre.summary_every
        },
        links={
            (link.one, link.other): terms.Link(link.latency_us, link.bandwidth_mbps)
            for link in city.links
        },
        weights={code: one.weight for code, one in city.organisations.items()},
        quotas=list(_quotas(city)),
        usage={code: one.usage for code, one in city.organisations.items() if one.usage},
        energy={
            code: Energy(centre.pue or _GREY_UNKNOWN, centre.green_share,
                         frozenset(centre.green_hours))
            for code, centre in city.centres.items()
        },
        watts=watts,
        names=_names(city),
    )  # fmt: skip


def _names(city: document.City) -> dict[str, tuple[str, str]]:
    both: Iterable[tuple[str, document.Centre | document.Organisation]] = [
        *city.centres.items(), *city.organisations.items(),
    ]  # fmt: skip
    return {code: (one.name or code, one.name_en or one.name or code) for code, one in both}


def _site(code: str, centre: document.Centre) -> Site:
    grey = _GREY_UNKNOWN if centre.pue is None else centre.pue * (1 - centre.green_share)
    return Site(
        code=code,
        tier=centre.tier,
        kind=centre.kind,
        division=centre.division,
        trust=centre.trust,
        voucher_eligible=centre.voucher_eligible,
        datasets=frozenset(centre.datasets),
        grey_energy=grey,
        green_hours=frozenset(centre.green_hours),
    )


def _machines(
    first: int, city: document.City, centre: document.Centre, site: Site
) -> Iterator[tuple[Machine, Watts]]:
    rates: dict[str | None, Rates] = {}
    number = 0
    for part in centre.nodes:
        card = _card(city, part, site.code)
        model = part.card if part.cards else None
        rate = rates.setdefault(model, rates_of(centre.prices, model))
        whole = Room(part.cores * 1000, part.memory, part.cards if card else 0)
        told = city.cards.get(part.card or "", document.CardModel())
        power = watts_of(whole, told.watts, told.idle_watts)
        cluster = uuid5(NAMESPACE, f"{site.code} {model or ''}")
        for one in range(part.count):
            name = part.name or f"{site.code}-{number + 1:03d}"
            if part.name and part.count > 1:
                name = f"{part.name}-{one + 1:03d}"
            rack = part.rack or f"{site.code}-{part.card or 'cpu'}-r{one % part.racks + 1}"
            yield (
                Machine(
                    first + number,
                    name,
                    cluster,
                    site,
                    whole,
                    card,
                    rate,
                    centre.online,
                    rack,
                    centre.images,
                ),
                power,
            )
            number += 1


def _card(city: document.City, part: document.Nodes, code: str) -> terms.Card | None:
    if not part.cards:
        return None
    if part.card is None or part.card not in city.cards:
        raise Refused("city_card_unknown", model=part.card or "", centre=code)
    told = city.cards[part.card]
    return terms.Card(part.card, told.vendor, told.memory, told.domestic, dict(told.gflops))


def rates_of(prices: document.Prices, model: str | None) -> Rates:
    """Fen per second, from fen per hour; of cards of one model."""
    core, gib = prices.core_hour_fen, prices.gib_hour_fen
    card = prices.card_hour_fen.get(model) if model else None
    return Rates(
        None if core is None else core / _HOUR,
        None if gib is None else gib / _HOUR / 1024,
        None if card is None else card / _HOUR,
    )


def moment(city_start: datetime, at: int | datetime) -> datetime:
    """A time of the document as a moment in the city's zone."""
    if isinstance(at, datetime):
        return at.astimezone(city_start.tzinfo)
    return city_start + timedelta(seconds=at)


def work_of(job: document.Job, starts_at: datetime, line: int = 0) -> Work:
    """A job of the document in the words of placement."""
    expected = job.expected
    ask = terms.Ask(
        job_id=job_id(job.id),
        room=room_of(job),
        walltime_seconds=job.walltime,
        submitted_at=moment(starts_at, job.at),
        goal=job.goal,
        cost_max_fen=FEN_MAX if job.cost_max_fen is None else job.cost_max_fen,
        nodes=job.nodes,
        spread=job.spread,
        model=job.model,
        capability=None
        if job.capability is None
        else terms.Capability(
            job.capability.precision, job.capability.gflops_min, job.capability.memory_min
        ),
        image=job.image,
        where=_where(job.where),
        organisation=job.organisation,
        priority=job.priority,
        expected_seconds=expected,
        harmonic_seconds=job.harmonic,
        not_before=None if job.not_before is None else moment(starts_at, job.not_before),
        deadline=None if job.deadline is None else moment(starts_at, job.deadline),
        deferrable=job.deferrable,
        preemptible=job.preemptible,
        after=tuple(map(job_id, job.after)),
        attempt=job.attempt,
    )
    seconds = job.seconds or expected or job.walltime
    return Work(ask, seconds, job.id, job.checkpoint_every, line)


def room_of(wish: document.Wish) -> Room:
    """What a wish asks on each of its nodes."""
    cores = wish.cores * 1000 if wish.core_milli is None else wish.core_milli
    return Room(cores, wish.memory, wish.cards, wish.card_milli if wish.cards else WHOLE_CARD)


def _where(told: document.Where) -> terms.Where:
    return terms.Where(
        centres=frozenset(told.centres),
        tiers=frozenset(told.tiers),
        kinds=frozenset(told.kinds),
        divisions=frozenset(told.divisions),
        datasets=frozenset(told.datasets),
        near=told.near,
        latency_us_max=told.latency_us_max,
        trust_min=told.trust_min,
        voucher_eligible=told.voucher_eligible,
        domestic=told.domestic,
    )


def _begun(
    job: document.RunningJob, city: document.City, named: Mapping[str, Machine]
) -> Iterator[Begun]:
    ids = []
    for name in job.on:
        if name not in named:
            raise Refused("city_node_unknown", node=name)
        ids.append(named[name].id)
    cards: Sequence[Sequence[int]] = job.card_numbers
    yield Begun(
        work_of(job, city.starts_at),
        tuple(ids),
        moment(city.starts_at, job.started_at),
        tuple(tuple(one) for one in cards),
    )


def _happening(
    event: document.Event, city: document.City, named: Mapping[str, Machine]
) -> Happening:
    if event.centre not in city.centres:
        raise Refused("city_centre_unknown", centre=event.centre)
    if event.node:
        if (name := f"{event.centre}/{event.node}") not in named:
            raise Refused("city_node_unknown", node=name)
        struck = [named[name]]
    else:
        struck = [m for m in named.values() if m.site.code == event.centre]
    rates = {}
    if event.prices is not None:
        prices = event.prices
        rates = {m.id: rates_of(prices, m.card.model if m.card else None) for m in struck}
    return Happening(
        moment(city.starts_at, event.at),
        event.what,
        frozenset(m.id for m in struck),
        event.lasts,
        rates,
    )


def _quotas(city: document.City) -> Iterator[terms.Quota]:
    for code, one in city.organisations.items():
        if (quota := one.quota) is not None:
            yield terms.Quota(
                code,
                quota.cohort,
                quota.cores * 1000,
                quota.cards * WHOLE_CARD,
                quota.borrow,
                quota.lend,
            )
