"""Best, highest, not twice: which policy supports which paid line, and why (question A30).

A claim is put to every policy of the city that may support its fees. Each line goes to the one
policy under which all lines together get most. A claim keeps the lines that get most by its own
policy; the others stay free, and the applicant reads where to turn with them. What was compared is
kept with the claim, with the facts and the content hash of every policy, so that it can be compared
again years later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from suanwang.core.errors import SuanwangError
from suanwang.ledger import chart
from suanwang.ledger.queries import balances
from suanwang.metering.rules import city_day
from suanwang.people.models import Organisation
from suanwang.policy import Decision, Package
from suanwang.policy.overlap import Offer
from suanwang.vouchers import facts as facts_of
from suanwang.vouchers.dealing import deal
from suanwang.vouchers.models import Voucher
from suanwang.vouchers.policy_in_force import budget_year, overlapping, policy_of
from suanwang.vouchers.rules import FeeLine

FEE = "paid_fee_fen"


@dataclass(frozen=True)
class Standing:
    """One policy beside a claim: what it says to all the lines together."""

    package: Package
    measure: str
    facts: facts_of.Facts
    decision: Decision | None
    refusal: SuanwangError | None = None
    """Why it says nothing at all, for example because it is not in force."""

    @property
    def name(self) -> str:
        """``baoding-2024/5c``."""
        return f"{self.package.name}/{self.measure}"

    @property
    def gives(self) -> int:
        """What it would give for all the lines, in fen."""
        return self.decision.amount_fen if self.decision else 0

    def offer(self) -> Offer:
        """The same for any part of the fees."""
        rest = {name: value for name, value in self.facts.items() if name != FEE}
        return Offer(self.package, self.measure, rest, FEE)


@dataclass(frozen=True)
class Assessment:
    """What the policies say to a claim of some lines."""

    standings: tuple[Standing, ...]
    """The claim's own policy first."""
    dealt: Mapping[str, str]
    """For each line, by its id, the name of the policy's measure that gives most."""
    awards: Mapping[str, int]
    """What each gives in this combination, in fen."""
    exact: bool
    """Whether every combination was tried."""
    lines: tuple[FeeLine, ...]
    """All lines that were compared."""
    kept: tuple[FeeLine, ...]
    """Those that get most here: what the claim stands on."""
    facts: facts_of.Facts
    """What the own policy was asked about the kept lines; about all if none is kept."""
    decision: Decision
    on: date

    @property
    def set_aside(self) -> tuple[FeeLine, ...]:
        """The lines for which another policy gives more."""
        kept = {line.id for line in self.kept}
        return tuple(line for line in self.lines if line.id not in kept)

    @property
    def better(self) -> Standing | None:
        """The policy to turn to with what is set aside."""
        taken = {self.dealt[str(line.id)] for line in self.set_aside}
        return next((one for one in self.standings if one.name in taken), None)

    def as_json(self) -> dict[str, Any]:
        """What is kept with the claim: plain data, enough to compare again."""
        offers = {one.name: one.offer() for one in self.standings if one.gives}
        contested = len(offers) > 1
        return {
            "on": self.on.isoformat(),
            "own": self.standings[0].name,
            "exact": self.exact,
            "awards": dict(self.awards),
            "offers": [_standing_json(one) for one in self.standings],
            # With one policy left there is nothing to choose line by line.
            "lines": [
                {
                    "line": str(line.id),
                    "number": line.number,
                    "fee_fen": line.fee_fen,
                    "alone": {
                        name: offer.award(line.fee_fen, self.on) for name, offer in offers.items()
                    },
                    "chosen": self.dealt[str(line.id)],
                }
                for line in self.lines
            ]
            if contested
            else [],
        }


