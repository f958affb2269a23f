"""Reads behind the money pages: statements of one's own account, and what is not invoiced yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, Sum

from suanwang.console.session import own_organisation
from suanwang.console.tables import as_uuid
from suanwang.ledger import chart
from suanwang.ledger.queries import StatementRow, balance, statement
from suanwang.ledger.terms import Balance
from suanwang.metering.models import Charge
from suanwang.people.models import Organisation
from suanwang.people.roles import Role
from suanwang.people.scope import Viewer, visible

ROWS_A_PAGE: Final = 50


@dataclass(frozen=True)
class Line:
    """One entry as a reader sees it: what came in, what went out or was held, what is left."""

    row: StatementRow
    into_fen: int | None
    out_fen: int | None
    left_fen: int


@dataclass(frozen=True)
class Statement:
    """A page of an account with its balance now."""

    kind: str
    """``spend`` or ``earnings``."""
    organisation: Organisation
    balance: Balance
    left_fen: int
    held_fen: int
    in_fen: int
    out_fen: int
    lines: list[Line]
    older: int | None


def statement_of(viewer: Viewer, at: datetime, after: int | None) -> Statement:
    """What one's own organisation may spend, or has earned if it is a provider."""
    organisation = own_organisation(viewer)
    earns = viewer.role is Role.PROVIDER
    account = chart.earnings(organisation.pk) if earns else chart.spend(organisation.pk)
    rows = statement(account.id, after=after, limit=ROWS_A_PAGE + 1, newest_first=True)
    now = balance(account.id)
    return Statement(
        kind=account.code,
        organisation=organisation,
        balance=now,
        left_fen=now.credits_posted - now.debits_posted - now.debits_pending,
        held_fen=now.debits_pending,
        in_fen=now.credits_posted,
        out_fen=now.debits_posted,
        lines=[_line(row) for row in rows[:ROWS_A_PAGE]],
        older=rows[ROWS_A_PAGE - 1].version if len(rows) > ROWS_A_PAGE else None,
    )


def _line(row: StatementRow) -> Line:
    """What is pending on the debit side is held, so it is gone already; released it comes back."""
    after = row.balance
    left = after.credits_posted - after.debits_posted - after.debits_pending
    change = row.posted_fen if row.side == "credit" else -(row.posted_fen + row.pending_fen)
    return Line(row, change if change > 0 else None, -change if change < 0 else None, left)


def metered_but_not_invoiced(viewer: Viewer) -> list[dict[str, Any]]:
    """Sums of charges that stand on no invoice yet, by user and provider."""
    if not (viewer.may("invoices.issue") or viewer.may("invoices.request")):
        return []
    rows = (
        visible(Charge, viewer)
        .filter(invoice_line=None, job__settlement__isnull=False)
        .exclude(amount_fen=0)
        .values(
            "organisation_id",
            "organisation__name",
            "organisation__name_en",
            "provider_id",
            "provider__name",
            "provider__name_en",
        )
        .annotate(total=Sum("amount_fen"), count=Count("pk"))
        .order_by("organisation__name", "provider__name")
    )
    return [dict(row) for row in rows[:100]]


def uuids(values: Iterable[str]) -> list[UUID]:
    """The texts that are UUIDs."""
    return [found for found in map(as_uuid, values) if found is not None]
