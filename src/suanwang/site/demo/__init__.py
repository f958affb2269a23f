"""The demo city: a place worth looking at, made by running the platform's own code.

load(progress)    90 days on a simulated clock, once per database
sign_ins()        who can sign in, for ``up`` to print
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, how much there is."""


@dataclass(frozen=True)
class SignIn:
    """Someone a visitor can sign in as."""

    username: str
    password: str
    display_name: str
    organisation: str
    role: str


def load(progress: Progress) -> bool:
    """Load the demo unless the city has anybody in it already; whether it was loaded."""
    from suanwang.site.demo.calendar import load as load_once

    return load_once(progress)


def sign_ins() -> list[SignIn]:
    """The sign-ins worth showing first."""
    from suanwang.site.demo.data import city

    everybody, organisations = city()["people"], city()["organisations"]
    shown = []
    for username in city()["sign_ins_shown"]:
        display_name, places = everybody[username]
        key, role = places[0]
        name = organisations[key]["name"]
        shown.append(SignIn(username, city()["password"], display_name, name, role))
    return shown
