"""How many things wait for one viewer, by affair. Each count stops at 100: more is more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet

from suanwang.jobs.models import Job
from suanwang.metering.models import Invoice, RatingProblem
from suanwang.people.models import Organisation
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible
from suanwang.programmes.models import Application, PaymentShare
from suanwang.registry.models import Cluster, SiteAgent
from suanwang.vouchers.models import Claim

COUNT_MAX: Final = 100
SILENT_AFTER: Final = timedelta(minutes=5)


def _some(rows: QuerySet[Any]) -> int:
    return rows.order_by()[:COUNT_MAX].count()


def inbox(viewer: Viewer, at: datetime) -> int:
    """Everything that waits for this official or operator."""
    duties = (applications, claims, payment_orders, organisations, rating_problems)
    return sum(duty(viewer, at) for duty in duties)


def jobs(viewer: Viewer, at: datetime) -> int:
    """Jobs of one's own that have not ended."""
    if viewer.role not in (Role.OWNER, Role.MEMBER):
        return 0
    return _some(visible(Job, viewer).exclude(state__in=Job.ENDED))


def rating_problems(viewer: Viewer, at: datetime) -> int:
    """Usage that could not be rated."""
    if not viewer.may("rating.resolve"):
        return 0
    return _some(visible(RatingProblem, viewer).filter(resolved_at=None))


def silent_agents(viewer: Viewer, at: datetime) -> int:
    """Enrolled agents not heard from lately."""
    if not viewer.may("agents.enrol"):
        return 0
    return _some(
        visible(SiteAgent, viewer)
        .filter(enrolled_at__isnull=False, revoked_at=None, last_seen_at__lt=at - SILENT_AFTER)
        .exclude(cluster__engine=Cluster.Engine.MEMORY)
    )


def invoices(viewer: Viewer, at: datetime) -> int:
    """Invoices one has to pay."""
    if not viewer.may("invoices.pay"):
        return 0
    return _some(visible(Invoice, viewer).filter(status=Invoice.Status.ISSUED))


def applications(viewer: Viewer, at: datetime) -> int:
    """Applications to be granted or rejected."""
    if not viewer.may("applications.grant"):
        return 0
    return _some(visible(Application, viewer).filter(state=Application.State.FILED))


def claims(viewer: Viewer, at: datetime) -> int:
    """Claims to be reviewed."""
    if not viewer.may("claims.review"):
        return 0
    return _some(visible(Claim, viewer).filter(state=Claim.State.FILED))


def open_shares(viewer: Viewer) -> QuerySet[PaymentShare]:
    """Shares whose receipt this viewer records: a county its own, the city's finance its own."""
    shares = visible(PaymentShare, viewer).filter(receipt="", order__state="ordered")
    if viewer.role is Role.COUNTY:
        return shares.filter(level="county")
    return shares.filter(level="city")


def payment_orders(viewer: Viewer, at: datetime) -> int:
    """Claims to be ordered, and shares whose receipt is missing."""
    waiting = 0
    if viewer.may("payment_orders.issue"):
        waiting += _some(visible(Claim, viewer).filter(state=Claim.State.APPROVED))
    if viewer.may("payment_orders.receipt"):
        waiting += _some(open_shares(viewer))
    return waiting


def organisations(viewer: Viewer, at: datetime) -> int:
    """Organisations to approve, or whose credit code needs a decision."""
    pending = visible(Organisation, viewer).filter(status=Organisation.Status.PENDING)
    if viewer.may("organisation.approve"):
        return _some(pending)
    if viewer.may("organisation.override_uscc"):
        return _some(pending.filter(uscc_valid=False, uscc_override_reason=""))
    return 0
