"""Credit is agreed by the operator, moved in the ledger at once, and never taken back once used."""

from __future__ import annotations

from uuid import uuid4

import pytest

from suanwang.core.errors import NotAllowed, Refused
from suanwang.ledger import chart
from suanwang.ledger.credit import set_credit_limit
from suanwang.ledger.models import Transfer
from suanwang.ledger.queries import balance
from suanwang.ledger.services import create_accounts, post_or_refuse
from suanwang.ledger.terms import TransferSpec
from suanwang.people import services
from suanwang.people.roles import OrganisationKind, Role

from .people_setting import AT, active, office, register, viewer

pytestmark = pytest.mark.django_db


def test_the_limit_is_what_may_be_spent_and_repeating_it_moves_nothing() -> None:
    company = active().organisation
    operator = office(OrganisationKind.OPERATOR, Role.OPERATOR)
    for _ in range(2):
        agreed = set_credit_limit(company, 5_000_000, actor=operator, at=AT)
        assert agreed.credit_limit_fen == 5_000_000
    assert balance(chart.spend(company.pk).id).available == 5_000_000
    assert Transfer.objects.count() == 1
    set_credit_limit(company, 2_000_000, actor=operator, at=AT)
    assert balance(chart.spend(company.pk).id).available == 2_000_000


def test_what_is_spent_or_held_cannot_be_taken_back() -> None:
    company = active().organisation
    operator = office(OrganisationKind.OPERATOR, Role.OPERATOR)
    set_credit_limit(company, 1_000, actor=operator, at=AT)
    spend, clearing = chart.spend(company.pk), chart.clearing()
    create_accounts([clearing])
    hold = TransferSpec(uuid4(), spend.id, clearing.id, 700, 1, "hold", kind="pending")
    post_or_refuse([hold], at=AT)
    with pytest.raises(Refused, match="credit_in_use"):
        set_credit_limit(company, 299, actor=operator, at=AT)
    company.refresh_from_db()
    assert company.credit_limit_fen == 1_000
    assert set_credit_limit(company, 700, actor=operator, at=AT).credit_limit_fen == 700
    assert balance(spend.id).available == 0


@pytest.mark.parametrize("limit", [-1, 10**12 + 1])
def test_an_impossible_limit_is_refused(limit: int) -> None:
    company = active().organisation
    operator = office(OrganisationKind.OPERATOR, Role.OPERATOR)
    with pytest.raises(Refused, match="credit_limit_not_possible"):
        set_credit_limit(company, limit, actor=operator, at=AT)


def test_who_is_not_admitted_yet_has_no_credit() -> None:
    operator = office(OrganisationKind.OPERATOR, Role.OPERATOR)
    with pytest.raises(Refused, match="organisation_not_active_yet"):
        set_credit_limit(register().organisation, 100, actor=operator, at=AT)


def test_nobody_agrees_credit_for_an_own_organisation_or_without_permission() -> None:
    member = active()
    operator = office(OrganisationKind.OPERATOR, Role.OPERATOR)
    assert operator.person is not None
    services.enlist(
        member.organisation, Role.MEMBER, username=operator.person.username, password="", at=AT
    )
    with pytest.raises(NotAllowed, match="own_organisation"):
        set_credit_limit(member.organisation, 100, actor=operator, at=AT)
    with pytest.raises(NotAllowed, match="permission_missing"):
        set_credit_limit(member.organisation, 100, actor=viewer(member), at=AT)
