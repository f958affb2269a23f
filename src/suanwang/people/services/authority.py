"""Who may do what, the trail of what was done, and the separation of duties: in one place."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from django.db import IntegrityError, models, transaction

from suanwang.core.errors import NotAllowed, NotSignedIn, Refused
from suanwang.people import rules
from suanwang.people.models import AuditEvent, Duty, Member, Organisation
from suanwang.people.roles import may
from suanwang.people.scope import Viewer

PLATFORM: Viewer | None = None
"""The actor of what the platform does by itself: tasks, the command line on its own machine."""

DutyKind = Literal["grant", "review", "pay"]


def require(actor: Viewer, permission: str) -> None:
    """Let only those pass who hold a permission.

    Refuses ``sign_in_needed``, ``permission_missing``, ``organisation_not_active`` (its people
    may read until the operator has approved it), ``key_scope_missing``.
    """
    if actor.may(permission):
        return
    if actor.person is None:
        raise NotSignedIn("sign_in_needed")
    if actor.role is None or not may(actor.role, permission):
        raise NotAllowed("permission_missing", permission=permission)
    if not actor.organisation_active:
        raise NotAllowed("organisation_not_active")
    raise NotAllowed("key_scope_missing", permission=permission)


def record(
    actor: Viewer | None,
    verb: str,
    *,
    subject: models.Model,
    concerns: Organisation | None,
    at: datetime,
    **facts: object,
) -> AuditEvent:
    """Write one line of the trail: the last act of every service, in its transaction.

    ``facts`` must be JSON values and never hold a secret.
    """
    return AuditEvent.objects.create(
        at=at,
        verb=verb,
        person=actor.person if actor else None,
        organisation_id=actor.organisation_id if actor else None,
        concerns=concerns,
        subject=f"{subject._meta.label_lower}:{subject.pk}",
        facts=facts,
    )


@transaction.atomic
def take_duty(
    matter: str, kind: DutyKind, *, actor: Viewer, concerns: Organisation, at: datetime
) -> None:
    """Take one of the duties in a matter (``voucher:<id>``): to grant, to review or to pay.

    Nobody has two duties in one matter, and nobody decides for an organisation they belong to,
    in whatever role they act now. Safe to repeat by the same person in the same duty.

    Refuses ``sign_in_needed``, ``own_organisation``, ``duties_not_separated``.
    """
    person = actor.person
    if person is None:
        raise NotSignedIn("sign_in_needed")
    # Joining takes the same lock, so nobody becomes a member while deciding.
    Organisation.objects.select_for_update(no_key=True).get(pk=concerns.pk)
    if Member.objects.filter(person=person, organisation=concerns, left_at=None).exists():
        raise NotAllowed("own_organisation")
    held = Duty.objects.filter(matter=matter, person=person)
    rules.check_duties(kind, [duty.kind for duty in held])
    if held:
        return
    try:
        with transaction.atomic():
            Duty.objects.create(matter=matter, kind=kind, person=person, at=at)
    except IntegrityError:
        # The same person took a duty here at this very moment; see which.
        rules.check_duties(kind, list(held.all().values_list("kind", flat=True)))


def refuse_own(actor: Viewer, organisation: Organisation) -> None:
    """Refuses ``own_organisation`` when the actor belongs to it in any role."""
    if (
        actor.person is not None
        and Member.objects.filter(
            person=actor.person, organisation=organisation, left_at=None
        ).exists()
    ):
        raise NotAllowed("own_organisation")


def refused_if_taken(error: IntegrityError) -> Refused:
    """What a unique constraint says to the one who came second."""
    if "uscc" in str(error):
        return Refused("uscc_not_available")
    return Refused("username_not_available")
