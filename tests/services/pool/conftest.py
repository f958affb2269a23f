"""A small city for the pool's tests: two providers, three centres, two companies, real services."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from suanwang.core.jobspec import JobSpec
from suanwang.jobs import bells
from suanwang.jobs import services as jobs
from suanwang.jobs.models import Attempt, Job
from suanwang.ledger import chart
from suanwang.ledger.services import create_accounts, post_or_refuse
from suanwang.ledger.terms import TransferSpec
from suanwang.people.models import Member, Organisation, Person
from suanwang.people.roles import OrganisationKind, Role
from suanwang.people.scope import Viewer
from suanwang.people.sign_in import viewer_for
from suanwang.registry import services as registry
from suanwang.registry.inventory import NodeReport
from suanwang.registry.models import Cluster, DataCentre, Division, SiteAgent

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
CORE_HOUR_FEN, GIB_HOUR_FEN, CARD_HOUR_FEN = 15, 1, 900


def member(kind: OrganisationKind, role: Role, name: str) -> Viewer:
    """Someone acting for a new, active organisation."""
    organisation = Organisation.objects.create(
        name=name, kind=kind, division="990001", status="active", created_at=NOW
    )
    person = Person.objects.create(username=f"{name}-{role}")
    Member.objects.create(organisation=organisation, person=person, role=role, joined_at=NOW)
    return viewer_for(person)


@dataclass
class AgentKey:
    """An agent's end of the line."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public(self) -> str:
        raw = self.key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        return base64.b64encode(raw).decode()


@dataclass
class City:
    """What the tests act with."""

    provider: Viewer
    other_provider: Viewer
    operator: Viewer
    company: Viewer
    rival: Viewer
    general: Cluster
    """Two nodes of 16 cores and 64 GiB, cheap."""
    intelligent: Cluster
    """One node of 32 cores, 128 GiB and 8 cards, dear."""
    agents: dict[uuid.UUID, SiteAgent]
    keys: dict[uuid.UUID, AgentKey]
    now: datetime = NOW

    def later(self, **by: float) -> datetime:
        """Let time pass; agents keep calling."""
        self.now += timedelta(**by)
        for agent in self.agents.values():
            registry.seen(agent, at=self.now)
        return self.now

    def agent(self, cluster: Cluster) -> SiteAgent:
        return self.agents[cluster.pk]

    def submit(self, actor: Viewer | None = None, **asked: Any) -> Job:
        self.now += timedelta(microseconds=1)  # so that the queue has one order
        spec = JobSpec(**({"name": "job", "script": "true"} | asked))
        return jobs.submit(spec, actor=actor or self.company, at=self.now)

    def report(self, attempt: Attempt, state: str, sequence: int, **facts: Any) -> None:
        """An agent's report that must be accepted."""
        report = jobs.StateReport(attempt.pk, sequence, state, self.now, **facts)
        agent = self.agents[attempt.cluster_id]
        accepted, refused = jobs.take_states(agent, [report], at=self.now)
        assert (len(accepted), refused) == (1, [])

    def placed(self, **asked: Any) -> Attempt:
        """A job that was submitted, placed and handed to its agent."""
        job = self.submit(**asked)
        assert jobs.dispatch_once(self.now) >= 1
        attempt = Attempt.objects.get(job=job, state__in=Attempt.LIVE)
        jobs.lease(self.agents[attempt.cluster_id], [], at=self.now)
        attempt.refresh_from_db()
        return attempt


def credit(viewer: Viewer, amount_fen: int, at: datetime = NOW) -> None:
    """Give an organisation something to spend."""
    assert viewer.organisation_id is not None
    spend = chart.spend(viewer.organisation_id)
    create_accounts([chart.credit(), spend])
    post_or_refuse(
        [TransferSpec(uuid.uuid4(), chart.credit().id, spend.id, amount_fen, 1, "credit")], at=at
    )


def centre(provider: Viewer, code: str, kind: str, **facts: Any) -> DataCentre:
    return registry.register_centre(
        Organisation.objects.get(pk=provider.organisation_id),
        **{
            "code": code,
            "name": code,
            "tier": "center",
            "kind": kind,
            "division": "990001",
            "racks": 100,
            "actor": provider,
            "at": NOW,
        }
        | facts,
    )


def price(
    centre: DataCentre, provider: Viewer, meter: str, fen: int, per: int, **more: Any
) -> None:
    registry.set_price(
        centre,
        meter,
        **{"price_fen": fen, "per_quantity": per, "starts": NOW, "actor": provider, "at": NOW}
        | more,
    )


@pytest.fixture(autouse=True)
def quiet_bells() -> Iterator[None]:
    """Leave no connection listening: the test database is dropped at the end."""
    yield
    bells.switchboard.close()


@pytest.fixture
def bare(db: None) -> tuple[Viewer, Viewer]:
    """Two providers with nothing yet."""
    Division.objects.create(
        code="990001", name="虚构区", name_en="Nowhere", kind="district", in_scope=True
    )
    registry.load_accelerators()
    return (
        member(OrganisationKind.PROVIDER, Role.PROVIDER, "provider"),
        member(OrganisationKind.PROVIDER, Role.PROVIDER, "other"),
    )


def build(bare: tuple[Viewer, Viewer]) -> City:
    provider, other = bare
    clusters, agents, keys = [], {}, {}
    for owner, code, kind, factor, nodes in (
        (
            provider,
            "plain",
            "general",
            1,
            [NodeReport("n1", 16, 65536), NodeReport("n2", 16, 65536)],
        ),
        (other, "cards", "intelligent", 2, [NodeReport("g1", 32, 131072, (("h20", 8),))]),
    ):
        place = centre(owner, code, kind)
        cluster = registry.register_cluster(
            place, name="main", engine="memory", actor=owner, at=NOW
        )
        price(place, owner, "core_seconds", CORE_HOUR_FEN * factor, 3600)
        price(place, owner, "memory_mib_seconds", GIB_HOUR_FEN * factor, 1024 * 3600)
        price(place, owner, "card_seconds", CARD_HOUR_FEN, 3600, accelerator_model="h20")
        agent, token = registry.create_enrolment(cluster, actor=owner, at=NOW)
        key = AgentKey()
        agent = registry.enrol(token, key.public, "test", at=NOW)
        registry.report_nodes(agent, nodes, engine="memory", version="1", isolation="none", at=NOW)
        clusters.append(cluster)
        agents[cluster.pk], keys[cluster.pk] = agent, key
    company = member(OrganisationKind.ENTERPRISE, Role.OWNER, "company")
    credit(company, 10_000_00)
    return City(
        provider=provider,
        other_provider=other,
        operator=member(OrganisationKind.OPERATOR, Role.OPERATOR, "operator"),
        company=company,
        rival=member(OrganisationKind.ENTERPRISE, Role.OWNER, "rival"),
        general=clusters[0],
        intelligent=clusters[1],
        agents=agents,
        keys=keys,
    )


@pytest.fixture
def city(bare: tuple[Viewer, Viewer]) -> City:
    return build(bare)


@pytest.fixture
def open_city(transactional_db: None, bare: tuple[Viewer, Viewer]) -> City:
    """The same, committed, for tests with several connections."""
    return build(bare)
