"""The worker process: runs the tasks that services defer inside their transactions."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

import structlog

from suanwang.site import logs
from suanwang.site.settings import settings

if TYPE_CHECKING:
    from procrastinate import App

_TAKE_OVER_EVERY_SECONDS = 15
_SILENT_SECONDS = 30

log = structlog.get_logger("suanwang.worker")


def main() -> None:
    """Run tasks until asked to stop; a task under way is finished first."""
    logs.configure("worker", form=settings().log_format)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
    import django

    django.setup()
    from procrastinate.contrib.django import app
    from procrastinate.contrib.django.django_connector import DjangoConnector

    if not isinstance(app.connector, DjangoConnector):
        raise TypeError("procrastinate does not use Django's connection")
    asyncio.run(_work(app.with_connector(app.connector.get_worker_connector())))


async def _work(app: App) -> None:
    async with app.open_async():
        taking_over = asyncio.create_task(_take_over(app))
        try:
            await app.run_worker_async(
                name="worker",
                concurrency=1,
                shutdown_graceful_timeout=10,
                update_heartbeat_interval=10,
                stalled_worker_timeout=_SILENT_SECONDS,
                delete_jobs="successful",
            )
        finally:
            taking_over.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await taking_over


async def _take_over(app: App) -> None:
    """Run again what a worker that was killed had begun; tasks are safe to repeat."""
    from procrastinate.exceptions import ConnectorException

    jobs = app.job_manager
    while True:
        try:
            for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=_SILENT_SECONDS):
                log.warning("task taken over from a worker that fell silent", task=job.task_name)
                await jobs.retry_job(job)
        except ConnectorException:
            log.warning("the database does not answer")
        await asyncio.sleep(_TAKE_OVER_EVERY_SECONDS)
