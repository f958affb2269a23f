"""Tables whose every filter, sort and page is in the address, so that a link can be sent.

Paging is by key, not by offset: the hundredth thousandth row costs what the first does. Counting
stops at ``COUNT_MAX`` for the same reason.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from django.core.exceptions import FieldError, ValidationError
from django.db.models import F, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from suanwang.console import words
from suanwang.console.templatetags.console import when, yuan

ROWS_A_PAGE: Final = 50
COUNT_MAX: Final = 10_000

Row = TypeVar("Row", bound=Model)
Plain = str | int | Decimal | datetime | None
Text = str | Promise


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and what a spreadsheet gets for it."""

    html: SafeString | str
    plain: Plain
    number: bool = False


def text(value: object, *, muted: bool = False) -> Cell:
    """Plain text."""
    shown = str(value) if value not in (None, "") else "—"
    return Cell(format_html('<span class="muted">{}</span>', shown) if muted else shown, shown)


def link(address: str, value: object) -> Cell:
    """Text that opens the thing."""
    return Cell(format_html('<a href="{}">{}</a>', address, value), str(value))


def amount(fen: int | None) -> Cell:
    """Money, as yuan with two decimals in a spreadsheet."""
    return Cell(yuan(fen), None if fen is None else Decimal(fen) / 100, number=True)


def number(value: int | str | None) -> Cell:
    """A count or a quantity already worded."""
    shown = f"{value:,}" if isinstance(value, int) else (value or "—")
    return Cell(shown, value, number=True)


def moment(at: datetime | None) -> Cell:
    """A time in the city's zone."""
    return Cell(when(at), at)


def chip(kind: str, code: str) -> Cell:
    """A state in words."""
    name, tone = words.CHIPS[kind].get(code, (code, ""))
    return Cell(format_html('<span class="chip {}">{}</span>', tone, name), str(name))


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column: its head, how a row fills it, and the field it sorts by if it does."""

    title: Text
    cell: Callable[[Row], Cell]
    sort: str | None = None
    number: bool = False


@dataclass(frozen=True)
class Filter:
    """A choice in the head. ``lookup`` is the field it narrows, or a function of the choice."""

    key: str
    title: Text
    choices: Sequence[tuple[str, Text]]
    lookup: str | Callable[[str], Q]
    chosen: str = ""

    def condition(self, value: str) -> Q:
        return Q(**{self.lookup: value}) if isinstance(self.lookup, str) else self.lookup(value)


@dataclass(frozen=True)
class Head:
    title: Text
    number: bool
    link: str | None
    sorted: str


@dataclass
class Shown:
    """A table ready for its template."""

    title: Text
    key: str
    heads: list[Head]
    rows: list[list[Cell]]
    filters: list[Filter]
    query: str
    searchable: bool
    sort: str
    narrowed: bool
    previous: str | None
    next: str | None
    count_text: str
    cleared: str
    export_csv: str
    export_xlsx: str
    empty_title: Text
    empty_text: Text
    empty_link: tuple[str, Text] | None

    @property
    def has_tools(self) -> bool:
        return self.searchable or bool(self.filters) or bool(self.rows)


@dataclass(frozen=True)
class Table(Generic[Row]):
    """A kind of table: what it shows, how it may be narrowed and sorted."""

    title: Text
    columns: Sequence[Column[Row]]
    order: str
    """The field it is sorted by at first, ``-`` in front for falling. Never null."""
    empty_title: Text
    empty_text: Text
    filters: Sequence[Filter] = ()
    search: Sequence[str] = ()
    empty_link: tuple[str, Text] | None = None
    key: str = field(default="table")

    def narrow(self, request: HttpRequest, rows: QuerySet[Row]) -> QuerySet[Row]:
        """The rows that match the search and the filters of the address."""
        for one in self.filters:
            value = request.GET.get(one.key, "")
            if value in {choice for choice, _title in one.choices}:
                rows = rows.filter(one.condition(value))
        if query := request.GET.get("q", "").strip()[:100]:
            found = Q()
            for path in self.search:
                found |= Q(**{f"{path}__icontains": query})
            if (uuid := as_uuid(query)) is not None:
                found |= Q(pk=uuid)
            rows = rows.filter(found)
        return rows

    def sorting(self, request: HttpRequest) -> tuple[str, bool]:
        """The field to sort by and whether it falls; an unknown one is the usual one."""
        asked = request.GET.get("sort", self.order)
        allowed = {column.sort for column in self.columns if column.sort} | {self.order.lstrip("-")}
        if asked.lstrip("-") not in allowed:
            asked = self.order
        return asked.lstrip("-"), asked.startswith("-")

    def ordered(self, request: HttpRequest, rows: QuerySet[Row]) -> QuerySet[Row]:
        """All matching rows in order, for an export."""
        path, falling = self.sorting(request)
        sign = "-" if falling else ""
        return self.narrow(request, rows).order_by(f"{sign}{path}", f"{sign}pk")

    def show(self, request: HttpRequest, rows: QuerySet[Row]) -> Shown:
        """One page of the table, at most 50 rows, with links to its neighbours."""
        path, falling = self.sorting(request)
        narrowed = self.narrow(request, rows)
        page, earlier, later = _page(request, narrowed, path, falling)
        counted = narrowed.order_by()[: COUNT_MAX + 1].count()
        asked = {one.key: request.GET.get(one.key, "") for one in self.filters}
        query = request.GET.get("q", "").strip()
        return Shown(
            title=self.title,
            key=self.key,
            heads=[self._head(request, column, path, falling) for column in self.columns],
            rows=[[column.cell(row) for column in self.columns] for row in page],
            filters=[
                Filter(one.key, one.title, one.choices, one.lookup, asked[one.key])
                for one in self.filters
            ],
            query=query,
            searchable=bool(self.search),
            sort=request.GET.get("sort", ""),
            narrowed=bool(query) or any(asked.values()),
            previous=earlier,
            next=later,
            count_text=_count_text(counted),
            cleared=request.path,
            export_csv=address(request, export="csv", after=None, before=None),
            export_xlsx=address(request, export="xlsx", after=None, before=None),
            empty_title=self.empty_title,
            empty_text=self.empty_text,
            empty_link=self.empty_link,
        )

    def _head(self, request: HttpRequest, column: Column[Row], path: str, falling: bool) -> Head:
        if column.sort is None:
            return Head(column.title, column.number, None, "")
        here = column.sort == path
        # The first press sorts falling for numbers and times, rising for words; the next turns.
        turned = f"{'' if here and falling else '-'}{column.sort}"
        return Head(
            title=column.title,
            number=column.number,
            link=address(request, sort=turned, after=None, before=None),
            sorted=("descending" if falling else "ascending") if here else "",
        )


def address(request: HttpRequest, **changes: str | None) -> str:
    """This page's address with some of its parameters changed or dropped."""
    query = request.GET.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = value
    return f"{request.path}?{query.urlencode()}" if query else request.path


