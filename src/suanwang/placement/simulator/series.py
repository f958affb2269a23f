"""A simulation over time, thinned to what a chart can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from suanwang.placement.simulator.journal import Journal


@dataclass(frozen=True, slots=True)
class Point:
    """Means over a short period that ends ``hours`` after the start."""

    hours: float
    waiting: float
    core_share: float
    card_share: float


@dataclass(frozen=True, slots=True)
class Course:
    """What the charts of one policy are drawn from."""

    policy: str
    points: Sequence[Point]
    waits_hours: Sequence[float]
    """Of the jobs that started, ascending, thinned."""


def course(journal: Journal, *, buckets: int = 240, waits_most: int = 400) -> Course:
    """Thin a simulation that has ended."""
    begun = {one.work.ask.job_id for one in journal.scenario.begun}
    waits = sorted(
        (start - journal.works[job].ask.submitted_at).total_seconds() / 3600
        for job, start in journal.first_start.items()
        if job not in begun
    )
    if len(waits) > waits_most:
        last = len(waits) - 1
        waits = [waits[round(n * last / (waits_most - 1))] for n in range(waits_most)]
    return Course(journal.policy, _points(journal, buckets), waits)


def _points(journal: Journal, buckets: int) -> list[Point]:
    scenario = journal.scenario
    starts, ends = scenario.starts_at, journal.ends_at or scenario.starts_at
    length = max(1.0, (ends - starts).total_seconds()) / buckets
    cores = max(1, sum(machine.whole.core_milli for machine in scenario.machines))
    cards = max(1, sum(machine.whole.cards * 1000 for machine in scenario.machines))
    sums = [[0.0, 0.0, 0.0] for _ in range(buckets)]
    until = [sample.at for sample in journal.samples[1:]] + [ends]
    for sample, following in zip(journal.samples, until, strict=True):
        values = (sample.waiting, sample.core_milli / cores, sample.card_milli / cards)
        for bucket, part in _shared(sample.at, following, starts, length, buckets):
            for position, value in enumerate(values):
                sums[bucket][position] += value * part
    return [
        Point((number + 1) * length / 3600, *(total / length for total in row))
        for number, row in enumerate(sums)
    ]


def _shared(
    begins: datetime, ends: datetime, starts: datetime, length: float, buckets: int
) -> list[tuple[int, float]]:
    """How many seconds of a period lie in which bucket."""
    at, end = (begins - starts).total_seconds(), (ends - starts).total_seconds()
    parts = []
    while at < end:
        bucket = min(buckets - 1, int(at / length))
        following = end if bucket == buckets - 1 else min(end, (bucket + 1) * length)
        if following <= at:  # rounding put us on the edge of the bucket before
            bucket = min(buckets - 1, bucket + 1)
            following = end if bucket == buckets - 1 else min(end, (bucket + 1) * length)
        parts.append((bucket, following - at))
        at = following
    return parts
