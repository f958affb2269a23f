"""How many jobs a second go all the way: accepted, stored, decided, leased to three centres.

    PYTHONPATH=src python -m tests.benchmarks.bench_dispatch [--jobs 2000] [--json]

Starts the embedded PostgreSQL with fsync on in a temporary folder, registers three centres of 100
nodes each, and lets run beside each other, as processes of their own: companies that post batches
through the API (`POST /api/v1/jobs/batch`, Django's whole stack without the socket), one real
dispatcher, and three agents that take their leases and name what they run. Every job has its hold
in the ledger. The clock starts with the first batch and stops when the last job is in an agent's
hands; that each was leased once, on one hold, is checked afterwards.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import shutil
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

FLOOR = 100
"""Jobs a second on two cores."""
CENTRES, NODES, BATCH = 3, 100, 250


def main() -> int:
    """Measure, print, and fail if the floor is not reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--companies", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    from suanwang.site import postgres

    home = Path(tempfile.mkdtemp(prefix="sw-bench-"))
    home.chmod(0o711)
    os.environ["SUANWANG_HOME"] = str(home)
    server = postgres.start(home)
    try:
        found = _measure(options.jobs, options.companies)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
    found |= {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    print(json.dumps(found) if options.json else _words(found))
    return 0 if found["jobs_per_second"] >= FLOOR else 1


def _words(found: dict[str, Any]) -> str:
    lines = [
        f"{found['jobs']} jobs of {found['companies']} companies, {CENTRES} centres of {NODES}"
        f" nodes, fsync {found['fsync']}, {found['cores']} cores",
        f"accepted and stored   {found['accepted_per_second']:8.0f} jobs/s",
        f"leased, end to end    {found['jobs_per_second']:8.0f} jobs/s   (floor {FLOOR})",
        f"CPU                   {found['cpu_ms_per_job']:8.2f} ms a job, all processes of ours",
    ]
    return "\n".join(lines)


def _django() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
    django.setup()


def _measure(jobs: int, companies: int) -> dict[str, Any]:
    _django()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    agents, people = _city(companies)
    _warm()
    with connection.cursor() as cursor:
        cursor.execute("SHOW fsync")
        fsync = cursor.fetchone()[0]
    connection.close()
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Barrier(2 + companies + len(agents)), context.Event()
    times: Any = context.Queue()
    share = jobs // companies
    work = [
        *(context.Process(target=_post, args=(p, share, ready, times)) for p in people),
        *(context.Process(target=_agent, args=(a, ready, stop)) for a in agents),
        context.Process(target=_dispatch, args=(ready, stop)),
    ]
    for process in work:
        process.start()
    ready.wait(120)
    began = time.perf_counter()
    from suanwang.jobs.models import Attempt

    deadline = began + 60 + jobs / 10
    while Attempt.objects.filter(agent__isnull=False).count() < share * companies:
        if time.perf_counter() > deadline or any(process.exitcode for process in work):
            for process in work:
                process.kill()
            raise SystemExit("not all jobs were leased in time")
        time.sleep(0.02)
    took = time.perf_counter() - began
    stop.set()
    accepted = max(times.get(timeout=30) for _ in range(companies))
    for process in work:
        process.join(60)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    _check(share * companies)
    return {
        "jobs": share * companies,
        "companies": companies,
        "fsync": fsync,
        "accepted_per_second": share * companies / accepted,
        "jobs_per_second": share * companies / took,
        "cpu_ms_per_job": 1000 * (used.ru_utime + used.ru_stime) / (share * companies),
    }


def _check(jobs: int) -> None:
    """What was measured must also be right."""
    from suanwang.jobs.models import Attempt, Job
    from suanwang.ledger import audit
    from suanwang.ledger.models import Transfer

    assert Job.objects.filter(state="placed").count() == jobs
    assert Attempt.objects.count() == Attempt.objects.values("job").distinct().count() == jobs
    assert Attempt.objects.values("cluster").distinct().count() == CENTRES
    held = Transfer.objects.filter(kind="pending", id__in=Job.objects.values("hold_id"))
    assert held.count() == jobs
    assert not [finding for one in audit.checks() if not (finding := one()).kept]


def _city(companies: int) -> tuple[list[UUID], list[str]]:
    """Three centres with prices and agents, and companies with plenty to spend."""
    from suanwang.ledger import chart
    from suanwang.ledger.services import create_accounts, post_or_refuse
    from suanwang.ledger.terms import TransferSpec
    from suanwang.people.models import Member, Organisation, Person
    from suanwang.people.sign_in import viewer_for
    from suanwang.registry import services as registry
    from suanwang.registry.inventory import NodeReport
    from suanwang.registry.models import Division

    at = datetime.now(UTC)
    Division.objects.create(code="990001", name="虚构区", kind="district", in_scope=True)

    def member(name: str, kind: str, role: str) -> Any:
        organisation = Organisation.objects.create(
            name=name, kind=kind, division="990001", status="active", created_at=at
        )
        person = Person.objects.create(username=name)
        Member.objects.create(organisation=organisation, person=person, role=role, joined_at=at)
        return viewer_for(person)

    provider = member("provider", "provider", "provider")
    agents = []
    for number in range(CENTRES):
        centre = registry.register_centre(
            Organisation.objects.get(pk=provider.organisation_id),
            code=f"centre-{number}",
            name=f"centre-{number}",
            tier="center",
            kind="general",
            division="990001",
            racks=10,
            actor=provider,
            at=at,
        )
        cluster = registry.register_cluster(
            centre, name="main", engine="memory", actor=provider, at=at
        )
        for meter, per in (("core_seconds", 3600), ("memory_mib_seconds", 1024 * 3600)):
            registry.set_price(
                centre,
                meter,
                price_fen=10 + number,
                per_quantity=per,
                starts=at,
                actor=provider,
                at=at,
            )
        agent, token = registry.create_enrolment(cluster, actor=provider, at=at)
        agent = registry.enrol(token, "A" * 43 + "=", "bench", at=at)
        nodes = [NodeReport(f"n{each}", 64, 262144) for each in range(NODES)]
        registry.report_nodes(agent, nodes, engine="memory", version="1", isolation="none", at=at)
        agents.append(agent.pk)
    people = []
    for number in range(companies):
        company = member(f"company-{number}", "enterprise", "owner")
        spend = chart.spend(company.organisation_id)
        create_accounts([chart.credit(), spend])
        post_or_refuse(
            [TransferSpec(uuid4(), chart.credit().id, spend.id, 10**13, 1, "credit")], at=at
        )
        people.append(company.person.username)
    return agents, people


def _warm() -> None:
    """Compile the loops of placement once: they are kept on the disk, as in a city that runs."""
    from suanwang.jobs.services import dispatch_once

    dispatch_once(datetime.now(UTC))


def _post(username: str, jobs: int, ready: Any, times: Any) -> None:
    """A company: batches of jobs of several sizes, spread over the centres by name or by goal."""
    _django()
    from django.test import Client

    from suanwang.people.models import Person

    client = Client()
    client.force_login(Person.objects.get(username=username))
    client.get("/api/v1/jobs")
    ready.wait(120)
    began = time.perf_counter()
    for start in range(0, jobs, BATCH):
        sent = [
            {
                "name": f"job-{number}",
                "script": "echo hello\n",
                "cores": 1 + number % 4,
                "memory_mib": 1024 << number % 3,
                "walltime_seconds": 600 * (1 + number % 6),
                "goal": ("cheapest", "balanced", "greenest", "fastest")[number % 4],
                "centre": (f"centre-{number % CENTRES}", None)[number % 2],
            }
            for number in range(start, min(start + BATCH, jobs))
        ]
        answer = client.post(
            "/api/v1/jobs/batch",
            {"jobs": sent},
            "application/json",
            headers={"Idempotency-Key": str(uuid4())},
        )
        assert answer.status_code == 200, answer.content
        assert not answer.json()["refused"], answer.json()["refused"][:3]
    times.put(time.perf_counter() - began)


def _agent(agent_id: UUID, ready: Any, stop: Any) -> None:
    """An agent: waits at the door, takes what it is handed, and names it from then on."""
    _django()
    from suanwang.jobs import bells, services
    from suanwang.registry.models import SiteAgent

    agent = SiteAgent.objects.select_related("cluster").get(pk=agent_id)
    running: set[UUID] = set()
    ready.wait(120)

    def look() -> Any:
        orders = services.lease(agent, running, at=datetime.now(UTC))
        return orders if orders else None

    while not stop.is_set():
        orders = bells.wait_for(look, bells.CLUSTER, agent.cluster_id, seconds=1)
        if orders:
            running |= {lease.attempt_id for lease in orders.leases}
    bells.switchboard.close()


def _dispatch(ready: Any, stop: Any) -> None:
    """The dispatcher as a city runs it."""
    _django()
    from suanwang.jobs import dispatcher

    _load()
    ready.wait(120)
    over = threading.Event()
    threading.Thread(target=lambda: (stop.wait(), over.set()), daemon=True).start()
    dispatcher.main(over)


def _load() -> None:
    """A dispatcher that runs has loaded its loops: decide on something once."""
    from fractions import Fraction

    from suanwang.placement import Ask, Machine, Rates, Room, Site, Snapshot, decide

    now = datetime.now(UTC)
    rates = Rates(Fraction(1), Fraction(1), None)
    machine = Machine(1, "m", uuid4(), Site("c"), Room(64_000, 262_144), None, rates)
    asks = [
        Ask(uuid4(), Room(1_000, 1_024), 60, now - timedelta(seconds=1), "balanced", 10**9)
        for _ in range(3)
    ]
    decide(Snapshot([machine]), asks, now)


if __name__ == "__main__":
    raise SystemExit(main())
