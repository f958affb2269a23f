"""Where a person's keys to cities are kept on this machine: one file of mode 0600.

``SUANWANG_URL`` and ``SUANWANG_KEY`` come first, so that programs need no file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

DEFAULT_URL = "http://127.0.0.1:8730"


def path() -> Path:
    """The file of keys, by the XDG base directory rules."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "suanwang" / "keys.json"


def find(url: str | None = None) -> tuple[str, str | None]:
    """The city to talk to and the key for it, if there is one."""
    known = _read()
    chosen = url or os.environ.get("SUANWANG_URL") or known.get("last") or DEFAULT_URL
    chosen = chosen.rstrip("/")
    return chosen, os.environ.get("SUANWANG_KEY") or known.get(chosen)


def remember(url: str, key: str) -> Path:
    """Keep a key, and make its city the one to talk to next."""
    url = url.rstrip("/")
    known = _read() | {url: key, "last": url}
    target = path()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(known, file, indent=1)
    part.rename(target)
    return target


def _read() -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return known
