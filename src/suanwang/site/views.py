"""The addresses that machines ask: alive, ready, and how much."""

from __future__ import annotations

import hmac

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from suanwang.site.settings import settings

_ready_once = False


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers; nothing else is asked."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers and has every migration of this version."""
    try:
        missing = missing_migrations()
    except DatabaseError:
        return JsonResponse({"ready": False, "database": "unreachable"}, status=503)
    if missing:
        return JsonResponse({"ready": False, "migrations_missing": missing}, status=503)
    return JsonResponse({"ready": True})


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format; in production only to the bearer of ``SUANWANG_METRICS_TOKEN``."""
    from suanwang.site.metrics import exposition

    city = settings()
    if city.metrics_token is not None:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {city.metrics_token}".encode()):
            return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    elif city.env == "production":
        return HttpResponse(status=404)
    return HttpResponse(exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def missing_migrations() -> list[str]:
    """Migrations this version has and the database has not; asked in full until none are."""
    global _ready_once  # noqa: PLW0603
    if _ready_once:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return []
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    _ready_once = not plan
    return [f"{migration.app_label}.{migration.name}" for migration, _backwards in plan]
