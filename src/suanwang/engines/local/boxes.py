"""Which level of isolation this machine gives, found by trying each once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from suanwang.engines import files
from suanwang.engines.local import cgroups, processes
from suanwang.engines.local.images import PLACE
from suanwang.engines.local.sandbox import why_no_bubblewrap

_BLOCK = 1000
"""Users without a name set aside for one engine's jobs; one per running job."""
_HIGH, _HIGH_BLOCKS = 0x4000_0000, 500_000
_LOW, _LOW_BLOCKS = 60_578, 6
"""Where this machine (a container, say) knows 65,536 users only: left free by systemd's ranges."""


@dataclass(frozen=True)
class Level:
    """How jobs are boxed here, and in words what is missing."""

    sandbox: str
    groups: cgroups.Support
    notes: tuple[str, ...]
    root: Path
    uids: range | None
    """The users jobs run as, where the choice is ours: as root."""

    @property
    def name(self) -> str:
        limits = f"cgroup{self.groups.version}" if self.groups.version else "rlimits"
        return f"{self.sandbox}+{limits}"

    @property
    def spare_uid(self) -> int | None:
        """The user no job ever is: for trying out, and for what belongs to no job."""
        return None if self.uids is None else self.uids[-1]

    def place(self, key: str, folder: Path) -> Path:
        """Where the job's user can reach its files: the given folder, or one beside the home."""
        if self.uids is None or _reachable(self.root):
            return folder
        return _reachable_places(self.root) / key

    def free_uid(self, taken: set[int | None]) -> int | None:
        """A user nobody else runs as; None where the choice is not ours."""
        if self.uids is None:
            return None
        busy = taken | processes.users()
        for uid in self.uids[:-1]:
            if uid not in busy:
                return uid
        raise OSError("every user set aside for jobs is in use")


def prepare_level(root: Path, sandbox: str) -> Level:
    """Probe once: bubblewrap by building a whole box, control groups by setting limits."""
    uids = _uids_for(root) if os.geteuid() == 0 else None
    aside = uids is not None and not _reachable(root)
    groups = cgroups.probe()
    notes = []
    missing: str | None = "bubblewrap is switched off"
    if sandbox == "auto":
        places = _reachable_places(root) if aside else root
        probe = places / f"probe-{secrets.token_hex(4)}"
        probe.mkdir(mode=0o711)
        try:
            missing = why_no_bubblewrap(probe, uids[-1] if uids is not None else None)
        finally:
            remove_place(probe, root)
    if missing is not None:
        notes.append(f"{missing}; jobs share files, processes and network with this machine")
        if uids is None:
            notes.append("jobs run as this same user and can read what it can read")
    if not groups.version:
        notes.append("no control groups; memory is watched by the runner, cores by affinity only")
    return Level(
        "session" if missing is not None else "bubblewrap", groups, tuple(notes), root, uids
    )


def remove_place(place: Path, root: Path) -> None:
    """Delete a job's folder, and the one beside the home once it is empty."""
    if place.is_dir():
        files.remove(place)
    if place.parent.name.startswith("suanwang-") and (root / "places").is_symlink():
        with contextlib.suppress(OSError):
            place.parent.rmdir()
            (root / "places").unlink()


def _uids_for(root: Path) -> range:
    """A block of users for this engine. Two cities on one machine should not share theirs."""
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    highest = max(int(first) + int(count) for first, _, count in ranges)
    number = int.from_bytes(hashlib.sha256(str(root.resolve()).encode()).digest()[:8], "big")
    if highest >= _HIGH + _HIGH_BLOCKS * _BLOCK:
        start = _HIGH + number % _HIGH_BLOCKS * _BLOCK
        return range(start, start + _BLOCK)
    start = _LOW + number % _LOW_BLOCKS * 100
    return range(start, start + 100)


def _reachable(folder: Path) -> bool:
    """Whether any user may pass through to this folder."""
    resolved = folder.resolve()
    return all(one.stat().st_mode & 0o001 for one in (resolved, *resolved.parents))


def _reachable_places(root: Path) -> Path:
    """As root under a closed home, jobs' folders lie beside it; which one is kept in a link."""
    link = root / "places"
    if link.is_symlink() and link.readlink().is_dir() and link.readlink().stat().st_uid == 0:
        return link.readlink()
    folder = Path(f"/var/tmp/suanwang-{secrets.token_hex(8)}")  # noqa: S108 - new, ours alone
    folder.mkdir(mode=0o711)
    link.unlink(missing_ok=True)
    link.symlink_to(folder)
    return folder


def sweep_places(root: Path, jobs: Path) -> None:
    """Delete what lies beside a closed home and belongs to no job: its building was cut off."""
    link = root / "places"
    if link.is_symlink() and link.readlink().is_dir():
        for place in [*link.readlink().iterdir()]:
            if place.name != PLACE and not (jobs / place.name).exists():
                remove_place(place, root)
