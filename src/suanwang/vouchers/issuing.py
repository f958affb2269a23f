"""What the policy says to issuing a voucher: the one call for those who apply and who grant."""

from __future__ import annotations

from datetime import date, datetime

from suanwang.core.errors import Refused
from suanwang.ledger import chart
from suanwang.ledger.queries import balance
from suanwang.metering.rules import city_day
from suanwang.people.models import Organisation
from suanwang.policy import Decision, Package
from suanwang.policy.years import year_of
from suanwang.vouchers import facts as facts_of
from suanwang.vouchers.policy_in_force import budget_year, in_force, issue_measure


def most_for(organisation: Organisation, asked_fen: int, *, at: datetime) -> Decision:
    """What could be issued at most to a unit that applies today, if nothing was issued before.

    What others and the unit itself were issued counts on the day of the grant, for until then
    vouchers expire back into the pool. Refuses ``voucher_not_eligible`` with the policy's reasons,
    and what deciding refuses outside the policy's days.
    """
    facts: facts_of.Facts = {"unit_year_issued_fen": 0, "pool_issued_fen": 0}
    return _decide(organisation, asked_fen, facts, filed_on=city_day(at), at=at)


def issuable(
    organisation: Organisation, face_fen: int, *, filed_on: date, at: datetime
) -> Decision:
    """What can be issued now of a face value, to a unit that applied on a day. Refuses the same."""
    policy, year = in_force().name, budget_year(at)
    allowance = balance(chart.issue_allowance(policy, year, organisation.pk).id)
    put_in = balance(chart.appropriation(policy, year).id).debits_posted
    facts: facts_of.Facts = {
        "unit_year_issued_fen": allowance.debits_posted,
        "pool_issued_fen": put_in - balance(chart.pool(policy, year).id).available,
    }
    return _decide(organisation, face_fen, facts, filed_on=filed_on, at=at)


def _decide(
    organisation: Organisation,
    asked_fen: int,
    issued: facts_of.Facts,
    *,
    filed_on: date,
    at: datetime,
) -> Decision:
    facts: facts_of.Facts = {
        "applicant_kind": str(organisation.kind),
        "division_code": organisation.division,
        "filed_on": filed_on,
        "asked_fen": asked_fen,
        **issued,
    }
    decision = in_force().decide(issue_measure(), facts, on=city_day(at))
    if not decision.eligible:
        raise Refused("voucher_not_eligible", **facts_of.unmet(decision))
    return decision


def last_day(package: Package, on: date) -> date:
    """The last day of a voucher issued on a day: the package says whether its year ends it."""
    until = package.parameter("voucher.valid_until", on).value
    if until == "claims_end":
        return package.tail_until
    return min(year_of(package, on).last_day, package.tail_until)
