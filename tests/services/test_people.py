"""Organisations, people and keys: who comes in, who may act, and what is written down."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from suanwang.core.errors import NotAllowed, NotFound, NotSignedIn, Refused, SuanwangError
from suanwang.people import services
from suanwang.people.models import ApiKey, AuditEvent, Duty, Member, Organisation, Person
from suanwang.people.roles import PERMISSIONS, OrganisationKind, Role
from suanwang.people.scope import STRANGER, Viewer, visible
from suanwang.people.services.organisations import FirstPerson
from suanwang.people.sign_in import viewer_for, viewer_of_key

from .people_setting import (
    AT,
    PASSWORD,
    active,
    colleague,
    credit_code,
    divisions,
    office,
    register,
    registration,
    viewer,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _quick_hashes(settings: Any) -> None:
    """How a password is hashed is kept by test_people_sign_in; here it would only take time."""
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]


def refusal(call: Any, *args: Any, **facts: Any) -> str:
    with pytest.raises(SuanwangError) as caught:
        call(*args, **facts)
    return caught.value.code


# Registration.


def test_the_first_person_of_a_company_is_its_owner_and_may_only_read_at_first() -> None:
    member = register()
    who = viewer(member)
    assert (member.role, member.organisation.status) == ("owner", "pending")
    services.require(who, "organisation.read")
    assert refusal(services.require, who, "jobs.submit") == "organisation_not_active"


def test_a_provider_starts_in_the_provider_role() -> None:
    assert register(OrganisationKind.PROVIDER).role == "provider"


@pytest.mark.parametrize(
    "kind",
    [
        OrganisationKind.BUREAU,
        OrganisationKind.COUNTY,
        OrganisationKind.OPERATOR,
        OrganisationKind.AUDIT_OFFICE,
    ],
)
def test_nobody_registers_an_office_of_the_city(kind: OrganisationKind) -> None:
    assert refusal(register, kind) == "kind_not_self_registered"
    assert not Organisation.objects.exists()


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        (None, "uscc_missing"),
        ("  ", "uscc_missing"),
        ("123", "uscc_wrong_length"),
        ("91350100M000100YI3", "uscc_wrong_character"),
    ],
)
def test_a_mistyped_credit_code_is_refused(code: str | None, refused: str) -> None:
    assert refusal(register, uscc=code) == refused
    assert not Person.objects.exists()


def test_a_maker_may_have_no_credit_code() -> None:
    assert register(OrganisationKind.MAKER, uscc=None).organisation.uscc is None


def test_a_code_counts_once_and_the_refusal_tells_nothing_of_who_has_it() -> None:
    first = register(name="甲公司")
    with pytest.raises(Refused) as caught:
        register(uscc=f" {first.organisation.uscc} ".lower(), name="乙公司")
    assert (caught.value.code, caught.value.facts) == ("uscc_not_available", {})


def test_an_unknown_division_is_refused() -> None:
    assert refusal(register, division="000000") == "division_unknown"


@pytest.mark.parametrize(
    ("username", "password", "refused"),
    [
        ("ab", PASSWORD, "username_not_usable"),
        ("../etc", PASSWORD, "username_not_usable"),
        ("gooduser", "short", "password_too_short"),
        ("gooduser", "x" * 257, "password_too_long"),
        ("gooduser", "1234567890", "password_too_plain"),
        ("gooduser", "aaaaaaaaaaab", "password_too_plain"),
        ("longusername", "LongUserName", "password_too_plain"),
        ("gooduser", "qwertyuiop", "password_too_plain"),
    ],
)
def test_weak_sign_ins_are_refused(username: str, password: str, refused: str) -> None:
    divisions()
    first = FirstPerson(username, password)
    assert refusal(services.register_organisation, registration(), first, at=AT) == refused
    assert not Organisation.objects.exists()


def test_a_username_is_taken_whatever_its_letters() -> None:
    divisions()
    services.register_organisation(registration(), FirstPerson("Zhang.San", PASSWORD), at=AT)
    again = FirstPerson("zhang.san", PASSWORD)
    code = refusal(services.register_organisation, registration(), again, at=AT)
    assert code == "username_not_available"


# Approval and the check character.


def test_a_wrong_check_character_blocks_approval_until_an_official_overrides() -> None:
    member = register(uscc=credit_code(valid=False))
    organisation = member.organisation
    assert not organisation.uscc_valid
    operator = office(OrganisationKind.OPERATOR, Role.OPERATOR)
    reviewer = office(OrganisationKind.BUREAU, Role.REVIEWER)
    approve = services.approve_organisation
    assert refusal(approve, organisation, actor=operator, at=AT) == "uscc_check_failed"
    override = services.override_uscc
    assert refusal(override, organisation, " ", actor=reviewer, at=AT) == "reason_missing"
    assert refusal(override, organisation, "x", actor=operator, at=AT) == "permission_missing"
    override(organisation, "证照核对无误", actor=reviewer, at=AT)
    assert refusal(override, organisation, "x", actor=reviewer, at=AT) == "uscc_needs_no_override"
    assert approve(organisation, actor=operator, at=AT).status == "active"
    assert refusal(approve, organisation, actor=operator, at=AT) == "organisation_not_pending"


def test_who_overrides_does_not_approve_even_in_another_role() -> None:
    organisation = register(uscc=credit_code(valid=False)).organisation
    reviewer = office(OrganisationKind.BUREAU, Role.REVIEWER)
    services.override_uscc(organisation, "ok", actor=reviewer, at=AT)
    operator = office(OrganisationKind.OPERATOR, Role.OPERATOR)
    both = Viewer(reviewer.person, operator.organisation_id, Role.OPERATOR)
    code = refusal(services.approve_organisation, organisation, actor=both, at=AT)
    assert code == "duties_not_separated"


def test_the_database_itself_keeps_an_unexplained_code_from_being_active() -> None:
    organisation = register(uscc=credit_code(valid=False)).organisation
    with pytest.raises(IntegrityError), transaction.atomic():
        Organisation.objects.filter(pk=organisation.pk).update(status="active")


# Members.


def test_an_owner_adds_people_who_may_then_act() -> None:
    owner = active()
    member = services.add_member(
        owner.organisation,
        Role.BILLING,
        username="Li.Si",
        password=PASSWORD,
        actor=viewer(owner),
        at=AT,
    )
    services.require(viewer(member), "claims.file")
    assert refusal(services.require, viewer(member), "jobs.submit") == "permission_missing"


def test_a_known_person_of_elsewhere_cannot_be_made_a_member() -> None:
    """A company could otherwise stop an official from deciding by making them its member."""
    official = office(OrganisationKind.BUREAU, Role.REVIEWER)
    assert official.person is not None
    owner = active()
    code = refusal(
        services.add_member,
        owner.organisation,
        Role.MEMBER,
        username=official.person.username,
        password=PASSWORD,
        actor=viewer(owner),
        at=AT,
    )
    assert code == "username_not_available"


def test_a_present_member_may_have_a_second_role_but_not_the_same_twice() -> None:
    owner = active()
    add = services.add_member
    name = owner.person.username
    second = add(owner.organisation, Role.BILLING, username=name, actor=viewer(owner), at=AT)
    assert second.person == owner.person
    code = refusal(add, owner.organisation, Role.BILLING, username=name, actor=viewer(owner), at=AT)
    assert code == "already_member"


def test_a_role_must_be_one_of_the_organisation() -> None:
    owner = active()
    code = refusal(
        services.add_member,
        owner.organisation,
        Role.FINANCE,
        username="wang.wu",
        password=PASSWORD,
        actor=viewer(owner),
        at=AT,
    )
    assert code == "role_not_of_this_organisation"
    assert not Person.objects.filter(username="wang.wu").exists()


def test_nobody_adds_or_removes_people_elsewhere() -> None:
    owner, stranger = active(), active()
    code = refusal(
        services.add_member,
        owner.organisation,
        Role.MEMBER,
        username="wang.wu",
        password=PASSWORD,
        actor=viewer(stranger),
        at=AT,
    )
    assert code == "not_own_organisation"
    assert (
        refusal(services.remove_member, owner, actor=viewer(stranger), at=AT) == "member_not_found"
    )


def test_who_leaves_takes_no_key_along_and_the_last_owner_stays() -> None:
    owner = active()
    member = colleague(owner.organisation, Role.MEMBER)
    key, token = services.create_api_key(
        "k", expires_at=AT + timedelta(days=1), actor=member, at=AT
    )
    services.remove_member(key.member, actor=viewer(owner), at=AT)
    assert refusal(viewer_of_key, token, at=AT) == "api_key_not_accepted"
    assert refusal(services.remove_member, owner, actor=viewer(owner), at=AT) == "last_manager"
    left = refusal(services.remove_member, key.member, actor=viewer(owner), at=AT)
    assert left == "already_left"


# Keys.


def test_a_key_acts_as_its_member_and_notes_its_use() -> None:
    owner = active()
    key, token = services.create_api_key(
        "k", expires_at=AT + timedelta(days=1), actor=viewer(owner), at=AT
    )
    seen = viewer_of_key(token, at=AT)
    assert (seen.person, seen.role, seen.api_key_id) == (owner.person, Role.OWNER, key.pk)
    assert ApiKey.objects.get().last_used_at == AT


def test_of_a_key_only_the_hash_is_kept() -> None:
    owner = active()
    key, token = services.create_api_key(
        "k", expires_at=AT + timedelta(days=1), actor=viewer(owner), at=AT
    )
    secret = token.removeprefix(f"sw_{key.prefix}_")
    kept = str(list(ApiKey.objects.values())) + str(list(AuditEvent.objects.values()))
    assert len(secret) >= 43 and secret not in kept


def test_a_scoped_key_may_do_what_it_names_and_no_more() -> None:
    owner = active()
    _, token = services.create_api_key(
        "k", scopes=["jobs.read"], expires_at=AT + timedelta(days=1), actor=viewer(owner), at=AT
    )
    seen = viewer_of_key(token, at=AT)
    services.require(seen, "jobs.read")
    assert refusal(services.require, seen, "jobs.submit") == "key_scope_missing"


@pytest.mark.parametrize(
    ("over", "refused"),
    [
        ({"scopes": ["payment_orders.issue"]}, "scopes_too_wide"),
        ({"scopes": ["no.such"]}, "scopes_too_wide"),
        ({"expires_at": AT}, "key_expiry_in_the_past"),
        ({"expires_at": AT + timedelta(days=367)}, "key_expiry_too_late"),
        ({"title": " "}, "title_missing"),
    ],
)
def test_a_key_beyond_its_member_or_its_time_is_refused(over: dict[str, Any], refused: str) -> None:
    facts: dict[str, Any] = {"title": "k", "expires_at": AT + timedelta(days=1)} | over
    title = facts.pop("title")
    who = viewer(active())
    assert refusal(services.create_api_key, title, actor=who, at=AT, **facts) == refused
    assert not ApiKey.objects.exists()


def test_a_key_makes_no_keys() -> None:
    _, token = services.create_api_key(
        "k", expires_at=AT + timedelta(days=1), actor=viewer(active()), at=AT
    )
    seen = viewer_of_key(token, at=AT)
    code = refusal(
        services.create_api_key, "k2", expires_at=AT + timedelta(days=1), actor=seen, at=AT
    )
    assert code == "session_needed"


def test_a_member_makes_own_keys_but_none_for_others() -> None:
    owner = active()
    member = colleague(owner.organisation, Role.MEMBER)
    facts = {"expires_at": AT + timedelta(days=1), "actor": member, "at": AT}
    services.create_api_key("own", **facts)
    code = refusal(services.create_api_key, "other's", member=owner, **facts)
    assert code == "permission_missing"


@pytest.mark.parametrize(
    "token", ["", "sw_", "sw__", "sw_x_y", "sk_a_b", "sw_\x00_a", "中文", "sw_" + "a" * 5000]
)
def test_what_is_no_key_is_refused(token: str) -> None:
    assert refusal(viewer_of_key, token, at=AT) == "api_key_not_accepted"


def test_a_key_ends_when_it_expires_or_is_revoked() -> None:
    who = viewer(active())
    key, token = services.create_api_key("k", expires_at=AT + timedelta(days=1), actor=who, at=AT)
    assert refusal(viewer_of_key, token, at=AT + timedelta(days=1)) == "api_key_not_accepted"
    services.revoke_api_key(key.pk, actor=who, at=AT)
    services.revoke_api_key(key.pk, actor=who, at=AT)
    assert refusal(viewer_of_key, token, at=AT) == "api_key_not_accepted"
    assert AuditEvent.objects.filter(verb="api_keys.revoke").count() == 1


def test_nobody_revokes_the_keys_of_others() -> None:
    one, two = viewer(active()), viewer(active())
    key, _ = services.create_api_key("k", expires_at=AT + timedelta(days=1), actor=one, at=AT)
    assert refusal(services.revoke_api_key, key.pk, actor=two, at=AT) == "api_key_not_found"


# Separation of duties.


def test_nobody_has_two_duties_in_one_matter() -> None:
    company = active().organisation
    official = office(OrganisationKind.BUREAU, Role.REVIEWER)
    matter = f"voucher:{uuid4()}"
    for _ in range(2):  # the same duty again is a repetition
        services.take_duty(matter, "grant", actor=official, concerns=company, at=AT)
    for kind in ("review", "pay"):
        code = refusal(services.take_duty, matter, kind, actor=official, concerns=company, at=AT)
        assert code == "duties_not_separated"
    services.take_duty(f"voucher:{uuid4()}", "pay", actor=official, concerns=company, at=AT)


def test_nobody_decides_for_an_organisation_they_belong_to_in_whatever_role() -> None:
    owner = active()
    official = office(OrganisationKind.BUREAU, Role.REVIEWER)
    assert official.person is not None
    services.enlist(
        owner.organisation, Role.MEMBER, username=official.person.username, password="", at=AT
    )
    code = refusal(
        services.take_duty, "m:1", "grant", actor=official, concerns=owner.organisation, at=AT
    )
    assert code == "own_organisation"


def test_a_stranger_takes_no_duty() -> None:
    company = active().organisation
    with pytest.raises(NotSignedIn):
        services.take_duty("m:1", "grant", actor=STRANGER, concerns=company, at=AT)


def test_the_database_itself_holds_one_duty_a_person() -> None:
    person = office(OrganisationKind.BUREAU, Role.REVIEWER).person
    assert person is not None
    Duty.objects.create(matter="m:1", kind="grant", person=person, at=AT)
    with pytest.raises(IntegrityError), transaction.atomic():
        Duty.objects.create(matter="m:1", kind="pay", person=person, at=AT)


@pytest.mark.django_db(transaction=True)
def test_of_concurrent_duties_of_one_person_one_is_taken() -> None:
    company = active().organisation
    official = office(OrganisationKind.BUREAU, Role.REVIEWER)
    start, outcomes = threading.Barrier(6), []

    def take(kind: Any) -> None:
        try:
            start.wait(timeout=10)
            services.take_duty("m:1", kind, actor=official, concerns=company, at=AT)
            outcomes.append(kind)
        except Refused as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=take, args=(k,)) for k in ("grant", "review", "pay") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(outcomes) == 6
    taken = Duty.objects.get(matter="m:1").kind
    assert sorted(outcomes) == sorted([taken] * 2 + ["duties_not_separated"] * 4)


@pytest.mark.django_db(transaction=True)
def test_nobody_joins_the_organisation_they_are_just_deciding_about() -> None:
    """Either the membership comes first and the duty is refused, or it waits for the decision."""
    owner = active()
    official = office(OrganisationKind.BUREAU, Role.REVIEWER)
    person = official.person
    assert person is not None
    deciding, joined_in_time = threading.Event(), []

    def join() -> None:
        try:
            deciding.wait(timeout=10)
            services.enlist(
                owner.organisation, Role.MEMBER, username=person.username, password="", at=AT
            )
        finally:
            connection.close()

    thread = threading.Thread(target=join)
    thread.start()
    with transaction.atomic():
        services.take_duty("m:1", "grant", actor=official, concerns=owner.organisation, at=AT)
        deciding.set()
        thread.join(timeout=1)
        joined_in_time.append(
            Member.objects.filter(person=person, organisation=owner.organisation).exists()
        )
    thread.join(timeout=10)
    assert joined_in_time == [False]
    assert Member.objects.filter(person=person, organisation=owner.organisation).exists()


# Scope and the trail.


def test_a_person_acts_in_one_place_at_a_time() -> None:
    owner = active()
    other = active()
    services.enlist(
        other.organisation, Role.MEMBER, username=owner.person.username, password="", at=AT
    )
    here = viewer_for(owner.person, owner.organisation_id)
    there = viewer_for(owner.person, other.organisation_id, Role.MEMBER)
    assert set(visible(Organisation, here)) == {owner.organisation}
    assert set(visible(Organisation, there)) == {other.organisation}
    assert viewer_for(owner.person) == here
    with pytest.raises(NotFound):
        viewer_for(owner.person, other.organisation_id, Role.OWNER)


def test_a_county_sees_its_own_division_alone() -> None:
    here = register()
    there = register(division="990002")
    county = office(OrganisationKind.COUNTY, Role.COUNTY)
    seen = set(visible(Organisation, county))
    assert here.organisation in seen and there.organisation not in seen


def test_a_stranger_sees_nothing_but_what_is_public() -> None:
    register()
    for model in (Organisation, Person, Member, ApiKey, AuditEvent, Duty):
        assert not visible(model, STRANGER).exists()


def test_every_permission_is_named_affair_dot_verb() -> None:
    for permissions in PERMISSIONS.values():
        assert all(name.count(".") == 1 for name in permissions)


def test_the_trail_says_who_did_what_and_cannot_be_changed() -> None:
    owner = active()
    event = AuditEvent.objects.get(verb="organisation.approve")
    assert event.concerns == owner.organisation
    assert event.subject == f"people.organisation:{owner.organisation_id}"
    for change in ("update people_auditevent set verb = 'x'", "delete from people_auditevent"):
        with (
            pytest.raises(IntegrityError),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(change)


def test_without_sign_in_nothing_is_permitted() -> None:
    with pytest.raises(NotSignedIn):
        services.require(STRANGER, "jobs.read")
    with pytest.raises(NotAllowed):
        services.require(viewer(active()), "pool.fund")
