"""The built-in centre: this machine, registered, priced and enrolled through the same services.

Its agent needs no token to be carried anywhere: both ends are on this machine, so the identity is
put where the agent looks for it (``SUANWANG_HOME/agent``).
"""

from __future__ import annotations

import secrets
from datetime import datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from django.db import transaction

import suanwang
from suanwang.agent.home import Home, Identity, NotEnrolled
from suanwang.jobs.answers import platform_key
from suanwang.people import services as people
from suanwang.people.models import Member, Organisation
from suanwang.people.roles import OrganisationKind, Role
from suanwang.people.scope import Viewer
from suanwang.people.services.organisations import Registration
from suanwang.people.sign_in import viewer_for
from suanwang.registry import services as registry
from suanwang.registry.models import Cluster, DataCentre, Division, SiteAgent


@cache
def beginnings() -> dict[str, Any]:
    """Names and prices a city begins with."""
    text = resources.files("suanwang.site").joinpath("builtin.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def open_builtin(
    home: Path, address: str, *, centre: bool = True, at: datetime
) -> list[tuple[str, str]]:
    """See that operator, centre and agent exist; returns the sign-ins it had to make.

    Safe to repeat: at every start it only tells the agent where the city answers now. A city
    that wants no ``centre`` of its own gets its operator alone.
    """
    place = Home(home / "agent")
    with transaction.atomic():
        made: list[tuple[str, str]] = []
        operator = _operator(made, at=at)
        if not centre:
            return made
        provider = _provider(made, at=at)
        cluster = _cluster(provider, operator, at=at)
        agent = _agent(place, cluster, provider, at=at)
    place.remember(
        Identity(
            url=address,
            agent_id=str(agent.pk),
            cluster_id=str(cluster.pk),
            platform_key=platform_key(),
        )
    )
    return made


def _operator(made: list[tuple[str, str]], *, at: datetime) -> Viewer:
    known = Member.objects.filter(role=Role.OPERATOR.value, left_at=None).order_by("pk").first()
    if known is None:
        return _found(OrganisationKind.OPERATOR, Role.OPERATOR, beginnings()["operator"], made, at)
    return viewer_for(known.person, known.organisation_id, Role.OPERATOR)


def _provider(made: list[tuple[str, str]], *, at: datetime) -> Viewer:
    facts = beginnings()["provider"]
    known = Member.objects.filter(
        organisation__uscc=facts["uscc"], role=Role.PROVIDER.value, left_at=None
    ).first()
    if known is None:
        return _found(OrganisationKind.PROVIDER, Role.PROVIDER, facts, made, at)
    return viewer_for(known.person, known.organisation_id, Role.PROVIDER)


def _found(
    kind: OrganisationKind,
    role: Role,
    facts: dict[str, str],
    made: list[tuple[str, str]],
    at: datetime,
) -> Viewer:
    registration = Registration(
        facts["name"], kind, _division(), facts.get("uscc"), facts["name_en"]
    )
    password = secrets.token_urlsafe(15)
    member = people.enlist(
        people.found_organisation(registration, at=at),
        role,
        username=facts["username"],
        password=password,
        display_name=facts["display_name"],
        at=at,
    )
    made.append((facts["username"], password))
    return viewer_for(member.person, member.organisation_id, role)


def _division() -> str:
    """The first unit the policy in force lists; an operator can say better."""
    return Division.objects.filter(in_scope=True).order_by("code")[0].code


def _cluster(provider: Viewer, operator: Viewer, *, at: datetime) -> Cluster:
    facts = dict(beginnings()["centre"])
    known = Cluster.objects.filter(centre__code=facts["code"]).first()
    if known is not None:
        return known
    platform = {name: facts.pop(name) for name in ("is_local_platform", "is_public_platform")}
    owner = Organisation.objects.get(uscc=beginnings()["provider"]["uscc"])
    centre: DataCentre = registry.register_centre(
        owner, **facts, division=owner.division, actor=provider, at=at
    )
    registry.verify_centre(centre, **platform, actor=operator, at=at)
    for price in beginnings()["prices"]:
        registry.set_price(centre, **price, starts=at, actor=provider, at=at)
    return registry.register_cluster(
        centre, name="main", engine=Cluster.Engine.LOCAL, actor=provider, at=at
    )


def _agent(place: Home, cluster: Cluster, provider: Viewer, *, at: datetime) -> SiteAgent:
    public = place.key().public
    try:
        known = SiteAgent.objects.filter(
            pk=place.identity().agent_id, public_key=public, revoked_at=None
        ).first()
    except NotEnrolled:
        known = None
    if known is not None:
        return known
    _, token = registry.create_enrolment(cluster, actor=provider, at=at)
    return registry.enrol(token, public, suanwang.__version__, at=at)
