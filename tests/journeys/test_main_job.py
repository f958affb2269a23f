"""The main job, played by everybody who takes part in it, in both languages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from suanwang.core.uscc import check_character

from .city import City, Visitor
from .founding import DIVISION

SCRIPT = """#!/bin/bash
#SBATCH --job-name=hello-{language}
#SBATCH --cpus-per-task=1
#SBATCH --mem=64M
#SBATCH --time=00:02:00
#SBATCH --partition=gpu
echo "hello from $(hostname)"
for step in 1 2 3; do echo "step $step"; sleep 0.5; done
echo done > result.txt
"""


def code(number: int) -> str:
    """A plainly made-up credit code whose check character fits."""
    start = f"91130606MA0J{number:05d}"
    return start + check_character(start)


@pytest.fixture(scope="module")
def visit(city: City, browser: Any) -> Any:
    """Opens a browser of one's own in a language; afterwards nothing may have gone wrong."""
    visitors: list[Visitor] = []

    def arrive(language: str) -> Visitor:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="fr-FR")
        visitor = Visitor.arrive(context, city.address, language)
        visitors.append(visitor)
        return visitor

    yield arrive
    for visitor in visitors:
        visitor.page.context.close()


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_from_an_empty_city_to_a_voucher_paid_out(
    language: str, city: City, visit: Callable[[str], Visitor]
) -> None:
    at = visit(language)
    tag = language[:2]
    number = 1 if tag == "zh" else 2
    at.go("/")
    assert at.page.locator("html").get_attribute("lang") == ("zh-Hans" if tag == "zh" else "en")
    at.shot("home")

    open_centre(at, city, tag, number)
    company = join(at, tag, number)
    job = run_a_job(at, company, tag)
    pay(at, tag)
    voucher = get_a_voucher(at, company)
    claim(at, company, voucher)
    every_party_sees_its_side(at, company, job, tag)
    assert at.wrong == []


def register(at: Visitor, username: str, kind: str, name: str, uscc: str) -> None:
    at.page.context.clear_cookies(name="sessionid")
    at.go("/register")
    at.fill(
        name=name,
        kind=kind,
        uscc=uscc,
        division=DIVISION,
        username=username,
        password="a-journey-of-1000-li",
        display_name=username,
    )


def admit(at: Visitor, name: str, limit: str) -> None:
    at.sign_in("operator")
    at.go("/inbox")
    at.shot("operator-inbox")
    at.page.get_by_role("row").filter(has_text=name).get_by_role("link").click()
    at.page.wait_for_load_state()
    at.press("/approve")
    at.fill(limit=limit)
    at.press("/credit")


def open_centre(at: Visitor, city: City, tag: str, number: int) -> None:
    """A provider registers, is admitted, and opens a centre on this very machine."""
    username, name = f"provider-{tag}", f"示例算力供给方{tag}"
    register(at, username, "provider", name, code(100 + number))
    at.press("")
    assert at.path == "/overview"
    admit(at, name, "1.00")
    at.sign_in(username)
    at.go("/my-centres")
    at.fill(
        name=f"示例中心{tag}",
        name_en=f"Sample Centre {tag}",
        code=f"sample-{tag}",
        tier="park",
        kind="general",
        division=DIVISION,
        racks="10",
    )
    at.press("")
    assert at.path == f"/centres/sample-{tag}/manage", at.text("main")
    at.fill(**{"cluster-name": "main", "cluster-engine": "local"})
    at.press("/clusters")
    for meter, amount in (("core_seconds", "3600.00"), ("memory_mib_seconds", "100.00")):
        at.fill(meter=meter, amount=amount)
        at.press("/prices")
        assert not at.page.locator(".notice.error").count(), at.text(".notice.error")
    at.press("/enrol")
    token = at.text("code.secret")
    at.shot("provider-centre")
    city.agent(token, f"agent-{tag}")
    at.sign_in("operator")
    at.go(f"/centres/sample-{tag}/manage")
    at.page.check("#local")
    at.press("/verify")


def join(at: Visitor, tag: str, number: int) -> str:
    """A company registers with a wrong code first: it is warned, overridden, admitted."""
    username, name = f"company-{tag}", f"示例智造公司{tag}"
    at.page.context.clear_cookies(name="sessionid")
    right = code(number)
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    register(at, username, "enterprise", name, "too short")
    at.press("")
    assert at.page.locator(".field.wrong #id_uscc").count() == 1
    assert at.page.input_value("#id_name") == name, "nothing typed is lost"
    at.shot("register-refused")
    at.fill(uscc=wrong, password="a-journey-of-1000-li")
    at.press("")
    assert at.path == "/overview"
    assert at.page.locator(".notice.warning").count() >= 1
    at.shot("company-pending")
    at.sign_in("reviewer")
    at.go("/inbox")
    at.page.get_by_role("row").filter(has_text=name).get_by_role("link").click()
    at.fill(reason="营业执照原件核对无误")
    at.press("/override")
    admit(at, name, "5000.00")
    return username


