"""The money audit: silent over an honest city, and every check finds what it is there to find."""

# ruff: noqa: S608 - the statements are the test

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection

from suanwang.core.findings import Finding
from suanwang.ledger import audit as ledger_audit
from suanwang.metering import audit as metering_audit
from suanwang.metering import queries as metering_queries
from suanwang.programmes import audit as programmes_audit
from suanwang.vouchers import audit as vouchers_audit

pytestmark = pytest.mark.django_db

ROOMS = (metering_audit, vouchers_audit, programmes_audit)


def vandalise(*statements: str) -> None:
    """Change rows as someone with the keys to the database would: triggers asleep."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
            assert cursor.rowcount, f"changed nothing: {statement}"
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_an_honest_city_keeps_every_promise(whole_city):
    findings: list[Finding] = [check() for room in ROOMS for check in room.checks()]
    assert [finding for finding in findings if not finding.kept] == []
    assert [finding.name for finding in findings if not finding.checked_rows] == []
    assert max(Counter(finding.name for finding in findings).values()) == 1
    for check in ledger_audit.checks():
        assert check().kept, check().broken


FIRST_CHARGE = "(SELECT id FROM metering_charge WHERE amount_fen > 0 ORDER BY id LIMIT 1)"
FIRST_USAGE = "(SELECT record_id FROM metering_usagerecord ORDER BY sequence LIMIT 1)"
LAST_USAGE = "(SELECT record_id FROM metering_usagerecord ORDER BY sequence DESC LIMIT 1)"

BREAKS = {
    "usage_is_chained_and_signed": (
        f"UPDATE metering_usagerecord SET quantity = quantity - 1 WHERE record_id = {FIRST_USAGE}",
        "UPDATE metering_usagerecord SET signature = repeat('A', 88)",
        f"UPDATE metering_usagerecord SET sent = sent || '{{\"quantity\": 1}}', quantity = 1"
        f" WHERE record_id = {LAST_USAGE}",
        "DELETE FROM metering_charge WHERE usage_id ="
        " (SELECT record_id FROM metering_usagerecord WHERE sequence = 3);"
        "DELETE FROM metering_usagerecord WHERE sequence = 3",
    ),
    "usage_is_possible": (
        "UPDATE metering_usagerecord SET quantity = quantity + 1 WHERE meter = 'core_seconds'",
    ),
    "charges_follow_from_prices": (
        f"UPDATE metering_charge SET amount_fen = amount_fen + 1 WHERE id = {FIRST_CHARGE}",
        f"UPDATE metering_charge SET parts = '[]' WHERE id = {FIRST_CHARGE}",
        "UPDATE registry_price SET price_fen = price_fen + 1 WHERE meter = 'core_seconds'",
    ),
    "nothing_settled_is_unrated": (
        "UPDATE metering_settlement SET settled_at = settled_at + interval '1 day';"
        f"DELETE FROM metering_charge WHERE id = {FIRST_CHARGE}",
    ),
    "charges_equal_the_ledger": (
        "UPDATE metering_settlement SET amount_fen = amount_fen + 1",
        f"DELETE FROM metering_charge WHERE id = {FIRST_CHARGE}",
        "UPDATE ledger_transfer SET amount_fen = amount_fen + 1 WHERE code = 'earnings'",
    ),
    "holds_are_posted_by_settlements": ("DELETE FROM metering_settlement WHERE amount_fen > 0",),
    "providers_earn_their_charges": (
        "UPDATE ledger_transfer SET credit_account_id ="
        " (SELECT id FROM ledger_account WHERE code = 'bank') WHERE code = 'earnings'",
    ),
    "clearing_is_empty": ("DELETE FROM ledger_transfer WHERE code = 'earnings'",),
    "invoices_equal_their_lines": (
        "UPDATE metering_invoice SET total_fen = total_fen + 1",
        "UPDATE metering_invoiceline SET amount_fen = amount_fen + 1",
        "UPDATE metering_invoice SET provider_id = organisation_id",
    ),
    "invoice_numbers_have_no_gap": (
        "UPDATE metering_invoice SET number = 'X' || number WHERE number LIKE '%1'",
    ),
    "payments_are_whole_and_in_the_ledger": (
        "UPDATE metering_invoice SET status = 'paid', paid_at = issued_at WHERE status = 'issued'",
        "DELETE FROM metering_payment",
        "UPDATE metering_payment SET amount_fen = amount_fen - 1",
        "DELETE FROM ledger_transfer WHERE code = 'payment'",
        "UPDATE ledger_transfer SET amount_fen = amount_fen - 1 WHERE code = 'payment'",
    ),
    "voucher_numbers_add_up": (
        "UPDATE vouchers_voucher SET face_fen = face_fen + 1",
        "UPDATE vouchers_claim SET state = 'rejected', review_reason = 'x' WHERE state = 'filed'",
        "DELETE FROM ledger_transfer WHERE code = 'grant'",
        "UPDATE ledger_transfer SET amount_fen = amount_fen - 1"
        " WHERE kind = 'post' AND code = 'claim'",
    ),
    "certificates_are_genuine": (
        "UPDATE vouchers_voucher SET signature = repeat('A', 86) || '=='",
        "UPDATE vouchers_voucher SET stated = stated || '{\"face_fen\": 1}'",
        "UPDATE vouchers_voucher SET year = year + 1",
    ),
    "packages_keep_their_content": (
        "UPDATE vouchers_policypackage SET published ="
        " jsonb_set(published, '{content,policy,title,en}', '\"Other\"')",
        "UPDATE vouchers_policypackage SET published = jsonb_set(published, '{hash}', '\"0000\"')",
    ),
    "the_highest_of_overlapping_policies_pays": (
        "UPDATE vouchers_claim SET comparison = jsonb_set(comparison, '{own}', '\"x/y\"')",
        "UPDATE vouchers_claim SET comparison ="
        " jsonb_set(comparison, '{offers,0,amount_fen}', '1')",
        "UPDATE vouchers_claim SET comparison = jsonb_set(comparison, '{offers,1,unmet}', '[]')",
        "UPDATE vouchers_claim SET comparison ="
        " jsonb_set(comparison, '{offers,1,facts,spend_year_fen}', '40000000')",
        "UPDATE vouchers_claim SET comparison = jsonb_set(comparison, '{on}', '\"2026-01-01\"')",
    ),
    "claims_are_decided_again_alike": (
        "UPDATE vouchers_claim SET amount_fen = amount_fen - 1",
        "UPDATE vouchers_claim SET facts = facts || '{\"platform_is_local\": false}'",
        "UPDATE vouchers_claim SET decision = decision || '{\"amount_fen\": 1}'",
        "UPDATE vouchers_claim SET decision = jsonb_set(decision, '{steps,0,value}', '7')",
        "UPDATE vouchers_claim SET decision = decision - 'caps'",
        "UPDATE vouchers_claim SET filed_at = filed_at + interval '2 days'",
        "UPDATE vouchers_claim SET package_id = NULL",
        "UPDATE vouchers_claim SET facts = facts - 'applicant_kind'",
    ),
    "claims_stand_in_the_ledger": (
        "UPDATE vouchers_claim SET state = 'approved' WHERE state = 'filed'",
        "UPDATE vouchers_claim SET state = 'filed' WHERE state = 'withdrawn'",
        "UPDATE vouchers_claim SET reserve_id = id",
    ),
    "approvals_count_against_the_cap": (
        "DELETE FROM ledger_transfer WHERE code = 'payment_allowance'",
    ),
    "a_fee_is_claimed_once": (
        "DROP INDEX a_line_is_claimed_once; UPDATE vouchers_claim SET state = 'filed'"
        " WHERE state = 'withdrawn'; UPDATE vouchers_claimline SET released = false,"
        " invoice_line_id = (SELECT min(invoice_line_id::text)::uuid FROM vouchers_claimline)",
        "UPDATE vouchers_claimline SET released = true WHERE NOT released",
    ),
    "claimed_fees_were_paid_first": (
        "DELETE FROM metering_payment",
        "UPDATE metering_invoice SET status = 'issued', paid_at = NULL",
        "UPDATE vouchers_claimline SET fee_fen = fee_fen + 1",
        "UPDATE metering_payment SET recorded_at = recorded_at + interval '1 day'",
        "UPDATE vouchers_claim SET organisation_id ="
        " (SELECT id FROM people_organisation WHERE kind = 'provider')",
    ),
    "vouchers_come_from_applications": (
        "UPDATE programmes_application SET asked_fen = 1",
        "UPDATE programmes_application SET voucher_id = NULL, state = 'rejected'",
        "UPDATE programmes_application SET state = 'withdrawn'",
        "UPDATE vouchers_voucher SET holder_id ="
        " (SELECT id FROM people_organisation WHERE kind = 'provider')",
    ),
    "shares_add_up_to_the_fen": (
        "UPDATE programmes_paymentshare SET amount_fen = amount_fen + 1 WHERE level = 'city'",
        "UPDATE programmes_paymentorder SET amount_fen = amount_fen + 1",
        "DELETE FROM programmes_paymentshare WHERE level = 'county'",
    ),
    "orders_are_split_by_the_policy": (
        "UPDATE programmes_paymentshare SET amount_fen = amount_fen +"
        " CASE level WHEN 'city' THEN 1 ELSE -1 END",
        "UPDATE programmes_paymentshare SET division = '130606' WHERE level = 'county'",
        "UPDATE programmes_paymentorder SET package_id = NULL",
        "UPDATE programmes_paymentorder SET division = '130681'",
    ),
    "no_payment_without_approval": (
        "UPDATE vouchers_claim SET reviewed_at = NULL",
        "UPDATE vouchers_claim SET state = 'approved' WHERE state = 'paid'",
        "UPDATE vouchers_claim SET state = 'paid' WHERE state = 'ordered'",
        "DELETE FROM metering_payment",
        "UPDATE metering_payment SET recorded_at = recorded_at + interval '1 day'",
    ),
    "receipts_stand_in_the_ledger": (
        "UPDATE programmes_paymentshare SET receipt = 'X' || id WHERE receipt = ''",
        "UPDATE programmes_paymentshare SET receipt = '' WHERE level = 'city'",
        "UPDATE programmes_paymentorder SET state = 'ordered' WHERE state = 'paid'",
        "UPDATE programmes_paymentorder SET state = 'returned' WHERE state = 'ordered'",
        "UPDATE programmes_paymentshare SET transfer_id = gen_random_uuid()",
        "UPDATE programmes_paymentshare SET division = '130606' WHERE level = 'county'",
    ),
    "three_people_for_every_voucher": (
        "UPDATE vouchers_claim SET reviewed_by_id ="
        " (SELECT granted_by_id FROM vouchers_voucher LIMIT 1)",
        "UPDATE programmes_paymentorder SET ordered_by_id ="
        " (SELECT granted_by_id FROM vouchers_voucher LIMIT 1)",
        "UPDATE programmes_paymentshare SET receipted_by_id ="
        " (SELECT granted_by_id FROM vouchers_voucher LIMIT 1)",
    ),
}


def test_every_check_has_its_vandals():
    assert set(BREAKS) == {check().name for room in ROOMS for check in room.checks()}


def test_each_check_finds_its_breaks(whole_city):
    checks = {check().name: check for room in ROOMS for check in room.checks()}
    missed = []
    for name, statements in BREAKS.items():
        for statement in statements:
            save = connection.savepoint()
            vandalise(*statement.split(";"))
            if checks[name]().kept:
                missed.append((name, statement))
            connection.savepoint_rollback(save)
    assert missed == []
    assert all(check().kept for check in checks.values()), "every break was undone"


def test_the_sums_of_a_period_tell_the_same_story(whole_city):
    city = whole_city
    sums = metering_queries.reconcile(
        city.company.pk, starts=city.now, ends=city.now + timedelta(seconds=1)
    )
    assert sums.agrees
    assert sums.jobs == 8
    assert sums.rated == sums.ledger == 100 * (2 + 3 + 5 + 1 + 1 + 1 + 7 + 11) + 1000
    assert (sums.not_invoiced, sums.paid) == (1100, sums.invoiced - 700)
    vandalise(f"UPDATE metering_charge SET amount_fen = amount_fen + 1 WHERE id = {FIRST_CHARGE}")
    assert not metering_queries.reconcile(
        city.company.pk, starts=city.now, ends=city.now + timedelta(seconds=1)
    ).agrees
