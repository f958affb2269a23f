"""The worker process: runs the tasks that services defer inside their transactions."""

from __future__ import annotations

import asyncio
import os

from suanwang.site import logs
from suanwang.site.settings import settings


def main() -> None:
    """Run tasks until asked to stop; a task under way is finished first."""
    logs.configure("worker", form=settings().log_format)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
    import django

    django.setup()
    from procrastinate.contrib.django import app
    from procrastinate.contrib.django.django_connector import DjangoConnector

    async def work() -> None:
        async with worker_app.open_async():
            await worker_app.run_worker_async(
                name="worker",
                concurrency=1,
                shutdown_graceful_timeout=10,
                listen_notify=True,
                delete_jobs="never",
            )

    if not isinstance(app.connector, DjangoConnector):
        raise TypeError("procrastinate does not use Django's connection")
    worker_app = app.with_connector(app.connector.get_worker_connector())
    asyncio.run(work())
