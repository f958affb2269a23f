"""The verbs of vouchers: the only writers of its tables, one transaction each."""

from __future__ import annotations

from suanwang.vouchers.services.claims import (
    advance,
    file_claim,
    lock_claim,
    matter,
    review_claim,
    withdraw_claim,
)
from suanwang.vouchers.services.entitlements import (
    expire_vouchers,
    fund_pool,
    issue,
    open_allowances,
)

__all__ = [
    "advance",
    "expire_vouchers",
    "file_claim",
    "fund_pool",
    "issue",
    "lock_claim",
    "matter",
    "open_allowances",
    "review_claim",
    "withdraw_claim",
]
