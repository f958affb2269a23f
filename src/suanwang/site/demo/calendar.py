"""Loads the demo: founds the city ninety days ago and lets it live until now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path

from django.db import connection, transaction

from suanwang import policy
from suanwang.core.clock import CITY_ZONE, SimulatedClock
from suanwang.core.errors import Refused
from suanwang.people.models import Organisation
from suanwang.site import clock as site_clock
from suanwang.site.demo import Progress, cast, months
from suanwang.site.demo.data import city
from suanwang.site.demo.days import Life
from suanwang.site.settings import CLOCK_OFFSET_FILE, settings

SEED = 20240125
CALENDAR: tuple[tuple[int, Callable[..., None], dict[str, bool]], ...] = (
    (30, months.issue, {}),
    (33, months.pay, {}),
    (35, months.claim, {}),
    (38, months.review, {}),
    (40, months.order, {}),
    (43, months.receive, {}),
    (60, months.issue, {}),
    (63, months.pay, {}),
    (65, months.claim, {}),
    (68, months.review, {}),
    (70, months.order, {}),
    (73, months.receive, {}),
    (84, months.issue, {}),
    (86, months.pay, {}),
    (87, months.claim, {}),
    (88, months.review, {"unfinished": True}),
    (89, months.order, {"unfinished": True}),
)
"""On which day what is done. The last round stops half-way, so that every inbox has work."""

ENERGY_EVERY_DAYS = 30
COUNTED_EVERY_DAYS = 7
BEFORE_THE_END = timedelta(days=45)
"""At least so much of the policy's validity is left on the demo's first real day."""


def load(progress: Progress, *, seed: int = SEED) -> bool:
    """Load once. The database commits as a real city's does; only durability waits for the end.

    Refuses ``demo_in_production``.
    """
    if settings().env == "production":
        raise Refused("demo_in_production")
    days = settings().demo_days
    if Organisation.objects.filter(uscc=city()["organisations"]["operator"]["uscc"]).exists():
        return False
    stay_in_force(settings().home)
    end = site_clock.now()
    clock = SimulatedClock(end - timedelta(days=days))
    with site_clock.using(clock), transaction.atomic():
        _live(clock, end, days, seed, progress)
    return True


def stay_in_force(home: Path) -> timedelta:
    """Open the demo while its policy is in force, whenever that is: its clock may run behind.

    A real city's clock never moves; there the policy ends, and what comes after it is decided.
    """
    last_day = policy.load(settings().policies / settings().policy).valid_to
    latest = datetime.combine(last_day, time.min, CITY_ZONE) - BEFORE_THE_END
    behind = min(latest - site_clock.now(), timedelta(0))
    if behind:
        seconds = int(behind.total_seconds())
        (home / CLOCK_OFFSET_FILE).write_text(str(seconds), encoding="ascii")
        site_clock.use(site_clock.SystemClock(timedelta(seconds=seconds)))
    return behind


def _count_rows() -> None:
    """Nobody else sees this transaction's rows: without this the planner takes all for empty."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _live(clock: SimulatedClock, end: datetime, days: int, seed: int, progress: Progress) -> None:
    start = clock.now()
    progress("people", 0, days)
    people = cast.Cast()
    cast.found_offices(people, at=start)
    cast.register_members(people, at=start)
    cast.register_centres(people, at=start)
    months.first_week(people, at=start)
    life = Life(people, clock, end=end, seed=seed)

    def tell(at: datetime) -> None:
        progress("days", (at - start).days, days)

    for day in range(days):
        moment = start + timedelta(days=day)
        life.go_on(moment, tell)
        if day % COUNTED_EVERY_DAYS == 1:
            _count_rows()
        for _, act, how in filter(lambda entry: entry[0] == day, CALENDAR):
            act(people, at=moment, **how)
    life.go_on(end, tell)
    _count_rows()
    months.last_day(people, at=end)
    for since in range(0, days, ENERGY_EVERY_DAYS):
        period_end = min(start + timedelta(days=since + ENERGY_EVERY_DAYS), end)
        cast.report_month_of_energy(
            people, start=start + timedelta(days=since), end=period_end, at=end
        )
    progress("days", days, days)
