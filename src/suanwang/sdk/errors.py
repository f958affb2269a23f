"""What can go wrong when a program talks to the city.

CityError
├── RefusedByCity     the city answered no: ``code``, ``message``, ``facts``
└── CityUnreachable   no answer, or one that is not the city's
"""

from __future__ import annotations

from typing import Any


class CityError(Exception):
    """Something the city could not do for this program."""


class CityUnreachable(CityError):
    """No answer came, or one that was not the city's; the same call may succeed later."""


class RefusedByCity(CityError):
    """The city refused, by a stable code and with the facts behind it (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", "unknown"))
        self.message = str(problem.get("detail") or problem.get("title") or self.code)
        self.facts: dict[str, Any] = problem.get("facts") or {}
        self.errors: list[dict[str, Any]] = problem.get("errors") or []
        super().__init__(f"{self.message} [{self.code}]")
