"""The statement of a party's own money account, from the ledger alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from suanwang.core.errors import Malformed, NotFound
from suanwang.ledger import chart
from suanwang.ledger.queries import StatementRow, balance, statement
from suanwang.ledger.terms import Balance
from suanwang.metering.actors import organisation_of
from suanwang.people.models import Organisation
from suanwang.people.roles import OrganisationKind
from suanwang.people.scope import Viewer, visible
from suanwang.people.services import require


@dataclass(frozen=True)
class Statement:
    """A page of an account's entries, the newest first."""

    account_id: UUID
    code: Literal["spend", "earnings"]
    balance: Balance
    rows: list[StatementRow]
    next_cursor: str | None


def of_organisation(
    organisation_id: UUID | None, viewer: Viewer, *, cursor: str | None = None, limit: int = 50
) -> Statement:
    """What an organisation may spend, or what a provider earned; its own unless asked otherwise.

    Refuses ``organisation_not_found_for_invoice``, ``cursor_not_valid``.
    """
    require(viewer, "ledger.read")
    wanted = organisation_id or organisation_of(viewer)
    found = visible(Organisation, viewer).filter(pk=wanted).first()
    if found is None:
        raise NotFound("organisation_not_found_for_invoice")
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Malformed("cursor_not_valid")
    earns = found.kind == OrganisationKind.PROVIDER
    account = chart.earnings(found.pk) if earns else chart.spend(found.pk)
    rows = statement(
        account.id, after=int(cursor) if cursor else None, limit=limit + 1, newest_first=True
    )
    more = len(rows) > limit
    rows = rows[:limit]
    return Statement(
        account_id=account.id,
        code="earnings" if earns else "spend",
        balance=balance(account.id),
        rows=rows,
        next_cursor=str(rows[-1].version) if more else None,
    )
