"""Who lives in the demo city: founding its organisations, people, centres and prices.

Everything goes through the same services as in a real city; only the clock is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from suanwang.core.money import parse_yuan
from suanwang.ledger.credit import set_credit_limit
from suanwang.people import services as people
from suanwang.people.models import Organisation, Person
from suanwang.people.roles import CONSUMER_KINDS, OrganisationKind, Role
from suanwang.people.scope import Viewer
from suanwang.people.services.organisations import FirstPerson, Registration
from suanwang.people.sign_in import viewer_for
from suanwang.registry import services as registry
from suanwang.registry.inventory import NodeReport
from suanwang.registry.models import Cluster, DataCentre
from suanwang.site.demo.data import city

HOUR = 3600
GIB_HOUR = 1024 * HOUR


@dataclass
class Cast:
    """Everybody by the short name the data file gives them."""

    organisations: dict[str, Organisation] = field(default_factory=dict)
    people: dict[str, Viewer] = field(default_factory=dict)
    clusters: dict[str, Cluster] = field(default_factory=dict)

    def acting_for(self, organisation: str, role: Role | None = None) -> Viewer:
        """Someone who acts for an organisation."""
        wanted = self.organisations[organisation].pk
        return next(
            viewer
            for viewer in self.people.values()
            if viewer.organisation_id == wanted and role in (None, viewer.role)
        )


def found_offices(cast: Cast, *, at: datetime) -> None:
    """The operator and the offices that govern: founded by the platform itself."""
    for key, facts in _organisations(offices=True):
        cast.organisations[key] = people.found_organisation(_registration(facts), at=at)
    for username, (display_name, places) in city()["people"].items():
        if places[0][0] in cast.organisations:
            for organisation, role in places:
                people.enlist(
                    cast.organisations[organisation],
                    Role(role),
                    username=username,
                    password=city()["password"],
                    display_name=display_name,
                    at=at,
                )
            cast.people[username] = _viewer(username)


def register_members(cast: Cast, *, at: datetime) -> None:
    """Providers and users: each registers itself and is approved by the operator."""
    operator = cast.people["operator"]
    for key, facts in _organisations(offices=False):
        first, *others = (
            (username, display_name, places[0][1])
            for username, (display_name, places) in city()["people"].items()
            if places[0][0] == key
        )
        member = people.register_organisation(
            _registration(facts), FirstPerson(first[0], city()["password"], first[1]), at=at
        )
        organisation = people.approve_organisation(member.organisation, actor=operator, at=at)
        cast.organisations[key] = organisation
        cast.people[first[0]] = _viewer(first[0])
        for username, display_name, role in others:
            people.add_member(
                organisation,
                Role(role),
                username=username,
                password=city()["password"],
                display_name=display_name,
                actor=cast.people[first[0]],
                at=at,
            )
            cast.people[username] = _viewer(username)
        if organisation.kind in {kind.value for kind in CONSUMER_KINDS}:
            limit = parse_yuan(str(facts["credit_yuan"]))
            set_credit_limit(organisation, limit, actor=operator, at=at)


def register_centres(cast: Cast, *, at: datetime) -> None:
    """The nine centres with their clusters, nodes and prices."""
    for code, facts in city()["centres"].items():
        provider = cast.organisations[facts["provider"]]
        actor = cast.acting_for(facts["provider"])
        centre = registry.register_centre(
            provider,
            code=code,
            name=facts["name"],
            name_en=facts["name_en"],
            tier=facts["tier"],
            kind=facts["kind"],
            division=facts["division"],
            racks=facts["racks"],
            racks_used=facts["racks_used"],
            actor=actor,
            at=at,
        )
        registry.verify_centre(
            centre,
            is_local_platform=facts["local"],
            is_public_platform=facts["public"],
            actor=cast.people["operator"],
            at=at,
        )
        cast.clusters[code] = registry.register_cluster(
            centre, name="main", engine=Cluster.Engine.MEMORY, actor=actor, at=at
        )
        _set_prices(centre, facts, actor=actor, at=at)


def node_reports(code: str) -> list[NodeReport]:
    """What a centre's agent will report."""
    kinds = city()["centres"][code]["nodes"]
    return [
        NodeReport(
            name=f"{code}-{kind_number}{number:02d}",
            cores=kind["cores"],
            memory_mib=kind["memory_gib"] * 1024,
            accelerators=((kind["model"], kind["accelerators"]),) if "model" in kind else (),
            rack=f"R{kind_number}{1 + number // 4:02d}",
        )
        for kind_number, kind in enumerate(kinds, 1)
        for number in range(1, kind["count"] + 1)
    ]


def report_month_of_energy(cast: Cast, *, start: datetime, end: datetime, at: datetime) -> None:
    """What every centre's meters showed over a period: IT load, the PUE's share, green power."""
    hours = Decimal(int((end - start).total_seconds())) / HOUR
    for code, facts in city()["centres"].items():
        it_wh = int(Decimal(facts["it_mw"]) * 1_000_000 * hours)
        facility_wh = int(it_wh * Decimal(facts["pue"]))
        registry.report_energy(
            cast.clusters[code].centre,
            start=start,
            end=end,
            it_wh=it_wh,
            facility_wh=facility_wh,
            green_wh=int(facility_wh * Decimal(facts["green"])),
            actor=cast.acting_for(facts["provider"]),
            at=at,
        )


def _set_prices(centre: DataCentre, facts: dict[str, Any], *, actor: Viewer, at: datetime) -> None:
    prices = [("core_seconds", facts["core"], HOUR, None)]
    prices.append(("memory_mib_seconds", facts["gib"], GIB_HOUR, None))
    for model, yuan in facts.get("card_prices", {}).items():
        prices.append(("card_seconds", yuan, HOUR, model))
    for meter, yuan, per_quantity, model in prices:
        registry.set_price(
            centre,
            meter,
            price_fen=parse_yuan(yuan),
            per_quantity=per_quantity,
            accelerator_model=model,
            starts=at,
            actor=actor,
            at=at,
        )


def _organisations(*, offices: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    ordinary = {kind.value for kind in CONSUMER_KINDS} | {OrganisationKind.PROVIDER.value}
    for key, facts in city()["organisations"].items():
        if (facts["kind"] in ordinary) != offices:
            yield key, facts


def _registration(facts: dict[str, Any]) -> Registration:
    return Registration(
        name=facts["name"],
        name_en=facts["name_en"],
        kind=OrganisationKind(facts["kind"]),
        division=facts["division"],
        uscc=facts.get("uscc"),
    )


def _viewer(username: str) -> Viewer:
    return viewer_for(Person.objects.get(username=username))
