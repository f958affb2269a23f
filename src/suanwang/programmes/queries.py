"""Reads: applications and payment orders, each as far as a viewer may see them."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from suanwang.core.errors import NotFound
from suanwang.people.scope import Viewer, visible
from suanwang.people.services import require
from suanwang.programmes.models import Application, PaymentOrder, PaymentShare


def applications(viewer: Viewer, *, state: str | None = None) -> QuerySet[Application]:
    """Applications a viewer may see: the own ones, or all for the offices of the city."""
    require(viewer, "applications.read")
    rows = visible(Application, viewer).select_related("organisation", "voucher")
    return rows.filter(state=state) if state else rows


def application(application_id: UUID, viewer: Viewer) -> Application:
    """One application. Refuses ``application_not_found``, also for those out of sight."""
    found = applications(viewer).filter(pk=application_id).first()
    if found is None:
        raise NotFound("application_not_found")
    return found


def orders(viewer: Viewer, *, state: str | None = None) -> QuerySet[PaymentOrder]:
    """Payment orders a viewer may see, with their shares."""
    require(viewer, "payment_orders.read")
    rows = (
        visible(PaymentOrder, viewer)
        .select_related("claim__organisation")
        .prefetch_related("shares")
    )
    return rows.filter(state=state) if state else rows


def order(order_id: UUID, viewer: Viewer) -> PaymentOrder:
    """One order. Refuses ``order_not_found``, also for those out of sight."""
    found = orders(viewer).filter(pk=order_id).first()
    if found is None:
        raise NotFound("order_not_found")
    return found


def shares(viewer: Viewer) -> QuerySet[PaymentShare]:
    """Shares a viewer may see: of a county, those it bears."""
    require(viewer, "payment_orders.read")
    return visible(PaymentShare, viewer).select_related("order__claim__organisation")


def share(share_id: int, viewer: Viewer) -> PaymentShare:
    """One share. Refuses ``share_not_found``."""
    found = shares(viewer).filter(pk=share_id).first()
    if found is None:
        raise NotFound("share_not_found")
    return found
