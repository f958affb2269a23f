"""The words for every refusal code, in both languages.

Each affair keeps its own ``refusals.yaml``: ``code: {zh: …, en: …}`` with ``{fact}`` places.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

import yaml

from suanwang.core.errors import SuanwangError

Language = Literal["zh", "en"]


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """Every known code with its words.

    A code stands in one room's file only; a test holds that, since a slip in the words must not
    keep anybody from being told why.
    """
    words: dict[str, dict[str, str]] = {}
    for room in sorted(resources.files("suanwang").iterdir(), key=lambda entry: entry.name):
        source = room / "refusals.yaml"
        if not (room.is_dir() and source.is_file()):
            continue
        for code, text in (yaml.safe_load(source.read_text(encoding="utf-8")) or {}).items():
            words.setdefault(code, text)
    return words


def explain(error: SuanwangError, language: Language) -> str:
    """The refusal as a sentence. An unknown code shows itself rather than hide the refusal."""
    return sentence(error.code, error.facts, language) or str(error)


def sentence(code: str, facts: Mapping[str, object], language: Language) -> str | None:
    """The words of a code with its facts put in; None for an unknown code."""
    text = catalogue().get(code, {}).get(language)
    return None if text is None else text.format_map(_Facts(facts))


class _Facts(dict[str, object]):
    def __missing__(self, name: str) -> str:
        return "{" + name + "}"
