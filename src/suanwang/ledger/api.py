"""The books over HTTP, to read: any yuan can be traced by whoever it concerns."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router

from suanwang.api.http import Page, Paging, page, viewer_of
from suanwang.core.errors import Malformed, NotFound
from suanwang.ledger import queries, schemas
from suanwang.ledger.models import Account, Transfer
from suanwang.ledger.terms import AccountFlag, Balance
from suanwang.people.scope import visible

router = Router(tags=["ledger"])

_LIMITS = {
    AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS: "debits_must_not_exceed_credits",
    AccountFlag.CREDITS_MUST_NOT_EXCEED_DEBITS: "credits_must_not_exceed_debits",
}


@router.get("/ledger/accounts", response=Page[schemas.AccountOut])
def accounts(request: HttpRequest, paging: Query[Paging], code: str | None = None) -> Any:
    """The accounts of the caller's organisation (all, for the city's offices), with balances."""
    found = visible(Account, viewer_of(request))
    if code is not None:
        found = found.filter(code=code)
    part = page(found, cursor=paging.cursor, limit=paging.limit, order=("code", "pk"))
    balances = queries.balances([account.pk for account in part.items])
    part.items = [_account(account, balances[account.pk]) for account in part.items]
    return part


@router.get("/ledger/accounts/{uuid:account_id}", response=schemas.AccountOut)
def account(request: HttpRequest, account_id: UUID) -> Any:
    """One account. Refuses ``account_not_found``."""
    found = _visible_account(request, account_id)
    return _account(found, queries.balance(found.pk))


@router.get("/ledger/accounts/{uuid:account_id}/entries", response=Page[schemas.EntryOut])
def entries(request: HttpRequest, account_id: UUID, paging: Query[Paging]) -> Any:
    """An account's entries, the newest first, each with the balance it left.

    Refuses ``account_not_found``, ``cursor_not_valid``.
    """
    found = _visible_account(request, account_id)
    after = None if paging.cursor is None else _version(paging.cursor)
    rows = queries.statement(found.pk, after=after, limit=paging.limit + 1, newest_first=True)
    more = len(rows) > paging.limit
    rows = rows[: paging.limit]
    items = [vars(row) | _numbers(row.balance) for row in rows]
    return {"items": items, "next_cursor": str(rows[-1].version) if more else None}


@router.get("/ledger/transfers/{uuid:transfer_id}", response=schemas.TransferOut)
def transfer(request: HttpRequest, transfer_id: UUID) -> Any:
    """One transfer. Refuses ``transfer_not_found``."""
    if not visible(Transfer, viewer_of(request)).filter(pk=transfer_id).exists():
        raise NotFound("transfer_not_found")
    recorded = queries.transfer(transfer_id)
    if recorded is None:
        raise NotFound("transfer_not_found")
    return recorded._asdict() | {
        "hash": recorded.hash.hex(),
        "expires_at": recorded.expires_at,
        "pending_state": queries.pending_state(transfer_id),
    }


def _visible_account(request: HttpRequest, account_id: UUID) -> Account:
    found = visible(Account, viewer_of(request)).filter(pk=account_id).first()
    if found is None:
        raise NotFound("account_not_found")
    return found


def _account(found: Account, balance: Balance) -> dict[str, object]:
    return {
        "id": found.pk,
        "code": found.code,
        "ledger": found.ledger,
        "owner": found.owner,
        "title": found.title,
        "limit": _LIMITS.get(AccountFlag(found.flags)),
        **_numbers(balance),
    }


def _numbers(balance: Balance) -> dict[str, int]:
    return balance._asdict() | {"available_fen": balance.available}


def _version(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Malformed("cursor_not_valid")
    return int(cursor)
