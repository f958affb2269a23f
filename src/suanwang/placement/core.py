"""Who goes where, now: a pure function of a snapshot and a queue.

1. *The city.* Machines and summaries as arrays, in groups no goal tells apart (``memory``,
   ``city``, ``groups``). With a memory only what changed is brought up to date.
2. *Held back.* Jobs that may not start yet, whatever is free: too early, after others, tried too
   often (``line.HeldBack``).
3. *The line.* Class, starvation, quota, fair share, then the policy's order (``line.in_line``).
4. *Where.* Each job of the line is of a kind: the groups that will do and are open to it now, in
   the order of its goal; or the condition that binds (``wishes``, ``where``, ``goals``).
5. *Quota.* Its organisation holds its own, or borrows what its cohort lends (``quotas``).
6. *Place.* In the best tier with room the pool picks the machine, gangs all or nothing; never so
   that a start kept for somebody earlier is put off (``floor``, ``gangs``).
7. *Give way.* A strictly higher class, or an organisation taking back what it lent, may have
   preemptible work stopped, if that helps (``giving_way``).
8. *Keep.* The first in line that find no room have a start kept for them; as many as the policy
   says, and every starving one.
9. *Say why.* Each waiting job is told what it waits for, about when it starts, and what would
   help; each placed one why there (``telling``, ``helps``).

Deterministic: no clock, no randomness but a seeded order of equally good machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from suanwang.placement import telling
from suanwang.placement.floor import Floor, Spot
from suanwang.placement.giving_way import GivingWay
from suanwang.placement.helps import Helps
from suanwang.placement.line import HeldBack, in_line, starves
from suanwang.placement.memory import Memory
from suanwang.placement.quotas import Quotas
from suanwang.placement.terms import (
    Ask,
    Decisions,
    Placement,
    Policy,
    Reason,
    Snapshot,
    Wait,
)
from suanwang.placement.wishes import Kind, Wishes, next_green

KEPT_MAX = {"none": 0, "easy": 1, "pair": 2}
"""How many starts are kept, by the way of backfilling; else ``Policy.reservations_max``."""


def decide(
    snapshot: Snapshot,
    queue: Sequence[Ask],
    now: datetime,
    policy: Policy | None = None,
    memory: Memory | None = None,
) -> Decisions:
    """Place what can start now; tell the others what they wait for.

    ``memory`` makes a step cost what changed since the last one; the answers are the same.
    """
    policy = policy or Policy()
    city = (memory or Memory()).city(snapshot, queue, policy)
    step = _Step(Floor(city, now), policy)
    held_back = HeldBack(snapshot, queue, now, policy)
    ready: list[Ask] = []
    for ask in queue:
        early = held_back.why(ask)
        if early is None:
            ready.append(ask)
        else:
            reason, starts_at = early
            warned = telling.warnings(ask, starts_at)
            step.decisions.waits.append(Wait(ask.job_id, reason, starts_at, warnings=warned))
    step.decisions.waits.sort(key=lambda wait: wait.job_id)
    try:
        for ask in in_line(city, ready, snapshot.usage, now, policy):
            step.answer(ask)
    finally:
        step.floor.leave()
    return step.decisions


class _Step:
    """One walk along the line."""

    def __init__(self, floor: Floor, policy: Policy) -> None:
        self.floor, self._policy, self._now = floor, policy, floor.now
        self.decisions = Decisions([], [])
        self._wishes = Wishes(floor.city, floor.now)
        self._quotas = Quotas(policy.quotas, floor.city.use)
        self._giving_way = GivingWay(floor, self._quotas, policy.preempt_grace)
        self._helps = Helps(floor, self._wishes) if policy.helps else None
        self._ahead = telling.Ahead(floor.city)
        self._kept = 0
        self._kept_max = min(
            KEPT_MAX.get(policy.backfill, policy.reservations_max), policy.reservations_max
        )
        self._blocked: set[int] = set()

    def answer(self, ask: Ask) -> None:
        """Place the job or tell it why it waits."""
        kind, reason = self._wishes.kind(ask)
        if kind is None:
            assert reason is not None  # noqa: S101 - a type
            self._tell_no_place(ask, reason)
            return
        over_quota = self._quotas.refusal(ask)
        spot = None
        if over_quota is None and not self._passes_a_strict_line(kind):
            spot = self.floor.now_for(kind, ask.walltime_seconds)
        if spot is not None:
            self._place(ask, kind, spot)
            return
        self._ahead.add(ask)
        if over_quota is not None:
            self._wait_for_quota(ask, kind, over_quota)
        elif self._giving_way.could_help(ask) and self._make_room(ask, kind):
            return
        elif self._kept < self._kept_max or starves(ask, self._now, self._policy):
            self._keep(ask, kind, self.floor.soonest(kind, ask.walltime_seconds))
        else:
            self._wait_in_line(ask, kind)

    # --- placing

    def _passes_a_strict_line(self, kind: Kind) -> bool:
        """Whether, without backfilling, an earlier job waits for the same machines."""
        return bool(self._blocked) and any(p.group.number in self._blocked for p in kind.places)

    def _place(self, ask: Ask, kind: Kind, spot: Spot) -> None:
        city = self.floor.city
        cards = self.floor.take(ask, kind, spot)
        positions = spot.positions * (ask.nodes if ask.spread == "node" else 1)
        self.decisions.placements.append(
            Placement(
                job_id=ask.job_id,
                machines=tuple(city.machines[position] for position in positions),
                cards=cards,
                reason=telling.placed(city, ask, kind, spot, self._now),
                warnings=telling.warnings(ask, self._now),
            )
        )

    # --- giving way

    def _make_room(self, ask: Ask, kind: Kind) -> bool:
        """Have others give way if the job then starts earlier, and keep what they leave."""
        by = self.floor.at + self._giving_way.grace_seconds
        soonest = self.floor.soonest(kind, ask.walltime_seconds)
        if soonest is not None and soonest.start <= by:
            return False
        victims = self._giving_way.victims(ask, kind)
        if not victims:
            return False
        self.decisions.preemptions.extend(self._giving_way.tell(ask, victims))
        self._keep(ask, kind, self.floor.soonest(kind, ask.walltime_seconds), "wait_preempting")
        return True

    # --- waiting

    def _keep(self, ask: Ask, kind: Kind, spot: Spot | None, code: str | None = None) -> None:
        """Keep the soonest start for the job and tell it."""
        self._block(kind)
        if spot is None:
            self._wait_in_line(ask, kind)
            return
        seconds = ask.walltime_seconds
        expected = self.floor.expected(kind, spot, seconds)
        if code is None:
            beside = self.floor.has_room_beside_kept(kind)
            code = "wait_for_an_earlier_job" if beside else "wait_no_room"
        self.floor.keep(kind, spot, seconds)
        self._kept += 1
        reason = telling.kept(self.floor.city, ask, kind, spot, code, self._now)
        starts_at = telling.told(expected, self._now)
        self._wait(ask, kind, reason, starts_at, telling.told(spot.start, self._now))

    def _wait_in_line(self, ask: Ask, kind: Kind) -> None:
        """Tell a job far back what all of its kind are told, and an estimate of its own."""
        self._block(kind)
        if kind.soonest is None:
            spot = self.floor.soonest(kind, ask.walltime_seconds)
            kind.soonest = -1 if spot is None else spot.start
            kind.behind = self._why_behind(ask, kind, never=spot is None)
        assert kind.behind is not None  # noqa: S101 - a type
        starts_at = None
        if kind.soonest >= 0:
            start = max(kind.soonest, self.floor.at + self._ahead.seconds(ask))
            starts_at = telling.told(start, self._now)
        self._wait(ask, kind, kind.behind, starts_at, None)

    def _why_behind(self, ask: Ask, kind: Kind, *, never: bool) -> Reason:
        if never and (reason := telling.beside_others(self.floor.city, ask, kind)) is not None:
            return reason
        beside = self.floor.has_room_beside_kept(kind)
        return telling.behind(ask, kind, "wait_room_kept" if beside else "wait_in_line")

    def _block(self, kind: Kind) -> None:
        if self._policy.backfill == "none":
            self._blocked.update(place.group.number for place in kind.places)

    def _wait_for_quota(self, ask: Ask, kind: Kind, reason: Reason) -> None:
        """Tell it; and if its own was lent out, take it back."""
        if reason.code == "wait_quota_lent":
            victims = self._giving_way.borrowers(ask, kind)
            if victims:
                self.decisions.preemptions.extend(self._giving_way.tell(ask, victims))
        self._wait(ask, kind, reason, None, None)

    def _tell_no_place(self, ask: Ask, reason: Reason) -> None:
        starts_at = None
        if reason.code == "wait_green_hour":
            starts_at = next_green(self._wishes.wish(ask).places, self._now)
        helps = self._helps.of_none(ask, reason) if self._helps and starts_at is None else ()
        warned = telling.warnings(ask, starts_at)
        self.decisions.waits.append(
            Wait(ask.job_id, reason, starts_at, helps=helps, warnings=warned)
        )

    def _wait(
        self,
        ask: Ask,
        kind: Kind,
        reason: Reason,
        starts_at: datetime | None,
        starts_by: datetime | None,
    ) -> None:
        helps = self._helps.of_kind(ask, kind) if self._helps is not None else ()
        warned = telling.warnings(ask, starts_by or starts_at)
        self.decisions.waits.append(Wait(ask.job_id, reason, starts_at, starts_by, helps, warned))
