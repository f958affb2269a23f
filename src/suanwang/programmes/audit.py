"""The promises of programmes held against every row: grants, orders, receipts. Reads only."""

from __future__ import annotations

from suanwang.core.errors import SuanwangError
from suanwang.core.findings import SHOWN_MAX, Check, Finding, Words
from suanwang.metering.held import held
from suanwang.metering.rules import city_day
from suanwang.programmes import audit_sql as sql
from suanwang.programmes.models import PaymentOrder
from suanwang.vouchers.policy_in_force import by_hash

FUNDING = "baoding-2024: funding clause"


def checks() -> tuple[Check, ...]:
    """All checks of this room, in the order they are best read."""
    return (
        check_grants,
        check_shares_add_up,
        check_split,
        check_paid_with_right,
        check_receipts,
        check_duties,
    )


def check_grants() -> Finding:
    """No voucher without an application, none above what was asked."""
    return held(
        "vouchers_come_from_applications",
        Words(
            zh="每张算力券都来自一份申领，面额不超过申领金额。",
            en="Every voucher comes from an application and is at most what it asked.",
        ),
        sql.COUNT_APPLICATIONS,
        sql.WRONG_GRANTS,
    )


def check_shares_add_up() -> Finding:
    """Invariant 8."""
    return held(
        "shares_add_up_to_the_fen",
        Words(
            zh="每张拨付单：各级份额之和等于拨付额，也等于核准额，分毫不差。",
            en="The shares of an order add up to its amount and to the approved one, to the fen.",
        ),
        sql.COUNT_ORDERS,
        sql.UNEVEN_SHARES,
        FUNDING,
    )


def check_split() -> Finding:
    """Split again by the table of that day, the shares are the same."""
    checked, broken = 0, []
    for order in PaymentOrder.objects.prefetch_related("shares").order_by("number"):
        checked += 1
        shares = {(share.level, share.division): share.amount_fen for share in order.shares.all()}
        if _split_again(order) != shares:
            broken.append(f"order {order.number}: the policy splits it otherwise")
    return Finding(
        "orders_are_split_by_the_policy",
        Words(
            zh="每张拨付单按当时的政策重新分担，份额相同。",
            en="Every order split again by the policy of its day has the same shares.",
        ),
        checked,
        broken[:SHOWN_MAX],
        FUNDING,
    )


def _split_again(order: PaymentOrder) -> dict[tuple[str, str], int] | None:
    if order.package_id is None:
        return None
    try:
        split = by_hash(order.package_id).split(
            order.division, order.amount_fen, on=city_day(order.ordered_at)
        )
    except SuanwangError:
        return None
    return {
        (share.level, share.division): share.amount_fen
        for share in split.shares
        if share.amount_fen
    }


def check_paid_with_right() -> Finding:
    """Invariant 9."""
    return held(
        "no_payment_without_approval",
        Words(
            zh="没有核准的兑付申请和付清的账单，就没有拨付单。",
            en="No payment order without an approved claim on fully paid invoices.",
        ),
        sql.COUNT_ORDERS,
        sql.PAID_WITHOUT_RIGHT,
        FUNDING,
    )


def check_receipts() -> Finding:
    """Each share has its one state in the ledger; the last receipt closes the order."""
    return held(
        "receipts_stand_in_the_ledger",
        Words(
            zh="每个份额的回单状态与账簿一致，全部到账的拨付单已办结。",
            en="Every share stands in the ledger as its receipt says; a whole order is closed.",
        ),
        sql.COUNT_SHARES,
        sql.WRONG_SHARES,
    )


def check_duties() -> Finding:
    """Three people for every yuan, from the rows themselves and not from the duties taken."""
    return held(
        "three_people_for_every_voucher",
        Words(
            zh="同一张算力券的发放、审核与拨付由不同的人办理。",
            en="Nobody granted, reviewed and paid the same voucher.",
        ),
        sql.COUNT_DUTIES,
        sql.MIXED_DUTIES,
    )
