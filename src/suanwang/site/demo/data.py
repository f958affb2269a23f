"""The demo's own data file. No Django here: the story reads its sign-ins from it, too."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def city() -> dict[str, Any]:
    """Everybody and everything the demo begins with."""
    text = (resources.files(__package__) / "city.yaml").read_text(encoding="utf-8")
    parsed: dict[str, Any] = yaml.safe_load(text)
    return parsed
