"""The folder an agent lives in: its key, its name, its memory, its engine's jobs."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from suanwang.agent.signing import AgentKey


class Identity(BaseModel):
    """Who this agent is to which platform, since it enrolled."""

    model_config = ConfigDict(frozen=True)

    url: str
    agent_id: str
    cluster_id: str
    platform_key: str = ""
    """The platform's Ed25519 key, base64, pinned when it enrolled; empty: by an older version."""


class NotEnrolled(Exception):
    """There is no identity in this home yet: run ``suanwang agent enrol`` first."""


class AlreadyRunning(Exception):
    """Another agent lives in this home; two would report the same jobs."""


@dataclass(frozen=True)
class Home:
    """Where things are."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """``SUANWANG_AGENT_HOME``, else ``agent`` under ``SUANWANG_HOME``, else one's own."""
        if own := os.environ.get("SUANWANG_AGENT_HOME"):
            return cls(Path(own))
        if city := os.environ.get("SUANWANG_HOME"):
            return cls(Path(city) / "agent")
        return cls(Path.home() / ".suanwang" / "agent")

    @property
    def spool(self) -> Path:
        return self.root / "spool.sqlite"

    @property
    def engine(self) -> Path:
        return self.root / "engine"

    @property
    def engine_file(self) -> Path:
        """Which engine, and what its owner says of it."""
        return self.root / "engine.yaml"

    @property
    def site_file(self) -> Path:
        """The centre's last word on what runs here."""
        return self.root / "site.yaml"

    @property
    def energy_file(self) -> Path:
        """Where the centre's meter readings are."""
        return self.root / "energy.yaml"

    @property
    def measure_file(self) -> Path:
        """Whether, and where, other centres may measure the way to here."""
        return self.root / "measure.yaml"

    @property
    def drain_mark(self) -> Path:
        """While it is there, no new work is taken."""
        return self.root / "draining"

    @property
    def inbound(self) -> Path:
        """Files in, on their way from the platform to the engine."""
        return self.root / "inbound"

    def key(self) -> AgentKey:
        self._make()
        return AgentKey.load_or_create(self.root / "agent.key")

    def identity(self) -> Identity:
        """Raises ``NotEnrolled``."""
        try:
            text = (self.root / "identity.json").read_bytes()
        except FileNotFoundError:
            raise NotEnrolled(str(self.root)) from None
        return Identity.model_validate_json(text)

    def remember(self, identity: Identity) -> None:
        self._make()
        waiting = self.root / "identity.json.new"
        with waiting.open("w", encoding="utf-8") as file:
            file.write(identity.model_dump_json(indent=2))
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(self.root / "identity.json")

    def write_new(self, path: Path, text: str) -> bool:
        """Write a file of this home unless there is one; whether it was written."""
        self._make()
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            return False
        return True

    def lock(self) -> int:
        """Be the one agent of this home while the process lives. Raises ``AlreadyRunning``."""
        self._make()
        descriptor = os.open(self.root / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise AlreadyRunning(str(self.root)) from None
        return descriptor

    def _make(self) -> None:
        # Others may pass through to their jobs' folders; what is secret has modes of its own.
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
