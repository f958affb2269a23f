"""Jobs made up by chance, from a seed: the same seed, the same jobs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from suanwang.core.errors import Refused
from suanwang.placement.simulator.city import JOBS_MAX, SECONDS_MAX, Job, Stream, Wish, Workload

if TYPE_CHECKING:
    from numpy.random import Generator

TRIES_MAX = 10_000
"""A stream whose hours the period never meets has no arrivals."""


def made_up(workload: Workload, starts_at: datetime, seed: int) -> list[Job]:
    """The jobs of all streams. Refuses ``city_jobs_too_many``."""
    import numpy as np

    expected = sum(stream.per_day for stream in workload.streams) * workload.stream_days
    if expected > JOBS_MAX:
        raise Refused("city_jobs_too_many", jobs=int(expected), most=JOBS_MAX)
    jobs: list[Job] = []
    for number, stream in enumerate(workload.streams):
        chance = np.random.default_rng((seed, number))  # one stream's change moves no other
        jobs += _flow(stream, number, workload.stream_days, starts_at, chance)
    return jobs


def _flow(
    stream: Stream, number: int, days: float, starts_at: datetime, chance: Generator
) -> Iterator[Job]:
    wish = {name: getattr(stream, name) for name in Wish.model_fields}
    count = int(chance.poisson(stream.per_day * days))
    for index, at in enumerate(sorted(_arrivals(stream, count, days, starts_at, chance))):
        low, high = (math.log(seconds) for seconds in stream.seconds)
        seconds = max(1, round(math.exp(chance.uniform(low, high))))
        over = float(chance.uniform(*stream.over_estimate))
        walltime = min(SECONDS_MAX, _round_up(max(1, math.ceil(seconds * over))))
        if stream.nodes_choice:
            wish["nodes"] = int(chance.choice(stream.nodes_choice))
        if stream.cards_choice:
            wish["cards"] = int(chance.choice(stream.cards_choice))
        deferrable = bool(chance.random() < stream.deferrable_share)
        preemptible = bool(chance.random() < stream.preemptible_share)
        deadline = None
        if stream.deadline_after:
            deadline = min(
                SECONDS_MAX, at + round(chance.uniform(*stream.deadline_after) * walltime)
            )
        yield Job(
            id=f"{stream.organisation or 'city'}/{stream.name}/{number}-{index}",
            at=at,
            walltime=walltime,
            seconds=seconds,
            deadline=deadline,
            deferrable=deferrable,
            preemptible=preemptible,
            **wish,
        )


def _arrivals(
    stream: Stream, count: int, days: float, starts_at: datetime, chance: Generator
) -> Iterator[int]:
    """Seconds after the start; of a Poisson stream given its count, each time is independent."""
    most = max(stream.by_hour, default=1.0)
    for _ in range(count):
        for _ in range(TRIES_MAX):  # by rejection: an hour is taken as often as its weight says
            at = int(chance.integers(0, max(1, round(days * 86_400))))
            hour = (starts_at + timedelta(seconds=at)).hour
            if not stream.by_hour or chance.random() * most < stream.by_hour[hour]:
                yield at
                break


def _round_up(seconds: int) -> int:
    """To what people ask for: whole minutes, and from two hours on whole half hours."""
    step = 60 if seconds < 7_200 else 1_800
    return -(-seconds // step) * step
