"""The Slurm engine on the one real Slurm of the test session."""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from suanwang.engines.slurm.engine import SlurmEngine
from suanwang.engines.slurm.settings import SlurmSettings

from .slurm_cluster import JOB_USER, SlurmCluster


class SlurmBench:
    """An engine with a home and names of its own, so that tests do not see each other's jobs."""

    def __init__(self, cluster: SlurmCluster, home: Path, *, rest: bool, **settings: Any) -> None:
        self.cluster = cluster
        self.home = home / "engine"
        self.prefix = f"t{secrets.token_hex(4)}-"
        self.folder = cluster.folder / "jobs" / self.prefix
        usual: dict[str, Any] = {
            "folder": self.folder,
            "user": JOB_USER,
            "prefix": self.prefix,
            "conf": cluster.conf,
            "poll_seconds": 0.1,
            "settle_seconds": 0,
        }
        if rest:
            usual |= {"url": cluster.url, "token_file": cluster.token_file}
        self.settings = SlurmSettings.model_validate(usual | settings)
        self.engine: Any = SlurmEngine(self.settings, self.home)

    def let_pass(self) -> None:
        time.sleep(0.05)

    def again(self) -> None:
        self.engine.close()
        self.engine = SlurmEngine(self.settings, self.home)

    def with_settings(self, **settings: Any) -> None:
        self.settings = self.settings.model_copy(update=settings)
        self.again()

    def close(self) -> None:
        """End whatever the test left."""
        self.cluster.run("scancel", "--quiet", f"--user={JOB_USER}")
        self.engine.close()
        shutil.rmtree(self.folder, ignore_errors=True)
