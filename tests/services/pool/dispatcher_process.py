"""A dispatcher as a process of its own, on the database the environment names, at one moment.

    python dispatcher_process.py 2026-03-02T01:00:05+00:00

The time stands still: the agents of the city of the tests are heard of then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from datetime import datetime

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
django.setup()

from suanwang.core.clock import SimulatedClock  # noqa: E402
from suanwang.jobs import dispatcher  # noqa: E402
from suanwang.site import clock  # noqa: E402

if __name__ == "__main__":
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    clock.use(SimulatedClock(datetime.fromisoformat(sys.argv[1])))
    dispatcher.main(stop)
