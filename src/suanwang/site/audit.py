"""Every room's checks over the whole database, on one snapshot of it."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator

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


def run(
    *, against: str | None = None, keep_seal: Callable[[str], None] | None = None
) -> Iterator[Finding]:
    """Hold every promise against every row; the city may go on working meanwhile.

    All checks see the database as it was at one moment, and can only read it. ``against`` is a
    seal of an earlier audit; ``keep_seal`` gets the seal of this one, if every promise is kept.

    Refuses ``audit_database_unavailable``, ``audit_database_empty``, ``seal_unreadable``.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
    django.setup()
    try:
        yield from _on_one_snapshot(against, keep_seal)
    except OperationalError as error:
        raise Unavailable("audit_database_unavailable", reason=str(error).strip()) from error
    except ProgrammingError as error:
        raise Unavailable("audit_database_empty", reason=str(error).split("\n")[0]) from error


def _on_one_snapshot(
    against: str | None, keep_seal: Callable[[str], None] | None
) -> Iterator[Finding]:
    from suanwang.ledger import seal
    from suanwang.site import clock

    earlier = None if against is None else seal.read(against)
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        all_kept = True
        for check in checks():
            finding = check()
            all_kept &= finding.kept
            yield finding
        if earlier is not None:
            finding = seal.check(earlier)
            all_kept &= finding.kept
            yield finding
        if keep_seal is not None and all_kept:
            keep_seal(seal.take(at=clock.now()))
