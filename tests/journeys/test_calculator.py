"""A stranger asks what the policy gives, in a browser, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .city import City, Visitor

KNOWN = {
    "applicant_kind": "enterprise",
    "division_code": "130606",
    "platform_is_local": "yes",
    "service_start": "2026-03-01",
    "service_end": "2026-06-30",
    "paid_on": "2026-07-10",
    "filed_on": "2026-07-20",
    "paid_fee_fen": "300000.00",
    "unit_year_used_fen": "0",
    "voucher_available_fen": "500000",
}
"""What this stranger knows; every other question is answered with no, or left open."""


@pytest.fixture(scope="module")
def visit(city: City, browser: Any) -> Any:
    """Opens a browser of one's own in a language; afterwards nothing may have gone wrong."""
    visitors: list[Visitor] = []

    def arrive(language: str, scripts: bool = True) -> Visitor:
        size = {"width": 1280, "height": 900}
        context = browser.new_context(viewport=size, locale="fr-FR", java_script_enabled=scripts)
        visitor = Visitor.arrive(context, city.address, language)
        visitors.append(visitor)
        return visitor

    yield arrive
    for visitor in visitors:
        visitor.page.context.close()


@pytest.mark.parametrize(
    ("language", "title", "paper"),
    [("zh-hans", "使用本地算力，费用返还一半", "发票"),
     ("en", "Half of the fees back for using local compute", "Invoice")],
)  # fmt: skip
def test_the_calculator_asks_only_what_matters_until_the_amount_is_there(
    language: str, title: str, paper: str, visit: Callable[[str], Visitor]
) -> None:
    at = visit(language)
    at.go("/")
    at.page.click('a[href="/calculator"]')
    pages = 0
    while at.page.locator("#m-5c").count() == 0:
        pages += 1
        assert pages < 15, "the questions never end"
        asked = at.page.locator("[id^='q-']")
        for name in [asked.nth(n).get_attribute("name") for n in range(asked.count())]:
            field = at.page.locator(f"#q-{name}")
            if field.evaluate("element => element.tagName") == "SELECT":
                codes = field.locator("option").evaluate_all("all => all.map(one => one.value)")
                field.select_option(KNOWN.get(name, "no" if "no" in codes else codes[-1]))
            elif name in KNOWN:
                field.fill(KNOWN[name])
            else:
                field.fill("2026-06-30" if field.get_attribute("type") == "date" else "0")
        at.page.click("form[action='/calculator'] button")
    found = at.page.locator("#m-5c").inner_text()
    assert title in found
    assert "¥150,000.00" in found
    assert paper in found
    at.shot(f"calculator-{language[:2]}")


@pytest.mark.parametrize(
    ("language", "wrong", "gap"),
    [("zh-hans", "的值-¥9.00不在", "现为900架，应为不低于1,000架，相差100架"),
     ("en", "is -¥9.00, which is not between", "now 900 racks, needed: at least 1,000 racks, 100")],
)  # fmt: skip
def test_without_scripts_and_by_keyboard_a_wrong_answer_is_named_and_a_no_explained(
    language: str, wrong: str, gap: str, visit: Callable[..., Visitor]
) -> None:
    at = visit(language, scripts=False)
    at.go("/calculator?change=rack_count")
    at.page.focus("#q-rack_count")
    at.page.keyboard.type("900")
    at.page.keyboard.press("Enter")
    at.page.focus("#out summary")
    at.page.keyboard.press("Enter")
    assert gap in at.text("#m-2-out")
    at.shot("calculator-no")
    at.go("/calculator?rack_count=900&change=paid_fee_fen")
    at.page.focus("#q-paid_fee_fen")
    at.page.keyboard.type("-9")
    at.page.keyboard.press("Enter")
    assert wrong in at.text("#e-paid_fee_fen")
    assert at.page.get_attribute("#q-paid_fee_fen", "aria-describedby") == "e-paid_fee_fen"
    # What was answered before is kept, and can be changed.
    at.page.focus("dl.facts a[href*='change=rack_count']")
    at.page.keyboard.press("Enter")
    assert at.page.input_value("#q-rack_count") == "900"
    at.shot("calculator-wrong")
