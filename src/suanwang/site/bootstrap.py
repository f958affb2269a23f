"""Preparing the database of a city: its tables, and on first start who and what lives there.

Run by the supervisor before anything else uses the database, so an interrupted first start can be
begun anew: while the demo is being loaded the database carries a comment that says so.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

from suanwang.site import logs
from suanwang.site.settings import settings

Progress = Callable[[str], None]
_LOADING = "suanwang: loading the demo city"
_DEMO = "suanwang: demo city"
_EMPTY = "suanwang: city"


def prepare(home: Path, *, demo: bool, progress: Progress) -> None:
    """Bring the tables up to this version; on first start load the demo or the bare beginnings."""
    if _comment() == _LOADING:
        progress("an earlier start was interrupted while loading the demo; beginning anew")
        _empty_database()
    _migrate(progress)
    if _comment() in (_DEMO, _EMPTY):
        return
    if demo and importlib.util.find_spec("suanwang.site.demo.load") is not None:
        _say(_LOADING)
        _load_demo(progress)
        _say(_DEMO)
    else:
        _say(_EMPTY)


def has_demo() -> bool:
    """Whether this database holds the demo city."""
    return _comment() == _DEMO


def _load_demo(progress: Progress) -> None:
    progress("loading the demo city")
    importlib.import_module("suanwang.site.demo.load").load(progress)


def _migrate(progress: Progress) -> None:
    from django.core.management import call_command

    from suanwang.site.views import missing_migrations

    missing = missing_migrations()
    if missing:
        progress(f"bringing the tables up to date ({len(missing)} migrations)")
        call_command("migrate", interactive=False, verbosity=0)


def _comment() -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database "
            "WHERE datname = current_database()"
        )
        row = cursor.fetchone()
    return (row[0] or "") if row else ""


def _say(comment: str) -> None:
    from django.db import connection
    from psycopg import sql

    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                sql.Identifier(name), sql.Literal(comment)
            )
        )


def _empty_database() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE")
        cursor.execute("CREATE SCHEMA public")


def main() -> None:
    """What the supervisor runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-demo", action="store_true")
    arguments = parser.parse_args()
    city = settings()
    logs.configure("bootstrap", form=city.log_format)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
    import django

    django.setup()

    def progress(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    demo = not arguments.no_demo and city.env != "production"
    prepare(city.home.resolve(), demo=demo, progress=progress)


if __name__ == "__main__":
    main()
