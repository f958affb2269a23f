"""How the ledger's rows are read under lock and written in bulk. Only ``services`` calls this.

Plain SQL, because a batch must cost a handful of statements whatever its size.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from suanwang.ledger.chain import account_hash
from suanwang.ledger.terms import (
    AccountFlag,
    AccountSpec,
    Balance,
    Entry,
    Head,
    Kind,
    Recorded,
)

TRANSFER_COLUMNS = (
    "id, debit_account_id, credit_account_id, amount_fen, ledger, code, kind, pending_id,"
    " timeout_seconds, linked, chain, chain_position, facts, at, hash"
)
_LOCK = """
    SELECT id, code, ledger, flags, owner, title, hash FROM ledger_account
     WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
_ACCOUNTS = "SELECT id, code, ledger, flags, owner, title FROM ledger_account WHERE id = ANY(%s)"
_HEADS = """
    SELECT e.account_id, e.version, e.hash,
           e.debits_pending, e.debits_posted, e.credits_pending, e.credits_posted
      FROM unnest(%s::uuid[]) AS wanted(id)
     CROSS JOIN LATERAL (
        SELECT * FROM ledger_entry WHERE account_id = wanted.id ORDER BY version DESC LIMIT 1
     ) AS e
"""
_TRANSFERS = f"""
    SELECT {", ".join("t." + name for name in TRANSFER_COLUMNS.split(", "))}, r.kind
      FROM ledger_transfer t
      LEFT JOIN ledger_transfer r ON r.pending_id = t.id
     WHERE t.id = ANY(%s)
"""  # noqa: S608
_PENDING_ACCOUNTS = """
    SELECT debit_account_id, credit_account_id FROM ledger_transfer WHERE id = ANY(%s)
"""
_COPY_TRANSFERS = f"COPY ledger_transfer ({TRANSFER_COLUMNS}, expires_at) FROM STDIN"
_COPY_ENTRIES = """
    COPY ledger_entry (account_id, version, transfer_id, side, pending_fen, posted_fen,
        debits_pending, debits_posted, credits_pending, credits_posted, hash) FROM STDIN
"""


def _rows(sql: str, ids: Collection[UUID]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(ids)])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def accounts(ids: Collection[UUID]) -> dict[UUID, AccountSpec]:
    """The accounts that exist among these, without a lock: they never change."""
    return {row[0]: as_account(row) for row in _rows(_ACCOUNTS, ids)}


def as_account(row: Sequence[Any]) -> AccountSpec:
    """An account from its columns, in the order of ``AccountSpec``; what follows is left aside."""
    return AccountSpec(row[0], row[1], row[2], AccountFlag(row[3]), row[4], row[5])


def insert_accounts(specs: Iterable[AccountSpec]) -> None:
    """Insert accounts; one that another connection inserted meanwhile is left as it is."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ledger_account (id, code, ledger, flags, owner, title, hash)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING",
            [
                (s.id, s.code, s.ledger, int(s.flags), s.owner, s.title, account_hash(s))
                for s in specs
            ],
        )


def accounts_of_pending(ids: Collection[UUID]) -> set[UUID]:
    """The accounts between which pending transfers hold amounts: they must be locked too."""
    return {account for row in _rows(_PENDING_ACCOUNTS, ids) for account in row}


def lock(ids: Collection[UUID]) -> tuple[dict[UUID, AccountSpec], dict[UUID, Head]]:
    """Lock accounts in the order of their ids, then read their heads.

    Two statements on purpose: the heads must be read by a snapshot taken after the locks are held.
    """
    locked = _rows(_LOCK, ids)
    empty = {row[0]: Head(0, bytes(row[6]), Balance()) for row in locked}
    return {row[0]: as_account(row) for row in locked}, empty | heads(empty.keys())


def heads(ids: Collection[UUID]) -> dict[UUID, Head]:
    """The newest entry of each account that has one."""
    return {
        account: Head(version, bytes(link), Balance(*balance))
        for account, version, link, *balance in _rows(_HEADS, ids)
    }


def transfers(ids: Collection[UUID]) -> tuple[dict[UUID, Recorded], dict[UUID, Kind]]:
    """Recorded transfers among these ids, and how the pending ones were resolved."""
    recorded: dict[UUID, Recorded] = {}
    resolutions: dict[UUID, Kind] = {}
    for row in _rows(_TRANSFERS, ids):
        recorded[row[0]] = as_recorded(row[:-1])
        if row[-1] is not None:
            resolutions[row[0]] = row[-1]
    return recorded, resolutions


def as_recorded(row: Sequence[Any]) -> Recorded:
    """A transfer from its columns, in the order of ``Recorded``."""
    *columns, facts, at, link = row
    return Recorded._make([*columns, json.loads(facts), at, bytes(link)])


def write(new_transfers: Sequence[Recorded], entries: Sequence[Entry]) -> None:
    """Append transfers and their entries, in bulk."""
    _copy(_COPY_TRANSFERS, "".join(map(_transfer_line, new_transfers)))
    _copy(_COPY_ENTRIES, "".join(map(_entry_line, entries)))


def _copy(statement: str, lines: str) -> None:
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        copy.write(lines)


def _escape(text: str) -> str:
    """Text as COPY reads it."""
    if text.isalnum():
        return text
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def _transfer_line(t: Recorded) -> str:
    facts = _escape(json.dumps(t.facts, ensure_ascii=False)) if t.facts else "{}"
    expires_at = t.expires_at
    return (
        f"{t.id.hex}\t{t.debit_account.hex}\t{t.credit_account.hex}\t{t.amount_fen}\t{t.ledger}"
        f"\t{_escape(t.code)}\t{t.kind}\t{t.pending_id.hex if t.pending_id else _NULL}"
        f"\t{t.timeout_seconds}\t{'t' if t.linked else 'f'}\t{t.chain.hex if t.chain else _NULL}"
        f"\t{t.chain_position}\t{facts}\t{t.at.isoformat()}\t\\\\x{t.hash.hex()}"
        f"\t{expires_at.isoformat() if expires_at else _NULL}\n"
    )


def _entry_line(e: Entry) -> str:
    b = e.balance
    return (
        f"{e.account.hex}\t{e.version}\t{e.transfer.hex}\t{e.side}\t{e.pending_fen}\t{e.posted_fen}"
        f"\t{b.debits_pending}\t{b.debits_posted}\t{b.credits_pending}\t{b.credits_posted}"
        f"\t\\\\x{e.hash.hex()}\n"
    )


_NULL = "\\N"
