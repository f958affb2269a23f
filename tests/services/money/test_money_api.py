"""The main job's money over HTTP: every amount explained, nothing seen that is not ours."""

from __future__ import annotations

import csv
import io

import pytest

from suanwang.core.clock import SimulatedClock
from suanwang.metering import services as metering
from suanwang.people.roles import Role
from suanwang.programmes.models import PaymentOrder
from suanwang.site import clock

from ..people_setting import Caller
from .conftest import NOW, organisation, viewer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def the_day(db):
    with clock.using(SimulatedClock(NOW)):
        yield


@pytest.fixture
def callers(city):
    return {name: Caller(of) for name, of in city.people.items()}


def ok(answer, status=200):
    assert answer.status_code == status, answer.content
    return answer.json()


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    return answer.json()


def test_from_use_to_receipt_over_http(city, callers):
    city.used(cores=3)
    owner, billing, office = callers["owner"], callers["billing"], callers["finance"]
    invoice = ok(owner.post("/invoices", {"provider_id": str(city.provider.pk)}), 201)
    assert (invoice["total_fen"], invoice["status"]) == (300, "issued")
    lines = ok(owner.get(f"/invoices/{invoice['id']}/lines"))["items"]
    assert [line["amount_fen"] for line in lines] == [300]
    assert lines[0]["parts"][0]["price_fen"] == 100

    address = f"/invoices/{invoice['id']}/channel-payments"
    started = ok(billing.post(address, {}), 202)
    assert started["state"] == "started"
    metering.confirm_channel_payment(started["reference"], at=NOW)
    assert ok(billing.get(f"/channel-payments/{started['id']}"))["state"] == "confirmed"
    assert ok(billing.get("/payments"))["items"][0]["amount_fen"] == 300

    assert ok(office.post("/vouchers/pool", {"year": 2026}))["left"] == 1_000_000_000
    asked = {"asked_fen": 100_000, "purpose": "训练"}
    application = ok(billing.post("/programmes/applications", asked), 201)
    granted = ok(
        callers["reviewer"].post(
            f"/programmes/applications/{application['id']}/grant", {"amount_fen": 100_000}
        )
    )
    voucher = granted["voucher_id"]
    draft = ok(billing.get(f"/vouchers/{voucher}/claim-draft"))
    assert (draft["amount_fen"], draft["total_fee_fen"]) == (150, 300)
    claim = ok(
        billing.post(
            f"/vouchers/{voucher}/claims", {"lines": [line["id"] for line in draft["lines"]]}
        ),
        201,
    )
    assert claim["amount_fen"] == 150
    assert claim["decision"]["steps"][0]["article"] == "5"
    held = ok(billing.get(f"/vouchers/{voucher}"))["numbers"]
    assert held == {
        "granted": 100_000,
        "available": 99_850,
        "reserved": 150,
        "redeemed": 0,
        "expired": 0,
    }
    review = f"/vouchers/claims/{claim['id']}/review"
    assert ok(callers["approver"].post(review, {"approve": True}))["state"] == "approved"
    order = ok(office.post("/programmes/payment-orders", {"claim_id": claim["id"]}), 201)
    assert {share["level"]: share["amount_fen"] for share in order["shares"]} == {
        "city": 75,
        "county": 75,
    }
    county = next(share for share in order["shares"] if share["level"] == "county")
    assert [share["id"] for share in ok(callers["county"].get("/programmes/shares"))["items"]] == [
        county["id"]
    ]
    for share, who in zip(order["shares"], (office, callers["county"]), strict=True):
        ok(who.post(f"/programmes/shares/{share['id']}/receipt", {"receipt": f"R{share['id']}"}))
    assert ok(billing.get(f"/programmes/payment-orders/{order['id']}"))["state"] == "paid"
    assert ok(billing.get(f"/vouchers/claims/{claim['id']}"))["state"] == "paid"


def test_a_certificate_can_be_verified_by_anyone(city, callers):
    voucher = city.voucher(100)
    shown = ok(callers["owner"].get(f"/vouchers/{voucher.pk}/certificate"))
    stranger = Caller()
    asked = {"content": shown["content"], "signature": shown["signature"]}
    assert ok(stranger.post("/vouchers/verification", asked)) == {"genuine": True}
    asked["content"]["face_fen"] = 10**9
    assert ok(stranger.post("/vouchers/verification", asked)) == {"genuine": False}
    assert ok(stranger.get("/vouchers/key"))["public_key"] == shown["public_key"]


def test_who_asks_for_an_invoice_before_the_use_is_rated_hears_that_there_is_nothing_yet(
    city, callers
):
    city.job()
    asked = {"provider_id": str(city.provider.pk)}
    refused(callers["owner"].post("/invoices", asked), 409, "nothing_to_invoice")


LISTS = (
    "/usage",
    "/usage/refused",
    "/charges",
    "/invoices",
    "/payments",
    "/vouchers",
    "/vouchers/claims",
    "/programmes/applications",
    "/programmes/payment-orders",
    "/programmes/shares",
)


