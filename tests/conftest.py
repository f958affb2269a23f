"""One PostgreSQL for the whole run, in a short temporary home; started when a test first asks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest

# Before Django's settings are loaded: they name the database by the home.
_home = Path(tempfile.mkdtemp(prefix="sw-test-"))
_home.chmod(0o711)  # as root PostgreSQL runs under another account, which must pass
os.environ["SUANWANG_HOME"] = str(_home)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
django.setup()  # conftest files further down may be loaded before pytest-django gets to it
_external = bool(os.environ.get("SUANWANG_DATABASE_URL") or os.environ.get("DATABASE_URL"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Load the settings; pytest-django sets Django up once it sees them loaded."""
    from django.conf import settings

    from suanwang.site.translations import compile_stale

    assert settings.DATABASES
    compile_stale()


def pytest_unconfigure() -> None:
    shutil.rmtree(_home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The libpq URL of a running server: the embedded one, or the one the environment names."""
    from suanwang.site.settings import settings

    if _external:
        yield settings().dsn()
        return
    from suanwang.site import postgres

    server = postgres.start(_home, durable=False)
    try:
        yield server.dsn
    finally:
        server.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres: str) -> None:
    """pytest-django asks for this before it makes the test database."""
    _let_flush_pass_the_guards()


def _let_flush_pass_the_guards() -> None:
    """A transactional test ends with TRUNCATE, which append-only tables refuse: step around it."""
    from django.db import connection
    from django.db.backends.postgresql.operations import DatabaseOperations

    plain = DatabaseOperations.execute_sql_flush

    def flush(self: DatabaseOperations, statements: list[str]) -> Any:
        around = ["SET LOCAL session_replication_role = replica"]
        if "procrastinate_jobs" in connection.introspection.table_names():
            around.append("TRUNCATE procrastinate_jobs CASCADE")
        return plain(self, [*around, *statements])

    DatabaseOperations.execute_sql_flush = flush  # type: ignore[assignment,method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """With CI=true a skipped test is a failed one: there, everything must be at hand."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """The same for a whole file that skips itself."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
