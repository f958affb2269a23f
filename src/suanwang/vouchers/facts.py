"""What the policy is asked about fees, from rows to facts; and its answer in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from django.db.models import Sum

from suanwang.ledger import chart
from suanwang.ledger.queries import balance
from suanwang.metering.models import Payment
from suanwang.people.models import Organisation
from suanwang.policy import Decision, Package
from suanwang.vouchers.rules import FeeLine

Facts = dict[str, object]


def of_fees(
    package: Package,
    measure: str,
    organisation: Organisation,
    lines: Sequence[FeeLine],
    *,
    year: int,
    filed_on: date,
    voucher_available_fen: int,
) -> Facts:
    """What the platform knows about paid lines of local centres, of what a measure asks.

    A fact the platform cannot know is left out: deciding then names it, and assumes nothing.
    """
    paid_on = max(line.paid_on for line in lines)
    known: dict[str, Callable[[], object]] = {
        "applicant_kind": lambda: str(organisation.kind),
        "division_code": lambda: organisation.division,
        "paid_fee_fen": lambda: sum(line.fee_fen for line in lines),
        "platform_is_local": lambda: True,  # other lines never get here: queries.claimable_lines
        "fee_item": lambda: "compute",  # so far every meter of the platform measures compute
        "service_start": lambda: min(line.first_day for line in lines),
        "service_end": lambda: max(line.last_day for line in lines),
        "paid_on": lambda: paid_on,
        "filed_on": lambda: filed_on,
        "spend_year_fen": lambda: paid_in_year(organisation, paid_on.year),
        "unit_year_used_fen": lambda: approved_in_year(package, year, organisation),
        "pool_used_fen": lambda: balance(chart.redeemed(package.name, year).id).credits_posted,
        "voucher_available_fen": lambda: voucher_available_fen,
    }
    return {name: known[name]() for name in package.measure(measure).facts if name in known}


def approved_in_year(package: Package, year: int, organisation: Organisation) -> int:
    """What was approved for payment to a unit in a year, in fen; the cap counts it (A5)."""
    allowance = chart.payment_allowance(package.name, year, organisation.pk)
    return balance(allowance.id).debits_posted


def paid_in_year(organisation: Organisation, year: int) -> int:
    """What an organisation paid for invoices of the platform in a calendar year, in fen."""
    payments = Payment.objects.filter(invoice__organisation=organisation, paid_on__year=year)
    return payments.aggregate(total=Sum("amount_fen"))["total"] or 0


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
