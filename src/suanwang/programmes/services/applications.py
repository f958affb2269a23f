"""Apply for a voucher, and decide about it. Baoding 2024, article 5."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from suanwang.core.errors import NotFound, Refused
from suanwang.core.money import FEN_MAX, format_yuan
from suanwang.metering.actors import organisation_of, person_of
from suanwang.metering.numbering import next_number
from suanwang.metering.rules import city_day
from suanwang.people.models import Organisation
from suanwang.people.scope import Viewer
from suanwang.people.services import record, require, take_duty
from suanwang.programmes.models import Application
from suanwang.vouchers import issuing
from suanwang.vouchers import services as vouchers
from suanwang.vouchers.models import Voucher
from suanwang.vouchers.policy_in_force import in_force, measure_in_force

PURPOSE_AT_MOST = 2000


@transaction.atomic
def file_application(asked_fen: int, purpose: str, *, actor: Viewer, at: datetime) -> Application:
    """Ask for a voucher of some face value for the actor's own organisation.

    One application at a time. The policy says who may ask, until when and for how much at most.
    Refuses ``organisation_not_active``, ``voucher_not_eligible``, ``policy_not_in_force``,
    ``asked_amount_impossible`` (at most what one unit can get in a year), ``purpose_missing``,
    ``application_open``.
    """
    require(actor, "applications.file")
    organisation = Organisation.objects.get(pk=organisation_of(actor))
    decision = issuing.most_for(organisation, min(max(asked_fen, 0), FEN_MAX), at=at)
    if not 0 < asked_fen <= decision.amount_fen:
        cap = min(cap.limit_fen for cap in decision.caps)
        raise Refused("asked_amount_impossible", cap=format_yuan(cap), cap_fen=cap)
    purpose = purpose.strip()
    if not purpose or len(purpose) > PURPOSE_AT_MOST:
        raise Refused("purpose_missing", limit=PURPOSE_AT_MOST)
    application = Application(
        organisation=organisation,
        policy=in_force().name,
        measure=measure_in_force(),
        asked_fen=asked_fen,
        purpose=purpose,
        filed_by=person_of(actor),
        filed_at=at,
        number=next_number("A", at=at),
    )
    try:
        with transaction.atomic():
            application.save(force_insert=True)
    except IntegrityError:
        raise Refused("application_open") from None
    _note(application, "applications.file", actor, at=at, asked_fen=asked_fen)
    return application


@transaction.atomic
def grant(
    application: Application,
    amount_fen: int,
    reason: str = "",
    *,
    last_day: date | None = None,
    actor: Viewer,
    at: datetime,
) -> Voucher:
    """Grant a voucher of at most what was asked; who grants never reviews or pays its claims.

    Refuses ``application_not_filed``, ``granted_amount_impossible``, the refusals of
    ``vouchers.services.issue`` (pool and caps) and of the separation of duties.
    """
    require(actor, "applications.grant")
    application = _lock(application.pk)
    if not 0 < amount_fen <= application.asked_fen:
        asked = application.asked_fen
        raise Refused("granted_amount_impossible", asked=format_yuan(asked), asked_fen=asked)
    voucher_id = uuid4()
    take_duty(
        vouchers.matter(voucher_id),
        "grant",
        actor=actor,
        concerns=application.organisation,
        at=at,
    )
    voucher = vouchers.issue(
        application.organisation,
        amount_fen,
        filed_on=city_day(application.filed_at),
        last_day=last_day,
        actor=actor,
        at=at,
        voucher_id=voucher_id,
    )
    application.voucher = voucher
    _decide(application, Application.State.GRANTED, reason, actor=actor, at=at)
    _note(
        application,
        "applications.grant",
        actor,
        at=at,
        amount_fen=amount_fen,
        voucher=voucher.number,
    )
    return voucher


@transaction.atomic
def reject(application: Application, reason: str, *, actor: Viewer, at: datetime) -> Application:
    """Reject with a reason. Refuses ``application_not_filed``, ``reason_missing``."""
    require(actor, "applications.reject")
    application = _lock(application.pk)
    if not reason.strip():
        raise Refused("reason_missing")
    take_duty(
        f"application:{application.pk}",
        "grant",
        actor=actor,
        concerns=application.organisation,
        at=at,
    )
    _decide(application, Application.State.REJECTED, reason, actor=actor, at=at)
    _note(application, "applications.reject", actor, at=at, reason=application.decision_reason)
    return application


@transaction.atomic
def withdraw(application: Application, *, actor: Viewer, at: datetime) -> Application:
    """Take back an application nobody has decided yet. Refuses ``application_not_filed``."""
    require(actor, "applications.file")
    application = _lock(application.pk)
    if application.organisation_id != actor.organisation_id:
        raise NotFound("application_not_found")
    application.state = Application.State.WITHDRAWN
    application.save(update_fields=["state"])
    _note(application, "applications.withdraw", actor, at=at)
    return application


def _lock(application_id: UUID) -> Application:
    application = (
        Application.objects.select_for_update(of=("self",))
        .select_related("organisation")
        .get(pk=application_id)
    )
    if application.state != Application.State.FILED:
        raise Refused("application_not_filed", number=application.number, state=application.state)
    return application


def _decide(
    application: Application, state: str, reason: str, *, actor: Viewer, at: datetime
) -> None:
    application.state = state
    application.decided_by, application.decided_at = actor.person, at
    application.decision_reason = reason.strip()
    application.save()


def _note(
    application: Application, verb: str, actor: Viewer, *, at: datetime, **facts: object
) -> None:
    record(
        actor,
        verb,
        subject=application,
        concerns=application.organisation,
        at=at,
        number=application.number,
        **facts,
    )
