"""Preparing the database of a city: its tables, and on first start who and what lives there.

Run by the supervisor before anything else uses the database, in a process whose memory goes again.
Every step is one transaction and safe to repeat, so an interrupted start is simply begun anew.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from suanwang.site import logs
from suanwang.site.settings import Settings, settings

Say = Callable[[str], None]


def prepare(city: Settings, *, demo: bool, say: Say) -> None:
    """Bring the tables up to this version; on first start load the demo and this machine."""
    from suanwang.site import clock
    from suanwang.site.builtin import open_builtin

    home = city.home.resolve()
    _migrate(say)
    load_catalogues(city)
    shown = _demo_sign_ins(say) if demo else []
    address = f"http://{city.host}:{city.port}"
    made = open_builtin(home, address, centre=city.builtin_centre, at=clock.now())
    if made:
        _keep_sign_ins(home, made)
    welcome = []
    if shown:
        welcome.append(f"sign in as one of these; the password of all is {shown[0][1]}")
        welcome += [f"  {username:<12} {who}" for username, _password, who in shown]
    elif _sign_ins_file(home).exists():
        welcome.append(f"the first sign-ins are in {_sign_ins_file(home)}")
    welcome_file(home).write_text("".join(f"{line}\n" for line in welcome), encoding="utf-8")


def welcome_file(home: Path) -> Path:
    """What the supervisor says last, once the city answers."""
    return home / "keys" / "welcome"


def _migrate(say: Say) -> None:
    from django.core.management import call_command

    from suanwang.site.views import missing_migrations

    missing = missing_migrations()
    if missing:
        say(f"bringing the tables up to date ({len(missing)} migrations)")
        call_command("migrate", interactive=False, verbosity=0)


def load_catalogues(city: Settings) -> None:
    """What any city needs first: its policy's divisions and the accelerator models."""
    from suanwang import policy
    from suanwang.registry import services as registry

    package = policy.load(city.policies / city.policy)
    registry.load_divisions(package.divisions.values())
    registry.load_accelerators()


def _demo_sign_ins(say: Say) -> list[tuple[str, str, str]]:
    """Load the demo if the city is empty; who can sign in if this is a demo city."""
    from suanwang.people.models import Person
    from suanwang.site import demo

    loaded = demo.load(_Bar(say))
    names = [sign_in.username for sign_in in demo.sign_ins()]
    if not loaded and Person.objects.filter(username__in=names).count() < len(names):
        return []
    return [
        (one.username, one.password, f"{one.display_name}, {one.organisation} ({one.role})")
        for one in demo.sign_ins()
    ]


class _Bar:
    """A progress bar on a terminal, a line every tenth elsewhere."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told = -1

    def __call__(self, what: str, done: int, total: int) -> None:
        share = 100 * done // max(total, 1)
        if sys.stdout.isatty():
            filled = share * 30 // 100
            bar = "#" * filled + "." * (30 - filled)
            sys.stdout.write(f"\rloading the demo city [{bar}] {share:3d}%")
            sys.stdout.write("\n" if share == 100 and self._told != 10 else "")
            sys.stdout.flush()
            self._told = share // 10
        elif share // 10 != self._told:
            self._told = share // 10
            self._say(f"loading the demo city: {share}%")


def _keep_sign_ins(home: Path, made: list[tuple[str, str]]) -> None:
    path = _sign_ins_file(home)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{username} {password}\n" for username, password in made)


def _sign_ins_file(home: Path) -> Path:
    return home / "keys" / "first-sign-ins"


def main() -> None:
    """What the supervisor runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-demo", action="store_true")
    arguments = parser.parse_args()
    city = settings()
    logs.configure("bootstrap", form=city.log_format, level="WARNING")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
    import django

    django.setup()

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    prepare(city, demo=not arguments.no_demo and city.env != "production", say=say)


if __name__ == "__main__":
    main()
