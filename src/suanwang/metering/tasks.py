"""What the worker does for metering, on request and by the calendar."""

from __future__ import annotations

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from suanwang.core.errors import Unavailable
from suanwang.metering import services
from suanwang.metering.models import ChannelPayment
from suanwang.site import clock

_ROUNDS_AT_MOST = 100


@app.periodic(cron="* * * * *")
@app.task(name="metering.rate_and_settle", queue="money")
def rate_and_settle(timestamp: int | None = None) -> None:
    """Rate what came in, settle what has ended. Also every minute, should a request be lost."""
    at = clock.now()
    for _ in range(_ROUNDS_AT_MOST):
        if not any(services.rate_pending(at=at)):
            break
    services.settle_ended(at=at)


@app.periodic(cron="10 1 1 * *")
@app.task(name="metering.issue_monthly_invoices", queue="money")
def issue_monthly_invoices(timestamp: int | None = None) -> None:
    """On the first of each month: invoices for everybody with settled, uninvoiced use."""
    services.issue_all(at=clock.now())


_ASK_AGAIN = RetryStrategy(max_attempts=60, wait=5, linear_wait=5)


@app.task(name="metering.confirm_channel_payment", queue="money", retry=_ASK_AGAIN)
def confirm_channel_payment(reference: str) -> None:
    """Ask the channel how a payment ended; while it does not know, ask again later."""
    payment = services.confirm_channel_payment(reference, at=clock.now())
    if payment.state == ChannelPayment.State.STARTED:
        raise Unavailable("channel_has_no_answer", reference=reference)
