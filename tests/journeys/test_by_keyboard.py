"""The console without a mouse, on a phone, in the dark, in large type and on paper."""

from __future__ import annotations

from typing import Any

import pytest

from .city import City, Visitor
from .founding import PASSWORD

WORK_PAGES = ("/overview", "/organisations", "/pool", "/ledger", "/trail", "/centres", "/policy")


@pytest.fixture
def at(city: City, browser: Any) -> Any:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visitor = Visitor.arrive(context, city.address, "en")
    yield visitor
    assert visitor.wrong == []
    context.close()


def focused(at: Visitor) -> str:
    found: str = at.page.evaluate("document.activeElement.outerHTML.slice(0, 300)")
    return found


def press_until(at: Visitor, key: str, wanted: str, most: int = 60) -> None:
    """Press a key until what has the focus looks as wanted."""
    for _ in range(most):
        if wanted in focused(at):
            return
        at.page.keyboard.press(key)
    raise AssertionError(f"{wanted} was never reached; the focus is on {focused(at)}")


def test_signing_in_and_out_needs_no_mouse(at: Visitor) -> None:
    at.go("/")
    at.page.keyboard.press("Tab")
    assert 'class="skip"' in focused(at)
    outline = at.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "the focus is visible"
    press_until(at, "Tab", 'href="/sign-in"')
    at.page.keyboard.press("Enter")
    at.page.wait_for_url("**/sign-in")
    press_until(at, "Tab", 'id="id_username"')
    at.page.keyboard.type("operator")
    at.page.keyboard.press("Tab")
    at.page.keyboard.type(PASSWORD)
    at.page.keyboard.press("Enter")
    at.page.wait_for_url("**/overview")
    press_until(at, "Tab", "<summary")
    at.page.keyboard.press("Enter")
    assert at.page.locator("details.menu[open]").count() == 1
    at.page.keyboard.press("Escape")
    assert at.page.locator("details.menu[open]").count() == 0
    assert "<summary" in focused(at)


def test_rows_are_walked_with_arrows_and_opened_with_enter(at: Visitor) -> None:
    at.sign_in("operator")
    at.go("/organisations")
    rows = at.page.locator("tbody tr a")
    assert rows.count() >= 4
    press_until(at, "Tab", str(rows.nth(0).get_attribute("href")))
    at.page.keyboard.press("ArrowDown")
    at.page.keyboard.press("ArrowDown")
    at.page.keyboard.press("ArrowUp")
    target = str(rows.nth(1).get_attribute("href"))
    assert target in focused(at)
    at.page.keyboard.press("Enter")
    at.page.wait_for_url(f"**{target}")


def test_the_search_is_one_key_away(at: Visitor) -> None:
    at.sign_in("operator")
    at.page.keyboard.press("/")
    assert 'id="search"' in focused(at)
    at.page.keyboard.type("Bureau")
    at.page.keyboard.press("Enter")
    at.page.wait_for_load_state()
    assert at.path.startswith("/organisations/") or "Bureau" in at.text("main")


def test_what_was_typed_survives_leaving_the_page(at: Visitor) -> None:
    at.go("/register")
    at.fill(name="Half typed", username="someone", password="not kept anywhere")
    at.go("/policy")
    at.go("/register")
    assert at.page.input_value("#id_name") == "Half typed"
    assert at.page.input_value("#id_password") == "", "a password is never kept"


def test_a_refused_form_is_read_from_its_errors(at: Visitor) -> None:
    at.go("/sign-in")
    at.fill(username="operator", password="wrong")
    at.press("/sign-in")
    assert "notice error" in focused(at)


@pytest.mark.parametrize("width", [390, 768])
def test_no_page_is_wider_than_a_small_screen(at: Visitor, width: int) -> None:
    at.sign_in("operator")
    at.page.set_viewport_size({"width": width, "height": 800})
    for address in WORK_PAGES:
        at.go(address)
        wide: int = at.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{address} is {wide} wide"


def test_large_type_is_a_quarter_larger_and_remembered(at: Visitor) -> None:
    at.sign_in("operator")
    size = "parseFloat(getComputedStyle(document.querySelector('h1')).fontSize)"
    before: float = at.page.evaluate(size)
    at.page.locator("details.menu > summary").click()
    at.page.locator("form[action='/large-type'] button").click()
    at.page.wait_for_load_state()
    at.go("/pool")
    assert at.page.evaluate(size) == pytest.approx(before * 1.25)


def test_the_dark_theme_follows_the_system(at: Visitor) -> None:
    at.page.emulate_media(color_scheme="dark")
    at.go("/")
    assert at.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"
    at.shot("home-dark")


def test_paper_shows_the_content_alone(at: Visitor) -> None:
    at.sign_in("operator")
    at.go("/organisations")
    at.page.emulate_media(media="print")
    for part in (".topbar", ".side", ".table-tools", ".foot"):
        assert not at.page.locator(part).first.is_visible(), part
    assert at.page.locator("main table").first.is_visible()
    at.shot("organisations-print")


def test_pages_work_without_scripts(city: City, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    visitor = Visitor.arrive(context, city.address, "zh-hans")
    visitor.sign_in("reviewer")
    for address in ("/overview", "/applications?state=filed", "/organisations?sort=name"):
        visitor.go(address)
        assert visitor.page.locator("h1").count() == 1
    context.close()
