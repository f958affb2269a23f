"""Credit: what an organisation may spend before it has paid, agreed by the operator."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from django.db import transaction

from suanwang.core.errors import Refused
from suanwang.ledger import chart
from suanwang.ledger.services import create_accounts, create_transfers
from suanwang.ledger.terms import Ledger, TransferResult, TransferSpec
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer
from suanwang.people.services import agree_credit_limit


@transaction.atomic
def set_credit_limit(
    organisation: Organisation, limit_fen: int, *, actor: Viewer, at: datetime
) -> Organisation:
    """Agree what an organisation may owe, in fen, and move the difference to its budget or back.

    Safe to repeat: the same limit again moves nothing. Refuses ``credit_in_use`` when lowering
    below what is already spent or held, and what ``agree_credit_limit`` refuses.
    """
    difference = agree_credit_limit(organisation, limit_fen, actor=actor, at=at)
    credit, spend = chart.credit(), chart.spend(organisation.pk)
    create_accounts([credit, spend])
    if difference:
        given = difference > 0
        transfer = TransferSpec(
            id=uuid4(),
            debit_account=(credit if given else spend).id,
            credit_account=(spend if given else credit).id,
            amount_fen=abs(difference),
            ledger=int(Ledger.MONEY),
            code="credit",
        )
        result = create_transfers([transfer], at=at)[0]
        if result is not TransferResult.CREATED:
            raise Refused("credit_in_use", limit_fen=limit_fen)
    organisation.refresh_from_db()
    return organisation
