"""Charts as plain SVG, drawn on the server; see docs/decisions for why not a chart library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.db.models import Sum
from django.db.models.functions import TruncDate

from suanwang.core.clock import CITY_ZONE
from suanwang.metering.models import Charge
from suanwang.people.scope import Viewer, visible

WIDTH: Final = 960
HEIGHT: Final = 180
LEFT: Final = 88
RIGHT: Final = 20
BOTTOM: Final = 24
TOP: Final = 12


@dataclass(frozen=True)
class Bar:
    """One bar with what it says when pointed at."""

    x: str
    y: str
    width: str
    height: str
    label: str
    value: int
    tick: str
    middle: str


@dataclass(frozen=True)
class Chart:
    """Bars over days with a few lines to read them by."""

    bars: list[Bar]
    lines: list[tuple[str, int]]
    total: int
    base: int = HEIGHT - BOTTOM


def fees_by_day(viewer: Viewer, at: datetime, days: int = 30) -> Chart:
    """What was charged on each of the last days, of what the viewer may see."""
    last = at.astimezone(CITY_ZONE).date()
    first = last - timedelta(days=days - 1)
    start = datetime(first.year, first.month, first.day, tzinfo=CITY_ZONE)
    rows = (
        visible(Charge, viewer)
        .filter(rated_at__gte=start)
        .annotate(day=TruncDate("rated_at", tzinfo=CITY_ZONE))
        .values("day")
        .annotate(total=Sum("amount_fen"))
        .order_by("day")
    )
    by_day = {row["day"]: int(row["total"]) for row in rows}
    return bars([first + timedelta(days=n) for n in range(days)], by_day)


def bars(days: Sequence[date], by_day: Mapping[date, int]) -> Chart:
    """One bar a day, to scale; every fifth day is named below."""
    values = [by_day.get(day, 0) for day in days]
    top = _round_up(max(values, default=0))
    step = (WIDTH - LEFT - RIGHT) / max(len(days), 1)
    room = HEIGHT - BOTTOM - TOP
    drawn = []
    for at, (day, value) in enumerate(zip(days, values, strict=True)):
        tall = room * value / top if top else 0
        x = LEFT + at * step
        drawn.append(
            Bar(
                x=f"{x + 2:.1f}",
                y=f"{HEIGHT - BOTTOM - tall:.1f}",
                width=f"{step - 4:.1f}",
                height=f"{tall:.1f}",
                label=day.isoformat(),
                value=value,
                tick=f"{day:%m-%d}" if (len(days) - 1 - at) % 5 == 0 else "",
                middle=f"{x + step / 2:.1f}",
            )
        )
    lines = [(f"{HEIGHT - BOTTOM - room * part / 2:.1f}", top * part // 2) for part in (0, 1, 2)]
    return Chart(drawn, lines, sum(values))


def _round_up(value: int) -> int:
    """The next of 1, 2, 4, 5, 10 … so that the lines stand at round amounts."""
    if value <= 0:
        return 0
    power = int("1" + "0" * (len(str(value)) - 1))
    return next(power * step for step in (1, 2, 4, 5, 10) if power * step >= value)
