"""The tasks of this room that others start, by name, in the same commit as their cause."""

from __future__ import annotations

from django.db import transaction
from procrastinate import exceptions
from procrastinate.contrib.django import app


def rate_soon() -> None:
    """Ask the worker to rate what came in and settle what has ended; one request waits at most."""
    _once("metering.rate_and_settle")


def confirm_soon(reference: str) -> None:
    """Ask the worker to look after a payment that was started at the simulated channel."""
    app.configure_task("metering.confirm_channel_payment", queue="money").defer(reference=reference)


def _once(task: str) -> None:
    try:
        # A savepoint: the refusal of a second waiting request must not undo the caller's work.
        with transaction.atomic():
            app.configure_task(task, queue="money", queueing_lock=task).defer()
    except exceptions.AlreadyEnqueued:
        return
