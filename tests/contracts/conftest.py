"""A platform on loopback and an agent that belongs to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ..services.pool.conftest import City, bare, open_city
from .agent_process import AgentProcess, processes_of
from .engine_benches import no_skip_in_ci
from .image_store import image_store, images
from .kubernetes_cluster import kubernetes_cluster
from .platform_double import PlatformDouble
from .ray_bench import ray_cluster
from .slurm_city import SlurmCity
from .slurm_cluster import SlurmCluster, why_no_slurm

__all__ = [
    "agent", "bare", "image_store", "images", "kubernetes_cluster", "open_city", "platform",
    "ray_cluster", "slurm", "slurm_city",
]  # fmt: skip


@pytest.fixture
def platform() -> Iterator[PlatformDouble]:
    double = PlatformDouble()
    yield double
    double.go_away()
    assert double.forged == []


@pytest.fixture
def agent(tmp_path: Path, platform: PlatformDouble) -> Iterator[AgentProcess]:
    agent = AgentProcess(tmp_path / "home", platform)
    agent.enrol()
    yield agent
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        if agent.process is not None:
            agent.end(signal.SIGKILL)
    if (places := agent.home / "engine" / "places").is_symlink():
        shutil.rmtree(places.readlink(), ignore_errors=True)
    for attempt in platform.told:  # end what a failed test left
        for pid in processes_of(attempt):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmCluster]:
    """One real Slurm for the whole session, started when a test first asks."""
    if missing := why_no_slurm():
        pytest.skip(no_skip_in_ci(missing))
    cluster = SlurmCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def slurm_city(slurm: SlurmCluster, open_city: City, live_server: Any) -> Iterator[SlurmCity]:
    """The real platform, empty, beside the one real Slurm of the session."""
    folder = Path(tempfile.mkdtemp(prefix="sw-city-"))
    city = SlurmCity(open_city, live_server.url, slurm, folder)
    try:
        yield city
    finally:
        city.close()
        shutil.rmtree(city.folder, ignore_errors=True)
