"""Container images for jobs of this machine: podman keeps them, our own box runs them.

A job never runs under podman: an image's files are unpacked once, beside the jobs, and become the
root of the same bubblewrap box every job gets. So limits, walltime, the end of the whole tree,
bounded output and a restart of the agent hold as they do without an image.

Only what is on the machine already is run; nothing is fetched here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from suanwang.engines import files
from suanwang.engines.local.plan import Plan
from suanwang.engines.local.podman import (
    SEARCH_PATH,
    Facts,
    ImageUnavailable,
    environment,
    inspect,
    podman,
)
from suanwang.engines.local.sandbox import (
    CLEAN_PATH,
    box_files,
    bubblewrap_options,
    bubblewrap_path,
)

PLACE: Final = ".images"
"""No job is called so: keys begin with a letter or a digit."""
_LABEL: Final = "suanwang=unpacking"
_FACTS: Final = "image.json"
_UNPACK_SECONDS: Final = 3600
_AT_ONCE_SECONDS: Final = 5
"""So long a submission waits for an image to be unpacked; then it is to be made again."""
_KEPT_SECONDS: Final = 30 * 86_400
# Runs in a box of its own, whose /work becomes the image's root. Then the places a job's box puts
# something at are made there: its root is read-only later, and links could lead elsewhere.
_UNPACK: Final = """
set -e
umask 022
tar -x -f - -C /work --no-same-owner --no-same-permissions --anchored \\
    --exclude='dev/*' --exclude='./dev/*'
cat > /dev/null
chmod 755 /work
if [ -L /work/etc ] || [ ! -d /work/etc ]; then rm -rf /work/etc; mkdir /work/etc; fi
chmod 755 /work/etc
for name in passwd group; do rm -rf "/work/etc/$name"; : > "/work/etc/$name"; done
for folder in "$@"; do mkdir -p "/work$folder"; done
"""


class ImageComing(Exception):
    """It is being unpacked; submit again."""


@dataclass(frozen=True)
class Image:
    """An image ready to be a job's root."""

    name: str
    """Its full name."""
    root: str
    environment: dict[str, str]


class Images:
    """The images of this machine. Safe for several threads.

    ``uid`` owns what is unpacked. It is nobody's, so no set-user-id program of an image helps.
    """

    def __init__(self, folder: Path, uid: int | None, read_only: Sequence[str]) -> None:
        self._folder, self._uid, self._read_only = folder, uid, tuple(read_only)
        # The places of folders every job may read are made in the image's files.
        self._mark = hashlib.sha256("\0".join(read_only).encode()).hexdigest()[:8]
        self._lock = threading.Lock()
        self._going: dict[str, threading.Thread] = {}
        self._failed: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        for left in folder.glob(".new-*"):
            _clear(left)
        for line in podman("ps", "--all", "--quiet", "--filter", f"label={_LABEL}").split():
            podman("rm", "--force", line)

    def get(self, name: str, wait_seconds: float = _AT_ONCE_SECONDS) -> Image:
        """Of a full name. Raises ``ImageUnavailable``, ``ImageComing`` and ``OSError``."""
        facts = inspect(name)
        place = self._folder / f"{facts.id}-{self._mark}"
        if not (place / _FACTS).exists():
            self._unpack_soon(facts, place, wait_seconds)
        os.utime(place / _FACTS)
        return Image(name, str(place / "work"), facts.environment)

    def prune(self, used: Collection[str]) -> None:
        """Forget what no job's plan names and no job asked for within a month."""
        for place in self._folder.iterdir():
            with suppress(OSError):
                age = time.time() - (place / _FACTS).stat().st_mtime
                if str(place / "work") not in used and age > _KEPT_SECONDS:
                    files.remove(place)

    def try_one(self) -> None:
        """Make an image of a program of this machine, run that, and leave nothing of it. Raises
        ``ImageUnavailable`` and ``OSError`` where any step of that fails.
        """
        name = f"localhost/suanwang-probe:{secrets.token_hex(6)}"
        archive = self._folder / f".new-{secrets.token_hex(6)}"
        try:
            pack(archive, ["/usr/bin/true"])
            podman("import", "--quiet", str(archive), name)
            image = self.get(name, wait_seconds=60)
            _in_box(archive.with_suffix(".run"), self._uid, ["/usr/bin/true"], root=image.root)
            files.remove(Path(image.root).parent)
        finally:
            _clear(archive)
            _clear(archive.with_suffix(".run"))
            with suppress(OSError):
                podman("image", "rm", "--force", name)

    def _unpack_soon(self, facts: Facts, place: Path, wait_seconds: float) -> None:
        with self._lock:
            thread = self._going.get(facts.id)
            if thread is None:
                thread = threading.Thread(target=self._unpack, args=(facts, place), daemon=True)
                self._going[facts.id] = thread
                thread.start()
        thread.join(wait_seconds)
        with self._lock:
            if thread.is_alive():
                raise ImageComing
            self._going.pop(facts.id, None)
            failed = self._failed.pop(facts.id, "")
        if failed:
            raise ImageUnavailable(failed)

    def _unpack(self, facts: Facts, place: Path) -> None:
        building = self._folder / f".new-{secrets.token_hex(6)}"
        try:
            self._fill(building, facts)
            (building / _FACTS).write_text(json.dumps({"id": facts.id}), encoding="utf-8")
            os.sync()  # a half of it must not pass for the whole after a power cut
            building.rename(place)
        except (OSError, subprocess.SubprocessError, ImageUnavailable) as error:
            self._failed[facts.id] = str(error)[:300]
            _clear(building)

    def _fill(self, building: Path, facts: Facts) -> None:
        container = podman(
            "create", "--pull=never", "--network=none", f"--label={_LABEL}", facts.id, "/none"
        ).strip()
        try:
            with subprocess.Popen(
                ["podman", "export", container],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
                cwd="/",
            ) as export:
                try:
                    unpack = ["/bin/sh", "-c", _UNPACK, "unpack", *self._read_only]
                    _in_box(building, self._uid, unpack, stdin=export.stdout)
                    if export.wait(60):
                        raise ImageUnavailable("podman did not hand all of it out")
                finally:
                    export.kill()
        finally:
            podman("rm", "--force", container)


