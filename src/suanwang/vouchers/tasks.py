"""What the worker does for vouchers by the calendar."""

from __future__ import annotations

from procrastinate.contrib.django import app

from suanwang.site import clock
from suanwang.vouchers import services


@app.periodic(cron="*/10 * * * *")
@app.task(name="vouchers.expire", queue="money")
def expire(timestamp: int | None = None) -> None:
    """Take back what is left on vouchers whose last day is over."""
    services.expire_vouchers(at=clock.now())
