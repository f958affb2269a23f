"""Background work of jobs, by the calendar: all of it safe to run twice."""

from __future__ import annotations

from procrastinate.contrib.django import app

from suanwang.jobs import bells, services
from suanwang.site import clock


@app.periodic(cron="*/10 * * * *")
@app.task(name="jobs.forget_nonces", queue="jobs", pass_context=False)
def forget_nonces(timestamp: int) -> int:
    """Drop the nonces of signed requests that nobody could use again."""
    return services.forget_nonces(clock.now())


@app.periodic(cron="* * * * *")
@app.task(name="jobs.wake_dispatcher", queue="jobs", pass_context=False)
def wake_dispatcher(timestamp: int) -> None:
    """Ring for the dispatchers once a minute, should they have missed something."""
    bells.ring(bells.QUEUE)
