"""``suanwang up`` and its company: the city as processes on this machine."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from suanwang.site.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the city's commands."""
    for command in (up, down, status, check, backup, restore, prepare, web, worker, dispatcher):
        app.command()(command)


def up(
    detach: Annotated[bool, typer.Option("--detach", help="Return once the city runs.")] = False,
    port: Annotated[int | None, typer.Option(help="Where the city answers (8730).")] = None,
    demo: Annotated[bool, typer.Option(help="Load the demo city on first start.")] = True,
) -> None:
    """Open the city on this machine; Ctrl-C stops all of it."""
    if port is not None:
        os.environ["SUANWANG_PORT"] = str(port)
    city = _valid_settings()
    # Children are told where they live, whatever folder they are started from.
    os.environ["SUANWANG_HOME"] = str(city.home.resolve())
    from suanwang.site import detached, supervisor
    from suanwang.site.confinement import ConfinementError
    from suanwang.site.postgres import PostgresError

    try:
        if detach:
            detached.start(city.home.resolve(), demo=demo, say=_say)
        else:
            supervisor.Supervisor(city, demo=demo, say=_say).run()
    except (supervisor.CityError, PostgresError, ConfinementError, OSError) as error:
        typer.echo(f"suanwang: {error}", err=True)
        raise typer.Exit(1) from None


def down() -> None:
    """Stop the city of this home and wait until all of it has stopped."""
    from suanwang.site import detached

    stopped = detached.stop(_valid_settings().home.resolve(), say=_say)
    raise typer.Exit(0 if stopped else 1)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show the city's processes, memory, address and versions; status 3 if it does not run."""
    from suanwang.site.report import report, table

    found = report(_valid_settings().home.resolve())
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        typer.echo(table(found))
    raise typer.Exit(0 if found["running"] else 3)


def check() -> None:
    """Validate the settings and say what to fix; status 1 if something must be."""
    from suanwang.site.check import findings

    broken = False
    for finding in findings():
        broken = broken or finding.must_fix
        mark = "FIX " if finding.must_fix else ("note" if finding.say_only else "ok  ")
        typer.echo(f"{mark}  {finding.subject}: {finding.said}")
    raise typer.Exit(1 if broken else 0)


def backup(
    file: Annotated[Path, typer.Argument(help="Where to; it must not exist.")],
) -> None:
    """Write the running city, database and keys, to one file. Keep it as secret as the keys."""
    from suanwang.site import clock
    from suanwang.site.backup import BackupError
    from suanwang.site.backup import backup as write

    try:
        write(_valid_settings(), file.resolve(), at=clock.now())
    except BackupError as error:
        typer.echo(f"suanwang: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{file}: {file.stat().st_size // 1024} KiB")


def restore(
    file: Annotated[Path, typer.Argument(help="What backup wrote.", exists=True, dir_okay=False)],
) -> None:
    """Fill a new SUANWANG_HOME (or an empty external database) from a backup; then: up."""
    from suanwang.site.backup import BackupError
    from suanwang.site.backup import restore as read
    from suanwang.site.postgres import PostgresError

    try:
        about = read(_valid_settings(), file.resolve())
    except (BackupError, PostgresError) as error:
        typer.echo(f"suanwang: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"restored the city of {about['at']} (suanwang {about['suanwang']})")


def prepare() -> None:
    """Bring the database up to this version without starting the city, for several machines."""
    from suanwang.site import bootstrap

    city = _valid_settings()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
    import django

    django.setup()
    bootstrap.prepare(city, demo=False, say=_say)


def web() -> None:
    """Run one web process alone."""
    _valid_settings()
    from suanwang.site.web import main

    main()


def worker() -> None:
    """Run one task worker alone."""
    _valid_settings()
    from suanwang.site.worker import main

    main()


def dispatcher() -> None:
    """Run one dispatcher alone; there may be several."""
    from suanwang.site import logs

    logs.configure("dispatcher", form=_valid_settings().log_format)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
    import django

    django.setup()
    from suanwang.jobs.dispatcher import main as run

    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    run(stop)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _valid_settings() -> Settings:
    """The settings, or an end that names every one that is wrong."""
    from suanwang.site.check import settings_findings
    from suanwang.site.settings import settings

    wrong = [finding for finding in settings_findings() if finding.must_fix]
    for finding in wrong:
        typer.echo(f"suanwang: {finding.subject}: {finding.said}", err=True)
    if wrong:
        raise typer.Exit(1)
    return settings()
