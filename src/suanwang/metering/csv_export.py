"""Tables for a spreadsheet: CSV with a byte order mark, so that Chinese opens readably."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from django.http import HttpResponse

ROWS_AT_MOST = 50_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_answer(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> HttpResponse:
    """A CSV file to save. Texts that a spreadsheet would run as a formula are quoted."""
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(header)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    answer = HttpResponse("\ufeff" + sheet.getvalue(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def yuan(fen: int) -> str:
    """An amount as a plain number a spreadsheet adds up: 123450 is ``1234.50``."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"
