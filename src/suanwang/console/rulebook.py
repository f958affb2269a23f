"""The policy in force, as pages show it."""

from __future__ import annotations

from suanwang import policy
from suanwang.core.errors import SuanwangError
from suanwang.site.settings import settings


def rulebook() -> policy.Package | None:
    """The policy package of this city; None before one is installed.

    A page about something else must not fail because the policy cannot be read.
    """
    try:
        return policy.load(settings().policies / settings().policy)
    except SuanwangError:
        return None
