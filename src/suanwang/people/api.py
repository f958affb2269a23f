"""Organisations, members, keys and sign-in over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Status

from suanwang.api.http import (
    Page,
    Paging,
    address_of,
    forget_viewer,
    language_of,
    page,
    viewer_of,
)
from suanwang.core.errors import NotAllowed, NotSignedIn, Refused
from suanwang.core.refusals import explain
from suanwang.ledger import credit
from suanwang.people import queries, schemas, services, sign_in
from suanwang.people.models import Member
from suanwang.people.roles import PERMISSIONS
from suanwang.people.services.organisations import FirstPerson, Registration
from suanwang.site import clock

router = Router(tags=["people"])


@router.post("/organisations", response={201: schemas.RegisteredOut})
def register(request: HttpRequest, payload: schemas.RegistrationIn) -> Any:
    """Register an organisation; its first person may sign in at once and read.

    It becomes active once the operator has approved it. A wrong check character of the credit
    code is a warning here and blocks the approval until an official overrides it.
    """
    member: Member = services.register_organisation(
        Registration(
            name=payload.name,
            kind=payload.kind,
            division=payload.division,
            uscc=payload.uscc,
            name_en=payload.name_en,
        ),
        FirstPerson(**payload.first_person.model_dump()) if payload.first_person else None,
        actor=viewer_of(request),
        at=clock.now(),
    )
    organisation = member.organisation
    warnings = []
    if not organisation.uscc_valid:
        warning = Refused("uscc_check_failed", uscc=organisation.uscc)
        warnings.append({"code": warning.code, "message": explain(warning, language_of(request))})
    return Status(201, {"organisation": organisation, "member_id": member.pk, "warnings": warnings})


@router.get("/organisations", response=Page[schemas.OrganisationOut])
def organisations(request: HttpRequest, paging: Query[Paging]) -> Any:
    """The organisations the caller may see, the newest first."""
    found = queries.organisations(viewer_of(request))
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-created_at", "pk"))


@router.get("/organisations/{uuid:organisation_id}", response=schemas.OrganisationOut)
def organisation(request: HttpRequest, organisation_id: UUID) -> Any:
    """One organisation."""
    return queries.organisation(organisation_id, viewer_of(request))


@router.post("/organisations/{uuid:organisation_id}/approval", response=schemas.OrganisationOut)
def approve(request: HttpRequest, organisation_id: UUID) -> Any:
    """Admit a pending organisation."""
    viewer = viewer_of(request)
    services.require(viewer, "organisation.approve")
    found = queries.organisation(organisation_id, viewer)
    return services.approve_organisation(found, actor=viewer, at=clock.now())


@router.post(
    "/organisations/{uuid:organisation_id}/uscc-override", response=schemas.OrganisationOut
)
def override_uscc(request: HttpRequest, organisation_id: UUID, payload: schemas.ReasonIn) -> Any:
    """Let a credit code with a wrong check character pass, with a reason."""
    viewer = viewer_of(request)
    services.require(viewer, "organisation.override_uscc")
    found = queries.organisation(organisation_id, viewer)
    return services.override_uscc(found, payload.reason, actor=viewer, at=clock.now())


@router.put("/organisations/{uuid:organisation_id}/credit-limit", response=schemas.OrganisationOut)
def set_credit_limit(
    request: HttpRequest, organisation_id: UUID, payload: schemas.CreditLimitIn
) -> Any:
    """Agree what an organisation may owe before it pays, in fen."""
    viewer = viewer_of(request)
    services.require(viewer, "credit.set")
    found = queries.organisation(organisation_id, viewer)
    return credit.set_credit_limit(found, payload.limit_fen, actor=viewer, at=clock.now())


@router.get("/organisations/{uuid:organisation_id}/members", response=Page[schemas.MemberOut])
def members(request: HttpRequest, organisation_id: UUID, paging: Query[Paging]) -> Any:
    """The people of an organisation, those who left included."""
    found = queries.members(organisation_id, viewer_of(request))
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("joined_at", "pk"))


@router.post("/organisations/{uuid:organisation_id}/members", response={201: schemas.MemberOut})
def add_member(request: HttpRequest, organisation_id: UUID, payload: schemas.MemberIn) -> Any:
    """Give a new person, or a present member in a second role, a place."""
    viewer = viewer_of(request)
    services.require(viewer, "members.manage")
    member = services.add_member(
        queries.organisation(organisation_id, viewer),
        payload.role,
        username=payload.username,
        password=payload.password,
        display_name=payload.display_name,
        actor=viewer,
        at=clock.now(),
    )
    return Status(201, member)


@router.delete("/members/{member_id}", response=schemas.MemberOut)
def remove_member(request: HttpRequest, member_id: int) -> Any:
    """End a membership; its keys end with it."""
    viewer = viewer_of(request)
    services.require(viewer, "members.manage")
    return services.remove_member(queries.member(member_id, viewer), actor=viewer, at=clock.now())


@router.get("/api-keys", response=Page[schemas.ApiKeyOut])
def api_keys(request: HttpRequest, paging: Query[Paging]) -> Any:
    """The own keys; for who manages keys, all of the organisation."""
    found = queries.api_keys(viewer_of(request))
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-created_at", "pk"))


@router.post("/api-keys", response={201: schemas.ApiKeyMade})
def create_api_key(request: HttpRequest, payload: schemas.ApiKeyIn) -> Any:
    """Make a key. Its token is in this answer and nowhere else."""
    viewer = viewer_of(request)
    member = queries.member(payload.member_id, viewer) if payload.member_id else None
    key, token = services.create_api_key(
        payload.title,
        scopes=payload.scopes,
        expires_at=payload.expires_at,
        member=member,
        actor=viewer,
        at=clock.now(),
    )
    return Status(201, {"key": key, "token": token})


@router.delete("/api-keys/{uuid:key_id}", response=schemas.ApiKeyOut)
def revoke_api_key(request: HttpRequest, key_id: UUID) -> Any:
    """End a key at once."""
    return services.revoke_api_key(key_id, actor=viewer_of(request), at=clock.now())


def _me(request: HttpRequest) -> schemas.MeOut:
    viewer = viewer_of(request)
    held = PERMISSIONS[viewer.role] if viewer.role else frozenset()
    return schemas.MeOut.of(viewer, sorted(name for name in held if viewer.may(name)))


@router.post("/sign-in", response=schemas.MeOut)
def open_session(request: HttpRequest, payload: schemas.SignInIn) -> Any:
    """Sign in with a password; the session cookie comes with the answer."""
    sign_in.sign_in(
        request,
        payload.username,
        payload.password,
        address=address_of(request),
        at=clock.now(),
    )
    forget_viewer(request)
    return _me(request)


@router.post("/sign-out", response={204: None})
def close_session(request: HttpRequest) -> Any:
    """Close the session. Safe to repeat."""
    sign_in.sign_out(request)
    forget_viewer(request)
    return Status(204, None)


@router.get("/me", response=schemas.MeOut)
def me(request: HttpRequest) -> Any:
    """Who the caller is, as whom they act, and what they may do."""
    return _me(request)


@router.post("/me/acting", response=schemas.MeOut)
def act_as(request: HttpRequest, payload: schemas.ActingIn) -> Any:
    """Act as another of the own memberships, for the rest of this session."""
    viewer = viewer_of(request)
    if viewer.api_key_id is not None:
        raise NotAllowed("session_needed")
    sign_in.act_as(request, payload.member_id)
    forget_viewer(request)
    return _me(request)


@router.post("/me/language", response=schemas.MeOut)
def change_language(request: HttpRequest, payload: schemas.LanguageIn) -> Any:
    """Choose the language the platform speaks to the caller."""
    services.change_language(payload.language, actor=viewer_of(request), at=clock.now())
    return _me(request)


@router.post("/me/password", response={204: None})
def change_password(request: HttpRequest, payload: schemas.PasswordIn) -> Any:
    """Change the own password; every other session ends."""
    viewer = viewer_of(request)
    if viewer.person is None:
        raise NotSignedIn("sign_in_needed")
    if viewer.api_key_id is not None:
        raise NotAllowed("session_needed")
    sign_in.change_password(request, payload.current, payload.new, at=clock.now())
    return Status(204, None)


@router.get("/audit-events", response=Page[schemas.AuditEventOut])
def audit_events(
    request: HttpRequest, paging: Query[Paging], subject: Query[str | None] = None
) -> Any:
    """What was done by or to those the caller may see, the newest first."""
    found = queries.trail(viewer_of(request), subject=subject)
    return page(found, cursor=paging.cursor, limit=paging.limit, order=("-at", "-pk"))
