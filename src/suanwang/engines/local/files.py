"""Files into a job's folder, and out of it past whatever the job has put in the way.

A job may leave links, pipes, devices or folders swapped for links. So nothing here follows a
link: every step of a path is opened from the folder before it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from suanwang.engines.port import OutputFile

ENTRIES_MAX = 20_000
DEPTH_MAX = 16
OUTPUTS_MAX = 200
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def place_inputs(work: Path, inputs: Mapping[str, Path]) -> None:
    """Copy files in, before the job has ever touched its folder."""
    for name, source in inputs.items():
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def give_to(work: Path, uid: int, gid: int | None = None) -> None:
    """Make everything in the folder the job's own; its group is called like it if not told."""
    group = uid if gid is None else gid
    for folder, names, files in os.walk(work):
        for name in (*names, *files):
            os.chown(Path(folder) / name, uid, group, follow_symlinks=False)
    os.chown(work, uid, group)


def pattern(glob: str) -> re.Pattern[str]:
    """``*`` and ``?`` stay within one folder, ``**`` crosses them, ``[…]`` is a set."""
    parts = []
    rest = glob
    while rest:
        if rest.startswith("**/"):
            parts.append("(?:[^/]+/)*")
            rest = rest[3:]
        elif rest.startswith("**"):
            parts.append(".*")
            rest = rest[2:]
        elif rest[0] in "*?":
            parts.append("[^/]*" if rest[0] == "*" else "[^/]")
            rest = rest[1:]
        elif found := re.match(r"\[(!?)([^]/]+)\]", rest):
            inside = re.sub(r"([\\\[\]^&~|])", r"\\\1", found[2])
            parts.append(f"(?!/)[{'^' if found[1] else ''}{inside}]")
            rest = rest[found.end() :]
        else:
            parts.append(re.escape(rest[0]))
            rest = rest[1:]
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:  # a set such as [z-a]
        return re.compile(re.escape(glob))


def outputs(work: Path, globs: Sequence[str], owner: int | None) -> list[OutputFile]:
    """The plain files that match, in order of name; at most ``OUTPUTS_MAX``.

    A file of another owner than the job is none of its output: it was linked in from elsewhere.
    """
    patterns = [pattern(glob) for glob in globs]
    found = []
    for name, facts in _walk(work):
        if owner is not None and facts.st_uid != owner:
            continue
        if any(one.fullmatch(name) for one in patterns):
            found.append(OutputFile(name, facts.st_size))
    return sorted(found, key=lambda file: file.name)[:OUTPUTS_MAX]


def _walk(work: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every plain file below the folder with its relative name, up to a bound."""
    seen = 0
    folders: list[tuple[str, ...]] = [()]
    while folders:
        parts = folders.pop()
        try:
            descriptor = _open_folder(work, parts)
        except OSError:
            continue
        with os.scandir(descriptor) as entries:
            for entry in entries:
                seen += 1
                if seen > ENTRIES_MAX:
                    os.close(descriptor)
                    return
                if not _speakable(entry.name):
                    continue
                facts = entry.stat(follow_symlinks=False)
                inner = (*parts, entry.name)
                if stat.S_ISDIR(facts.st_mode) and len(inner) < DEPTH_MAX:
                    folders.append(inner)
                elif stat.S_ISREG(facts.st_mode):
                    yield "/".join(inner), facts
        os.close(descriptor)


def _speakable(name: str) -> bool:
    """Names with control characters or broken encoding are not carried out."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return name.isprintable() and "\\" not in name


def _open_folder(work: Path, parts: Sequence[str]) -> int:
    descriptor = os.open(work, _FOLDER)
    for part in parts:
        try:
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def open_output(work: Path, name: str, owner: int | None) -> IO[bytes]:
    """A plain file of the job's folder, for reading. Raises ``OSError`` for anything else."""
    *folders, last = name.split("/")
    if any(part in ("", ".", "..") for part in (*folders, last)):
        raise PermissionError(f"{name!r} leaves the folder")
    folder = _open_folder(work, folders)
    try:
        descriptor = os.open(last, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or (owner is not None and facts.st_uid != owner):
        os.close(descriptor)
        raise PermissionError(f"{name!r} is not a file of the job")
    return os.fdopen(descriptor, "rb")


def remove(folder: Path) -> None:
    """Delete a folder whose owner may have taken his own rights to it away."""

    def retry(function: object, path: str, _error: object) -> None:
        parent = Path(path).parent
        parent.chmod(0o700)
        target = Path(path)
        if target.is_dir() and not target.is_symlink():
            target.chmod(0o700)
            shutil.rmtree(target, ignore_errors=True)
        else:
            target.unlink(missing_ok=True)

    shutil.rmtree(folder, onerror=retry)
