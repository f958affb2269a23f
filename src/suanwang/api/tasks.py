"""Background work of the door: old answers and old failed sign-ins are forgotten."""

from __future__ import annotations

from procrastinate.contrib.django import app

from suanwang.api.idempotency import forget_old_answers
from suanwang.people.services import forget_old_failures
from suanwang.site import clock


@app.periodic(cron="17 * * * *")
@app.task(queue="api", pass_context=False)
def forget_what_is_over(timestamp: int) -> int:
    """Every hour. Safe to run twice."""
    at = clock.now()
    return forget_old_answers(at=at) + forget_old_failures(at=at)
