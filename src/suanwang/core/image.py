"""The name of a container image, as the OCI writes it: ``host:port/path:tag@digest``.

A name without a host means Docker's own registry, as everywhere else. ``full_name`` says so: what a
centre's policy lets in and what an engine fetches are then the same thing.
Source: OCI distribution specification 1.1, "Pulling manifests"; the grammar of distribution's
``reference`` package.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, StrictStr
from pydantic_core import PydanticCustomError

IMAGE_CHARACTERS_MAX: Final = 300
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PART = r"[a-z0-9]+(?:(?:\.|__?|-{1,8})[a-z0-9]+)*"
_REFERENCE: Final = re.compile(
    rf"(?:(?P<host>{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?)/)?"
    rf"(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?"
)


def is_image(text: str) -> bool:
    """Whether this is the name of an image and nothing else: no blanks, no options, no shell."""
    return len(text) <= IMAGE_CHARACTERS_MAX and _REFERENCE.fullmatch(text) is not None


def _checked(name: str) -> str:
    if not is_image(name):
        shown = "".join(one if one.isprintable() else "\ufffd" for one in name[:80])
        raise PydanticCustomError(
            "job_image_wrong",
            '"{image}" is not the name of a container image such as host/path:tag',
            {"image": shown, "limit": IMAGE_CHARACTERS_MAX},
        )
    return name


ImageName = Annotated[StrictStr, AfterValidator(_checked)]
"""Of a field; refuses ``job_image_wrong``. It is kept as it was written."""


def full_name(image: str) -> str:
    """The same image with its host and its tag said. ``ValueError`` if it is no image's name."""
    found = _REFERENCE.fullmatch(image)
    if found is None or len(image) > IMAGE_CHARACTERS_MAX:
        raise ValueError("no name of an image")
    host, path = (found["host"] or "").lower(), found["path"]
    if found["host"] and not re.search(r"[.:A-Z]|^localhost$", found["host"]):
        host, path = "", f"{host}/{path}"  # the first part of a path on Docker's registry
    if host in ("", "index.docker.io", "docker.io"):
        host, path = "docker.io", path if "/" in path else f"library/{path}"
    tag = found["tag"] or ("" if found["digest"] else "latest")
    name = f"{host}/{path}:{tag}" if tag else f"{host}/{path}"
    return f"{name}@{found['digest']}" if found["digest"] else name
