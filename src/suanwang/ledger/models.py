"""The rows of the ledger. All three tables are append-only; migration 0002 puts the guards in.

No row holds a balance that is updated: each entry is the balance after one transfer, once.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from suanwang.ledger.terms import AMOUNT_MAX_FEN, KINDS
from suanwang.people.scope import Scope


class Account(models.Model):
    """Something that owes and is owed, with its limits. Created once, never changed."""

    SCOPE: ClassVar = Scope(organisations=("owner",))

    id = models.UUIDField(primary_key=True, editable=False)
    code = models.CharField(max_length=40)
    ledger = models.PositiveSmallIntegerField()
    flags = models.PositiveSmallIntegerField(default=0)
    owner = models.CharField(max_length=80)
    """The organisation's id as text, or the name of what it belongs to."""
    title = models.CharField(max_length=200)
    hash = models.BinaryField(max_length=32)
    """Over the account: the start of its chain."""

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="account_possible",
                condition=Q(ledger__gt=0) & Q(flags__in=[0, 1, 2]) & ~Q(code=""),
            )
        ]
        indexes = [models.Index(fields=["owner", "code"], name="account_of_owner")]

    def __str__(self) -> str:
        return f"{self.code}:{self.owner}"


class Transfer(models.Model):
    """One movement between two accounts, under an id its sender chose. Never changed."""

    SCOPE: ClassVar = Scope(organisations=("debit_account__owner", "credit_account__owner"))

    id = models.UUIDField(primary_key=True, editable=False)
    debit_account = models.ForeignKey(Account, models.PROTECT, related_name="+", db_index=False)
    credit_account = models.ForeignKey(Account, models.PROTECT, related_name="+", db_index=False)
    amount_fen = models.BigIntegerField()
    """Of a post: what was posted. Of a void or expiry: 0."""
    ledger = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=40)
    kind = models.CharField(max_length=8)
    pending = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="resolutions", db_index=False
    )
    """What this posts, voids or expires: at most one transfer may."""
    timeout_seconds = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)
    linked = models.BooleanField(default=False)
    chain = models.UUIDField(null=True)
    chain_position = models.PositiveSmallIntegerField(default=0)
    facts = models.JSONField(default=dict)
    at = models.DateTimeField()
    hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pending"],
                condition=Q(pending__isnull=False),
                name="transfer_resolved_once",
            ),
            models.CheckConstraint(
                name="transfer_accounts_differ", condition=~Q(debit_account=F("credit_account"))
            ),
            models.CheckConstraint(
                name="transfer_amount_possible",
                condition=Q(
                    kind__in=("transfer", "pending", "post"),
                    amount_fen__gt=0,
                    amount_fen__lte=AMOUNT_MAX_FEN,
                )
                | Q(kind__in=("void", "expire"), amount_fen=0),
            ),
            models.CheckConstraint(
                name="transfer_resolution_names_pending",
                condition=Q(kind__in=KINDS[:2], pending=None)
                | Q(kind__in=KINDS[2:], pending__isnull=False),
            ),
            models.CheckConstraint(
                name="transfer_timeout_of_pending",
                condition=Q(timeout_seconds=0, expires_at=None)
                | Q(kind="pending", timeout_seconds__gt=0, expires_at__isnull=False),
            ),
            models.CheckConstraint(
                name="transfer_linked_in_chain", condition=Q(linked=False) | Q(chain__isnull=False)
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=Q(expires_at__isnull=False), name="transfer_due"
            ),
            models.Index(fields=["at", "id"], name="transfer_newest"),
        ]


class Entry(models.Model):
    """One side of a transfer: the change, the balance it leaves, the link to the entry before."""

    SCOPE: ClassVar = Scope(organisations=("account__owner",))

    pk = models.CompositePrimaryKey("account_id", "version")
    account = models.ForeignKey(Account, models.PROTECT, related_name="entries", db_index=False)
    version = models.PositiveBigIntegerField()
    """1, 2, 3, … without a gap on each account."""
    transfer = models.ForeignKey(Transfer, models.PROTECT, related_name="entries", db_index=False)
    side = models.CharField(max_length=6)
    pending_fen = models.BigIntegerField()
    posted_fen = models.BigIntegerField()
    debits_pending = models.BigIntegerField()
    debits_posted = models.BigIntegerField()
    credits_pending = models.BigIntegerField()
    credits_posted = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["transfer", "side"], name="entry_side_once"),
            models.CheckConstraint(
                name="entry_possible",
                condition=Q(side__in=("debit", "credit"))
                & Q(version__gt=0)
                & Q(debits_pending__gte=0)
                & Q(debits_posted__gte=0)
                & Q(credits_pending__gte=0)
                & Q(credits_posted__gte=0)
                & Q(posted_fen__gte=0),
            ),
        ]
