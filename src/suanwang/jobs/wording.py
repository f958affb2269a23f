"""The reasons of jobs in words: why one waits, where it went, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from suanwang.core.clock import CITY_ZONE
from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language, sentence


def words(reason: Mapping[str, Any], language: Language) -> str:
    """A reason ``{code, facts}`` as a sentence; times in the city's zone, amounts in yuan."""
    facts = {name: _shown(name, value) for name, value in reason.get("facts", {}).items()}
    return sentence(reason.get("code", ""), facts, language) or str(reason.get("code", ""))


def _shown(name: str, value: object) -> object:
    if name.endswith("_fen") and isinstance(value, int):
        return format_yuan(value)
    if name.endswith("_at") and isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M")
    return "" if value is None else value
