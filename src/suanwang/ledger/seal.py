"""A seal: the newest link of every chain, to be kept where the city's operators cannot reach.

A hash chain shows a change in its middle. Rows cut off at its end, or a whole database put back to
an older day, show only against a link that somebody else kept: an auditor takes a seal from time
to time, and later asks whether everything under it is still there.
"""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from django.db import connection

from suanwang.core.errors import Refused
from suanwang.core.findings import SHOWN_MAX, Finding, Words

_FORMAT = "suanwang-seal-1"
_HEADS = """
    SELECT DISTINCT ON (account_id) account_id::text, version, encode(hash, 'hex')
      FROM ledger_entry ORDER BY account_id, version DESC
"""
_GONE = """
    SELECT sealed.account, sealed.version, e.account_id IS NULL
      FROM unnest(%s::uuid[], %s::bigint[], %s::text[]) AS sealed (account, version, hash)
      LEFT JOIN ledger_entry e ON e.account_id = sealed.account AND e.version = sealed.version
     WHERE e.hash IS DISTINCT FROM decode(sealed.hash, 'hex')
     ORDER BY sealed.account LIMIT %s
"""


def take(*, at: datetime) -> str:
    """The seal of the books as they are now, as text to keep."""
    with connection.cursor() as cursor:
        cursor.execute(_HEADS)
        heads = [list(row) for row in cursor.fetchall()]
    return json.dumps({"format": _FORMAT, "at": at.isoformat(), "heads": heads}, indent=0)


Heads = tuple[list[UUID], list[int], list[str]]
"""The sealed links: accounts, versions, hashes in hex."""


def check(heads: Heads) -> Finding:
    """Whether every entry under a seal is still in the books, as it was."""
    accounts, versions, hashes = heads
    with connection.cursor() as cursor:
        cursor.execute(_GONE, [accounts, versions, hashes, SHOWN_MAX])
        broken = [
            f"account {account} version {version}: {'gone' if gone else 'not what was sealed'}"
            for account, version, gone in cursor.fetchall()
        ]
    return Finding(
        "sealed_entries_are_still_there",
        Words(
            zh="封存时的每一条账目仍在，且未改动。",
            en="Every entry that was sealed is still there, as it was.",
        ),
        len(accounts),
        broken,
    )


def read(text: str) -> Heads:
    """What a seal's text holds. Refuses ``seal_unreadable``."""
    try:
        seal = json.loads(text)
        if seal["format"] != _FORMAT:
            raise ValueError(seal["format"])
        heads = [(UUID(a), int(v), bytes.fromhex(h).hex()) for a, v, h in seal["heads"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused("seal_unreadable") from error
    return [a for a, _, _ in heads], [v for _, v, _ in heads], [h for _, _, h in heads]
