"""The verbs of metering: the only writers of its tables, one transaction each."""

from __future__ import annotations

from suanwang.metering.services.invoicing import issue_all, issue_invoice
from suanwang.metering.services.payments import (
    confirm_channel_payment,
    record_payment,
    start_channel_payment,
)
from suanwang.metering.services.rating import rate_pending, resolve_problem
from suanwang.metering.services.settlement import settle, settle_ended, settle_without_usage
from suanwang.metering.services.usage import take_usage

__all__ = [
    "confirm_channel_payment",
    "issue_all",
    "issue_invoice",
    "rate_pending",
    "record_payment",
    "resolve_problem",
    "settle",
    "settle_ended",
    "settle_without_usage",
    "start_channel_payment",
    "take_usage",
]