def as_uuid(value: str) -> UUID | None:
    """The text as a UUID if it is one."""
    try:
        return UUID(value)
    except ValueError:
        return None


def _count_text(counted: int) -> str:
    if counted > COUNT_MAX:
        return _("more than %s rows") % f"{COUNT_MAX:,}"
    return ngettext("%s row", "%s rows", counted) % f"{counted:,}"


def _cursor(row: Any) -> str:
    value = row.sort_key
    if isinstance(value, datetime | UUID):
        value = value.isoformat() if isinstance(value, datetime) else str(value)
    return base64.urlsafe_b64encode(json.dumps([value, str(row.pk)]).encode()).decode()


def _read_cursor(cursor: str) -> tuple[str | int, str] | None:
    try:
        value, pk = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, TypeError, binascii.Error):
        return None
    if not isinstance(value, str | int) or not isinstance(pk, str):
        return None
    return value, pk


def _page(
    request: HttpRequest, rows: QuerySet[Row], path: str, falling: bool
) -> tuple[list[Row], str | None, str | None]:
    """The rows of this page and the addresses of the one before and after."""
    cursor = _read_cursor(request.GET.get("before") or request.GET.get("after") or "")
    back = "before" in request.GET and cursor is not None
    down = falling != back
    sorted_rows = rows.annotate(sort_key=F(path))
    if cursor is not None:
        side = "lt" if down else "gt"
        value, pk = cursor
        beyond = Q(**{f"sort_key__{side}": value}) | Q(sort_key=value, **{f"pk__{side}": pk})
        try:
            sorted_rows = sorted_rows.filter(beyond)
        except (ValidationError, ValueError, FieldError, TypeError):
            cursor, back, down = None, False, falling
    sign = "-" if down else ""
    found = list(sorted_rows.order_by(f"{sign}sort_key", f"{sign}pk")[: ROWS_A_PAGE + 1])
    more, found = len(found) > ROWS_A_PAGE, found[:ROWS_A_PAGE]
    if back:
        found.reverse()
    earlier = later = None
    if found and (cursor is not None if not back else more):
        earlier = address(request, before=_cursor(found[0]), after=None)
    if found and (more if not back else True):
        later = address(request, after=_cursor(found[-1]), before=None)
    return found, earlier, later
