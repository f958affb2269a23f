"""The books over HTTP: everybody traces their own yuan, the auditor any."""

from __future__ import annotations

from uuid import uuid4

import pytest

from suanwang.ledger import chart, services
from suanwang.ledger.models import Transfer
from suanwang.ledger.rules import TransferSpec, post
from suanwang.people.roles import OrganisationKind, Role

from .people_setting import AT, Caller, active, office, viewer

pytestmark = pytest.mark.django_db


def test_a_company_reads_its_own_books_page_by_page_and_no_others() -> None:
    owner, other = active(), active()
    spend, clearing = chart.spend(owner.organisation_id), chart.clearing()
    services.create_accounts([chart.bank(), spend, clearing])
    paid = TransferSpec(uuid4(), chart.bank().id, spend.id, 1000, 1, "test", facts={"why": "测试"})
    hold = TransferSpec(uuid4(), spend.id, clearing.id, 700, 1, "test", kind="pending")
    services.post_or_refuse([paid, hold, post(uuid4(), hold.id, 300)], at=AT)
    mine, theirs = Caller(viewer(owner)), Caller(viewer(other))
    auditor = Caller(office(OrganisationKind.AUDIT_OFFICE, Role.AUDITOR))

    [listed] = mine.get("/ledger/accounts").json()["items"]
    assert listed["code"] == "spend"
    assert listed["limit"] == "debits_must_not_exceed_credits"
    assert (listed["debits_posted"], listed["credits_posted"], listed["available_fen"]) == (
        300,
        1000,
        700,
    )
    first = mine.get(f"/ledger/accounts/{spend.id}/entries?limit=2").json()
    second = mine.get(
        f"/ledger/accounts/{spend.id}/entries?limit=2&cursor={first['next_cursor']}"
    ).json()
    rows = first["items"] + second["items"]
    assert [row["version"] for row in rows] == [3, 2, 1]
    assert [row["available_fen"] for row in rows] == [700, 300, 1000]
    assert second["next_cursor"] is None
    assert rows[2]["facts"] == {"why": "测试"}
    assert mine.get(f"/ledger/transfers/{hold.id}").json()["pending_state"] == "posted"

    assert theirs.get("/ledger/accounts").json()["items"] == []
    for path in (f"accounts/{spend.id}", f"accounts/{spend.id}/entries", f"transfers/{hold.id}"):
        assert mine.get(f"/ledger/{path}").status_code == 200
        assert auditor.get(f"/ledger/{path}").status_code == 200
        refused = theirs.get(f"/ledger/{path}")
        assert refused.status_code == 404
        assert refused.json()["code"] in ("account_not_found", "transfer_not_found")
    assert Transfer.objects.count() == 3


@pytest.mark.parametrize("cursor", ["x", "-1", "１", "9" * 30, "1.5"])
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    owner = active()
    services.create_accounts([spend := chart.spend(owner.organisation_id)])
    answer = Caller(viewer(owner)).get(f"/ledger/accounts/{spend.id}/entries?cursor={cursor}")
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] == "cursor_not_valid"
