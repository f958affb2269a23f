"""What the policy is asked about a claim, from rows to facts; and its answer in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from suanwang.ledger import chart
from suanwang.ledger.queries import balance
from suanwang.people.models import Organisation
from suanwang.policy import Decision, Package
from suanwang.vouchers import rules
from suanwang.vouchers.rules import FeeLine

Facts = dict[str, object]


def of_claim(
    package: Package,
    organisation: Organisation,
    lines: Sequence[FeeLine],
    *,
    year: int,
    filed_on: date,
    voucher_available_fen: int,
) -> Facts:
    """The facts of measure 5c for a claim against paid lines of local centres."""
    first, last = rules.service_period(
        lines, valid_from=package.valid_from, valid_to=package.valid_to
    )
    return {
        "applicant_kind": organisation.kind,
        "division_code": organisation.division,
        "paid_fee_fen": sum(line.fee_fen for line in lines),
        "platform_is_local": True,  # other lines never get here: see queries.claimable_lines
        "service_start": first,
        "service_end": last,
        "paid_on": max(line.paid_on for line in lines),
        "filed_on": filed_on,
        "unit_year_used_fen": approved_in_year(package, year, organisation),
        "voucher_available_fen": voucher_available_fen,
    }


def approved_in_year(package: Package, year: int, organisation: Organisation) -> int:
    """What was approved for payment to a unit in a year, in fen; the cap counts it (A5)."""
    allowance = chart.payment_allowance(package.name, year, organisation.pk)
    return balance(allowance.id).debits_posted


def as_json(facts: Facts) -> dict[str, object]:
    """Facts as plain data; the policy reads dates as ISO text as well."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in facts.items()
    }


def unmet(decision: Decision) -> Mapping[str, str]:
    """The conditions that do not hold, in both languages, one sentence each."""
    failed = [condition for condition in decision.conditions if not condition.met]
    return {
        "reasons": ", ".join(condition.name for condition in failed),
        "reasons_zh": "；".join(condition.label.get("zh", condition.name) for condition in failed),
        "reasons_en": "; ".join(condition.label.get("en", condition.name) for condition in failed),
    }
