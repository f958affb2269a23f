"""The policy in force, as pages show it."""

from __future__ import annotations

from typing import Any


def rulebook() -> Any:
    """The policy package of this city; None before one is installed."""
    return None
