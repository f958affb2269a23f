"""Whether new work comes in: the site's policy file, and whether the agent is being drained.

Nothing here touches what runs. A policy file that cannot be read keeps all new work out: a
centre's word that cannot be understood is not taken for a yes.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from suanwang.agent.site_policy import SitePolicy, SiteRefusal, Work, decide
from suanwang.agent.yaml_file import FileWrong, read, read_raw

log = logging.getLogger("suanwang.agent")

DRAINING = "site_draining"
BROKEN = "site_policy_broken"


class SiteFile:
    """``site.yaml``, read again whenever it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._policy: SitePolicy | None = SitePolicy()
        self.version = ""
        """The first half of the SHA-256 of what was read; empty without a file."""
        self.wrong = ""
        """What is wrong with it, in words."""

    def policy(self) -> SitePolicy | None:
        """What it says now; None if it cannot be understood."""
        mark = self._mark()
        if mark != self._seen:
            self._read()
            self._seen = mark
        return self._policy

    def _mark(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            return (error.errno or -1,)
        return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)

    def _read(self) -> None:
        raw = b""
        try:
            raw = read_raw(self._path)
            self._policy, self.wrong = read(raw, SitePolicy), ""
            log.info("the site's policy was read: %s", self._path)
        except FileNotFoundError:
            self._policy, self.wrong, self.version = SitePolicy(), "", ""
            return
        except FileWrong as error:
            self._policy, self.wrong = None, str(error)
            log.error("no new work is taken, %s cannot be understood: %s", self._path, error)
        self.version = hashlib.sha256(raw).hexdigest()[:32]


class Gate:
    """Asked before each start, and told to the platform at its door."""

    def __init__(
        self, site: Path, drain_mark: Path, drain_ordered: Callable[[], bool] = lambda: False
    ) -> None:
        self.site = SiteFile(site)
        self._drain_mark = drain_mark
        self._drain_ordered = drain_ordered

    @property
    def draining(self) -> bool:
        return self._drain_mark.exists() or self._drain_ordered()

    def closed(self) -> str:
        """Why nothing at all is taken now, as a code; empty when the door is open."""
        if self.draining:
            return DRAINING
        return BROKEN if self.site.policy() is None else ""

    def refuse(self, work: Work, now: datetime) -> SiteRefusal | None:
        """Why this job does not come in, or None."""
        if code := self.closed():
            return SiteRefusal(code)
        policy = self.site.policy()
        return None if policy is None else decide(policy, work, now)
