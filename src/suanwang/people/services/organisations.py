"""How organisations come to the city: registered by themselves, or founded by the platform."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.apps import apps
from django.db import IntegrityError, transaction

from suanwang.core.errors import NotFound, Refused
from suanwang.people import rules
from suanwang.people.models import Member, Organisation, Person
from suanwang.people.roles import OrganisationKind
from suanwang.people.scope import STRANGER, Viewer
from suanwang.people.services.authority import (
    record,
    refuse_own,
    refused_if_taken,
    require,
    take_duty,
)
from suanwang.people.services.members import new_person


@dataclass(frozen=True)
class Registration:
    """What an organisation says of itself, as typed."""

    name: str
    kind: OrganisationKind
    division: str
    uscc: str | None = None
    name_en: str = ""


@dataclass(frozen=True)
class FirstPerson:
    """Who will act for it first."""

    username: str
    password: str
    display_name: str = ""
    language: str = "zh-hans"


@transaction.atomic
def register_organisation(
    registration: Registration,
    first: FirstPerson | None = None,
    *,
    actor: Viewer = STRANGER,
    at: datetime,
) -> Member:
    """Register an organisation and its first member, who may sign in at once.

    It is pending, and its people may only read, until the operator approves it. A stranger names
    a ``first`` person; somebody signed in becomes the first member themself. What is returned is
    that membership; ``.organisation.uscc_valid`` is false when the check character is wrong.

    Refuses ``kind_not_self_registered``, ``name_missing``, ``division_unknown``,
    ``uscc_missing``, ``uscc_wrong_length``, ``uscc_wrong_character``, ``uscc_not_available``,
    ``first_person_missing`` and what ``new_person`` refuses.
    """
    if registration.kind not in rules.SELF_REGISTERED:
        raise Refused("kind_not_self_registered", kind=registration.kind.value)
    organisation = _new_organisation(registration, Organisation.Status.PENDING, at=at)
    if actor.person is not None:
        person: Person = actor.person
    elif first is not None:
        person = new_person(
            first.username,
            first.password,
            display_name=first.display_name,
            language=first.language,
            at=at,
        )
    else:
        raise Refused("first_person_missing")
    role = rules.first_role(registration.kind)
    member = Member.objects.create(
        organisation=organisation, person=person, role=role.value, joined_at=at
    )
    record(
        Viewer(person, organisation.pk, role),
        "organisation.register",
        subject=organisation,
        concerns=organisation,
        at=at,
        uscc_valid=organisation.uscc_valid,
    )
    return member


@transaction.atomic
def found_organisation(registration: Registration, *, at: datetime) -> Organisation:
    """Found an organisation in the platform's own name, active at once: offices of the city.

    Only the command line on the platform's machine comes here; no address leads to it.
    Refuses as ``register_organisation`` does, except for the kind; an office may have no code.
    """
    organisation = _new_organisation(registration, Organisation.Status.ACTIVE, at=at)
    record(None, "organisation.found", subject=organisation, concerns=organisation, at=at)
    return organisation


def _new_organisation(
    registration: Registration, status: Organisation.Status, *, at: datetime
) -> Organisation:
    name = " ".join(registration.name.split())
    if not name:
        raise Refused("name_missing")
    # Divisions live one floor up; people only needs to know that the code exists.
    divisions = apps.get_model("registry", "Division")._default_manager
    if not divisions.filter(pk=registration.division).exists():
        raise Refused("division_unknown", division=registration.division)
    if registration.kind in rules.SELF_REGISTERED or registration.uscc:
        code, valid = rules.read_credit_code(registration.uscc, registration.kind)
    else:
        code, valid = None, True
    try:
        with transaction.atomic():
            return Organisation.objects.create(
                name=name,
                name_en=" ".join(registration.name_en.split()),
                kind=registration.kind.value,
                uscc=code,
                uscc_valid=valid,
                division=registration.division,
                status=status,
                created_at=at,
            )
    except IntegrityError as error:
        raise refused_if_taken(error) from error


def lock_organisation(organisation: Organisation) -> Organisation:
    """The row as it is now, held until the end of the transaction."""
    try:
        return Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    except Organisation.DoesNotExist:
        raise NotFound("organisation_not_found") from None


@transaction.atomic
def override_uscc(
    organisation: Organisation, reason: str, *, actor: Viewer, at: datetime
) -> Organisation:
    """Let a credit code with a wrong check character pass, and say why.

    Refuses ``reason_missing``, ``uscc_needs_no_override``, ``own_organisation``,
    ``duties_not_separated`` (whoever overrides cannot also approve).
    """
    require(actor, "organisation.override_uscc")
    reason = reason.strip()
    if not reason:
        raise Refused("reason_missing")
    organisation = lock_organisation(organisation)
    if organisation.uscc_valid or organisation.uscc_override_reason:
        raise Refused("uscc_needs_no_override")
    take_duty(
        f"organisation:{organisation.pk}", "review", actor=actor, concerns=organisation, at=at
    )
    organisation.uscc_override_reason = reason
    organisation.save(update_fields=["uscc_override_reason"])
    record(
        actor,
        "organisation.override_uscc",
        subject=organisation,
        concerns=organisation,
        at=at,
        reason=reason,
    )
    return organisation


@transaction.atomic
def approve_organisation(
    organisation: Organisation, *, actor: Viewer, at: datetime
) -> Organisation:
    """Admit a pending organisation; from now on its people may do what their roles allow.

    Refuses ``organisation_not_pending``, ``uscc_check_failed`` (until an official overrides),
    ``own_organisation``, ``duties_not_separated``.
    """
    require(actor, "organisation.approve")
    organisation = lock_organisation(organisation)
    if organisation.status != Organisation.Status.PENDING:
        raise Refused("organisation_not_pending", status=organisation.status)
    if not organisation.uscc_valid and not organisation.uscc_override_reason:
        raise Refused("uscc_check_failed", uscc=organisation.uscc)
    take_duty(f"organisation:{organisation.pk}", "grant", actor=actor, concerns=organisation, at=at)
    organisation.status = Organisation.Status.ACTIVE
    organisation.save(update_fields=["status"])
    record(actor, "organisation.approve", subject=organisation, concerns=organisation, at=at)
    return organisation


@transaction.atomic
def agree_credit_limit(
    organisation: Organisation, limit_fen: int, *, actor: Viewer, at: datetime
) -> int:
    """Write down what an organisation may owe, in fen; return by how much it changed.

    Only ``ledger.credit.set_credit_limit`` calls this: it moves the difference in the ledger in
    the same transaction. Refuses ``credit_limit_not_possible``, ``organisation_not_active_yet``,
    ``own_organisation``.
    """
    require(actor, "credit.set")
    if not 0 <= limit_fen <= CREDIT_LIMIT_MAX_FEN:
        raise Refused("credit_limit_not_possible", limit_fen=limit_fen)
    organisation = lock_organisation(organisation)
    refuse_own(actor, organisation)
    if organisation.status != Organisation.Status.ACTIVE:
        raise Refused("organisation_not_active_yet")
    before = organisation.credit_limit_fen
    organisation.credit_limit_fen = limit_fen
    organisation.save(update_fields=["credit_limit_fen"])
    record(
        actor,
        "credit.set",
        subject=organisation,
        concerns=organisation,
        at=at,
        before_fen=before,
        limit_fen=limit_fen,
    )
    return limit_fen - before


CREDIT_LIMIT_MAX_FEN = 10**12
"""Ten billion yuan: more is a typing error."""
