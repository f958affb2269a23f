"""A real Ray cluster on loopback, and the Ray engine on it."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from suanwang.engines.port import Engine
from suanwang.engines.ray.engine import RayEngine
from suanwang.engines.ray.settings import RaySettings

from .engine_benches import ended, no_skip_in_ci

_START_SECONDS = 120
_MEMORY = 2 << 30
_MARK = "SUANWANG_TEST_RAY"


class RayCluster:
    """A head and some more nodes, each a ``ray start`` of its own, all on this machine."""

    def __init__(self, nodes: list[dict[str, Any]]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sw-ray-", dir="/tmp"))  # short: sockets
        self.nodes = nodes
        self.port, self.dashboard_port, *self._others = _free_ports(3 + 2 * len(nodes))
        self.url = f"http://127.0.0.1:{self.dashboard_port}"
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.start()

    def start(self) -> None:
        for number in range(len(self.nodes)):
            self._start_node(number)
            self._until_alive(number + 1)

    def start_head(self) -> None:
        """A head as after ``kill``: the same address, and no memory of the one before."""
        self._start_node(0)
        self._until_alive(1)

    def _start_node(self, number: int) -> None:
        has = dict(self.nodes[number])
        address = f"127.0.0.{number + 2}"
        options = [
            f"--node-ip-address={address}", f"--memory={_MEMORY}", "--object-store-memory=80000000",
            f"--num-cpus={has.pop('cpus')}", f"--num-gpus={has.pop('gpus', 0)}",
            f"--resources={json.dumps(has)}", "--include-log-monitor=false",
            f"--dashboard-agent-listen-port={self._others[1 + number]}",
        ]  # fmt: skip
        if number == 0:
            options += [
                "--head", f"--port={self.port}", f"--temp-dir={self.folder}",
                "--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard_port}",
                f"--ray-client-server-port={self._others[0]}",
            ]  # fmt: skip
        else:
            options += [f"--address=127.0.0.2:{self.port}"]
        with (self.folder / f"node{number}.log").open("ab") as log:
            self.processes[number] = subprocess.Popen(
                [_ray(), "start", "--block", "--disable-usage-stats", *options],
                env=self._environment(number),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _environment(self, number: int) -> dict[str, str]:
        """The one a site would have, with a mark by which its processes are found."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            _MARK: f"{self.folder}:{number}",
            "RAY_USAGE_STATS_ENABLED": "0",
            # A lost node is noticed within seconds, not within a quarter of a minute.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "5000",
            "RAY_health_check_failure_threshold": "3",
        }

    def _until_alive(self, count: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self.alive() < count:
            ended = [
                process.args for process in self.processes.values() if process.poll() is not None
            ]
            assert not ended, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.2)

    def alive(self) -> int:
        """How many nodes the head can give work to."""
        try:
            answer = httpx.get(f"{self.url}/api/v0/nodes", timeout=5, trust_env=False).json()
            return sum(one["state"] == "ALIVE" for one in answer["data"]["result"]["result"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return 0

    def said(self) -> str:
        return "\n".join(file.read_text()[-1500:] for file in self.folder.glob("node*.log"))

    def kill(self) -> None:
        """As a power cut: nothing is told to anybody."""
        for number in sorted(self.processes):
            self.kill_node(number)

    def kill_node(self, number: int) -> None:
        """As ``kill``, for one node alone."""
        process = self.processes.pop(number)
        deadline = time.monotonic() + 30
        while found := [*self._processes_of(number, process.pid)]:
            assert time.monotonic() < deadline, f"still there: {found}"
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.poll()
            time.sleep(0.05)
        process.wait(30)

    def stop(self) -> None:
        """Nobody needs its last words."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _processes_of(self, number: int, first: int) -> Iterator[int]:
        """Every process that comes from a node: those of its session, and by its mark the jobs and
        watchers that have left it. Ray writes over the marks of some of its own.
        """
        mark = f"{_MARK}={self.folder}:{number}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    facts = (entry / "stat").read_text().rpartition(")")[2].split()
                    words = (entry / "environ").read_bytes().split(b"\0")
                    if facts[0] not in "ZX" and (int(facts[3]) == first or mark in words):
                        yield int(entry.name)


def _ray() -> str:
    return str(Path(sys.executable).parent / "ray")


def _free_ports(count: int) -> list[int]:
    """Below those that the kernel gives out by itself, and none of Ray's workers'."""
    found: list[int] = []
    port = 20_000 + secrets.randbelow(8_000)
    while len(found) < count:
        port += 1
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            found.append(port)
    return found


def require_ray() -> None:
    """Skip where Ray is not installed; on CI it must be."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip(no_skip_in_ci("ray is not installed: ./suanwang test installs it"))


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """A head without cards, a node with GPUs, and one with cards of another maker."""
    require_ray()
    cluster = RayCluster(
        [{"cpus": 2}, {"cpus": 4, "gpus": 2, "accelerator_type:A100": 1}, {"cpus": 4, "npu": 8}]
    )
    try:
        yield cluster
    finally:
        cluster.stop()


class RayBench:
    """The Ray engine, with submission ids that nothing else on the cluster has."""

    def __init__(self, url: str, root: Path, **settings: Any) -> None:
        self.root = root / "engine"
        given: dict[str, Any] = {
            "url": url,
            "prefix": f"{secrets.token_hex(4)}-",
            "accelerators": {
                "A100": {"resource": "GPU", "marker": "accelerator_type:A100"},
                "910B": "npu",
            },
            "grace_seconds": 3,
            "poll_seconds": 0.2,
        }
        self.settings = RaySettings.model_validate(given | settings)
        self.ray = RayEngine(self.settings, self.root)

    @property
    def engine(self) -> Engine:
        return self.ray

    def let_pass(self) -> None:
        time.sleep(0.05)

    def again(self) -> None:
        self.ray.close()
        self.ray = RayEngine(self.settings, self.root)

    def clear(self, *keys: str) -> None:
        """End and forget what a test left."""
        refs = [*self.ray.find([*keys, *(f"a{number}" for number in range(1, 10))]).values()]
        self.ray.cancel(refs, 0)
        for ref in refs:
            ended(self, ref)
        self.ray.forget(refs)
        self.ray.close()
