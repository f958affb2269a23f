"""A store of podman's own with one image, made of programs of this machine: nothing is fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from suanwang.engines.local.images import pack

from .engine_benches import no_skip_in_ci

IMAGE = "localhost/suanwang/tools:1"
MARK = "these are the image's own files"
_PROGRAMS = ["bash", "sh", "cat", "env", "id", "ls", "setsid", "sleep", "tail", "touch"]
_STORE = """
[storage]
driver = "vfs"
graphroot = "{root}/store"
runroot = "{root}/run"
"""


class ImageStore:
    """Where podman finds the image, for whoever runs podman with this environment."""

    def __init__(self, root: Path) -> None:
        self.config = root / "storage.conf"
        self.config.write_text(_STORE.format(root=root))
        self.environment = os.environ | {"CONTAINERS_STORAGE_CONF": str(self.config)}
        archive = root / "tools.tar"
        pack(archive, [f"/usr/bin/{name}" for name in _PROGRAMS])
        with tarfile.open(archive, "a") as tar:
            _add(tar, "mark", MARK.encode(), 0o644)
            _add(tar, "usr/bin/become-root", b"#!/bin/sh\n", 0o6755)
            for name, target in (("bin", "usr/bin"), ("work", "/etc"), ("etc", "/proc/self/root")):
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, target
                tar.addfile(link)
        self.podman(
            "import", "--change", "ENV COLOUR=red", "--change", "ENV SUANWANG_CORES=99",
            str(archive), IMAGE,
        )  # fmt: skip

    def podman(self, *words: str) -> str:
        done = subprocess.run(
            ["podman", *words], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise OSError(done.stderr[-300:])
        return done.stdout


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, BytesIO(content))


@pytest.fixture(scope="session")
def image_store(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    if shutil.which("podman") is None:
        pytest.skip(no_skip_in_ci("podman is not installed"))
    try:
        return ImageStore(tmp_path_factory.mktemp("images"))
    except OSError as error:
        pytest.skip(no_skip_in_ci(f"podman keeps no images here: {error}"))


@pytest.fixture
def images(image_store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageStore]:
    """The store, in force for whatever this process starts; nothing of ours may stay in it."""
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(image_store.config))
    yield image_store
    assert image_store.podman("ps", "--all", "--quiet") == ""
    assert image_store.podman("images", "--format", "{{.Repository}}:{{.Tag}}").split() == [IMAGE]