def prepare(
    folder: Path, uid: int | None, read_only: Sequence[str], *, boxed: bool, counted: bool
) -> Images | str:
    """The images of this machine once one has really run; else why none can.

    ``boxed``: jobs get bubblewrap; ``counted``: their processes can be limited from outside.
    """
    if not boxed:
        return "no container images: they need bubblewrap"
    if not counted:
        return "no container images: without control groups their processes could not be limited"
    if shutil.which("podman", path=SEARCH_PATH) is None:
        return "no container images: podman is not installed"
    try:
        images = Images(folder, uid, read_only)
        images.try_one()
    except (ImageUnavailable, ImageComing, OSError, subprocess.SubprocessError) as error:
        return f"no container images: {error or 'podman is too slow'}"
    return images


def _clear(left: Path) -> None:
    if left.is_dir():
        files.remove(left)
    else:
        left.unlink(missing_ok=True)


def pack(archive: Path, programs: Sequence[str]) -> None:
    """An image's files as a tar: programs of this machine and the libraries they need."""
    wanted = set(programs)
    for program in programs:
        told = subprocess.run(
            ["ldd", program], capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": CLEAN_PATH, "LC_ALL": "C"},
        )  # fmt: skip
        wanted |= set(re.findall(r"(/\S+) \(0x", told.stdout))
    with tarfile.open(archive, "w") as tar:
        for name in sorted(wanted):
            tar.add(Path(name).resolve(), name)


def _in_box(
    place: Path, uid: int | None, command: list[str], stdin: Any = None, root: str = ""
) -> None:
    """Run something of ours in a box as jobs have it, with ``place/work`` to write into."""
    place.mkdir(mode=0o711)
    work = place / "work"
    work.mkdir(mode=0o700)
    (place / "script").touch()
    box_files(place, uid)
    if uid is not None:
        os.chown(work, uid, uid)
    plan = Plan(
        key="image", place=str(place), interpreter=[], environment={"PATH": CLEAN_PATH}, cpus=[],
        memory_mib=256, walltime_seconds=_UNPACK_SECONDS, processes_max=64, disk_mib=1,
        stream_bytes_max=1, sandbox="bubblewrap", isolation="", uid=uid, image_root=root,
    )  # fmt: skip
    done = subprocess.run(
        [str(bubblewrap_path()), *bubblewrap_options(plan), "--", *command],
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=_UNPACK_SECONDS,
        env={"PATH": CLEAN_PATH},
        cwd="/",
        user=uid,
        group=uid,
        extra_groups=[] if uid is not None else None,
        check=False,
    )
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())[:200]
        raise ImageUnavailable(f"it does not become a box: {said}")
