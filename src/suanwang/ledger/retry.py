"""Repeating a whole transaction that PostgreSQL broke off to resolve a deadlock.

Accounts are locked in the order of their ids, so one call of ``create_transfers`` cannot deadlock
with another. A service that calls it twice in one transaction, or locks rows of its own, can; then
PostgreSQL ends one of the two, and only its outermost function can begin again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection
from psycopg.errors import DeadlockDetected, SerializationFailure

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 5


def retried(service: Callable[P, R]) -> Callable[P, R]:
    """Let a service begin again after a deadlock, if it is the outermost one.

    Inside another's transaction the error passes through: what that one did is lost as well.
    """

    @wraps(service)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, ATTEMPTS + 1):
            outermost = not connection.in_atomic_block
            try:
                return service(*args, **kwargs)
            except OperationalError as error:
                broken_off = isinstance(error.__cause__, DeadlockDetected | SerializationFailure)
                if not (outermost and broken_off) or attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    return call
