"""How long jobs will really run, learned from those that ended; kept by each dispatcher.

What placement learns is in ``placement.estimates``; here is what it learns from. A requester is a
person of an organisation. Learned anew after a restart, from the newest ended attempts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from suanwang.jobs.models import Attempt, Job
from suanwang.placement.estimates import Estimates, Expectation

READ_AT_MOST: Final = 20_000
_LATE: Final = timedelta(minutes=10)
"""An end may be reported so much later than it was; ends are looked for so far back again."""
_BY_THEMSELVES: Final = (Job.State.SUCCEEDED, Job.State.FAILED)


class Expected:
    """Run times by requester. Not safe for two threads."""

    def __init__(self) -> None:
        self._estimates = Estimates()
        self._seen: dict[UUID, datetime] = {}
        self._until: datetime | None = None
        self._known: dict[tuple[UUID, UUID, int], Expectation] = {}

    def learn(self) -> int:
        """Take in what ended since the last call; how many runs there were."""
        ended = Attempt.objects.filter(
            state=Attempt.State.ENDED, started_at__isnull=False, job__state__in=_BY_THEMSELVES
        )
        if self._until is not None:
            ended = ended.filter(ended_at__gt=self._until - _LATE)
        rows = ended.order_by("-ended_at").values_list(
            "pk",
            "job__organisation_id",
            "job__submitted_by_id",
            "job__walltime_seconds",
            "started_at",
            "ended_at",
        )[:READ_AT_MOST]
        fresh = [row for row in reversed(list(rows)) if row[0] not in self._seen]
        for attempt, organisation, person, walltime, started, ended_at in fresh:
            if started is None or ended_at is None:  # not of those that were read
                continue
            ran = round((ended_at - started).total_seconds())
            self._estimates.observe((organisation, person), walltime, max(ran, 0))
            self._seen[attempt] = ended_at
        if fresh:
            self._until = max(self._seen[row[0]] for row in fresh)
            self._known.clear()
            kept_from = self._until - 2 * _LATE
            self._seen = {one: at for one, at in self._seen.items() if at > kept_from}
        return len(fresh)

    def seconds(self, organisation: UUID, person: UUID, walltime_seconds: int) -> int:
        """What to expect of a request: at least a second, at most its walltime."""
        found = self._of(organisation, person, walltime_seconds)
        return min(max(round(found.seconds), 1), walltime_seconds)

    def harmonic_seconds(self, organisation: UUID, person: UUID, walltime_seconds: int) -> int:
        """The harmonic mean of what to expect, 10 s at least: see ``Ask.harmonic_seconds``."""
        return max(round(1 / self._of(organisation, person, walltime_seconds).haste), 1)

    def _of(self, organisation: UUID, person: UUID, walltime_seconds: int) -> Expectation:
        key = organisation, person, walltime_seconds
        if key not in self._known:
            self._known[key] = self._estimates.expect((organisation, person), walltime_seconds)
        return self._known[key]
