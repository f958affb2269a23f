"""Background work of the registry, by the calendar: safe to run twice."""

from __future__ import annotations

from procrastinate.contrib.django import app

from suanwang.registry import services
from suanwang.site import clock


@app.periodic(cron="* * * * *")
@app.task(name="registry.give_up_measurements", queue="jobs", pass_context=False)
def give_up_measurements(timestamp: int) -> int:
    """End the measurements of links that no agent answered in time."""
    return services.give_up(at=clock.now())
