"""People and their places in organisations."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.hashers import check_password
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from suanwang.core.errors import NotAllowed, NotFound, NotSignedIn, Refused
from suanwang.people import rules
from suanwang.people.models import ApiKey, Member, Organisation, Person
from suanwang.people.roles import OrganisationKind, Role
from suanwang.people.scope import Viewer, visible
from suanwang.people.services.authority import record, refused_if_taken, require

LANGUAGES = ("zh-hans", "en")
_common = CommonPasswordValidator()


def check_new_password(password: str, username: str) -> None:
    """Refuses what ``rules.check_password`` refuses, and the passwords everybody tries first."""
    rules.check_password(password, username)
    try:
        _common.validate(password)
    except ValidationError:
        raise Refused("password_too_plain") from None


def new_person(
    username: str,
    password: str,
    *,
    display_name: str = "",
    language: str = "zh-hans",
    at: datetime,
) -> Person:
    """Someone who was not known before. Refuses ``username_not_usable``,
    ``username_not_available``, ``language_unknown`` and passwords that are too weak.
    """
    username = rules.read_username(username)
    check_new_password(password, username)
    if language not in LANGUAGES:
        raise Refused("language_unknown", language=language)
    person = Person(
        username=username,
        display_name=" ".join(display_name.split()),
        language=language,
        date_joined=at,
    )
    person.set_password(password)
    try:
        with transaction.atomic():
            person.save(force_insert=True)
    except IntegrityError as error:
        raise refused_if_taken(error) from error
    return person


@transaction.atomic
def add_member(
    organisation: Organisation,
    role: Role,
    *,
    username: str,
    password: str | None = None,
    display_name: str = "",
    actor: Viewer,
    at: datetime,
) -> Member:
    """Give someone a place in the actor's organisation.

    A new person gets a first password. Someone known is taken only if already a member here (a
    second role): nobody is made a member elsewhere without their doing, least of all an official,
    who could then no longer decide. Such a person registers or is enlisted by the platform.

    Refuses ``not_own_organisation``, ``role_not_of_this_organisation``, ``already_member``,
    ``username_not_available`` and what ``new_person`` refuses.
    """
    require(actor, "members.manage")
    if actor.organisation_id != organisation.pk:
        raise NotAllowed("not_own_organisation")
    known = Member.objects.filter(
        organisation=organisation, person__username=username.strip().lower(), left_at=None
    ).first()
    if known is not None:
        return _join(organisation, known.person, role, actor=actor, at=at)
    if password is None:
        raise Refused("password_too_short", minimum=rules.PASSWORD_LENGTH_MIN)
    person = new_person(username, password, display_name=display_name, at=at)
    return _join(organisation, person, role, actor=actor, at=at)


@transaction.atomic
def enlist(
    organisation: Organisation,
    role: Role,
    *,
    username: str,
    password: str,
    display_name: str = "",
    language: str = "zh-hans",
    at: datetime,
) -> Member:
    """Give someone, new or known, a place anywhere, in the platform's own name.

    For the command line on the platform's machine and the demo; no address leads to it. A known
    person keeps their password.
    """
    known = Person.objects.filter(username=rules.read_username(username)).first()
    person = known or new_person(
        username, password, display_name=display_name, language=language, at=at
    )
    return _join(organisation, person, role, actor=None, at=at)


def _join(
    organisation: Organisation, person: Person, role: Role, *, actor: Viewer | None, at: datetime
) -> Member:
    rules.check_role_fits(OrganisationKind(organisation.kind), role)
    # The lock that taking a duty takes too: nobody joins whom they are just deciding about.
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
    try:
        with transaction.atomic():
            member = Member.objects.create(
                organisation=organisation, person=person, role=role.value, joined_at=at
            )
    except IntegrityError:
        raise Refused("already_member") from None
    record(
        actor,
        "members.add",
        subject=member,
        concerns=organisation,
        at=at,
        username=person.username,
        role=role.value,
    )
    return member


@transaction.atomic
def remove_member(member: Member, *, actor: Viewer, at: datetime) -> Member:
    """End a membership and revoke its keys. The rows stay.

    Refuses ``member_not_found``, ``already_left``, ``last_manager`` (someone must be able to
    manage members).
    """
    require(actor, "members.manage")
    if actor.organisation_id != member.organisation_id:
        raise NotFound("member_not_found")
    Organisation.objects.select_for_update(no_key=True).get(pk=member.organisation_id)
    member = visible(Member, actor).select_for_update().get(pk=member.pk)
    if member.left_at is not None:
        raise Refused("already_left")
    managing = {Role.OWNER.value, Role.PROVIDER.value}
    if (
        member.role in managing
        and not Member.objects.filter(
            organisation_id=member.organisation_id, role__in=managing, left_at=None
        )
        .exclude(pk=member.pk)
        .exists()
    ):
        raise Refused("last_manager")
    member.left_at = at
    member.save(update_fields=["left_at"])
    ApiKey.objects.filter(member=member, revoked_at=None).update(revoked_at=at)
    record(
        actor,
        "members.remove",
        subject=member,
        concerns=member.organisation,
        at=at,
        username=member.person.username,
        role=member.role,
    )
    return member


@transaction.atomic
def change_language(language: str, *, actor: Viewer, at: datetime) -> Person:
    """Choose in which language the platform speaks to this person.

    Refuses ``sign_in_needed``, ``language_unknown``.
    """
    if actor.person is None:
        raise NotSignedIn("sign_in_needed")
    if language not in LANGUAGES:
        raise Refused("language_unknown", language=language)
    person = actor.person
    person.language = language
    person.save(update_fields=["language"])
    return person


@transaction.atomic
def change_password(current: str, new: str, *, actor: Viewer, at: datetime) -> Person:
    """Change the own password; every other session of the person ends.

    Refuses ``sign_in_needed``, ``session_needed`` (a key cannot), ``password_wrong`` and
    passwords that are too weak.
    """
    if actor.person is None:
        raise NotSignedIn("sign_in_needed")
    if actor.api_key_id is not None:
        raise NotAllowed("session_needed")
    person = Person.objects.select_for_update().get(pk=actor.person.pk)
    if not check_password(current, person.password):
        raise Refused("password_wrong")
    check_new_password(new, person.username)
    person.set_password(new)
    person.save(update_fields=["password"])
    record(actor, "person.change_password", subject=person, concerns=None, at=at)
    return person
