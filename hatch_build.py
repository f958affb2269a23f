"""Compiles the translations into the wheel: what is installed needs no tool to speak Chinese."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Translations(BuildHookInterface[Any]):
    """Makes the ``.mo`` files before the wheel is put together."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile what is stale, and have it packed although git ignores it."""
        sys.path.insert(0, str(Path(self.root) / "src"))
        from suanwang.site.translations import compile_stale

        compile_stale()
        build_data["artifacts"].append("*.mo")
