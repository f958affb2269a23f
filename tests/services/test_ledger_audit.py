"""The audit finds what it is there to find: each check against rows changed behind the guards."""

# ruff: noqa: S608 - the statements are the test

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.db import connection
from typer.testing import CliRunner

from suanwang.cli import application
from suanwang.core.errors import Refused
from suanwang.core.findings import Finding
from suanwang.ledger import audit, chart, seal, services
from suanwang.ledger.rules import AccountSpec, TransferSpec, post

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
LATER = chart.earnings(UUID(int=7))
POOL = chart.pool("test", 2026)


def move(debit: AccountSpec, credit: AccountSpec, amount: int, **more: object) -> TransferSpec:
    fields: dict[str, object] = {"id": uuid4(), "code": "test", "ledger": debit.ledger} | more
    return TransferSpec(
        debit_account=debit.id,
        credit_account=credit.id,
        amount_fen=amount,
        **fields,  # type: ignore[arg-type]
    )


@pytest.fixture(autouse=True)
def books() -> None:
    """A little of everything: a pool, a voucher, an allowance, money, a chain, two resolutions."""
    company, provider = uuid4(), uuid4()
    source, voucher = chart.appropriation("test", 2026), chart.voucher(uuid4())
    cap, used = chart.cap("test", 2026), chart.used("test", 2026)
    allowance = chart.issue_allowance("test", 2026, company)
    redeemed = chart.redeemed("test", 2026)
    spend, earnings = chart.spend(company), chart.earnings(provider)
    money = [chart.bank(), spend, earnings, LATER]
    services.create_accounts([source, POOL, voucher, cap, used, allowance, redeemed, *money])
    reserve = move(voucher, redeemed, 500, kind="pending", timeout_seconds=3600)
    hold = move(spend, earnings, 700, kind="pending")
    services.post_or_refuse(
        [
            move(source, POOL, 10_000, code="fund"),
            move(cap, allowance, 5_000, code="fund"),
            move(POOL, voucher, 2_000, linked=True),
            move(allowance, used, 2_000),
            reserve,
            move(chart.bank(), spend, 1_000),
            hold,
            post(uuid4(), hold.id, 300),
            move(voucher, redeemed, 100, kind="pending", timeout_seconds=60),
        ],
        at=AT,
    )
    assert services.expire_due(AT + timedelta(seconds=60)) == 1


def broken() -> dict[str, Finding]:
    return {finding.name: finding for check in audit.checks() if not (finding := check()).kept}


