"""Hold a promise against rows in SQL: how many rows, and which of them break it."""

from __future__ import annotations

from django.db import connection

from suanwang.core.findings import SHOWN_MAX, Finding, Words


def held(name: str, promise: Words, count: str, broken: str, article: str = "") -> Finding:
    """``count`` gives one number; ``broken`` one text a row, naming the row and what is wrong."""
    with connection.cursor() as cursor:
        cursor.execute(count)
        (checked,) = cursor.fetchone() or (0,)
        cursor.execute(f"{broken} LIMIT {SHOWN_MAX}")
        rows = [str(row[0]) for row in cursor.fetchall()]
    return Finding(name, promise, checked, rows, article)
