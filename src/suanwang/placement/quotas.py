"""What organisations are sure of, and what they lend each other meanwhile.

An organisation may hold its quota. Beyond it, if it may borrow, what others of its cohort do not
use and lend. An organisation that wants its own back while others have borrowed it may have their
preemptible jobs give way (``giving_way``). Who has no quota is bound by none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from suanwang.placement.groups import total
from suanwang.placement.terms import Ask, Quota, Reason

Use = Mapping[str, Sequence[int]]
"""Milli-cores, MiB and milli-cards each organisation holds."""


class Quotas:
    """The quotas of a policy over what is held now; ``use`` is read anew at each question."""

    def __init__(self, quotas: Sequence[Quota], use: Use) -> None:
        self._of = {quota.organisation: quota for quota in quotas}
        self._use = use
        self._cohorts: dict[str, list[Quota]] = {}
        for quota in self._of.values():
            self._cohorts.setdefault(quota.cohort, []).append(quota)

    def refusal(self, ask: Ask, given_up: tuple[int, int] = (0, 0)) -> Reason | None:
        """Why its organisation may not hold the job too; None: it may.

        ``given_up``: milli-cores and milli-cards others of its cohort will have given up by then.
        """
        quota = self._of.get(ask.organisation)
        if quota is None:
            return None
        if not self.within(ask) and not quota.borrow:
            return self._reason("wait_quota", ask, quota)
        cores, _, cards = total(ask.room, ask.nodes)
        asked_of = self._pair(ask.organisation)
        for part, (asked, held) in enumerate(zip((cores, cards), asked_of, strict=True)):
            others = [each for each in self._cohorts[quota.cohort] if each is not quota]
            whole = _sure(quota)[part] + sum(_sure(each)[part] for each in others)
            taken = sum(self._taken(each)[part] for each in others) - given_up[part]
            if asked and held + asked + taken > whole:
                code = "wait_quota_lent" if self.within(ask) else "wait_cohort"
                return self._reason(code, ask, quota)
        return None

    def within(self, ask: Ask) -> bool:
        """Whether its organisation has a quota and stays within it with the job."""
        quota = self._of.get(ask.organisation)
        if quota is None:
            return False
        cores, _, cards = total(ask.room, ask.nodes)
        pairs = zip((cores, cards), self._pair(ask.organisation), _sure(quota), strict=True)
        return all(not asked or held + asked <= sure for asked, held, sure in pairs)

    def may_reclaim(self, ask: Ask, organisation: str, given_up: tuple[int, int] = (0, 0)) -> bool:
        """Whether the job takes back what ``organisation`` has borrowed of its cohort, that one
        having given up so many milli-cores and milli-cards already."""
        own, other = self._of.get(ask.organisation), self._of.get(organisation)
        if own is None or other is None or own is other or own.cohort != other.cohort:
            return False
        held = self._pair(organisation)
        left = (held[0] - given_up[0], held[1] - given_up[1])
        over = any(have > sure for have, sure in zip(left, _sure(other), strict=True))
        return over and self.within(ask)

    def _pair(self, organisation: str) -> tuple[int, int]:
        use = self._use.get(organisation, (0, 0, 0))
        return use[0], use[2]

    def _taken(self, quota: Quota) -> tuple[int, int]:
        """What of the cohort is not to be had because of one of it."""
        held, sure = self._pair(quota.organisation), _sure(quota)
        if quota.lend:
            return held
        return max(held[0], sure[0]), max(held[1], sure[1])

    def _reason(self, code: str, ask: Ask, quota: Quota) -> Reason:
        cores, cards = self._pair(ask.organisation)
        facts: dict[str, str | int] = {
            "organisation": ask.organisation,
            "cohort": quota.cohort,
            "used_cores": f"{cores / 1000:g}",
            "quota_cores": f"{quota.core_milli / 1000:g}",
            "used_cards": f"{cards / 1000:g}",
            "quota_cards": f"{quota.card_milli / 1000:g}",
        }
        return Reason(code, facts)


def _sure(quota: Quota) -> tuple[int, int]:
    return quota.core_milli, quota.card_milli