def behind_the_guards(statement: str) -> None:
    """What only a superuser can do: switch the triggers off, change rows, switch them on again."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement)
        assert cursor.rowcount != 0, "the statement must change something"
        cursor.execute("SET session_replication_role = origin")


def test_an_honest_ledger_passes_and_every_check_looks_at_rows() -> None:
    findings = [check() for check in audit.checks()]
    assert [finding.name for finding in findings if not finding.kept] == []
    assert all(finding.checked_rows > 0 for finding in findings)


_ONE = "(SELECT id FROM ledger_transfer WHERE kind = 'transfer' ORDER BY amount_fen, id LIMIT 1)"
_HEAD = "(account_id, version) IN (SELECT account_id, max(version) FROM ledger_entry GROUP BY 1)"
_POOL = f"'{POOL.id}'"


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (f"UPDATE ledger_transfer SET amount_fen = amount_fen + 1 WHERE id = {_ONE}",
         {"entries_sum_to_zero", "balances_equal_the_replay", "ids_keep_their_content"}),
        (f"DELETE FROM ledger_entry WHERE transfer_id = {_ONE} AND side = 'debit'",
         {"entries_sum_to_zero", "balances_equal_the_replay"}),
        (f"UPDATE ledger_entry SET posted_fen = posted_fen + 1 WHERE transfer_id = {_ONE}",
         {"entries_sum_to_zero", "entries_are_chained"}),
        (f"UPDATE ledger_entry SET credits_posted = credits_posted + 1 WHERE {_HEAD}",
         {"balances_equal_the_replay", "entries_are_chained"}),
        ("UPDATE ledger_transfer SET amount_fen = 10001 WHERE code = 'test'"
         f" AND debit_account_id = {_POOL}", {"pool_and_vouchers_within_their_funds"}),
        ("UPDATE ledger_transfer t SET amount_fen = 5001 FROM ledger_account a WHERE a.id ="
         " debit_account_id AND a.code = 'issue_allowance'",
         {"unit_year_allowances_within_their_cap"}),
        ("UPDATE ledger_transfer t SET amount_fen = 1001 FROM ledger_account a WHERE a.id ="
         " debit_account_id AND a.code = 'spend' AND kind = 'pending'",
         {"money_accounts_within_their_limit"}),
        ("UPDATE ledger_transfer SET pending_id = (SELECT id FROM ledger_transfer WHERE"
         " kind = 'pending' AND amount_fen = 500), amount_fen = 501 WHERE kind = 'post'",
         {"pending_resolved_once", "ids_keep_their_content"}),
        ("UPDATE ledger_transfer SET at = at - interval '1 second' WHERE kind = 'expire'",
         {"pending_resolved_once", "ids_keep_their_content"}),
        ("UPDATE ledger_transfer SET at = at + interval '1 microsecond' WHERE kind = 'post'",
         {"ids_keep_their_content"}),
        ("UPDATE ledger_transfer SET facts = '{\"a\": \"b\"}' WHERE kind = 'post'",
         {"ids_keep_their_content"}),
        ("UPDATE ledger_transfer SET expires_at = expires_at + interval '1 year'"
         " WHERE amount_fen = 500", {"ids_keep_their_content"}),
        ("UPDATE ledger_account SET flags = 0 WHERE flags = 1", {"ids_keep_their_content"}),
        ("UPDATE ledger_transfer SET linked = false, hash = hash WHERE linked",
         {"linked_chains_are_whole", "ids_keep_their_content"}),
        ("DELETE FROM ledger_transfer WHERE chain_position = 1",
         {"linked_chains_are_whole", "entries_sum_to_zero"}),
        (f"UPDATE ledger_entry SET version = version + 1 WHERE {_HEAD}", {"entries_are_chained"}),
        (f"UPDATE ledger_entry SET hash = sha256(hash) WHERE {_HEAD}", {"entries_are_chained"}),
        ("UPDATE ledger_transfer SET hash = sha256(hash) WHERE kind = 'post'",
         {"ids_keep_their_content", "entries_are_chained"}),
        ("ALTER TABLE ledger_entry DISABLE TRIGGER append_only", {"guards_are_armed"}),
        ("ALTER TABLE ledger_transfer DISABLE TRIGGER ledger_guard", {"guards_are_armed"}),
        ("DROP TRIGGER append_only_whole ON ledger_account", {"guards_are_armed"}),
    ],
)  # fmt: skip
def test_a_change_behind_the_guards_is_found(statement: str, found: set[str]) -> None:
    behind_the_guards(statement)
    assert found <= broken().keys()


def test_a_pending_transfer_resolved_twice_is_found() -> None:
    behind_the_guards("DROP INDEX transfer_resolved_once")
    behind_the_guards(
        "INSERT INTO ledger_transfer SELECT (jsonb_populate_record(t, jsonb_build_object('id',"
        " gen_random_uuid()))).* FROM ledger_transfer t WHERE kind = 'post'"
    )
    assert "pending_resolved_once" in broken()


def test_a_pool_that_is_funded_twice_is_found() -> None:
    services.post_or_refuse([move(chart.appropriation("test", 2026), POOL, 10_000)], at=AT)
    assert broken().keys() == {"caps_are_put_in_once"}


def test_the_command_prints_what_it_checked_and_fails_on_a_break(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    whole = CliRunner().invoke(application(), ["audit"])
    assert whole.exit_code == 0, whole.output
    assert "全部成立" in whole.output
    behind_the_guards(f"UPDATE ledger_entry SET hash = sha256(hash) WHERE account_id = {_POOL}")
    torn = CliRunner().invoke(application(), ["audit", "--json"])
    assert torn.exit_code == 1
    said = json.loads(torn.stdout)
    assert [f["name"] for f in said["findings"] if not f["kept"]] == ["entries_are_chained"]
    assert any(str(POOL.id) in row for f in said["findings"] for row in f["broken"])


def test_a_seal_shows_what_no_chain_can_rows_cut_off_at_its_end(tmp_path: Path) -> None:
    kept = tmp_path / "seal.json"
    assert CliRunner().invoke(application(), ["audit", "--seal", str(kept)]).exit_code == 0
    services.post_or_refuse([move(chart.bank(), LATER, 5)], at=AT)
    against = ["audit", "--json", "--against", str(kept)]
    assert CliRunner().invoke(application(), against).exit_code == 0

    newest = "(SELECT id FROM ledger_transfer WHERE kind = 'expire')"
    behind_the_guards(f"DELETE FROM ledger_entry WHERE transfer_id = {newest}")
    behind_the_guards("DELETE FROM ledger_transfer WHERE kind = 'expire'")
    assert broken() == {}, "to the chains alone, what is left looks whole"
    cut = CliRunner().invoke(application(), against)
    assert cut.exit_code == 1
    assert [f["name"] for f in json.loads(cut.stdout)["findings"] if not f["kept"]] == [
        "sealed_entries_are_still_there"
    ]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format": "suanwang-seal-1"}'])
def test_what_is_not_a_seal_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        seal.read(text)
    assert refused.value.code == "seal_unreadable"


def test_a_seal_never_overwrites_a_file_and_is_not_made_of_broken_books(tmp_path: Path) -> None:
    kept = tmp_path / "seal.json"
    kept.write_text("precious", encoding="utf-8")
    taken = CliRunner().invoke(application(), ["audit", "--seal", str(kept)])
    assert isinstance(taken.exception, Refused)
    assert kept.read_text(encoding="utf-8") == "precious"
    kept.unlink()
    behind_the_guards(f"UPDATE ledger_entry SET hash = sha256(hash) WHERE account_id = {_POOL}")
    assert CliRunner().invoke(application(), ["audit", "--seal", str(kept)]).exit_code == 1
    assert not kept.exists()
