"""The line: which jobs may be looked at now, and in what order.

A job is held back while it may not start, whatever is free: too early, after others, tried too
often. The rest stand in line

1. by priority class, the higher first;
2. within a class, those that starve (``Policy.starving_after``), the longest waiting first;
3. those whose organisation stays within its quota before those that borrow;
4. organisations by dominant share (Ghodsi et al., NSDI 2011): the one that holds the least of what
   it asks most of, over its weight, goes next. Past use counts as the average share it comes to,
   halved every ``share_half_life``;
5. within an organisation by ``Policy.order`` (``turn.order``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
import numpy.typing as npt

from suanwang.placement import turn
from suanwang.placement.city import City
from suanwang.placement.groups import total
from suanwang.placement.terms import Ask, Policy, Reason, Snapshot
from suanwang.placement.terms_of_time import FOREVER, second_after

Real = npt.NDArray[np.float64]


class HeldBack:
    """Which jobs of a queue may not start yet, whatever is free."""

    def __init__(
        self, snapshot: Snapshot, queue: Sequence[Ask], now: datetime, policy: Policy
    ) -> None:
        self._ended, self._now = snapshot.ended, now
        self._attempts_max = policy.attempts_max
        self._after = {ask.job_id: ask.after for ask in queue if ask.after}
        if self._after:
            self._known = {ask.job_id for ask in queue}
            self._known.update(running.job_id for running in snapshot.running)

    def why(self, ask: Ask) -> tuple[Reason, datetime | None] | None:
        """Why the job may not start, and from when on it may; None: it may."""
        if ask.attempt > self._attempts_max:
            facts: dict[str, str | int] = {"attempts": self._attempts_max}
            return Reason("wait_attempts_spent", facts), None
        if ask.after and (reason := self._before(ask)) is not None:
            return reason, None
        if ask.not_before is not None and ask.not_before > self._now:
            facts = {"starts_at": ask.not_before.isoformat(timespec="minutes")}
            return Reason("wait_not_before", facts), ask.not_before
        return None

    def _before(self, ask: Ask) -> Reason | None:
        failed = [job for job in ask.after if self._ended.get(job) is False]
        if failed:
            return Reason("wait_after_failed", {"job": str(failed[0]), "jobs": len(failed)})
        missing = [job for job in ask.after if job not in self._ended]
        if not missing:
            return None
        strange = [job for job in missing if job not in self._known]
        if strange:
            return Reason("wait_after_unknown", {"job": str(strange[0])})
        if self._in_circle(ask.job_id):
            return Reason("wait_after_itself", {"job": str(missing[0])})
        return Reason("wait_after", {"job": str(missing[0]), "jobs": len(missing)})

    def _in_circle(self, job: UUID) -> bool:
        """Whether the job comes, over others of the queue, after itself."""
        seen: set[UUID] = set()
        ahead = list(self._after.get(job, ()))
        while ahead:
            each = ahead.pop()
            if each == job:
                return True
            if each not in seen:
                seen.add(each)
                ahead.extend(self._after.get(each, ()))
        return False


def in_line(
    city: City, queue: Sequence[Ask], usage: Mapping[str, float], now: datetime, policy: Policy
) -> list[Ask]:
    """The jobs in the order they are looked at; the order of ``queue`` does not matter."""
    asks = sorted(queue, key=lambda ask: (ask.submitted_at, ask.job_id))
    if len(asks) < 2:
        return asks
    submitted = np.array([second_after(ask.submitted_at) for ask in asks], np.int64)
    priority = np.array([ask.priority for ask in asks], np.int64)
    amounts = np.array([total(ask.room, ask.nodes) for ask in asks], np.float64)
    parts = amounts / np.maximum(city.capacity, 1)
    seconds = np.array([float(ask.expected_seconds or ask.walltime_seconds) for ask in asks])
    harmonic = np.array(
        [ask.harmonic_seconds or max(taken, 10.0) for ask, taken in zip(asks, seconds, strict=True)]
    )
    turns = turn.order(
        turn.Queue(
            submitted=submitted,
            amount=parts.max(axis=1),
            seconds=seconds,
            haste=1 / harmonic,
        ),
        policy.order,  # type: ignore[arg-type]
    )
    rank = np.empty(len(asks), np.int64)
    rank[turns] = np.arange(len(asks))
    overdue = second_after(now) - int(policy.starving_after.total_seconds())
    starving = np.where(submitted <= overdue, submitted, FOREVER)
    keys: list[npt.NDArray[np.generic]] = [rank]
    if policy.fair or policy.quotas:
        borrows, share = _standing(city, asks, rank, amounts, parts, usage, policy)
        if policy.fair:
            keys.append(share)
        keys.append(borrows)
    keys += [starving, -priority]
    return [asks[place] for place in np.lexsort(keys)]


def starves(ask: Ask, now: datetime, policy: Policy) -> bool:
    """Whether a job waited so long that it goes before all others of its class."""
    return now - ask.submitted_at >= policy.starving_after


def _standing(
    city: City,
    asks: Sequence[Ask],
    rank: npt.NDArray[np.int64],
    amounts: Real,
    parts: Real,
    usage: Mapping[str, float],
    policy: Policy,
) -> tuple[npt.NDArray[np.bool_], Real]:
    """Of each job: whether its organisation borrows to start it, and the share over weight the
    organisation has before it, all its earlier jobs in line counted as started."""
    names = sorted({ask.organisation for ask in asks})
    number = {name: at for at, name in enumerate(names)}
    of = np.array([number[ask.organisation] for ask in asks], np.int64)
    held = np.array([city.use.get(name, (0, 0, 0)) for name in names], np.float64)
    window = policy.share_half_life / timedelta(seconds=1) / math.log(2)
    past = np.array([usage.get(name, 0.0) for name in names]) / window
    weight = np.array([float(policy.weights.get(name, 1)) for name in names])
    order = np.lexsort((rank, of))
    starts = np.searchsorted(of[order], np.arange(len(names)))

    def before(values: Real) -> Real:
        """The sum of what the organisation's earlier jobs ask."""
        sums = np.cumsum(values[order], axis=0) - values[order]
        sums -= sums[starts][of[order]]
        found = np.empty_like(sums)
        found[order] = sums
        return found

    share = (before(parts) + (held / np.maximum(city.capacity, 1))[of]).max(axis=1)
    most = np.full((len(names), 3), np.inf)
    for quota in policy.quotas:
        if quota.organisation in number:
            most[number[quota.organisation]] = quota.core_milli, np.inf, quota.card_milli
    over = (before(amounts) + amounts + held[of] > most[of]) & (amounts > 0)
    borrows: npt.NDArray[np.bool_] = np.asarray(over.any(axis=1), np.bool_)
    return borrows, (share + past[of]) / np.maximum(weight[of], 1e-9)
