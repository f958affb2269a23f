"""Applications and payment orders over HTTP."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Status

from suanwang.api.http import Page, Paging, page, viewer_of
from suanwang.people.services import require
from suanwang.programmes import queries, schemas, services
from suanwang.site import clock
from suanwang.vouchers import queries as vouchers

router = Router(tags=["programmes"])

ApplicationState = Literal["filed", "granted", "rejected", "withdrawn"]
OrderState = Literal["ordered", "paid", "returned"]


@router.get("/applications", response=Page[schemas.ApplicationOut])
def applications(
    request: HttpRequest, paging: Query[Paging], state: ApplicationState | None = None
) -> Any:
    """Applications for vouchers, the newest first."""
    found = queries.applications(viewer_of(request), state=state)
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-filed_at", "pk"))


@router.post("/applications", response={201: schemas.ApplicationOut})
def apply(request: HttpRequest, payload: schemas.ApplicationIn) -> Any:
    """Apply for a voucher for the own organisation."""
    filed = services.file_application(
        payload.asked_fen, payload.purpose, actor=viewer_of(request), at=clock.now()
    )
    return Status(201, filed)


@router.get("/applications/{uuid:application_id}", response=schemas.ApplicationOut)
def application(request: HttpRequest, application_id: UUID) -> Any:
    """One application."""
    return queries.application(application_id, viewer_of(request))


@router.post("/applications/{uuid:application_id}/grant", response=schemas.ApplicationOut)
def grant(request: HttpRequest, application_id: UUID, payload: schemas.GrantIn) -> Any:
    """Grant a voucher of at most what was asked."""
    viewer = viewer_of(request)
    require(viewer, "applications.grant")
    services.grant(
        queries.application(application_id, viewer),
        payload.amount_fen,
        payload.reason,
        last_day=payload.last_day,
        actor=viewer,
        at=clock.now(),
    )
    return queries.application(application_id, viewer)


@router.post("/applications/{uuid:application_id}/rejection", response=schemas.ApplicationOut)
def reject(request: HttpRequest, application_id: UUID, payload: schemas.ReasonIn) -> Any:
    """Reject an application, with a reason."""
    viewer = viewer_of(request)
    require(viewer, "applications.reject")
    return services.reject(
        queries.application(application_id, viewer), payload.reason, actor=viewer, at=clock.now()
    )


@router.post("/applications/{uuid:application_id}/withdrawal", response=schemas.ApplicationOut)
def withdraw(request: HttpRequest, application_id: UUID) -> Any:
    """Take back an application nobody has decided yet."""
    viewer = viewer_of(request)
    require(viewer, "applications.file")
    return services.withdraw(
        queries.application(application_id, viewer), actor=viewer, at=clock.now()
    )


@router.get("/payment-orders", response=Page[schemas.OrderOut])
def orders(request: HttpRequest, paging: Query[Paging], state: OrderState | None = None) -> Any:
    """Payment orders with their shares, the newest first."""
    found = queries.orders(viewer_of(request), state=state)
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-ordered_at", "pk"))


@router.post("/payment-orders", response={201: schemas.OrderOut})
def issue(request: HttpRequest, payload: schemas.OrderIn) -> Any:
    """Order the payment of an approved claim, split between city and county."""
    viewer = viewer_of(request)
    require(viewer, "payment_orders.issue")
    order = services.issue_payment_order(
        vouchers.claim(payload.claim_id, viewer), actor=viewer, at=clock.now()
    )
    return Status(201, queries.order(order.pk, viewer))


@router.get("/payment-orders/{uuid:order_id}", response=schemas.OrderOut)
def order(request: HttpRequest, order_id: UUID) -> Any:
    """One payment order."""
    return queries.order(order_id, viewer_of(request))


@router.post("/payment-orders/{uuid:order_id}/return", response=schemas.OrderOut)
def return_order(request: HttpRequest, order_id: UUID, payload: schemas.ReasonIn) -> Any:
    """Take back an order the bank returned."""
    viewer = viewer_of(request)
    require(viewer, "payment_orders.issue")
    services.return_order(
        queries.order(order_id, viewer), payload.reason, actor=viewer, at=clock.now()
    )
    return queries.order(order_id, viewer)


@router.get("/shares", response=Page[schemas.ShareOut])
def shares(request: HttpRequest, paging: Query[Paging]) -> Any:
    """Shares of payment orders; a county sees those it bears."""
    found = queries.shares(viewer_of(request))
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-pk",))


@router.post("/shares/{int:share_id}/receipt", response=schemas.ShareOut)
def receipt(request: HttpRequest, share_id: int, payload: schemas.ReceiptIn) -> Any:
    """Record the treasury's receipt for a share; the last one closes the order."""
    viewer = viewer_of(request)
    require(viewer, "payment_orders.receipt")
    return services.record_receipt(
        queries.share(share_id, viewer), payload.receipt, actor=viewer, at=clock.now()
    )
