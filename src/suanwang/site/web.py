"""The web process: granian with one worker, WSGI; the console serves the few static files."""

from __future__ import annotations

import gc
from typing import Any

from suanwang.site import logs
from suanwang.site.processes import die_with_parent
from suanwang.site.settings import settings


def main() -> None:
    """Serve the city until asked to stop."""
    from granian.constants import Interfaces
    from granian.server import Server

    city = settings()
    config = logs.configure("web", form=city.log_format)
    Server(
        "suanwang.site.web:application",
        address=city.host,
        port=city.port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,
        blocking_threads=city.web_threads,
        websockets=False,
        workers_kill_timeout=10,
        log_dictconfig=config,
    ).serve()


def application() -> Any:
    """What granian's worker serves; it must not outlive granian, whatever ended that."""
    die_with_parent()
    logs.configure("web", form=settings().log_format)
    return loaded()


def loaded() -> Any:
    """The application with all its pages read in, so that no request waits for that. What is
    there for good is not gone through again at every collection of garbage: that took a tenth of
    a second out of a request now and then.
    """
    from django.urls import get_resolver

    from suanwang.site.wsgi import application as wsgi

    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()
    return wsgi