def decide(
    voucher: Voucher, lines: Sequence[FeeLine], *, at: datetime
) -> tuple[facts_of.Facts, Decision]:
    """What the voucher's own policy says to a claim of these lines, and what it was asked."""
    package = policy_of(voucher.policy, voucher.package_hash)
    account = chart.voucher(voucher.pk).id
    facts = facts_of.of_fees(
        package,
        voucher.measure,
        voucher.holder,
        lines,
        year=budget_year(at),
        filed_on=city_day(at),
        voucher_available_fen=balances([account])[account].available,
    )
    return facts, package.decide(voucher.measure, facts, on=city_day(at))


def assess(voucher: Voucher, lines: Sequence[FeeLine], *, at: datetime) -> Assessment:
    """Put paid lines to the voucher's policy and to every other that may support them.

    The one call between vouchers and the policy engine: the amount of a claim is the decision's.
    Refuses what deciding by the own policy refuses.
    """
    on = city_day(at)
    facts, decision = decide(voucher, lines, at=at)
    own = Standing(
        policy_of(voucher.policy, voucher.package_hash), voucher.measure, facts, decision
    )
    others = overlapping(voucher.policy, voucher.measure)
    standings = (own, *(_standing(*one, voucher.holder, lines, at=at) for one in others))
    # Who pays more never gets less, as is proved of every policy: what gives nothing for all the
    # lines together gives nothing for some of them.
    live = [one for one in standings if one.gives]
    fees = {str(line.id): line.fee_fen for line in lines}
    dealt, awards, exact = deal([one.offer() for one in live], fees, on)
    if not live:
        dealt = dict.fromkeys(fees, own.name)
    kept = tuple(line for line in lines if dealt[str(line.id)] == own.name)
    if kept and len(kept) < len(lines):
        facts, decision = decide(voucher, kept, at=at)
    return Assessment(standings, dealt, awards, exact, tuple(lines), kept, facts, decision, on)


def _standing(
    package: Package,
    measure: str,
    organisation: Organisation,
    lines: Sequence[FeeLine],
    *,
    at: datetime,
) -> Standing:
    facts: facts_of.Facts = {}
    try:
        facts = facts_of.of_fees(
            package,
            measure,
            organisation,
            lines,
            year=budget_year(at),
            filed_on=city_day(at),
            voucher_available_fen=_available(organisation, package.name, at),
        )
        return Standing(package, measure, facts, package.decide(measure, facts, on=city_day(at)))
    except SuanwangError as refusal:
        return Standing(package, measure, facts, None, refusal)


def _available(organisation: Organisation, policy: str, at: datetime) -> int:
    """What is left on the valid vouchers of a policy that an organisation holds."""
    held = Voucher.objects.filter(
        holder=organisation, policy=policy, status=Voucher.Status.ISSUED, expires_at__gte=at
    )
    accounts = [chart.voucher(voucher).id for voucher in held.values_list("pk", flat=True)]
    return sum(now.available for now in balances(accounts).values())


def _standing_json(one: Standing) -> dict[str, Any]:
    measure = one.package.measure(one.measure)
    decision, refusal = one.decision, one.refusal
    unmet = (
        [condition for condition in decision.conditions if not condition.met] if decision else []
    )
    return {
        "name": one.name,
        "policy": one.package.name,
        "policy_title": dict(one.package.title),
        "measure": one.measure,
        "title": dict(measure.title),
        "article": dict(one.package.articles[measure.article]),
        "lead": dict(one.package.units[measure.lead]),
        "package_hash": one.package.content_hash,
        "facts": facts_of.as_json(one.facts),
        "amount_fen": one.gives,
        "eligible": decision.eligible if decision else False,
        "unmet": [{"name": condition.name, "label": dict(condition.label)} for condition in unmet],
        "cuts": [
            {"label": dict(cap.label), "cut_fen": cap.cut_fen}
            for cap in (decision.caps if decision else ())
            if cap.cut_fen
        ],
        "unconfirmed": len(decision.unconfirmed) if decision else 0,
        "refusal": {"code": refusal.code, "facts": _plain(refusal.facts)} if refusal else None,
    }


def _plain(facts: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value if isinstance(value, bool | int | str) else str(value)
        for name, value in facts.items()
    }
