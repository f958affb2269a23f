"""Tables: pages by key that neither lose nor repeat a row, sorts, filters, faithful exports."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from suanwang.people.models import AuditEvent, Organisation
from suanwang.site.clock import now

from .console_city import PASSWORD, QUICK, found_city

pytestmark = pytest.mark.django_db
EVENTS = 120


@pytest.fixture
def auditor(settings: Any) -> Client:
    settings.PASSWORD_HASHERS = QUICK
    homes = found_city()
    start = now()
    AuditEvent.objects.bulk_create(
        AuditEvent(
            at=start + timedelta(seconds=number // 3),  # three share a second: ties are broken
            verb="jobs.submit" if number % 2 else "jobs.cancel",
            concerns=homes["owner"],
            subject=f"job:row-{number:03d}",
            facts={"name": "=1+1"},
        )
        for number in range(EVENTS)
    )
    client = Client()
    client.cookies["django_language"] = "en"
    client.post("/sign-in", {"username": "auditor", "password": PASSWORD})
    return client


def rows_of(page: Any) -> list[str]:
    return re.findall(r"job:row-\d{3}", page.content.decode())


def link_of(page: Any, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', page.content.decode())
    return found[1].replace("&amp;", "&") if found else None


@pytest.mark.parametrize("sort", ["-at", "at", "verb", "-verb"])
def test_pages_show_every_row_once_forwards_and_the_same_backwards(
    auditor: Client, sort: str
) -> None:
    address: str | None = f"/trail?q=job:row&sort={sort}"
    pages = []
    while address is not None:
        page = auditor.get(address)
        pages.append((address, rows_of(page)))
        assert len(pages[-1][1]) <= 50
        address = link_of(page, "next")
    seen = [row for _address, rows in pages for row in rows]
    assert len(seen) == EVENTS and len(set(seen)) == EVENTS
    back = link_of(auditor.get(pages[-1][0]), "prev")
    assert back is not None
    assert rows_of(auditor.get(back)) == pages[-2][1]


def test_the_first_page_has_no_page_before_it(auditor: Client) -> None:
    assert link_of(auditor.get("/trail?q=job:row"), "prev") is None


@pytest.mark.parametrize("cursor", ["x", "bnVsbA==", "WzEsMl0=", "WyJ4IiwgInkiXQ=="])
def test_a_spoilt_address_shows_the_first_page(auditor: Client, cursor: str) -> None:
    first = rows_of(auditor.get("/trail?q=job:row"))
    for side in ("after", "before"):
        page = auditor.get(f"/trail?q=job:row&{side}={cursor}")
        assert page.status_code == 200
        assert rows_of(page) == first


def test_a_filter_narrows_and_an_unknown_choice_does_not(auditor: Client) -> None:
    Organisation.objects.filter(kind="enterprise").update(status="pending")
    page = auditor.get("/organisations?status=pending").content.decode()
    assert "Sample Works" in page and "Sample Bureau" not in page.split("<main")[1]
    assert "Sample Bureau" in auditor.get("/organisations?status=nonsense").content.decode()


def test_nothing_found_says_what_to_do(auditor: Client) -> None:
    page = auditor.get("/trail?q=no-such-thing").content.decode()
    assert "Nothing matches" in page and 'href="/trail"' in page


def test_csv_has_the_rows_in_order_and_no_formula(auditor: Client) -> None:
    answer = auditor.get("/trail?q=job:row&sort=at&export=csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    text = answer.content.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0][0] == "When"
    assert [row[4] for row in rows[1:4]] == ["job:row-000", "job:row-001", "job:row-002"]
    assert len(rows) == EVENTS + 1
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@"))]


def test_excel_is_a_workbook(auditor: Client) -> None:
    answer = auditor.get("/trail?q=job:row&export=xlsx")
    assert answer.content.startswith(b"PK")
    assert 'filename="trail.xlsx"' in answer.headers["Content-Disposition"]


def test_a_page_of_a_long_table_asks_few_questions(
    auditor: Client, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(16):
        auditor.get("/trail")
