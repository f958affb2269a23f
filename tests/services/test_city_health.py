"""What machines ask of a web process: alive, ready, how much."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client

from suanwang.site import views
from suanwang.site.settings import Settings, settings


@pytest.fixture(autouse=True)
def ask_in_full() -> Iterator[None]:
    views._ready_once = False
    yield
    views._ready_once = False


@pytest.fixture
def as_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Settings of this process are read once; read them anew for this test."""
    settings.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    settings.cache_clear()


def test_alive_asks_nothing_of_the_database(client: Client) -> None:
    response = client.get("/healthz")
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_ready_with_every_migration(client: Client) -> None:
    assert client.get("/readyz").json() == {"ready": True}


@pytest.mark.django_db
def test_not_ready_while_a_migration_is_missing(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'vouchers'")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "vouchers.0001_initial" in response.json()["migrations_missing"]


@pytest.mark.django_db
def test_metrics_tell_requests_by_route_and_the_queues(client: Client) -> None:
    client.get("/healthz")
    response = client.get("/metrics")
    assert response.status_code == 200
    text = response.content.decode()
    assert 'suanwang_requests_total{method="GET",route="/healthz",status="200"}' in text
    assert "suanwang_database_up 1.0" in text
    assert 'suanwang_tasks{status="todo"}' in text


@pytest.mark.django_db
def test_metrics_are_for_the_bearer_of_the_token(
    client: Client, as_set: pytest.MonkeyPatch
) -> None:
    as_set.setenv("SUANWANG_METRICS_TOKEN", "t" * 20)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer wrong").status_code == 401
    assert client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {'t' * 20}").status_code == 200


@pytest.mark.django_db
def test_in_production_metrics_without_a_token_are_off(
    client: Client, as_set: pytest.MonkeyPatch
) -> None:
    as_set.setenv("SUANWANG_ENV", "production")
    assert Settings().env == "production"
    assert client.get("/metrics").status_code == 404