def test_another_company_sees_nothing_of_it_and_a_stranger_is_sent_to_sign_in(whole_city):
    other = organisation("另一企业", "enterprise", "130606")
    outsider = Caller(viewer("outsider", other, Role.OWNER))
    elsewhere = organisation("另一区财政", "county", "130606")
    county = Caller(viewer("elsewhere", elsewhere, Role.COUNTY))
    for path in LISTS:
        assert ok(outsider.get(path))["items"] == [], path
        refused(Caller().get(path), 401, "sign_in_needed")
        if path != "/programmes/applications":
            answer = county.get(path)
            assert answer.status_code == 403 or answer.json()["items"] == [], path
    city = whole_city
    invoice = city.company.invoices.first()
    order = PaymentOrder.objects.first()
    claim = order.claim
    voucher = city.company.vouchers.first()
    for path in (
        f"/invoices/{invoice.pk}",
        f"/invoices/{invoice.pk}/lines",
        f"/vouchers/{voucher.pk}",
        f"/vouchers/{voucher.pk}/certificate",
        f"/vouchers/{voucher.pk}/claim-draft",
        f"/vouchers/claims/{claim.pk}",
        f"/vouchers/claims/{claim.pk}/lines",
        f"/programmes/payment-orders/{order.pk}",
        f"/statement?organisation_id={city.company.pk}",
        f"/reconciliation?organisation_id={city.company.pk}"
        "&starts=2026-01-01T00:00:00Z&ends=2027-01-01T00:00:00Z",
    ):
        assert outsider.get(path).status_code == 404, path
    asked = {"organisation_id": str(city.company.pk), "provider_id": str(city.provider.pk)}
    refused(outsider.post("/invoices", asked), 404, "organisation_not_found_for_invoice")


def test_lists_go_on_by_cursor_and_show_each_row_once(whole_city):
    caller = Caller(whole_city.people["owner"])
    seen, cursor = [], None
    while True:
        page = ok(caller.get(f"/charges?limit=3{f'&cursor={cursor}' if cursor else ''}"))
        seen += [row["id"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == len(ok(caller.get("/charges?limit=200"))["items"])
    first = ok(caller.get("/statement?limit=2"))
    second = ok(caller.get(f"/statement?limit=2&cursor={first['next_cursor']}"))
    versions = [row["version"] for row in first["items"] + second["items"]]
    assert versions == list(range(versions[0], versions[0] - 4, -1))
    refused(caller.get("/statement?cursor=x"), 422, "cursor_not_valid")


def test_a_statement_shows_what_is_left_and_what_is_held(city, callers):
    city.used()
    city.job(hold=5_000, state="running")
    shown = ok(callers["owner"].get("/statement"))
    assert (shown["code"], shown["available_fen"], shown["held_fen"]) == ("spend", 994_900, 5_000)
    earned = ok(callers["provider_member"].get("/statement"))
    assert (earned["code"], earned["available_fen"]) == ("earnings", 100)


def test_the_sums_agree_over_http(whole_city):
    period = "starts=2026-01-01T00:00:00Z&ends=2027-01-01T00:00:00Z"
    sums = ok(Caller(whole_city.people["owner"]).get(f"/reconciliation?{period}"))
    assert sums["agrees"] is True
    assert sums["rated"] == sums["ledger"] > 0


def test_tables_for_spreadsheets_cannot_run_as_formulas(whole_city):
    whole_city.company.name = '=HYPERLINK("x")'
    whole_city.company.save()
    caller = Caller(whole_city.people["owner"])
    for path, rows in (("/invoices", 7), ("/vouchers/claims", 6), ("/statement", 5)):
        answer = caller.get(f"{path}/export.csv")
        assert answer["Content-Type"].startswith("text/csv")
        table = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert len(table) >= rows
        assert not any(cell.startswith("=") for row in table for cell in row.values())


def test_the_operators_inbox_over_http(bare_city):
    city = bare_city
    city.give_credit(10_000)
    city.price("memory_mib_seconds", 0)
    job = city.job()
    city.report(job)
    metering.rate_pending(at=NOW)
    operator = Caller(city.people["operator"])
    [problem] = ok(operator.get("/rating-problems"))["items"]
    assert problem["code"] == "price_unknown"
    refused(Caller(city.people["owner"]).get("/rating-problems"), 403, "permission_missing")
    [waiting] = ok(operator.get("/unsettled-jobs"))["items"]
    assert (waiting["id"], waiting["charged_fen"]) == (str(job.pk), 0)
    address = f"/rating-problems/{problem['id']}/resolution"
    charge = ok(
        operator.post(address, {"resolution": "agreed", "amount_fen": 7, "reason": "双方确认"})
    )
    assert (charge["basis"], charge["amount_fen"]) == ("agreed", 7)
    assert ok(operator.get("/rating-problems"))["items"] == []


def test_a_refusal_speaks_both_languages_and_changes_nothing(city, callers):
    city.used()
    invoice = city.invoice()
    slip = {"reference": "S1", "amount_fen": 99, "paid_on": "2026-03-02"}
    said = {}
    for language in ("zh", "en"):
        caller = Caller(city.people["provider_member"], language=language)
        answer = caller.post(f"/invoices/{invoice.pk}/payment", slip)
        said[language] = refused(answer, 409, "amount_differs")["detail"]
    assert said["zh"] != said["en"]
    assert "¥1.00" in said["zh"]
    assert "¥1.00" in said["en"]
    invoice.refresh_from_db()
    assert invoice.status == "issued"
    refused(
        callers["provider_member"].post(
            f"/invoices/{invoice.pk}/payment", slip | {"amount_fen": -1}
        ),
        422,
        "payload_not_valid",
    )


def test_what_to_expect_back_over_http(city, callers):
    path = f"/vouchers/expected?fee_fen=1000&centre_id={city.centre.pk}"
    shown = ok(callers["owner"].get(path))
    assert (shown["amount_fen"], shown["voucher_needed"]) == (500, True)
    refused(
        callers["owner"].get(f"/vouchers/expected?fee_fen=1&centre_id={city.company.pk}"),
        404,
        "centre_not_found_for_voucher",
    )
