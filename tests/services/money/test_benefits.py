"""Benefits without application: what the platform knows is enough to say what could be had."""

from __future__ import annotations

import pytest
from django.test import Client

from suanwang.policy import load
from suanwang.site.settings import settings
from suanwang.vouchers.benefits import benefits_of, papers_to_bring


def test_what_can_be_claimed_is_found_with_its_papers(city):
    voucher = city.voucher()
    city.paid_invoice(cores=3)
    found = benefits_of(city.company, at=city.now)
    [one] = found.claimable
    assert (one.voucher, one.left_fen, one.amount_fen) == (voucher, 50_000_00, 150)
    assert found.ready_fen == 150
    assert [paper["en"] for paper in found.papers] == ["Service contract"]
    assert len(found.papers_held) == 4
    assert found.with_voucher is None


def test_fees_without_a_voucher_and_unpaid_invoices_say_what_is_missing(city):
    city.paid_invoice(cores=2)
    city.used(cores=4)
    owed = city.invoice()
    found = benefits_of(city.company, at=city.now)
    assert (found.claimable, found.ready_fen) == ([], 0)
    assert found.with_voucher
    assert (found.with_voucher.fee_fen, found.with_voucher.decision.amount_fen) == (200, 100)
    [waiting] = found.when_paid
    assert (waiting.invoice, waiting.expected.amount_fen) == (owed, 200)


def test_other_measures_are_open_until_what_is_missing_is_known(city):
    found = benefits_of(city.company, at=city.now)
    states = {one.found.measure.name: one.found.state for one in found.possible}
    assert states["5b"] == "open"
    assert "data-ai" in states
    assert "5c" not in states
    assert found.questions


def test_two_vouchers_never_offer_one_line_twice(city):
    city.voucher(1000)
    city.voucher(2000)
    city.paid_invoice()
    found = benefits_of(city.company, at=city.now)
    assert [len(one.lines) for one in found.claimable] in ([1, 0], [0, 1])
    assert found.ready_fen == 50


def test_every_paper_the_platform_holds_is_named_as_in_the_policy():
    package = load(settings().policies / "baoding-2024")
    evidence = package.measure("5c").evidence
    assert len(papers_to_bring(evidence)) == len(evidence) - 4


@pytest.mark.parametrize(
    ("language", "title", "start"),
    [("zh-hans", "免申即享", "办理已预填的兑付申请"),
     ("en", "Benefits for you", "Start the filled-in claim")],
)  # fmt: skip
def test_the_page_starts_the_claim_in_both_languages(
    city, language: str, title: str, start: str, monkeypatch: pytest.MonkeyPatch
):
    voucher = city.voucher()
    client = Client()
    client.force_login(city.billing.person)
    client.cookies["django_language"] = language
    monkeypatch.setattr("suanwang.console.views.benefits.now", lambda: city.now)
    empty = client.get("/benefits")
    assert start not in empty.content.decode()
    city.paid_invoice(cores=3)
    page = client.get("/benefits").content.decode()
    assert title in page
    assert start in page
    assert "¥1.50" in page
    assert f"/vouchers/{voucher.pk}/claim" in page


def test_the_calculator_asks_an_organisation_nothing_the_platform_knows(
    city, monkeypatch: pytest.MonkeyPatch
):
    client = Client()
    client.cookies["django_language"] = "en"
    monkeypatch.setattr("suanwang.console.views.calculator.now", lambda: city.now)
    stranger = client.get("/calculator").content.decode()
    assert 'id="q-applicant_kind"' in stranger
    assert "from your account" not in stranger
    assert 'href="/benefits"' not in stranger
    city.voucher()
    city.paid_invoice(cores=3)
    client.force_login(city.billing.person)
    own = client.get("/calculator").content.decode()
    assert 'id="q-applicant_kind"' not in own
    assert "from your account" in own
    assert 'id="m-5c"' in own
    assert "¥1.50" in own
    assert 'href="/benefits"' in own


def test_what_the_platform_knows_can_be_answered_otherwise(city, monkeypatch: pytest.MonkeyPatch):
    city.voucher()
    city.paid_invoice(cores=3)
    client = Client()
    client.force_login(city.billing.person)
    monkeypatch.setattr("suanwang.console.views.calculator.now", lambda: city.now)
    asked = client.get("/calculator", {"change": "paid_fee_fen"}).content.decode()
    assert 'name="paid_fee_fen" value="3.00"' in asked
    other = client.get("/calculator", {"paid_fee_fen": "1000.00"}).content.decode()
    assert "¥500.00" in other
