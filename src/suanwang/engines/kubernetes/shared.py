"""The volume that jobs and agent can both reach: files in, and files out past any links.

Each job has a folder of its own there, its mount's ``subPath``. Without such a volume nothing can
be brought out of a Pod that has ended.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import IO

from suanwang.engines import files
from suanwang.engines.kubernetes.settings import KubernetesSettings, SharedFolder
from suanwang.engines.port import OutputFile, Submission

_WANTED = ".suanwang"
"""A folder beside the jobs' folders, for what we note of them."""


def prepare(volume: SharedFolder, user: int, name: str, one: Submission) -> None:
    """Make the job's folder, once; a second submission leaves it as the job has it.

    Raises ``OSError``.
    """
    root = volume.path
    notes = root / _WANTED
    notes.mkdir(mode=0o700, exist_ok=True)
    note = notes / f"{name}.json"
    if note.exists():
        return
    building = notes / f"new-{secrets.token_hex(6)}"
    building.mkdir(mode=0o700)
    files.place_inputs(building, one.inputs)
    if os.geteuid() == 0:
        files.give_to(building, user)
    else:
        building.chmod(0o777)  # the job is another user
    if (root / name).exists():
        files.remove(root / name)
    building.rename(root / name)
    waiting = note.with_suffix(".new")
    waiting.write_text(json.dumps(one.spec.files_out), encoding="utf-8")
    waiting.replace(note)


def outputs(settings: KubernetesSettings, name: str) -> list[OutputFile]:
    """The files the job was to leave, as far as it did."""
    if settings.shared is None:
        return []
    try:
        wanted = json.loads((settings.shared.path / _WANTED / f"{name}.json").read_bytes())
    except (OSError, ValueError):
        return []
    found = files.outputs(settings.shared.path / name, wanted, settings.run_as_user)
    return [OutputFile(file, size) for file, size in found]


def open_output(settings: KubernetesSettings, name: str, file: str) -> IO[bytes]:
    """Raises ``OSError`` for anything but a plain file of the job."""
    if settings.shared is None:
        raise FileNotFoundError(file)
    return files.open_output(settings.shared.path / name, file, settings.run_as_user)


def remove(settings: KubernetesSettings, name: str) -> None:
    if settings.shared is None:
        return
    root: Path = settings.shared.path
    with suppress(FileNotFoundError):
        files.remove(root / name)
    (root / _WANTED / f"{name}.json").unlink(missing_ok=True)
