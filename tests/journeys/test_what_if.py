"""An official tries out another ratio in a browser, in both languages, and keeps the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .city import City, Visitor


@pytest.fixture(params=["zh-hans", "en"])
def official(city: City, browser: Any, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    visitor = Visitor.arrive(context, city.address, request.param)
    visitor.sign_in("reviewer")
    yield visitor
    assert visitor.wrong == []
    context.close()


def test_an_official_compares_two_ratios_and_takes_the_report_along(
    official: Visitor, tmp_path: Path
) -> None:
    page = official.page
    page.click('nav a[href="/policy/what-if"]')
    official.shot("what-if-empty")
    official.fill(on="2026-07-20", units="3000")
    page.locator("summary", has_text="5c").click()
    ratio = page.locator("[name='set-voucher.use_ratio']")
    ratio.fill("much")
    ratio.press("Enter")  # a form is sent by keyboard as by mouse
    page.wait_for_selector("[id='e-voucher.use_ratio']")
    assert page.locator("main .notice a").count() == 1
    official.shot("what-if-refused")
    page.locator("[name='set-voucher.use_ratio']").fill("40%")
    page.locator("button[value=page]").click()
    page.wait_for_selector("#w-who")
    assert page.locator("#found polyline").count() == 2
    assert page.locator("#found rect.more, #found rect.less").count() > 2
    wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.evaluate(wide), "the page is wider than the window"
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate(wide), "the page is wider than a telephone"
    fits = "all => all.every(one => one.scrollWidth <= one.clientWidth)"
    assert page.locator(".assumed[open] .table-wrap").evaluate_all(fits), "a field is cut off"
    official.shot("what-if-telephone")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("scrollTo(0, 0)")
    official.shot("what-if-compared")
    with page.expect_download() as started:
        page.locator("button[value=html]").click()
    report = tmp_path / "report.html"
    started.value.save_as(report)
    total = page.locator("section[aria-labelledby=w-measure] tr:last-child strong").nth(1)
    assert total.inner_text() in report.read_text(encoding="utf-8")
