"""Static files: served by the web process itself, their addresses changing with their content."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage

FOLDER = Path(__file__).resolve().parents[1] / "console" / "static"
EXPIRES_SECONDS = 24 * 3600


class AddressedByContent(StaticFilesStorage):
    """Adds ``?v=<hash>``, so that a browser keeps a file until it changes and no longer."""

    def url(self, name: str | None) -> str:
        """The address of a static file."""
        plain = super().url(name)
        found = finders.find(name) if name else None
        if not isinstance(found, str):
            return plain
        return f"{plain}?v={_digest(found, Path(found).stat().st_mtime_ns)}"


@lru_cache(maxsize=1024)
def _digest(path: str, _modified_ns: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]
