"""The verbs of jobs: the only writers of their tables, one transaction each."""

from suanwang.jobs.estimate import estimate
from suanwang.jobs.services.batch import BATCH_JOBS_MAX, submit_batch
from suanwang.jobs.services.cancellation import cancel
from suanwang.jobs.services.dispatch import Memory, abandon_expired, dispatch_once
from suanwang.jobs.services.leases import GiveWay, Lease, Orders, lease
from suanwang.jobs.services.output import put_file, take_log
from suanwang.jobs.services.reports import (
    CentreQueue,
    SiteRefusal,
    StateReport,
    attempt_of,
    take_states,
)
from suanwang.jobs.services.requests import forget_nonces, use_nonce
from suanwang.jobs.services.reservations import cancel_reservation, reserve_nodes
from suanwang.jobs.services.shares import Share, set_share
from suanwang.jobs.services.submission import submit

__all__ = [
    "BATCH_JOBS_MAX",
    "CentreQueue",
    "GiveWay",
    "Lease",
    "Memory",
    "Orders",
    "Share",
    "SiteRefusal",
    "StateReport",
    "abandon_expired",
    "attempt_of",
    "cancel",
    "cancel_reservation",
    "dispatch_once",
    "estimate",
    "forget_nonces",
    "lease",
    "put_file",
    "reserve_nodes",
    "set_share",
    "submit",
    "submit_batch",
    "take_log",
    "take_states",
    "use_nonce",
]
