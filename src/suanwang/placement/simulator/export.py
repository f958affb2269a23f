"""From what the dispatcher reads to a city document: the live city, ready for a what-if.

The same snapshot and queue that ``decide`` is given; what placement does not know (names, PUE apart
from the green share) may be told beside it. Nobody knows how long a job will really take: the
simulation takes what jobs like it took, else the walltime.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

from suanwang.core.money import FEN_MAX
from suanwang.placement import terms
from suanwang.placement.simulator import city as document
from suanwang.placement.terms import WHOLE_CARD, Ask, Machine, Policy, Running, Snapshot

_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the city beside what placement is told."""

    name: str = ""
    centres: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Chinese and English name, by code."""
    organisations: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    energy: Mapping[str, tuple[Fraction, Fraction]] = field(default_factory=dict)
    """PUE and green share outside green hours, by centre."""


def city_of(
    snapshot: Snapshot,
    queue: Sequence[Ask],
    now: datetime,
    policy: Policy,
    known: Known = Known(),
) -> document.City:
    """The document. A summary becomes one node of all it has; reservations are left out."""
    by_centre: dict[str, list[Machine]] = {}
    for machine in snapshot.machines:
        by_centre.setdefault(machine.site.code, []).append(machine)
    named = {machine.id: f"{machine.site.code}/{machine.name}" for machine in snapshot.machines}
    organisations = {ask.organisation for ask in queue} | {
        one.organisation for one in snapshot.running
    }
    organisations |= snapshot.usage.keys() | policy.weights.keys()
    organisations |= {quota.organisation for quota in policy.quotas}
    return document.City(
        suanwang_city=1,
        name=known.name,
        starts_at=now,
        cards={m.card.model: _card(m.card) for m in snapshot.machines if m.card},
        centres={code: _centre(code, members, known) for code, members in by_centre.items()},
        links=[
            document.Link(one=one, other=other, latency_us=link.latency_us,
                          bandwidth_mbps=link.bandwidth_mbps)
            for (one, other), link in snapshot.links.items()
        ],
        organisations={
            code: _organisation(code, snapshot, policy, known)
            for code in sorted(organisations)
            if code
        },
        workload=document.Workload(
            jobs=[_job(ask, snapshot.ended) for ask in queue],
            running=[_running(one, named, now) for one in snapshot.running
                     if all(machine in named for machine in one.machine_ids)],
        ),
    )  # fmt: skip


def _card(card: terms.Card) -> document.CardModel:
    return document.CardModel(
        vendor=card.vendor,
        memory=card.memory_mib,
        domestic=card.domestic,
        gflops=dict(card.gflops),
        watts=getattr(card, "watts", 0),
    )


def _centre(code: str, machines: Sequence[Machine], known: Known) -> document.Centre:
    site = machines[0].site
    name, name_en = known.centres.get(code, ("", ""))
    pue, share = known.energy.get(code) or _energy(site.grey_energy)
    summaries = [machine.summary_at for machine in machines if machine.summary_at]
    return document.Centre(
        name=name,
        name_en=name_en,
        tier=site.tier,
        kind=site.kind,
        division=site.division,
        trust=site.trust,
        voucher_eligible=site.voucher_eligible,
        datasets=sorted(site.datasets),
        pue=pue,
        green_share=share,
        green_hours=sorted(site.green_hours),
        prices=_prices(machines),
        nodes=[
            document.Nodes(
                name=machine.name,
                cores=machine.whole.core_milli // 1000,
                memory=machine.whole.memory_mib,
                card=machine.card.model if machine.card else None,
                cards=machine.whole.cards,
                rack=machine.rack,
            )
            for machine in machines
        ],
        online=any(machine.online for machine in machines),
        images=any(machine.images for machine in machines),
        summary_every=60 if summaries else None,
    )


def _energy(grey: Fraction) -> tuple[Fraction | None, Fraction]:
    """A PUE and a green share that come to the same: placement knows only their product."""
    if grey >= 1:
        return min(grey, Fraction(10)), Fraction(0)
    return Fraction(1), 1 - grey


def _prices(machines: Iterable[Machine]) -> document.Prices:
    """Of a centre whose machines all pay alike for cores and memory, and for cards by model."""
    core: Fraction | None = None
    gib: Fraction | None = None
    cards: dict[str, Fraction] = {}
    for machine in machines:
        rates = machine.rates
        core = core if rates.core is None else rates.core * _HOUR
        gib = gib if rates.memory_mib is None else rates.memory_mib * _HOUR * 1024
        if machine.card and rates.card is not None:
            cards[machine.card.model] = rates.card * _HOUR
    return document.Prices(core_hour_fen=core, gib_hour_fen=gib, card_hour_fen=cards)


def _organisation(
    code: str, snapshot: Snapshot, policy: Policy, known: Known
) -> document.Organisation:
    name, name_en = known.organisations.get(code, ("", ""))
    quota = next((one for one in policy.quotas if one.organisation == code), None)
    return document.Organisation(
        name=name,
        name_en=name_en,
        weight=policy.weights.get(code, Fraction(1)),
        usage=snapshot.usage.get(code, 0.0),
        quota=quota
        and document.Quota(
            cohort=quota.cohort,
            cores=quota.core_milli // 1000,
            cards=quota.card_milli // WHOLE_CARD,
            borrow=quota.borrow,
            lend=quota.lend,
        ),
    )


def _job(ask: Ask, ended: Mapping[UUID, bool]) -> document.Job:
    where, able = ask.where, ask.capability
    return document.Job(
        id=str(ask.job_id),
        at=ask.submitted_at,
        organisation=ask.organisation,
        nodes=ask.nodes,
        core_milli=ask.room.core_milli,
        memory=ask.room.memory_mib,
        cards=ask.room.cards,
        card_milli=ask.room.card_milli,
        model=ask.model,
        capability=able
        and document.Capability(
            precision=able.precision,
            gflops_min=able.gflops_min,
            memory_min=able.memory_mib_min,
        ),
        image=ask.image,
        spread=ask.spread,
        where=document.Where(
            centres=sorted(where.centres),
            tiers=sorted(where.tiers),
            kinds=sorted(where.kinds),
            divisions=sorted(where.divisions),
            datasets=sorted(where.datasets),
            near=where.near,
            latency_us_max=where.latency_us_max,
            trust_min=where.trust_min,
            voucher_eligible=where.voucher_eligible,
            domestic=where.domestic,
        ),
        goal=ask.goal,
        priority=ask.priority,
        walltime=ask.walltime_seconds,
        expected=ask.expected_seconds,
        harmonic=ask.harmonic_seconds,
        cost_max_fen=min(ask.cost_max_fen, FEN_MAX),
        not_before=ask.not_before,
        deadline=ask.deadline,
        deferrable=ask.deferrable,
        preemptible=ask.preemptible,
        after=[str(one) for one in ask.after if not ended.get(one)],
        attempt=ask.attempt,
    )


def _running(one: Running, named: Mapping[int, str], now: datetime) -> document.RunningJob:
    started = min(now, one.started_at or now)
    walltime = max(timedelta(seconds=1), one.ends_by - started)
    expected = None
    if one.expected_end is not None:
        expected = max(timedelta(seconds=1), one.expected_end - started)
    nodes = len(one.machine_ids)
    return document.RunningJob(
        id=str(one.job_id),
        at=started,
        started_at=started,
        organisation=one.organisation,
        nodes=nodes,
        spread="node" if nodes > 1 and len(set(one.machine_ids)) == 1 else "any",
        core_milli=one.room.core_milli,
        memory=one.room.memory_mib,
        cards=one.room.cards,
        card_milli=one.room.card_milli,
        walltime=int(walltime.total_seconds()),
        expected=None if expected is None else int(expected.total_seconds()),
        priority=one.priority,
        preemptible=one.preemptible,
        on=[named[machine] for machine in one.machine_ids],
        card_numbers=[list(cards) for cards in one.cards],
    )
