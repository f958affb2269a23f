"""A city with two of everything, every row marked with whose it is, to see what leaks.

Markers are words that no page and no answer has by itself. ``leakc?`` is a consumer's, ``leakp?``
a provider's own business, ``leakv?`` what not even the offices of the city see (scripts' output,
files, secrets). Side a lies in one division, side b in the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Model

from suanwang.jobs.models import (
    AgentNonce,
    Attempt,
    Job,
    JobEvent,
    JobFile,
    JobLog,
    NodeReservation,
    OrganisationShare,
)
from suanwang.ledger import chart
from suanwang.ledger.credit import set_credit_limit
from suanwang.ledger.models import Account, Transfer
from suanwang.people import services
from suanwang.people.models import Duty, Member, Organisation, Person, SignInFailure
from suanwang.people.roles import OrganisationKind, Role
from suanwang.people.scope import Viewer
from suanwang.registry import models as registry
from suanwang.site import clock

from . import access_papers
from .people_setting import (
    AT,
    DIVISION,
    OTHER_DIVISION,
    active,
    colleague,
    divisions,
    office,
    register,
    viewer,
)

AMOUNTS = {"a": 7_130_101, "b": 7_130_202}
SIDES = ("a", "b")
DIVISIONS = {"a": DIVISION, "b": OTHER_DIVISION}
YEAR = timedelta(days=365)


@dataclass
class Side:
    """One consumer and one provider with everything that happens between them."""

    name: str
    consumer: Organisation
    provider: Organisation
    owner: Member
    things: dict[str, Model] = field(default_factory=dict)


@dataclass
class City:
    """Both sides, the offices, and everybody who looks."""

    sides: dict[str, Side]
    viewers: dict[str, Viewer]

    def thing(self, side: str, name: str) -> Model:
        return self.sides[side].things[name]


def build() -> City:
    """The whole city, once for a module."""
    divisions()
    sides = {name: _side(name) for name in SIDES}
    viewers: dict[str, Viewer] = {}
    for name, side in sides.items():
        viewers[f"owner-{name}"] = viewer(side.owner)
        # The other side has the same roles; one of each kind of organisation looks from there.
        for role in (Role.MEMBER, Role.BILLING) if name == "a" else ():
            viewers[f"{role}-{name}"] = colleague(side.consumer, role)
        provider_member = side.things["provider_member"]
        assert isinstance(provider_member, Member)
        viewers[f"provider-{name}"] = viewer(provider_member)
        viewers[f"county-{name}"] = office(
            OrganisationKind.COUNTY, Role.COUNTY, division=DIVISIONS[name]
        )
    for role in (Role.REVIEWER, Role.APPROVER, Role.FINANCE):
        viewers[str(role)] = office(OrganisationKind.BUREAU, role)
    viewers["auditor"] = office(OrganisationKind.AUDIT_OFFICE, Role.AUDITOR)
    viewers["operator"] = office(OrganisationKind.OPERATOR, Role.OPERATOR)
    return City(sides, viewers)


def _side(name: str) -> Side:
    mark, own, vault = f"leakc{name}", f"leakp{name}", f"leakv{name}"
    division, amount = DIVISIONS[name], AMOUNTS[name]
    owner = active(name=f"{mark}公司", name_en=f"{mark} Ltd", division=division)
    provider = active(OrganisationKind.PROVIDER, name=f"供给方{name}", division=division)
    _rename(owner.person, mark)
    _rename(provider.person, own)
    side = Side(name, owner.organisation, provider.organisation, owner)
    keep = side.things
    keep |= {"consumer": owner.organisation, "owner_member": owner, "provider_member": provider}
    keep["provider_org"] = provider.organisation
    keep["pending"] = register(
        name=f"{mark}待审", division=division, uscc=None, kind=OrganisationKind.MAKER
    ).organisation
    joined = colleague(owner.organisation, Role.MEMBER).person
    assert joined is not None
    keep["colleague"] = joined.memberships.get()
    operator = office(OrganisationKind.OPERATOR, Role.OPERATOR)
    set_credit_limit(owner.organisation, amount, actor=operator, at=AT)
    keep["account"] = Account.objects.get(pk=chart.spend(owner.organisation.pk).id)
    keep["transfer"] = Transfer.objects.get(credit_account=keep["account"].pk)
    for key_of, title in ((owner, mark), (provider, own)):
        key, _ = services.create_api_key(title, expires_at=AT + YEAR, actor=viewer(key_of), at=AT)
        keep[f"key_{title[4]}"] = key
    services.record(
        viewer(owner),
        "jobs.submit",
        subject=owner.organisation,
        concerns=owner.organisation,
        at=AT,
        name=mark,
    )
    services.record(
        viewer(provider),
        "prices.set",
        subject=provider.organisation,
        concerns=provider.organisation,
        at=AT,
        name=own,
    )
    keep["duty"] = Duty.objects.create(
        matter=f"voucher:{mark}", kind="grant", person=owner.person, at=AT
    )
    keep["failure"] = SignInFailure.objects.create(
        name_hash=f"{name}" * 64, address=f"192.0.2.{ord(name)}", at=AT
    )
    _centre(side, own)
    _jobs(side, mark, vault)
    access_papers.metered(side, AMOUNTS[name])
    access_papers.supported(side, AMOUNTS[name])
    return side


def _rename(person: Person, mark: str) -> None:
    person.username, person.display_name = f"{mark}-{person.username}", f"{mark}先生"
    person.save()


def _centre(side: Side, own: str) -> None:
    keep, name = side.things, side.name
    model, _ = registry.AcceleratorModel.objects.get_or_create(
        code="fictional-card",
        defaults={"vendor": "虚构", "name": "虚构卡", "memory_mib": 65536, "domestic": True},
    )
    keep["model"] = model
    keep["figure"], _ = registry.AcceleratorFigure.objects.get_or_create(
        model=model,
        precision="FP16",
        sparsity="dense",
        basis="nominal",
        gflops=1000,
        evidence="vendor",
        source="-",
    )
    keep["centre"] = centre = registry.DataCentre.objects.create(
        provider=side.provider,
        code=f"centre-{name}",
        name=f"中心{name}",
        tier="center",
        kind="intelligent",
        division_id=DIVISIONS[name],
        racks=10,
        status="verified",
        is_local_platform=True,
        created_at=AT,
    )
    keep["energy"] = registry.EnergyReading.objects.create(
        centre=centre,
        period=DateTimeTZRange(AT - YEAR, AT),
        it_wh=100,
        facility_wh=120,
        green_wh=60,
    )
    keep["cluster"] = cluster = registry.Cluster.objects.create(
        centre=centre, name="主集群", engine="memory"
    )
    keep["node"] = registry.Node.objects.create(
        cluster=cluster,
        name="node-1",
        cores=64,
        memory_mib=256 * 1024,
        accelerator_model=model,
        accelerators=8,
        reported_at=AT,
    )
    keep["agent"] = agent = registry.SiteAgent.objects.create(
        cluster=cluster,
        token_hash=f"leakv{name}".ljust(64, "0"),
        token_expires_at=AT + YEAR,
        public_key=f"{own}".ljust(44, "A"),
        version=own,
        isolation=own,
        enrolled_at=AT,
        last_seen_at=clock.now() + YEAR,  # it stays online through the walk
        measure_address=own,
    )
    keep["measurement"] = registry.LinkMeasurement.objects.create(
        asks=agent,
        listens=agent,
        secret=f"leakv{name}".ljust(64, "0"),
        asked_by=own,
        asked_at=AT,
        expires_at=AT,
    )
    keep["link"] = registry.Link.objects.create(
        one=centre.code, other=f"place-{name}", latency_us=900, measured_at=AT, measured_by="-"
    )
    keep["reservation"] = NodeReservation.objects.create(
        cluster=cluster,
        nodes=["node-1"],
        starts_at=AT,
        ends_at=AT + timedelta(hours=1),
        reason=own,
        made_at=AT,
    )
    keep["nonce"] = AgentNonce.objects.create(agent=agent, nonce=f"leakv{name}", at=AT)
    for meter in registry.Price.Meter.values:
        keep["price"] = registry.Price.objects.create(
            centre=centre,
            meter=meter,
            accelerator_model=model if meter == "card_seconds" else None,
            price_fen=15,
            per_quantity=3600,
            validity=DateTimeTZRange(AT - YEAR, None),
            created_at=AT,
        )


def _jobs(side: Side, mark: str, vault: str) -> None:
    keep = side.things
    spec: dict[str, Any] = {
        "name": mark,
        "script": f"echo {vault}",
        "cores": 1,
        "memory_mib": 1024,
        "accelerators": 0,
        "accelerator_model": None,
        "walltime_seconds": 3600,
        "environment": {"SECRET": vault},
        "files_in": [],
        "files_out": [],
        "centre": None,
        "goal": "cheapest",
    }
    common = {
        "organisation": side.consumer,
        "submitted_by": side.owner.person,
        "name": mark,
        "spec": spec,
        "cores": 1,
        "memory_mib": 1024,
        "walltime_seconds": 3600,
        "estimate_fen": AMOUNTS[side.name],
        "submitted_at": AT,
    }
    keep["share"] = OrganisationShare.objects.create(organisation=side.consumer, set_at=AT)
    keep["job_queued"] = Job.objects.create(**common, hold_id=uuid4())
    keep["job"] = job = Job.objects.create(
        **common,
        hold_id=uuid4(),
        state="succeeded",
        cluster=keep["cluster"],
        reason={"code": "job_ended", "facts": {"name": mark}},
        started_at=AT,
        ended_at=AT + timedelta(hours=1),
        exit_code=0,
    )
    keep["attempt"] = attempt = Attempt.objects.create(
        job=job,
        cluster=keep["cluster"],
        node=keep["node"],
        state="ended",
        leased_at=AT,
        expires_at=AT,
        started_at=AT,
        ended_at=AT + timedelta(hours=1),
    )
    keep["event"] = JobEvent.objects.create(
        job=job, at=AT, state="succeeded", person=side.owner.person, facts={"name": mark}
    )
    keep["log"] = JobLog.objects.create(
        attempt=attempt, stream="stdout", offset=0, content=vault.encode()
    )
    for direction in JobFile.Direction.values:
        keep[f"file_{direction}"] = JobFile.objects.create(
            job=job,
            direction=direction,
            name=f"{vault}.txt",
            size=len(vault),
            sha256="0" * 64,
            content=vault.encode(),
        )


def forbidden(who: str) -> frozenset[str]:
    """The markers that must not reach a viewer."""
    every = {f"leak{kind}{side}" for kind in "cpv" for side in SIDES}
    amounts = {side: {str(AMOUNTS[side]), f"{AMOUNTS[side] / 100:,.2f}"} for side in SIDES}
    role, _, side = who.partition("-")
    other = {"a": "b", "b": "a"}.get(side, "")
    if role in ("owner", "member", "billing"):
        seen = {f"leakc{side}", f"leakv{side}"}
        return frozenset(every - seen | amounts[other])
    if role == "provider":
        return frozenset(every - {f"leakp{side}", f"leakc{side}"} | amounts[other])
    if role == "county":
        return frozenset(every - {f"leakc{side}", f"leakp{side}"} | amounts[other])
    if role == "stranger":
        return frozenset(every | amounts["a"] | amounts["b"])
    return frozenset({"leakva", "leakvb"})
