"""Every room's checks over the whole database, on one snapshot of it."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator

import django
from django.db import OperationalError, ProgrammingError, connection, transaction

from suanwang.core.errors import Unavailable
from suanwang.core.findings import Check, Finding

ROOMS = ("people", "registry", "ledger", "jobs", "metering", "vouchers", "programmes")


def checks() -> Iterator[Check]:
    """The checks of every room that has some, lower floors first."""
    for room in ROOMS:
        name = f"suanwang.{room}.audit"
        if importlib.util.find_spec(name) is not None:
            yield from importlib.import_module(name).checks()


def run() -> Iterator[Finding]:
    """Hold every promise against every row; the city may go on working meanwhile.

    All checks see the database as it was at one moment, and can only read it.

    Refuses ``audit_database_unavailable``, ``audit_database_empty``.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
    django.setup()
    try:
        yield from _on_one_snapshot()
    except OperationalError as error:
        raise Unavailable("audit_database_unavailable", reason=str(error).strip()) from error
    except ProgrammingError as error:
        raise Unavailable("audit_database_empty", reason=str(error).split("\n")[0]) from error


def _on_one_snapshot() -> Iterator[Finding]:
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for check in checks():
            yield check()
