"""What a job sets off elsewhere: deferred by name, in the same commit as its cause."""

from __future__ import annotations

from django.db import transaction
from procrastinate import exceptions
from procrastinate.contrib.django import app

_SETTLE = "metering.rate_and_settle"


def settle_soon() -> None:
    """Ask the worker to rate what came in and settle what has ended; one request waits at most."""
    try:
        # A savepoint: the refusal of a second waiting request must not undo the caller's work.
        with transaction.atomic():
            app.configure_task(_SETTLE, queue="money", queueing_lock=_SETTLE).defer()
    except exceptions.AlreadyEnqueued:
        return
