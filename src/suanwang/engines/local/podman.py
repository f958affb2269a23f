"""What podman knows of the images on this machine. Nothing is ever fetched, and nothing run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import Any, Final

from suanwang.engines.local.sandbox import CLEAN_PATH

SEARCH_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin:" + CLEAN_PATH
_SECONDS: Final = 60
_ENVIRONMENT_BYTES_MAX: Final = 64 * 1024
_PASSED: Final = ("HOME", "XDG_RUNTIME_DIR", "CONTAINERS_STORAGE_CONF", "CONTAINERS_CONF")
"""What podman is told of our environment."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_ID = re.compile(r"[0-9a-f]{64}")


class ImageUnavailable(Exception):
    """There is no such image here, or it cannot be unpacked."""


@dataclass(frozen=True)
class Facts:
    """What podman says of an image."""

    id: str
    environment: dict[str, str]


def inspect(name: str) -> Facts:
    """By a full name; of tag and digest the digest, as podman takes only one.

    Raises ``ImageUnavailable`` if it is not here, ``OSError`` if podman cannot be asked.
    """
    path, at, digest = name.partition("@")
    if at:
        host, _, rest = path.partition("/")
        name = f"{host}/{rest.partition(':')[0]}@{digest}"
    if ask("image", "exists", name).returncode == 1:
        raise ImageUnavailable(f"{name} is not on this machine")
    told = podman("image", "inspect", name)
    try:
        [facts] = json.loads(told)
        found, said = str(facts["Id"]), (facts.get("Config") or {}).get("Env") or []
    except (ValueError, KeyError, TypeError, AttributeError):
        found, said = "", []
    if not _ID.fullmatch(found):
        raise ImageUnavailable(f"what podman says of {name} cannot be read")
    return Facts(found, _variables(said))


def _variables(said: Any) -> dict[str, str]:
    """An image's own variables, as far as they can be such; the platform's are never among them."""
    found: dict[str, str] = {}
    left = _ENVIRONMENT_BYTES_MAX
    for line in said if isinstance(said, list) else ():
        name, _, value = str(line).partition("=")
        left -= len(str(line).encode(errors="replace"))
        taken = left >= 0 and _NAME.fullmatch(name) and value.isprintable()
        if taken and not name.startswith("SUANWANG_"):
            found[name] = value
    return found


def podman(*words: str) -> str:
    """What podman answers. Raises ``OSError`` with what it says where it fails."""
    done = ask(*words)
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())[-200:]
        raise OSError(f"podman: {said}")
    return done.stdout.decode(errors="replace")


def ask(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Any answer. Raises ``OSError`` where there is none."""
    try:
        return subprocess.run(
            ["podman", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            env=environment(),
            cwd="/",
            check=False,
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"podman: {error}") from None


def environment() -> dict[str, str]:
    """What podman runs with: none of the agent's own."""
    return {"PATH": SEARCH_PATH} | {
        name: os.environ[name] for name in _PASSED if name in os.environ
    }
