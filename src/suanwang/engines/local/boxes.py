"""Which level of isolation this machine gives, found by trying each once."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from suanwang.engines.local import cgroups, files
from suanwang.engines.local.sandbox import why_no_bubblewrap

_UIDS = range(60_578, 61_178)
"""Users without a name, left free by Debian's and systemd's own ranges; one per running job."""


@dataclass(frozen=True)
class Level:
    """How jobs are boxed here, and in words what is missing."""

    sandbox: str
    groups: cgroups.Support
    notes: tuple[str, ...]
    root: Path
    own_uids: bool

    @property
    def name(self) -> str:
        limits = f"cgroup{self.groups.version}" if self.groups.version else "rlimits"
        return f"{self.sandbox}+{limits}"

    def place(self, key: str, folder: Path) -> Path:
        """Where the job's user can reach its files: the given folder, or one beside the home."""
        if not self.own_uids or _reachable(self.root):
            return folder
        return _reachable_places(self.root) / key

    def free_uid(self, taken: set[int | None]) -> int | None:
        """A user nobody else runs as; None where the choice is not ours."""
        if not self.own_uids:
            return None
        for uid in _UIDS:
            if uid not in taken:
                return uid
        raise OSError("every user set aside for jobs is in use")


def prepare_level(root: Path, sandbox: str) -> Level:
    """Probe once: bubblewrap by building a whole box, control groups by setting limits."""
    own_uids = os.geteuid() == 0
    aside = own_uids and not _reachable(root)
    groups = cgroups.probe()
    notes = []
    missing: str | None = "bubblewrap is switched off"
    if sandbox == "auto":
        places = _reachable_places(root) if aside else root
        probe = places / f"probe-{secrets.token_hex(4)}"
        probe.mkdir(mode=0o711)
        try:
            missing = why_no_bubblewrap(probe, _UIDS[-1] if own_uids else None)
        finally:
            remove_place(probe, root)
    if missing is not None:
        notes.append(f"{missing}; jobs share files, processes and network with this machine")
        if not own_uids:
            notes.append("jobs run as this same user and can read what it can read")
    if not groups.version:
        notes.append("no control groups; memory is watched by the runner, cores by affinity only")
    return Level(
        "session" if missing is not None else "bubblewrap", groups, tuple(notes), root, own_uids
    )


def remove_place(place: Path, root: Path) -> None:
    """Delete a job's folder, and the one beside the home once it is empty."""
    if place.is_dir():
        files.remove(place)
    if place.parent.name.startswith("suanwang-") and (root / "places").is_symlink():
        with contextlib.suppress(OSError):
            place.parent.rmdir()
            (root / "places").unlink()


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
