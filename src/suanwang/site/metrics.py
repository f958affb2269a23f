"""What Prometheus reads: requests of this web process, and the city's queues, read when asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector

from suanwang.site import clock

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
_requests = Counter(
    "suanwang_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY
)
_seconds = Histogram(
    "suanwang_request_seconds",
    "Time to answer a request.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)

Answer = Callable[[HttpRequest], HttpResponse]


def count_requests(answer: Answer) -> Answer:
    """Middleware: count by route, never by path, so that the number of series stays small."""

    def counted(request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = answer(request)
        match = request.resolver_match
        route = f"/{match.route}" if match is not None else "unknown"
        _requests.labels(request.method or "", route, response.status_code).inc()
        _seconds.labels(route).observe(time.perf_counter() - began)
        return response

    return counted


class CityCollector:
    """Reads the queues with three small queries; an unreachable database reads as down."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What the database says now."""
        up = GaugeMetricFamily("suanwang_database_up", "Whether the database answers.")
        try:
            families = [_tasks(), _jobs(), _agents()]
            up.add_metric([], 1)
        except DatabaseError:
            families = []
            up.add_metric([], 0)
        yield up
        yield from families


def exposition() -> bytes:
    """Everything, in Prometheus' text format."""
    return generate_latest(REGISTRY)


def _rows(query: str) -> list[tuple[str, float]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [(str(label), float(value)) for label, value in cursor.fetchall()]


def _tasks() -> GaugeMetricFamily:
    family = GaugeMetricFamily("suanwang_tasks", "Tasks not yet done.", labels=["status"])
    query = (
        "SELECT status, count(*) FROM procrastinate_jobs "
        "WHERE status IN ('todo', 'doing', 'aborting') GROUP BY status"
    )
    for status, count in ({"todo": 0.0, "doing": 0.0} | dict(_rows(query))).items():
        family.add_metric([status], count)
    return family


def _jobs() -> GaugeMetricFamily:
    family = GaugeMetricFamily("suanwang_jobs", "Jobs by state.", labels=["state"])
    for state, count in _rows("SELECT state, count(*) FROM jobs_job GROUP BY state"):
        family.add_metric([state], count)
    return family


def _agents() -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "suanwang_agent_report_age_seconds", "Since an agent was last heard.", labels=["cluster"]
    )
    now = clock.now().timestamp()
    query = (
        "SELECT cluster_id, extract(epoch FROM max(last_seen_at)) FROM registry_siteagent "
        "WHERE revoked_at IS NULL AND last_seen_at IS NOT NULL GROUP BY cluster_id"
    )
    for cluster, seen_at in _rows(query):
        family.add_metric([cluster], max(0.0, now - seen_at))
    return family


REGISTRY.register(CityCollector())
