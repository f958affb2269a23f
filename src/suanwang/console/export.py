"""What a table shows, as CSV or Excel: the same rows, in the same order, in plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

import xlsxwriter
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from suanwang.console.tables import Plain, Row, Table
from suanwang.console.templatetags.console import CITY_ZONE

EXPORT_ROWS_MAX: Final = 100_000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def table_page(
    request: HttpRequest,
    template: str,
    table: Table[Row],
    rows: QuerySet[Row],
    **facts: object,
) -> HttpResponse:
    """A page with one table; with ``?export=csv`` or ``xlsx`` the table alone as a file."""
    match request.GET.get("export"):
        case "csv":
            return _csv(request, table, rows)
        case "xlsx":
            return _xlsx(request, table, rows)
    return render(request, template, {"table": table.show(request, rows)} | facts)


def _values(request: HttpRequest, table: Table[Row], rows: QuerySet[Row]) -> Iterator[list[Plain]]:
    wanted = table.ordered(request, rows)[:EXPORT_ROWS_MAX]
    for row in wanted.iterator(chunk_size=2000):
        yield [column.cell(row).plain for column in table.columns]


def _csv(request: HttpRequest, table: Table[Row], rows: QuerySet[Row]) -> HttpResponse:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([str(column.title) for column in table.columns])
    for values in _values(request, table, rows):
        writer.writerow([_as_text(value) for value in values])
    # The mark in front makes Excel read it as UTF-8.
    return _file("\ufeff" + buffer.getvalue(), "text/csv; charset=utf-8", table, "csv")


def _as_text(value: Plain) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(CITY_ZONE):%Y-%m-%d %H:%M}"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value  # text, never a formula someone smuggled into a name
    return "" if value is None else str(value)


def _xlsx(request: HttpRequest, table: Table[Row], rows: QuerySet[Row]) -> HttpResponse:
    buffer = io.BytesIO()
    options = {"in_memory": True, "constant_memory": False, "strings_to_formulas": False}
    with xlsxwriter.Workbook(buffer, options | {"strings_to_urls": False}) as book:
        sheet = book.add_worksheet()
        bold = book.add_format({"bold": True, "bottom": 1})
        money = book.add_format({"num_format": "#,##0.00"})
        clock = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for at, column in enumerate(table.columns):
            sheet.write_string(0, at, str(column.title), bold)
        sheet.set_column(0, len(table.columns) - 1, 18)
        sheet.freeze_panes(1, 0)
        for line, values in enumerate(_values(request, table, rows), 1):
            for at, value in enumerate(values):
                if isinstance(value, datetime):
                    local = value.astimezone(CITY_ZONE).replace(tzinfo=None)
                    sheet.write_datetime(line, at, local, clock)
                elif isinstance(value, Decimal):
                    sheet.write_number(line, at, value, money)
                elif isinstance(value, int):
                    sheet.write_number(line, at, value)
                elif value is not None:
                    sheet.write_string(line, at, value)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return _file(buffer.getvalue(), kind, table, "xlsx")


def _file(content: str | bytes, kind: str, table: Table[Row], ending: str) -> HttpResponse:
    return HttpResponse(
        content,
        content_type=kind,
        headers={"Content-Disposition": f'attachment; filename="{table.key}.{ending}"'},
    )
