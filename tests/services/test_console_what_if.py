"""What if, in the console: for the offices alone; a refusal stands beside its field."""

from __future__ import annotations

import csv
import io
from datetime import date
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from suanwang import policy
from suanwang.core.money import format_yuan
from suanwang.policy.simulate import synthetic
from suanwang.policy.what_if import SEED, what_if
from suanwang.site.settings import settings as city_settings

from .console_city import PASSWORD, QUICK, found_city

pytestmark = pytest.mark.django_db

ADDRESS = "/policy/what-if"
ON = "2026-07-20"
BAODING = policy.load(city_settings().policies / "baoding-2024")
FORM = {"package": "baoding-2024", "on": ON, "units": "300", "as": "page"}
RATIO = "set-voucher.use_ratio"


@pytest.fixture(autouse=True)
def city(settings: Any) -> None:
    settings.PASSWORD_HASHERS = QUICK
    found_city()


def client_of(role: str, language: str = "en") -> Client:
    client = Client()
    client.cookies["django_language"] = language
    client.post("/sign-in", {"username": role, "password": PASSWORD})
    return client


@pytest.mark.parametrize("role", ["operator", "reviewer", "approver", "finance"])
def test_the_offices_that_keep_the_policy_may_try_it_out(role: str) -> None:
    page = client_of(role).get(ADDRESS)
    assert page.status_code == 200
    assert "Nothing compared yet" in page.content.decode()


@pytest.mark.parametrize("role", ["owner", "provider", "county"])
def test_others_may_not_and_are_not_shown_the_way(role: str) -> None:
    client = client_of(role)
    assert client.get(ADDRESS).status_code == 403
    assert client.post(ADDRESS, FORM).status_code == 403
    assert ADDRESS not in client.get("/overview").content.decode()


@pytest.mark.parametrize(
    ("language", "words"),
    [("zh-hans", ("谁增谁减", "按措施", "修改后")),
     ("en", ("Who gains, who loses", "By measure", "changed"))],
)  # fmt: skip
def test_the_page_shows_what_the_engine_finds(language: str, words: tuple[str, ...]) -> None:
    day = date.fromisoformat(ON)
    units = synthetic(BAODING, 300, SEED, day)
    found = what_if(BAODING, {"voucher.use_ratio": "2/5"}, units, day)
    answer = client_of("reviewer", language).post(ADDRESS, FORM | {RATIO: "40%"})
    page = answer.content.decode()
    assert answer.status_code == 200
    for row in found.rows:
        assert format_yuan(row.after_fen) in page
    assert found.comparison.loses > 0
    assert all(word in page for word in words)
    assert 'value="40%"' in page  # what was typed is still there
    assert " style=" not in page and "<style" not in page


@pytest.mark.parametrize(
    ("wrong", "beside", "zh", "en"),
    [
        ({RATIO: "much"}, "e-voucher.use_ratio", "应为", "should be"),
        ({"set-voucher.pool_year_fen": "1.234"}, "e-voucher.pool_year_fen", "金额", "amount"),
        ({"units": "100001"}, "e-units", "读不懂", "cannot be read"),
        ({"units": "many"}, "e-units", "读不懂", "cannot be read"),
        ({"on": "1999-01-01"}, "e-on", "不适用", "does not apply"),
        ({"on": "soon"}, "e-on", "不是日期", "not a date"),
        ({"csv": "colour\nred"}, "e-csv", "读不懂", "cannot be read"),
        ({"csv": "score\nmuch"}, "e-csv", "应为", "should be"),
    ],
)
def test_a_refusal_stands_beside_its_field_and_no_number_is_shown(
    wrong: dict[str, str], beside: str, zh: str, en: str
) -> None:
    for language, words in (("zh-hans", zh), ("en", en)):
        answer = client_of("reviewer", language).post(ADDRESS, FORM | wrong)
        page = answer.content.decode()
        assert answer.status_code == 409
        said = page.split(f'<p class="error" id="{beside}">')[1].split("</p>")[0]
        assert words in said
        assert f'aria-describedby="{beside}"' in page or f" {beside}" in page
        assert 'id="w-who"' not in page
        for value in wrong.values():
            assert value in page


def test_units_of_a_file_are_compared_and_come_along_to_the_download() -> None:
    file = SimpleUploadedFile("units.csv", b"is_selected,score\ntrue,92\nfalse,92\ntrue,86.5\n")
    client = client_of("finance")
    change = {"set-selection.scene_cap_fen": "400,000"}
    page = client.post(ADDRESS, FORM | change | {"file": file}).content.decode()
    assert "is_selected,score" in page
    kept = page.split('name="csv"')[1].split(">", 1)[1].split("</textarea>")[0]
    table = client.post(ADDRESS, FORM | change | {"csv": kept, "as": "csv"})
    assert table["Content-Disposition"].endswith('.csv"')
    rows = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"))))
    measure = next(row for row in rows if row["which"] == "9a")
    assert int(measure["before_fen"]) == 85_000_000
    report = client.post(ADDRESS, FORM | change | {"csv": kept, "as": "html"})
    assert report.content.decode().startswith("<!doctype html>")


def test_a_set_left_as_it_is_changes_nothing_and_a_smaller_one_is_a_change() -> None:
    client = client_of("operator")
    name = "set-voucher.use_applicants"
    today = ["-", "enterprise", "university", "institute", "maker"]
    same = client.post(ADDRESS, FORM | {name: today}).content.decode()
    assert "Nothing is changed" in same
    fewer = client.post(ADDRESS, FORM | {name: today[:2]}).content.decode()
    assert "Nothing is changed" not in fewer
    said = fewer.split('id="w-changes"')[1].split("</table>")[0]
    assert "Enterprise, Maker, Research institute, University" in said
    assert "<strong>Enterprise</strong>" in said


def test_every_package_can_be_chosen_and_compared() -> None:
    client = client_of("reviewer")
    for folder in policy.packages(city_settings().policies):
        page = client.get(ADDRESS, {"package": folder.name})
        assert page.status_code == 200
        answer = client.post(ADDRESS, {"package": folder.name, "units": "20"})
        assert answer.status_code == 200, folder.name