def run_a_job(at: Visitor, company: str, tag: str) -> str:
    """Price and support before committing; then it really runs and its output arrives."""
    at.sign_in(company)
    at.go("/centres")
    at.shot("centres")
    at.go("/jobs/new")
    at.page.locator("main details > summary").first.click()
    at.fill(
        script=SCRIPT.format(language=at.language), centre=f"sample-{tag}", files_out="result.txt"
    )
    at.shot("job-form")
    at.press("/jobs/new")
    review = at.text("main")
    assert "¥" in review and "--partition=gpu" in review
    at.shot("job-review")
    at.page.locator("main button.primary").first.click()
    at.page.wait_for_load_state()
    assert re.fullmatch(r"/jobs/[0-9a-f-]{36}", at.path), at.text("main")
    job = at.path
    at.wait_for(lambda: "hello from" in at.text("main"), "the job's output on its page")
    at.shot("job-running")
    at.wait_for(lambda: at.page.locator("#cost").count() == 1, "the charges of the job")
    assert "result.txt" in at.text("main")
    at.shot("job-done")
    return job


def pay(at: Visitor, tag: str) -> None:
    """The provider invoices; in Chinese the company pays online, in English by a bank slip."""
    at.sign_in(f"provider-{tag}")
    at.go("/invoices")
    at.shot("provider-invoices")
    at.page.locator("main form[action='/invoices/issue'] button").first.click()
    at.page.wait_for_load_state()
    invoice = at.path
    assert invoice.startswith("/invoices/")
    if tag == "zh":
        at.sign_in("company-zh")
        at.go(invoice)
        at.shot("invoice")
        at.press("/pay")
    else:
        total = at.text("dl.figures dd.value").lstrip("¥")
        at.fill(reference=f"SLIP-{tag}", amount="0.01", paid_on=_today(at))
        at.press("/slip")
        assert at.page.locator(".field.wrong #id_amount").count() == 1
        at.fill(amount=total)
        at.press("/slip")
    assert at.page.locator("h1 .chip.done").count() == 1, at.text("main")
    at.shot("invoice-paid")


def _today(at: Visitor) -> str:
    return at.text(".foot time")[:10]


def get_a_voucher(at: Visitor, company: str) -> str:
    at.sign_in(company)
    at.go("/applications/new")
    at.fill(asked="20000.00", purpose="训练与仿真 / training and simulation")
    at.press("")
    application = at.path
    at.shot("application")
    at.sign_in("reviewer")
    at.go("/inbox")
    at.shot("reviewer-inbox")
    at.go(application)
    at.fill(amount="20000.00")
    at.press("/grant")
    assert at.page.locator("h1 .chip.done").count() == 1, at.text("main")
    voucher = at.page.locator("dd a[href^='/vouchers/']").first.get_attribute("href")
    assert voucher is not None
    return voucher


def claim(at: Visitor, company: str, voucher: str) -> None:
    """Filled in from metering; reviewed, ordered, receipted by different people."""
    at.sign_in(company)
    at.go("/benefits")
    at.shot("benefits")
    at.page.locator(f"a[href='{voucher}/claim']").click()
    at.page.wait_for_load_state()
    assert at.path == f"{voucher}/claim"
    at.page.locator("details.why > summary").first.click()
    at.shot("claim-prefilled")
    at.page.locator("button[name='file']").click()
    at.page.wait_for_load_state()
    filed = at.path
    assert filed.startswith("/claims/"), at.text("main")
    at.sign_in("approver")
    at.go(filed)
    at.press("/review", "reject")
    assert at.page.locator(".field.wrong #id_reason").count() == 1, "a reason is asked"
    at.press("/review", "approve")
    at.shot("claim-approved")
    at.sign_in("finance")
    at.go(filed)
    at.page.locator(f"form[action='{filed}/order'] button").click()
    at.page.wait_for_load_state()
    order = at.path
    assert order.startswith("/payment-orders/"), at.text("main")
    at.shot("payment-order")
    for share in range(at.page.locator("form[action*='/shares/']").count()):
        at.page.locator("form[action*='/shares/'] input[type=text]").first.fill(
            f"R-{at.language}-{share}"
        )
        at.page.locator("form[action*='/shares/'] button").first.click()
        at.page.wait_for_load_state()
    assert at.page.locator("h1 .chip.done").count() == 1, at.text("main")
    at.sign_in(company)
    at.go(filed)
    assert at.page.locator(".progress .current, .progress .next").count() == 0
    at.shot("claim-paid")
    at.go(voucher)
    at.shot("voucher")


def every_party_sees_its_side(at: Visitor, company: str, job: str, tag: str) -> None:
    pages = {
        company: ("/overview", "/jobs", "/statement", "/vouchers", "/claims", "/trail", "/members"),
        f"provider-{tag}": ("/overview", "/statement", "/my-centres", "/agents", "/trail"),
        "operator": ("/overview", "/pool", "/organisations", "/rating-problems", "/agents"),
        "reviewer": ("/overview", "/budget"),
        "finance": ("/payment-orders",),
        "county": ("/overview", "/payment-orders"),
        "auditor": ("/overview", "/trail", "/ledger", "/audit"),
    }
    for who, addresses in pages.items():
        at.sign_in(who)
        for address in addresses:
            at.go(address)
            assert at.page.locator("h1").count() == 1
            assert at.page.locator("main").count() == 1
            at.shot(f"{who.partition('-')[0]}{address.replace('/', '-')}")
    at.press("")  # the auditor runs the audit
    assert at.page.locator(".chip.refused").count() == 0, at.text("main")
    at.shot("audit-kept")
