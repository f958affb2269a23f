"""How far a thing has come, as one line of steps: done, current, next, or stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from suanwang.core.money import format_yuan
from suanwang.programmes.models import Application, PaymentOrder
from suanwang.vouchers.models import Claim


@dataclass(frozen=True)
class Step:
    """One step with who and when; ``note`` says what it waits for."""

    title: str
    state: str
    at: datetime | None = None
    who: str = ""
    note: str = ""


def of_application(one: Application) -> list[Step]:
    """Filed, decided, voucher."""
    steps = [Step(_("Filed"), "done", one.filed_at, str(one.filed_by))]
    decided_by = str(one.decided_by) if one.decided_by else ""
    match one.state:
        case "filed":
            steps += [
                Step(_("Decision"), "current", note=_("waits for a reviewer of the bureau")),
                Step(_("Voucher"), "next"),
            ]
        case "granted":
            voucher = one.voucher
            face = format_yuan(voucher.face_fen) if voucher else ""
            steps += [
                Step(_("Granted"), "done", one.decided_at, decided_by, one.decision_reason),
                Step(_("Voucher"), "done", one.decided_at, note=face),
            ]
        case "rejected":
            steps.append(
                Step(_("Rejected"), "stopped", one.decided_at, decided_by, one.decision_reason)
            )
        case _other:
            steps.append(Step(_("Withdrawn"), "stopped"))
    return steps


def of_claim(one: Claim, orders: list[PaymentOrder]) -> list[Step]:
    """Filed, reviewed, ordered, paid."""
    reviewer = str(one.reviewed_by) if one.reviewed_by else ""
    steps = [Step(_("Filed"), "done", one.filed_at, str(one.filed_by))]
    if one.state == Claim.State.FILED:
        note = _("waits for an official other than the one who granted")
        steps.append(Step(_("Review"), "current", note=note))
    elif one.state == Claim.State.REJECTED:
        return [
            *steps,
            Step(_("Rejected"), "stopped", one.reviewed_at, reviewer, one.review_reason),
        ]
    elif one.state == Claim.State.WITHDRAWN:
        return [*steps, Step(_("Withdrawn"), "stopped")]
    else:
        steps.append(Step(_("Approved"), "done", one.reviewed_at, reviewer, one.review_reason))
    returned = [order for order in orders if order.state == PaymentOrder.State.RETURNED]
    steps += [
        Step(_("Order returned"), "done", order.closed_at, note=order.reason) for order in returned
    ]
    live = next((order for order in orders if order.state != PaymentOrder.State.RETURNED), None)
    if live is None:
        waits = one.state == Claim.State.APPROVED
        note = _("waits for the finance bureau's order") if waits else ""
        return [
            *steps,
            Step(_("Payment order"), "current" if waits else "next", note=note),
            Step(_("Paid"), "next"),
        ]
    steps.append(
        Step(_("Payment ordered"), "done", live.ordered_at, str(live.ordered_by), live.number)
    )
    if live.state == PaymentOrder.State.PAID:
        return [*steps, Step(_("Paid"), "done", live.closed_at)]
    return [*steps, Step(_("Paid"), "current", note=_("waits for the treasuries' receipts"))]
