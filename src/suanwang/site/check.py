"""What ``suanwang check`` finds: every setting that is wrong, and how to put it right."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from suanwang.site import state
from suanwang.site.settings import Settings, settings

_NEEDED_FREE_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    said: str
    must_fix: bool = False
    say_only: bool = False


def findings() -> Iterator[Finding]:
    """Look at everything; nothing is changed."""
    broken = False
    for finding in settings_findings():
        broken = broken or finding.must_fix
        yield finding
    if not broken:
        yield from _home(settings())
        yield from _database(settings())
        yield from _machine()


def settings_findings() -> Iterator[Finding]:
    """Look at the settings alone: what every process asks before it starts."""
    try:
        city = settings()
    except ValidationError as error:
        for wrong in error.errors():
            name = ".".join(str(part) for part in wrong["loc"])
            variable = name if name.isupper() else f"SUANWANG_{name.upper()}"
            yield Finding(variable, wrong["msg"], must_fix=True)
        return
    yield Finding("settings", f"valid, for {city.env}")
    yield from _keys(city)
    yield from _production(city)
    yield from _policy(city)


def _keys(city: Settings) -> Iterator[Finding]:
    development = city.home / "keys" / "secret_key"
    generated = development.read_text(encoding="ascii") if development.exists() else None
    if city.env != "production":
        yield Finding("SUANWANG_SECRET_KEY", "set" if city.secret_key else "a development key")
    elif city.secret_key is None:
        yield Finding(
            "SUANWANG_SECRET_KEY",
            "must be set in production, to at least 32 random characters "
            "(python3 -c 'import secrets; print(secrets.token_urlsafe(48))')",
            must_fix=True,
        )
    elif city.secret_key == generated:
        yield Finding(
            "SUANWANG_SECRET_KEY",
            f"is the development key of {development}; make a new one for production",
            must_fix=True,
        )
    else:
        yield Finding("SUANWANG_SECRET_KEY", "set")


def _production(city: Settings) -> Iterator[Finding]:
    if city.env != "production":
        return
    local = {"127.0.0.1", "localhost", "[::1]", "testserver"}
    if set(city.allowed_hosts) <= local:
        yield Finding(
            "SUANWANG_ALLOWED_HOSTS",
            "names only this machine; set it to the city's names, for example '[\"city.example\"]'",
            must_fix=True,
        )
    if "*" in city.allowed_hosts:
        yield Finding("SUANWANG_ALLOWED_HOSTS", "must name hosts, not *", must_fix=True)
    if city.clock_offset_seconds != 0:
        yield Finding("SUANWANG_CLOCK_OFFSET_SECONDS", "must be 0 in production", must_fix=True)
    if city.metrics_token is None:
        yield Finding("SUANWANG_METRICS_TOKEN", "not set: /metrics is off", say_only=True)


def _home(city: Settings) -> Iterator[Finding]:
    home = city.home.resolve()
    there = home
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < _NEEDED_FREE_BYTES:
        yield Finding("SUANWANG_HOME", f"only {free // 2**20} MiB free at {home}", must_fix=True)
    else:
        yield Finding("SUANWANG_HOME", f"{home}, {free // 2**30} GiB free")


def _policy(city: Settings) -> Iterator[Finding]:
    folder = city.policies / city.policy
    if (folder / "policy.yaml").is_file():
        yield Finding("SUANWANG_POLICY", f"{city.policy} in {city.policies}")
    else:
        yield Finding("SUANWANG_POLICY", f"there is no {folder}/policy.yaml", must_fix=True)


def _database(city: Settings) -> Iterator[Finding]:
    import psycopg

    from suanwang.site import postgres

    if city.database_url is None and not state.held(city.home.resolve()):
        yield Finding("PostgreSQL", "embedded; it starts with the city")
        return
    try:
        version = postgres.server_version(city.dsn())
    except psycopg.OperationalError as error:
        said = str(error).strip().splitlines()[-1]
        yield Finding("SUANWANG_DATABASE_URL", f"cannot connect: {said}", must_fix=True)
        return
    if int(version.split(".")[0]) < 15:
        yield Finding("PostgreSQL", f"{version}; 15 or later is needed", must_fix=True)
    else:
        yield Finding("PostgreSQL", f"{version} answers")


def _machine() -> Iterator[Finding]:
    if shutil.which("bwrap") is None:
        yield Finding(
            "bubblewrap",
            "not installed: jobs of the built-in centre run with limits but without isolation "
            "(apt install bubblewrap)",
            say_only=True,
        )
