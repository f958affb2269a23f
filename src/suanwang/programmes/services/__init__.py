"""The verbs of programmes: the only writers of its tables, one transaction each."""

from __future__ import annotations

from suanwang.programmes.services.applications import file_application, grant, reject, withdraw
from suanwang.programmes.services.payment_orders import (
    issue_payment_order,
    record_receipt,
    return_order,
)
from suanwang.vouchers.services import fund_pool

__all__ = [
    "file_application",
    "fund_pool",
    "grant",
    "issue_payment_order",
    "record_receipt",
    "reject",
    "return_order",
    "withdraw",
]
