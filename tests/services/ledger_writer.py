"""A process that writes transfers until told to stop, and notes each one that was acknowledged.

When the database goes away in the middle, it sends the same batch with the same ids again.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "suanwang.site.django_settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import Error, connection  # noqa: E402

from suanwang.ledger import audit, chart, services  # noqa: E402
from suanwang.ledger.rules import TransferSpec, post  # noqa: E402

SOURCE, POOL = chart.appropriation("kill", 2026), chart.pool("kill", 2026)
VOUCHERS = [chart.voucher(UUID(int=number)) for number in range(1, 11)]


def prepare() -> None:
    call_command("migrate", verbosity=0)
    services.create_accounts([SOURCE, POOL, *VOUCHERS])
    fund = TransferSpec(uuid4(), SOURCE.id, POOL.id, 10**12, 2, "fund")
    services.post_or_refuse([fund], at=datetime.now(UTC))


def batch(chance: random.Random) -> list[TransferSpec]:
    """Some grants, and a reservation that is posted in part, in one linked chain."""
    voucher = chance.choice(VOUCHERS)
    grants = [
        TransferSpec(uuid4(), POOL.id, voucher.id, chance.randint(1, 100), 2, "grant", linked=True)
        for _ in range(chance.randint(1, 20))
    ]
    held = TransferSpec(uuid4(), POOL.id, voucher.id, 50, 2, "grant", kind="pending", linked=True)
    return [*grants, held, post(uuid4(), held.id, 20)]


def write(seed: str, log: str) -> None:
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    chance = random.Random(int(seed))
    with Path(log).open("a", buffering=1) as acknowledged:
        while not stopping:
            specs = batch(chance)
            until_acknowledged(specs)
            acknowledged.write("".join(f"{spec.id}\n" for spec in specs))


def until_acknowledged(specs: list[TransferSpec]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            services.post_or_refuse(specs, at=datetime.now(UTC))
            return
        except Error:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def check() -> None:
    broken = [finding for one in audit.checks() if not (finding := one()).kept]
    sys.exit(str(broken) if broken else 0)


if __name__ == "__main__":
    {"prepare": prepare, "write": write, "audit": check}[sys.argv[1]](*sys.argv[2:])
