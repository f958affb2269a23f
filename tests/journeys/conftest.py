"""A city and a browser for the journeys; without a browser they skip and say why."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Debian's chromium, driven by playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium fonts-noto-cjk")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(
            executable_path=CHROMIUM, args=[*root, "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def city(postgres: str, browser: object) -> Iterator[object]:
    """One city for all journeys, stopped with everything in it at the end."""
    from .city import SCREENSHOTS, open_city

    shutil.rmtree(SCREENSHOTS, ignore_errors=True)
    home = Path(tempfile.mkdtemp(prefix="sw-j-"))
    opened = open_city(postgres, home)
    try:
        yield opened
    finally:
        opened.stop()
        shutil.rmtree(home, ignore_errors=True)
