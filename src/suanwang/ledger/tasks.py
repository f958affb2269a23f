"""Background work of the ledger: pending transfers whose time is over are released."""

from __future__ import annotations

from procrastinate.contrib.django import app

from suanwang.ledger import services
from suanwang.site import clock


@app.periodic(cron="* * * * *")
@app.task(queue="ledger", pass_context=False)
def expire_due(timestamp: int) -> int:
    """Every minute: let what is due expire, a thousand at a time. Safe to run twice."""
    released = 0
    while batch := services.expire_due(clock.now()):
        released += batch
    return released
