"""Numbers people quote: ``F2026-000123``. Without gaps within a series and a year."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from suanwang.core.clock import CITY_ZONE

_NEXT = """
    INSERT INTO metering_numberseries AS series (name, last) VALUES (%s, 1)
    ON CONFLICT (name) DO UPDATE SET last = series.last + 1
    RETURNING last
"""


def next_number(series: str, *, at: datetime) -> str:
    """The next number of a series in the city's calendar year.

    Call it last in a transaction: the series stays locked until the commit, so that a number
    that was rolled back is given out again.
    """
    name = f"{series}{at.astimezone(CITY_ZONE).year}"
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [name])
        row = cursor.fetchone()
    assert row is not None  # noqa: S101 - RETURNING gives a row for an insert and an update alike
    return f"{name}-{row[0]:06d}"
