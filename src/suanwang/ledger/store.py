"""How the ledger's rows are read under lock and written in bulk. Only ``services`` calls this.

Plain SQL, because a batch must cost a handful of statements whatever its size.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
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
_NEW_TRANSFER_COLUMNS = f"{TRANSFER_COLUMNS}, expires_at"
_ENTRY_COLUMNS = (
    "account_id, version, transfer_id, side, pending_fen, posted_fen,"
    " debits_pending, debits_posted, credits_pending, credits_posted, hash"
)
_COPY_TRANSFERS = f"COPY ledger_transfer ({_NEW_TRANSFER_COLUMNS}) FROM STDIN"
_COPY_ENTRIES = f"COPY ledger_entry ({_ENTRY_COLUMNS}) FROM STDIN"
_FEW = 10
"""Up to so many transfers one INSERT is quicker than two COPYs."""


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


@dataclass(frozen=True)
class Locked:
    """What was read of the accounts and transfers a batch touches, once the accounts were ours."""

    accounts: dict[UUID, AccountSpec]
    heads: dict[UUID, Head]
    transfers: dict[UUID, Recorded]
    resolutions: dict[UUID, Kind]


def lock(account_ids: Collection[UUID], transfer_ids: Collection[UUID]) -> Locked:
    """Lock accounts in the order of their ids, then read their heads and some transfers.

    Three statements sent at once: each sees what was committed before it began, so the later two
    see everything that was done before the locks were ours.
    """
    wanted = list(account_ids)
    with (
        connection.wrap_database_errors,
        connection.cursor() as locking,
        connection.cursor() as newest,
        connection.cursor() as known,
        connection.connection.pipeline(),
    ):
        locking.execute(_LOCK, [wanted])
        newest.execute(_HEADS, [wanted])
        known.execute(_TRANSFERS, [list(transfer_ids)])
        locked, latest, recorded = locking.fetchall(), newest.fetchall(), known.fetchall()
    empty = {row[0]: Head(0, bytes(row[6]), Balance()) for row in locked}
    accounts = {row[0]: as_account(row) for row in locked}
    return Locked(accounts, empty | _as_heads(latest), *_as_transfers(recorded))


def heads(ids: Collection[UUID]) -> dict[UUID, Head]:
    """The newest entry of each account that has one."""
    return _as_heads(_rows(_HEADS, ids))


def _as_heads(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, Head]:
    return {
        account: Head(version, bytes(link), Balance(*balance))
        for account, version, link, *balance in rows
    }


def transfers(ids: Collection[UUID]) -> tuple[dict[UUID, Recorded], dict[UUID, Kind]]:
    """Recorded transfers among these ids, and how the pending ones were resolved."""
    return _as_transfers(_rows(_TRANSFERS, ids))


def _as_transfers(
    rows: Sequence[tuple[Any, ...]],
) -> tuple[dict[UUID, Recorded], dict[UUID, Kind]]:
    recorded = {row[0]: as_recorded(row[:-1]) for row in rows}
    return recorded, {row[0]: row[-1] for row in rows if row[-1] is not None}


def as_recorded(row: Sequence[Any]) -> Recorded:
    """A transfer from its columns, in the order of ``Recorded``."""
    *columns, facts, at, link = row
    return Recorded._make([*columns, json.loads(facts), at, bytes(link)])


def write(new_transfers: Sequence[Recorded], entries: Sequence[Entry]) -> None:
    """Append transfers and their entries: a few in one statement, many by COPY."""
    if len(new_transfers) <= _FEW:
        _insert(new_transfers, entries)
    else:
        _copy(_COPY_TRANSFERS, "".join(map(_transfer_line, new_transfers)))
        _copy(_COPY_ENTRIES, "".join(map(_entry_line, entries)))


def _insert(new_transfers: Sequence[Recorded], entries: Sequence[Entry]) -> None:
    values = [
        value
        for t in new_transfers
        for value in (*t[:12], json.dumps(t.facts, ensure_ascii=False), t.at, t.hash, t.expires_at)
    ]
    values += [value for e in entries for value in (*e[:6], *e.balance, e.hash)]
    transfer_rows, entry_rows = _places(len(new_transfers), 16), _places(len(entries), 11)
    statement = f"""
        WITH moved AS (
            INSERT INTO ledger_transfer ({_NEW_TRANSFER_COLUMNS}) VALUES {transfer_rows}
        )
        INSERT INTO ledger_entry ({_ENTRY_COLUMNS}) VALUES {entry_rows}
    """  # noqa: S608  only column names and places
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _places(rows: int, columns: int) -> str:
    return ", ".join([f"({', '.join(['%s'] * columns)})"] * rows)


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
