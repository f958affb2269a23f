"""A queued job as placement sees it: what it asks on each node, and where it may go."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from suanwang.core.jobspec import PRIORITIES
from suanwang.jobs.models import Job
from suanwang.placement import Ask, Capability, Goal, Room, Spread, Where

_ROUNDING_FEN = 2
"""Three lines rounded half up may be up to 1.5 fen under their exact sum."""
_ANYWHERE = Where()


def room_of(job: Job) -> Room:
    """What a job asks for on each of its nodes, in the units of placement."""
    return room(job.cores, job.memory_mib, job.accelerators, job.nodes, job.card_milli)


def room(cores: int, memory_mib: int, cards: int, nodes: int, card_milli: int) -> Room:
    """The same from a row's totals."""
    return Room(cores * 1000 // nodes, memory_mib // nodes, cards // nodes, card_milli)


def ask_of(
    job: Job,
    *,
    attempt: int = 1,
    gang_centres: Collection[str] = (),
    expected_seconds: int | None = None,
    harmonic_seconds: int | None = None,
    refused_at: Mapping[UUID, datetime] | None = None,
    refused_by: frozenset[UUID] = frozenset(),
) -> Ask:
    """A queued job as placement sees it. A job of several nodes goes only to centres of which a
    cluster starts such jobs.
    """
    spec = job.spec
    return Ask(
        job_id=job.pk,
        room=room_of(job),
        model=job.accelerator_model or None,
        walltime_seconds=job.walltime_seconds,
        submitted_at=job.submitted_at,
        goal=cast(Goal, spec.get("goal", "balanced")),
        where=_without(_where(job, gang_centres), refused_by),
        cost_max_fen=job.estimate_fen + _ROUNDING_FEN,
        nodes=job.nodes,
        spread=cast(Spread, spec.get("spread", "centre")),
        capability=Capability(**spec["capability"]) if spec.get("capability") else None,
        image=bool(spec.get("image")),
        organisation=str(job.organisation_id),
        priority=PRIORITIES[spec.get("priority", "normal")],
        not_before=_moment(spec, "not_before"),
        deadline=_moment(spec, "deadline"),
        deferrable=spec.get("deferrable", False),
        preemptible=spec.get("preemptible", False),
        expected_seconds=expected_seconds,
        harmonic_seconds=harmonic_seconds,
        refused_at=refused_at or {},
        after=tuple(UUID(one) for one in spec.get("after", ())),
        attempt=attempt,
    )


def _where(job: Job, gang_centres: Collection[str]) -> Where:
    wishes, centre = job.spec.get("where"), job.spec.get("centre")
    centres = frozenset({centre} if centre else ())
    if job.nodes > 1:
        # An empty set would mean any: a centre that is not there means none.
        centres = (centres & frozenset(gang_centres) if centres else frozenset(gang_centres)) or (
            frozenset({""})
        )
    if not wishes and not centres:
        return _ANYWHERE
    return where(wishes or {}, centres)


def _without(where: Where, clusters: frozenset[UUID]) -> Where:
    return replace(where, refused_by=clusters) if clusters else where


def where(wishes: Mapping[str, Any], centres: frozenset[str] = frozenset()) -> Where:
    """The wishes of a specification in the words of placement."""
    return Where(
        centres=centres,
        tiers=frozenset(wishes.get("tiers", ())),
        kinds=frozenset(wishes.get("kinds", ())),
        divisions=frozenset(wishes.get("divisions", ())),
        datasets=frozenset(wishes.get("datasets", ())),
        near=wishes.get("near"),
        latency_us_max=wishes.get("latency_us_max"),
        trust_min=wishes.get("trust_min", 0),
        voucher_eligible=wishes.get("voucher_eligible", False),
        domestic=wishes.get("domestic", "indifferent"),
    )


@lru_cache(maxsize=4096)
def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _moment(spec: Mapping[str, Any], name: str) -> datetime | None:
    text = spec.get(name)
    return _parsed(text) if text else None
